//! How domain words stand in columns. A column that does not hold what it should is a broken ledger.

use branchline_protocol::event::Verdict;
use branchline_protocol::id::{BranchCode, Digest, TicketNumber};
use branchline_protocol::operation::{Operation, Parsed, Priority};
use branchline_protocol::time::UnixMillis;
use rusqlite::Row;

use crate::ledger::{LedgerError, TicketState};

/// SQLite counts in signed 64 bits; what an agent claims beyond that is as good as the most.
pub(super) fn to_integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn count(row: &Row<'_>, column: usize) -> Result<u64, LedgerError> {
    whole(row.get::<_, i64>(column)?, "a count")
}

pub(super) fn optional_count(row: &Row<'_>, column: usize) -> Result<Option<u64>, LedgerError> {
    row.get::<_, Option<i64>>(column)?
        .map(|value| whole(value, "a count"))
        .transpose()
}

/// A column that holds an unsigned number of some width.
pub(super) fn whole<T: TryFrom<i64>>(value: i64, what: &str) -> Result<T, LedgerError> {
    T::try_from(value).map_err(|_| unfit(what))
}

pub(super) fn digest(row: &Row<'_>, column: usize) -> Result<Digest, LedgerError> {
    Ok(Digest(row.get(column)?))
}

pub(super) fn millis(row: &Row<'_>, column: usize) -> Result<UnixMillis, LedgerError> {
    Ok(UnixMillis(row.get(column)?))
}

pub(super) fn branch(row: &Row<'_>, column: usize) -> Result<BranchCode, LedgerError> {
    let text = row.get_ref(column)?.as_str().unwrap_or_default();
    text.parse().map_err(|_| unfit("a branch code"))
}

/// Branch, ordinal, serial and suffix in four columns from this one on.
pub(super) fn number(row: &Row<'_>, from: usize) -> Result<TicketNumber, LedgerError> {
    Ok(TicketNumber {
        branch: branch(row, from)?,
        ordinal: whole(row.get(from + 1)?, "an ordinal")?,
        serial: whole(row.get(from + 2)?, "a serial")?,
        suffix: whole(row.get(from + 3)?, "a suffix")?,
    })
}

pub(super) fn state(row: &Row<'_>, column: usize) -> Result<TicketState, LedgerError> {
    let state = row
        .get_ref(column)?
        .as_str()
        .ok()
        .and_then(|word| word.parse().ok());
    state.ok_or_else(|| unfit("a ticket's state"))
}

/// NULL is `None`.
pub(super) fn priority(row: &Row<'_>, column: usize) -> Result<Option<Priority>, LedgerError> {
    let word = row.get_ref(column)?.as_str_or_null();
    match word.map_err(|_| unfit("a priority"))? {
        None => Ok(None),
        Some("low") => Ok(Some(Priority::Low)),
        Some("normal") => Ok(Some(Priority::Normal)),
        Some("high") => Ok(Some(Priority::High)),
        Some("urgent") => Ok(Some(Priority::Urgent)),
        Some(_) => Err(unfit("a priority")),
    }
}

/// A JSON list; NULL is none.
pub(super) fn texts(row: &Row<'_>, column: usize) -> Result<Vec<String>, LedgerError> {
    match row.get_ref(column)?.as_str_or_null() {
        Ok(None) => Ok(Vec::new()),
        Ok(Some(text)) => serde_json::from_str(text).map_err(|_| unfit("a list of texts")),
        Err(_) => Err(unfit("a list of texts")),
    }
}

/// NULL is accepted.
pub(super) fn verdict(row: &Row<'_>, column: usize) -> Result<Verdict, LedgerError> {
    match row.get_ref(column)?.as_str_or_null() {
        Ok(None) => Ok(Verdict::Accepted),
        Ok(Some(text)) => serde_json::from_str(text).map_err(|_| unfit("a verdict")),
        Err(_) => Err(unfit("a verdict")),
    }
}

/// What `verdict` reads back.
pub(super) fn verdict_text(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Accepted => None,
        // Written by a derive, with no map keys that could fail.
        _ => Some(serde_json::to_string(verdict).unwrap_or_default()),
    }
}

/// An operation that had an effect, read back from its bytes.
pub(super) fn operation(row: &Row<'_>, column: usize) -> Result<Operation, LedgerError> {
    let bytes = row.get_ref(column)?.as_blob().unwrap_or_default();
    match Operation::parse(bytes) {
        Ok(Parsed::Known(operation)) => Ok(operation),
        _ => Err(unfit("an operation in effect")),
    }
}

pub(super) fn unfit(what: &str) -> LedgerError {
    LedgerError::Broken(format!(
        "a row does not hold {what} where it should; restore the ledger from a backup"
    ))
}
