//! API tokens, by the hashes of their secrets.

use branchline_protocol::id::Digest;
use branchline_protocol::text::clipped;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::ledger::sqlite::columns::{self, to_integer, unfit};
use crate::ledger::sqlite::identity::trail;
use crate::ledger::{
    API_TOKENS_MOST, ApiTokenRecord, Deed, LedgerError, NAME_CHARS, NewApiToken, Right,
};

const COLUMNS: &str = "token, name, rights, made_by, made_at, expires_at, revoked_at IS NOT NULL, \
     used_at";

pub(super) fn add(
    connection: &Connection,
    new: &NewApiToken,
) -> Result<ApiTokenRecord, LedgerError> {
    let count: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM api_tokens
             WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?1)",
        )?
        .query_row([new.deed.at.0], |row| row.get(0))?;
    if usize::try_from(count).is_ok_and(|count| count >= API_TOKENS_MOST) {
        return Err(LedgerError::Full(format!(
            "there are {API_TOKENS_MOST} API tokens; revoke one that is not used"
        )));
    }
    let mut rights = new.rights.clone();
    rights.sort_unstable();
    rights.dedup();
    let words: Vec<&str> = rights.iter().map(|right| right.as_str()).collect();
    connection
        .prepare_cached(
            "INSERT INTO api_tokens (name, hash, rights, made_by, made_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            clipped(&new.name, NAME_CHARS),
            new.hash.0,
            words.join(" "),
            new.deed.actor.to_string(),
            new.deed.at.0,
            new.expires_at.map(|at| at.0)
        ])?;
    let added = by_number(connection, connection.last_insert_rowid())?;
    let added = added.ok_or_else(|| unfit("the API token just added"))?;
    let mut deed = new.deed.clone();
    deed.subject = format!("API token {}", added.number);
    deed.detail = format!("{}: {}", added.name, words.join(" "));
    trail::add(connection, &deed)?;
    Ok(added)
}

fn by_number(connection: &Connection, number: i64) -> Result<Option<ApiTokenRecord>, LedgerError> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM api_tokens WHERE token = ?1"
        ))?
        .query_row([number], |row| Ok(token(row)))
        .optional()?
        .transpose()
}

pub(super) fn list(connection: &Connection) -> Result<Vec<ApiTokenRecord>, LedgerError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM api_tokens ORDER BY token DESC LIMIT ?1"
    ))?;
    let most = i64::try_from(API_TOKENS_MOST).unwrap_or(i64::MAX);
    let mut rows = statement.query([most])?;
    let mut tokens = Vec::new();
    while let Some(row) = rows.next()? {
        tokens.push(token(row)?);
    }
    Ok(tokens)
}

pub(super) fn find(
    connection: &Connection,
    hash: Digest,
    at: UnixMillis,
) -> Result<Option<ApiTokenRecord>, LedgerError> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM api_tokens
             WHERE hash = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)"
        ))?
        .query_row(params![hash.0, at.0], |row| Ok(token(row)))
        .optional()?
        .transpose()
}

pub(super) fn note_use(
    connection: &Connection,
    number: u64,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    connection
        .prepare_cached(
            "UPDATE api_tokens SET used_at = max(coalesce(used_at, ?2), ?2) WHERE token = ?1",
        )?
        .execute([to_integer(number), at.0])?;
    Ok(())
}

/// A repeat changes nothing and is not recorded.
pub(super) fn revoke(
    connection: &Connection,
    number: u64,
    deed: &Deed,
) -> Result<bool, LedgerError> {
    let number = to_integer(number);
    let changed = connection
        .prepare_cached(
            "UPDATE api_tokens SET revoked_at = ?2 WHERE token = ?1 AND revoked_at IS NULL",
        )?
        .execute([number, deed.at.0])?;
    if changed == 1 {
        trail::add(connection, deed)?;
        return Ok(true);
    }
    Ok(by_number(connection, number)?.is_some())
}

fn token(row: &Row<'_>) -> Result<ApiTokenRecord, LedgerError> {
    let words: String = row.get(2)?;
    let rights = words.split(' ').map(str::parse::<Right>);
    let rights: Result<Vec<Right>, ()> = rights.collect();
    Ok(ApiTokenRecord {
        number: columns::count(row, 0)?,
        name: row.get(1)?,
        rights: rights.map_err(|()| unfit("an API token's rights"))?,
        made_by: row.get(3)?,
        made_at: columns::millis(row, 4)?,
        expires_at: row.get::<_, Option<i64>>(5)?.map(UnixMillis),
        revoked: row.get(6)?,
        used_at: row.get::<_, Option<i64>>(7)?.map(UnixMillis),
    })
}
