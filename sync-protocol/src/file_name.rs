//! Names of files from outside: how they are filed, shown, and used for a file on somebody's disk.
//!
//! On the data's way a name is made fit to be filed once, at `intake` ([`filed_name`]), and then kept as
//! it is. Whoever shows it takes [`shown_name`]; whoever writes a file of that name takes [`safe_name`].
//! None of them says anything about content: a name proves nothing.

use crate::limits;

/// Bytes in a name made by [`safe_name`]: file systems hold 255, and programs that download add to it.
pub const SAFE_NAME_BYTES: usize = 200;
/// What a file is called whose name has nothing that can be kept.
const NAMELESS: &str = "file";
/// Bytes of an extension that is kept when a long name is cut; a longer one is no extension.
const EXTENSION_BYTES: usize = 20;
/// Stands where something was that must not.
const PLACEHOLDER: char = '_';

/// The name to file: the last part of a path as given, without control characters, not empty, at most
/// [`limits::FILE_NAME_CHARS`] characters. It is always valid in an operation; everything else about it
/// stays as given.
///
/// Both kinds of slash end a folder's name: programs on Windows hand over whole paths, and which folder
/// a file came from is nobody's business at central.
pub fn filed_name(given: &str) -> String {
    let name: String = last_part(given)
        .chars()
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect();
    if name.trim().is_empty() {
        return NAMELESS.to_owned();
    }
    let (stem, extension) = parts(&name);
    let room = limits::FILE_NAME_CHARS.saturating_sub(extension.chars().count());
    let stem: String = stem.chars().take(room).collect();
    let name = stem + extension;
    // What is left of a name that began with blanks may be blanks.
    if name.trim().is_empty() {
        NAMELESS.to_owned()
    } else {
        name
    }
}

/// The name for a screen: what would change how the rest is read (direction, line breaks, escapes) or
/// cannot be seen is replaced, and a run of blanks, which pushes an extension out of sight, is one blank.
pub fn shown_name(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    for c in name.chars() {
        let c = if is_blank(c) {
            ' '
        } else if is_deceptive(c) {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        };
        if !(c == ' ' && shown.ends_with(' ')) {
            shown.push(c);
        }
    }
    shown
}

/// A name under which a file may be written, here or on Windows, and offered for download: one part of a
/// path, visible as a whole, no hidden file and no option of a command, no device of Windows, not empty,
/// at most [`SAFE_NAME_BYTES`] bytes. The extension is kept.
pub fn safe_name(name: &str) -> String {
    let shown = shown_name(last_part(name));
    let mut safe: String = shown
        .chars()
        .map(|c| {
            if c == char::REPLACEMENT_CHARACTER || is_reserved(c) {
                PLACEHOLDER
            } else {
                c
            }
        })
        .collect();
    safe = trimmed(&safe).to_owned();
    if safe.starts_with(['.', '-', '~']) {
        safe.replace_range(..1, "_");
    }
    if is_device(&safe) {
        safe.insert(0, PLACEHOLDER);
    }
    let (stem, extension) = parts(&safe);
    let room = SAFE_NAME_BYTES.saturating_sub(extension.len());
    let cut = cut_at(stem, room);
    let safe = format!("{cut}{extension}");
    let safe = trimmed(&safe);
    if safe.is_empty() {
        NAMELESS.to_owned()
    } else {
        safe.to_owned()
    }
}

/// Whether a character changes how the text around it is shown, or hides: control characters, overrides
/// of direction, separators of lines, characters without a shape.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e0fff}')
}

/// White space but line separators, and what looks like it.
fn is_blank(c: char) -> bool {
    (c.is_whitespace() && !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}'))
        || matches!(
            c,
            '\u{2800}' | '\u{3164}' | '\u{ffa0}' | '\u{115f}' | '\u{1160}'
        )
}

/// What Windows or a shell reads as more than a name, with the look-alikes that some programs on Windows
/// turn into it.
fn is_reserved(c: char) -> bool {
    matches!(
        c,
        '<' | '>'
            | ':'
            | '"'
            | '/'
            | '\\'
            | '|'
            | '?'
            | '*'
            | '\u{2044}'
            | '\u{2215}'
            | '\u{2216}'
            | '\u{29f5}'
            | '\u{29f8}'
            | '\u{29f9}'
            | '\u{ff0f}'
            | '\u{ff3c}'
            | '\u{ff1a}'
            | '\u{ff02}'
            | '\u{ff0a}'
            | '\u{ff1c}'
            | '\u{ff1e}'
            | '\u{ff1f}'
            | '\u{ff5c}'
    )
}

/// Windows drops blanks and dots at the end.
fn trimmed(name: &str) -> &str {
    name.trim_start().trim_end_matches([' ', '.'])
}

/// Behind the last slash of either kind; slashes at the end do not count.
fn last_part(path: &str) -> &str {
    let path = path.trim_end_matches(['/', '\\']);
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Stem and extension, the dot with the extension; a dot in front makes none.
fn parts(name: &str) -> (&str, &str) {
    name.rfind('.')
        .filter(|dot| *dot > 0 && name.len() - dot <= EXTENSION_BYTES + 1)
        .and_then(|dot| name.split_at_checked(dot))
        .unwrap_or((name, ""))
}

/// Names that Windows takes for devices, with any extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end();
    let upper = stem.to_uppercase();
    if matches!(
        upper.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$"
    ) {
        return true;
    }
    let digit = upper
        .strip_prefix("COM")
        .or_else(|| upper.strip_prefix("LPT"));
    digit.is_some_and(|digit| {
        let mut digits = digit.chars();
        let one = digits.next();
        digits.next().is_none()
            && one
                .is_some_and(|c| c.is_ascii_digit() || matches!(c, '\u{b9}' | '\u{b2}' | '\u{b3}'))
    })
}

/// As many whole characters as fit so many bytes.
fn cut_at(text: &str, most_bytes: usize) -> &str {
    let end = text
        .char_indices()
        .map(|(start, c)| start + c.len_utf8())
        .take_while(|end| *end <= most_bytes)
        .last()
        .unwrap_or(0);
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::{self, Shape};

    #[test]
    fn names_are_made_safe_for_a_disk() {
        for (given, safe) in [
            ("report.pdf", "report.pdf"),
            ("Rapport été 2026 (v2).pdf", "Rapport été 2026 (v2).pdf"),
            ("報告書.docx", "報告書.docx"),
            // Paths.
            ("/etc/passwd", "passwd"),
            ("../../etc/cron.d/x", "x"),
            ("C:\\Users\\m\\Desktop\\scan.tif", "scan.tif"),
            ("..\\..\\scan.tif", "scan.tif"),
            ("folder/", "folder"),
            ("..", "file"),
            (".", "file"),
            ("../..", "file"),
            ("", "file"),
            ("///", "file"),
            (" . ", "file"),
            ("a\u{ff0f}b\u{2215}c\u{ff3c}d", "a_b_c_d"),
            // Hidden files and options.
            (".bashrc", "_bashrc"),
            ("...x", "_..x"),
            ("-rf", "_rf"),
            ("~root", "_root"),
            // What Windows reads as more.
            ("a.txt:stream", "a.txt_stream"),
            ("what?*<>|\".txt", "what______.txt"),
            ("dot.", "dot"),
            ("dots and blanks. . .", "dots and blanks"),
            ("CON", "_CON"),
            ("con.txt", "_con.txt"),
            ("Aux .tar.gz", "_Aux .tar.gz"),
            ("COM1", "_COM1"),
            ("lpt\u{b2}.log", "_lpt\u{b2}.log"),
            ("CONIN$", "_CONIN$"),
            ("COM10.txt", "COM10.txt"),
            ("CONTRACT.pdf", "CONTRACT.pdf"),
            ("nul\u{3000}.txt", "_nul .txt"),
            // Control characters and tricks with direction and sight.
            ("a\0b\nc\x1b[31m.txt", "a_b_c_[31m.txt"),
            ("invoice\u{202e}fdp.exe", "invoice_fdp.exe"),
            ("\u{2066}x\u{2069}.txt", "_x_.txt"),
            ("in\u{200b}voice\u{feff}.pdf", "in_voice_.pdf"),
            ("invoice.pdf                    .exe", "invoice.pdf .exe"),
            (
                "invoice.pdf\u{a0}\u{3000}\u{2800}\u{2003}.exe",
                "invoice.pdf .exe",
            ),
            ("line\u{2028}break.txt", "line_break.txt"),
            ("C\u{202e}ON", "C_ON"),
        ] {
            assert_eq!(safe_name(given), safe, "{given:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let long = "é".repeat(300) + ".tar.gz";
        let safe = safe_name(&long);
        assert!(
            safe.len() <= SAFE_NAME_BYTES && safe.ends_with("é.gz"),
            "{safe}"
        );
        let filed = filed_name(&long);
        assert_eq!(filed.chars().count(), limits::FILE_NAME_CHARS);
        assert!(filed.ends_with("é.gz"));
        let no_extension = "x".repeat(100) + "." + &"y".repeat(300);
        assert_eq!(safe_name(&no_extension).len(), SAFE_NAME_BYTES);
        assert_eq!(filed_name(&no_extension).len(), limits::FILE_NAME_CHARS);
        // A cut that ends in dots is trimmed like any name.
        let dots = "a".to_owned() + &".".repeat(300) + "b" + &"c".repeat(40);
        assert_eq!(safe_name(&dots), "a");
    }

    #[test]
    fn a_name_is_filed_as_given_where_an_operation_can_hold_it() {
        for (given, filed) in [
            (".bashrc", ".bashrc"),
            ("what?*.txt", "what?*.txt"),
            ("invoice\u{202e}fdp.exe", "invoice\u{202e}fdp.exe"),
            ("C:\\Users\\m\\scan.tif", "scan.tif"),
            ("/tmp/two\nlines.log", "two\u{fffd}lines.log"),
            ("  ", "file"),
            ("", "file"),
            ("/", "file"),
        ] {
            assert_eq!(filed_name(given), filed, "{given:?}");
        }
    }

    #[test]
    fn a_screen_shows_the_whole_name_in_its_order() {
        assert_eq!(
            shown_name("invoice\u{202e}fdp.exe"),
            "invoice\u{fffd}fdp.exe"
        );
        assert_eq!(shown_name("a.pdf          .exe"), "a.pdf .exe");
        assert_eq!(shown_name("a\x1b[2Jb"), "a\u{fffd}[2Jb");
        // Joiners belong to the writing of some languages, and to pictures.
        assert_eq!(shown_name("می\u{200c}خواهم"), "می\u{200c}خواهم");
    }

    /// Pieces that attack, in any order, among any characters.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<String>(),
            Just(".".to_owned()),
            Just(" ".to_owned()),
            Just("/".to_owned()),
            Just("\\".to_owned()),
            Just("CON".to_owned()),
            Just("lpt1".to_owned()),
            Just("\u{202e}".to_owned()),
            Just("\u{2800}".to_owned()),
            Just("-~".to_owned()),
            Just("é".repeat(120)),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_is_given(given in hostile()) {
            let filed = filed_name(&given);
            prop_assert_eq!(text::fault(&filed, Shape::Line, limits::FILE_NAME_CHARS), None);
            prop_assert_eq!(filed_name(&filed), filed.clone(), "filed twice");

            let safe = safe_name(&given);
            prop_assert!(!safe.is_empty() && safe.len() <= SAFE_NAME_BYTES);
            prop_assert!(!safe.contains(|c: char| is_deceptive(c) || is_reserved(c)));
            prop_assert!(!safe.starts_with(['.', '-', '~', ' ']));
            prop_assert!(!safe.ends_with(['.', ' ']));
            prop_assert!(!is_device(&safe), "{}", safe);
            prop_assert_eq!(safe_name(&safe), safe, "made safe twice");
        }
    }
}
