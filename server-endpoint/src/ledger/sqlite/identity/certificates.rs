//! Agents' certificates: issued, proven in use, superseded, revoked.

use branchline_protocol::id::AgentId;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{enrolling, tokens, trail};
use crate::ledger::sqlite::agents;
use crate::ledger::sqlite::columns::{self, unfit};
use crate::ledger::{
    CERTIFICATES_KEPT, CertificateRecord, CertificateSerial, CertificateState, Identified,
    LedgerError, NewCertificate, Proof,
};

const COLUMNS: &str = "serial, agents.id, key, not_before, not_after, state, der";

pub(super) fn keep(connection: &Connection, new: &NewCertificate) -> Result<bool, LedgerError> {
    let Some(agent) = tokens::agent_row(connection, new.agent)? else {
        return Ok(false);
    };
    if !may_have_one(connection, agent, new)? {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "UPDATE certificates SET state = 'superseded' WHERE agent = ?1 AND state = 'unproven'",
        )?
        .execute([agent])?;
    connection
        .prepare_cached(
            "INSERT INTO certificates
                 (serial, agent, key, not_before, not_after, issued_at, state, der)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'unproven', ?7)",
        )?
        .execute(params![
            new.serial.0,
            agent,
            new.key.0,
            new.not_before.0,
            new.not_after.0,
            new.at.0,
            new.der
        ])?;
    forget_oldest(connection, agent)?;
    trail::add(connection, &new.deed)?;
    Ok(true)
}

/// Asked in the transaction that keeps it: the agent may have been revoked, or joined again, while the
/// certificate was being made for whoever holds what it had before.
fn may_have_one(
    connection: &Connection,
    agent: i64,
    new: &NewCertificate,
) -> Result<bool, LedgerError> {
    let revoked: bool = connection
        .prepare_cached("SELECT revoked_at IS NOT NULL FROM agents WHERE agent = ?1")?
        .query_row([agent], |row| row.get(0))?;
    if revoked {
        return Ok(false);
    }
    match new.proof {
        Proof::Token(hash) => {
            let Some(token) = tokens::find(connection, hash)? else {
                return Ok(false);
            };
            let enrolment = enrolling::find(connection, token.number, new.key)?;
            Ok(enrolment.is_some_and(|it| it.agent == agent && !it.ended))
        }
        Proof::Certificate(serial) => {
            let held = find(connection, serial)?;
            Ok(held.is_none_or(|held| {
                held.agent == new.agent && held.state != CertificateState::Revoked
            }))
        }
    }
}

/// Those in use stay, and those that must never be good again.
fn forget_oldest(connection: &Connection, agent: i64) -> Result<(), LedgerError> {
    let kept = i64::try_from(CERTIFICATES_KEPT).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "DELETE FROM certificates WHERE agent = ?1 AND state = 'superseded' AND certificate <=
                 (SELECT certificate FROM certificates WHERE agent = ?1
                  ORDER BY certificate DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute([agent, kept])?;
    Ok(())
}

pub(super) fn identify(
    connection: &Connection,
    agent: AgentId,
    serial: CertificateSerial,
) -> Result<Option<Identified>, LedgerError> {
    let Some(agent) = agents::find(connection, agent)? else {
        return Ok(None);
    };
    let certificate = find(connection, serial)?.filter(|held| held.agent == agent.id);
    Ok(Some(Identified { agent, certificate }))
}

pub(super) fn prove(
    connection: &Connection,
    agent: AgentId,
    serial: CertificateSerial,
) -> Result<(), LedgerError> {
    let Some(agent) = tokens::agent_row(connection, agent)? else {
        return Ok(());
    };
    let proven = connection
        .prepare_cached(
            "UPDATE certificates SET state = 'proven'
             WHERE serial = ?1 AND agent = ?2 AND state = 'unproven'",
        )?
        .execute(params![serial.0, agent])?;
    if proven == 1 {
        connection
            .prepare_cached(
                "UPDATE certificates SET state = 'superseded'
                 WHERE agent = ?1 AND serial <> ?2 AND state IN ('unproven', 'proven')",
            )?
            .execute(params![agent, serial.0])?;
    }
    Ok(())
}

pub(super) fn list(
    connection: &Connection,
    agent: AgentId,
) -> Result<Vec<CertificateRecord>, LedgerError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM certificates JOIN agents USING (agent)
         WHERE agents.id = ?1 ORDER BY certificate DESC LIMIT ?2"
    ))?;
    let most = i64::try_from(CERTIFICATES_KEPT).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![agent.as_bytes(), most])?;
    let mut certificates = Vec::new();
    while let Some(row) = rows.next()? {
        certificates.push(certificate(row)?);
    }
    Ok(certificates)
}

fn find(
    connection: &Connection,
    serial: CertificateSerial,
) -> Result<Option<CertificateRecord>, LedgerError> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM certificates JOIN agents USING (agent) WHERE serial = ?1"
        ))?
        .query_row([serial.0], |row| Ok(certificate(row)))
        .optional()?
        .transpose()
}

fn certificate(row: &Row<'_>) -> Result<CertificateRecord, LedgerError> {
    let state = match row.get_ref(5)?.as_str().unwrap_or_default() {
        "unproven" => CertificateState::Unproven,
        "proven" => CertificateState::Proven,
        "superseded" => CertificateState::Superseded,
        "revoked" => CertificateState::Revoked,
        _ => return Err(unfit("a certificate's state")),
    };
    Ok(CertificateRecord {
        serial: CertificateSerial(row.get(0)?),
        agent: AgentId::from_bytes(row.get(1)?),
        key: columns::digest(row, 2)?,
        not_before: UnixMillis(row.get(3)?),
        not_after: UnixMillis(row.get(4)?),
        state,
        der: row.get(6)?,
    })
}
