//! Writing for people and for programs. The only place that prints.

use std::fmt::Write as _;
use std::io::Write as _;

use branchline_protocol::time::UnixMillis;
use serde::Serialize;

/// Prints to standard output. A reader that has gone away (`| head`) is no error.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints to standard error.
pub(super) fn error(text: &str) {
    let _ = writeln!(std::io::stderr(), "branchline-server: {}", safe(text));
}

/// Prints to standard error what goes beside the result and is no error.
pub(super) fn aside(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", safe(text));
}

/// Asks something of whoever sits at the terminal, without ending the line.
pub(super) fn prompt(text: &str) {
    let mut terminal = std::io::stderr();
    let _ = terminal.write_all(text.as_bytes());
    let _ = terminal.flush();
}

/// Prints JSON, indented for people who look and for diffs.
pub(super) fn json(value: &impl Serialize) {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    line(&safe_json(&text));
}

/// `text` with everything that a terminal would obey replaced. What a ticket says comes from people;
/// validation forbids control characters, and this does not rely on it.
pub(super) fn safe(text: &str) -> String {
    text.chars()
        .map(|c| {
            if is_obeyed(c) && !matches!(c, '\n' | '\t') {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// JSON with the same characters escaped: the same document to a program.
pub(super) fn safe_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) && c != '\n' {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// One table cell: safe, on one line, cut to `width` characters.
pub(super) fn cell(text: &str, width: usize) -> String {
    let text = safe(text).replace(['\n', '\t'], " ");
    if text.chars().count() <= width {
        return text;
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A table with columns as wide as they need, the last one unpadded.
pub(super) fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(cell);
            let padding = (width + 2).saturating_sub(cell.chars().count());
            text.extend(std::iter::repeat_n(' ', padding));
        }
        line(text.trim_end());
    }
}

/// A moment in this machine's time zone.
pub(super) fn moment(at: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(
        |_| at.to_rfc3339(),
        |timestamp| {
            let zoned = timestamp.to_zoned(jiff::tz::TimeZone::system());
            zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
        },
    )
}

/// How long ago, in the largest unit that says something.
pub(super) fn ago(at: UnixMillis, now: UnixMillis) -> String {
    let seconds = now.0.saturating_sub(at.0).max(0) / 1_000;
    match seconds {
        0..=1 => "just now".to_owned(),
        2..=119 => format!("{seconds} s ago"),
        120..=7_199 => format!("{} min ago", seconds / 60),
        7_200..=172_799 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// A count with thousands separated.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_obey() {
        assert_eq!(
            safe("a\x1b[31mb\u{202e}c\u{9b}d"),
            "a\u{fffd}[31mb\u{fffd}c\u{fffd}d"
        );
        assert_eq!(cell("one\ntwo three", 8), "one two…");
        let json = safe_json(&serde_json::to_string("a\u{9b}b\u{202e}é\x1b").unwrap());
        assert_eq!(json, r#""a\u009bb\u202eé\u001b""#);
        assert_eq!(
            serde_json::from_str::<String>(&json).unwrap(),
            "a\u{9b}b\u{202e}é\x1b"
        );
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12), "12");
        assert_eq!(ago(UnixMillis(0), UnixMillis(7_300_000)), "2 h ago");
    }
}
