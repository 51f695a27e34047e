//! Enrolment tokens: by the hashes of their secrets.

use branchline_protocol::id::{AgentId, Digest};
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::trail;
use crate::ledger::sqlite::columns::{self, to_integer, unfit, whole};
use crate::ledger::{LedgerError, NewToken, TOKENS_LISTED, TokenFor, TokenRecord};

const COLUMNS: &str = "token, tokens.branch, agents.id, uses, used, made_at, expires_at, \
     tokens.revoked_at IS NOT NULL";
const FROM: &str = "tokens LEFT JOIN agents USING (agent)";

/// A token of this hash, taken back or not.
pub(super) fn find(
    connection: &Connection,
    hash: Digest,
) -> Result<Option<TokenRecord>, LedgerError> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM {FROM} WHERE hash = ?1"))?
        .query_row([hash.0], |row| Ok(token(row)))
        .optional()?
        .transpose()
}

pub(super) fn add(
    connection: &Connection,
    new: &NewToken,
) -> Result<Option<TokenRecord>, LedgerError> {
    let known = match &new.purpose {
        TokenFor::Branch(code) => connection
            .prepare_cached("SELECT 0 FROM branches WHERE code = ?1")?
            .query_row([code.as_str()], |row| row.get(0))
            .optional()?,
        TokenFor::Agent(id) => agent_row(connection, *id)?,
    };
    let Some(row) = known else {
        return Ok(None);
    };
    let (branch, agent) = match &new.purpose {
        TokenFor::Branch(code) => (Some(code.as_str()), None),
        TokenFor::Agent(_) => (None, Some(row)),
    };
    connection
        .prepare_cached(
            "INSERT INTO tokens (hash, branch, agent, uses, made_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            new.hash.0,
            branch,
            agent,
            new.uses.max(1),
            new.made.at.0,
            new.expires_at.0
        ])?;
    let token = find(connection, new.hash)?.ok_or_else(|| unfit("the token just added"))?;
    let mut made = new.made.clone();
    made.subject = subject(token.number);
    trail::add(connection, &made)?;
    Ok(Some(token))
}

/// A token as the trail names it.
pub(super) fn subject(number: u64) -> String {
    format!("token {number}")
}

pub(super) fn agent_row(connection: &Connection, id: AgentId) -> Result<Option<i64>, LedgerError> {
    Ok(connection
        .prepare_cached("SELECT agent FROM agents WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()?)
}

pub(super) fn list(connection: &Connection) -> Result<Vec<TokenRecord>, LedgerError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM {FROM} ORDER BY token DESC LIMIT ?1"
    ))?;
    let most = i64::try_from(TOKENS_LISTED).unwrap_or(i64::MAX);
    let mut rows = statement.query([most])?;
    let mut tokens = Vec::new();
    while let Some(row) = rows.next()? {
        tokens.push(token(row)?);
    }
    Ok(tokens)
}

/// A repeat changes nothing and is not recorded.
pub(super) fn revoke(
    connection: &Connection,
    number: u64,
    deed: &crate::ledger::Deed,
) -> Result<bool, LedgerError> {
    let number = to_integer(number);
    let changed = connection
        .prepare_cached(
            "UPDATE tokens SET revoked_at = ?2 WHERE token = ?1 AND revoked_at IS NULL",
        )?
        .execute([number, deed.at.0])?;
    if changed == 1 {
        trail::add(connection, deed)?;
        return Ok(true);
    }
    Ok(connection
        .prepare_cached("SELECT 1 FROM tokens WHERE token = ?1")?
        .exists([number])?)
}

/// Counts a use; the token must have one left.
pub(super) fn take_use(connection: &Connection, number: u64) -> Result<(), LedgerError> {
    let taken = connection
        .prepare_cached("UPDATE tokens SET used = used + 1 WHERE token = ?1 AND used < uses")?
        .execute([to_integer(number)])?;
    // No token may be good for one enrolment more than it says, so that it is asked in production too.
    if taken == 1 {
        Ok(())
    } else {
        Err(unfit("the uses that this transaction read"))
    }
}

fn token(row: &Row<'_>) -> Result<TokenRecord, LedgerError> {
    let agent: Option<[u8; 16]> = row.get(2)?;
    let purpose = match agent {
        Some(id) => TokenFor::Agent(AgentId::from_bytes(id)),
        None => TokenFor::Branch(columns::branch(row, 1)?),
    };
    Ok(TokenRecord {
        number: columns::count(row, 0)?,
        purpose,
        uses: whole(row.get(3)?, "a token's uses")?,
        used: whole(row.get(4)?, "a token's uses")?,
        made_at: UnixMillis(row.get(5)?),
        expires_at: UnixMillis(row.get(6)?),
        revoked: row.get(7)?,
    })
}
