//! What people type into the search box, as a question to the full-text index; and a ticket as a document.

use rusqlite::{Connection, params};

use super::ReadModelError;

/// Words of one question; what is behind them is not looked for.
const WORDS: usize = 12;
/// Characters of one word.
const WORD_CHARS: usize = 100;
/// Digits of a ticket number's serial, at least.
const SERIAL_DIGITS: usize = 6;
/// Bytes of what was said on a ticket that are searched: a ticket on which a book was written is found by
/// its first chapters.
const SAID_BYTES: usize = 256 * 1024;

/// The question for FTS5: every word must be there, the last one may go on. `None` where there is nothing
/// to look for.
pub(super) fn question(typed: &str) -> Option<String> {
    let words: Vec<String> = typed
        .split_whitespace()
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .take(WORDS)
        .map(|word| phrase(&spelled_out(word)))
        .collect();
    (!words.is_empty()).then(|| words.join(" ") + "*")
}

/// Nothing in a phrase is an operator.
fn phrase(word: &str) -> String {
    let word: String = word.chars().take(WORD_CHARS).collect();
    format!("\"{}\"", word.replace('"', "\"\""))
}

/// `LYN-42` means `LYN-000042`.
fn spelled_out(word: &str) -> String {
    let Some((branch, rest)) = word.split_once('-') else {
        return word.to_owned();
    };
    let (serial, suffix) = rest
        .split_once('-')
        .map_or((rest, None), |(serial, suffix)| (serial, Some(suffix)));
    let is_number = branch.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && (1..SERIAL_DIGITS).contains(&serial.len())
        && serial.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return word.to_owned();
    }
    let suffix = suffix.map_or_else(String::new, |suffix| format!("-{suffix}"));
    format!("{branch}-{serial:0>SERIAL_DIGITS$}{suffix}")
}

/// Writes a ticket's document, in place of the one before.
pub(super) fn index(connection: &Connection, ticket: i64) -> Result<(), ReadModelError> {
    let mut said = String::new();
    let mut people = String::new();
    let mut statement = connection.prepare_cached(
        "SELECT who, said FROM timeline
             WHERE ticket = ?1 AND kind IN ('comment', 'withdrawn', 'reply', 'note')
             ORDER BY position",
    )?;
    let mut rows = statement.query([ticket])?;
    while let Some(row) = rows.next()? {
        if said.len() < SAID_BYTES {
            said.push_str(row.get_ref(1)?.as_str().unwrap_or_default());
            said.push('\n');
            people.push_str(row.get_ref(0)?.as_str().unwrap_or_default());
            people.push('\n');
        }
    }
    drop(rows);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO search (rowid, number, subject, said, people, branch, files)
             SELECT ticket, number, subject, description || char(10) || ?2,
                 reporter || char(10) || contact || char(10) || ?3,
                 branch || ' ' || category || ' ' || coalesce(asset, '') || char(10) || tags,
                 coalesce((SELECT group_concat(name, char(10)) FROM
                     (SELECT name FROM files WHERE files.ticket = tickets.ticket LIMIT 1000)), '')
             FROM tickets WHERE ticket = ?1",
        )?
        .execute(params![ticket, said, people])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_words_and_never_operators() {
        assert_eq!(question("paper jam").unwrap(), "\"paper\" \"jam\"*");
        assert_eq!(
            question("a AND (b OR \"c\")").unwrap(),
            "\"a\" \"AND\" \"(b\" \"OR\" \"\"\"c\"\")\"*"
        );
        assert_eq!(
            question("subject:x* - ^y").unwrap(),
            "\"subject:x*\" \"^y\"*"
        );
        assert_eq!(question("  \u{a0} -- \"\" "), None);
        assert_eq!(question(&"x ".repeat(1_000)).unwrap().len(), WORDS * 4);
    }

    #[test]
    fn a_short_number_is_spelled_out() {
        assert_eq!(spelled_out("LYN-42"), "LYN-000042");
        assert_eq!(spelled_out("lyn2-42-3"), "lyn2-000042-3");
        assert_eq!(spelled_out("LYN-000042"), "LYN-000042");
        assert_eq!(spelled_out("re-open"), "re-open");
        assert_eq!(spelled_out("x"), "x");
    }
}
