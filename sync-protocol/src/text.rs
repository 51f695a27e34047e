//! Text from outside: how it is read without copying, and the rules it must keep.

use std::fmt;

use serde::{Deserializer, de};

/// Hands a string to `read` whether the input can lend it or not, without an allocation where it can.
pub(crate) fn with_str<'de, D, T>(
    deserializer: D,
    read: impl FnOnce(&str) -> Result<T, D::Error>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    struct Text;
    impl<'de> de::Visitor<'de> for Text {
        type Value = std::borrow::Cow<'de, str>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }
        fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(text.into())
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(text.to_owned().into())
        }
    }
    let text = deserializer.deserialize_str(Text)?;
    read(&text)
}

/// What a field's text may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One line: no control characters at all.
    Line,
    /// Several lines: line feeds and tabs are allowed, other control characters are not.
    Lines,
}

/// The fault in a text, if it has one: empty, too long, or with characters that do not belong in it.
/// The answer completes the sentence "`field` …".
pub fn fault(text: &str, shape: Shape, most_chars: usize) -> Option<String> {
    if text.trim().is_empty() {
        return Some("must not be empty".to_owned());
    }
    let count = text.chars().count();
    if count > most_chars {
        return Some(format!(
            "has {count} characters; at most {most_chars} are allowed"
        ));
    }
    let forbidden =
        |c: &char| c.is_control() && !(shape == Shape::Lines && matches!(c, '\n' | '\t'));
    text.chars().find(forbidden).map(|c| {
        format!(
            "holds the control character U+{:04X}; remove it",
            u32::from(c)
        )
    })
}

/// `text` cut to at most `most_chars` characters, for records of what the other side said.
pub fn clipped(text: &str, most_chars: usize) -> &str {
    text.char_indices()
        .nth(most_chars)
        .map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named() {
        assert_eq!(fault("a\tb\nc", Shape::Lines, 9), None);
        assert!(fault("a\nb", Shape::Line, 9).unwrap().contains("U+000A"));
        assert!(
            fault("\u{9b}31m", Shape::Lines, 9)
                .unwrap()
                .contains("U+009B")
        );
        assert!(
            fault("ééééé", Shape::Line, 4)
                .unwrap()
                .contains("5 characters")
        );
        assert_eq!(fault(" \t", Shape::Lines, 9).unwrap(), "must not be empty");
        assert_eq!(clipped("ééé", 2), "éé");
    }
}
