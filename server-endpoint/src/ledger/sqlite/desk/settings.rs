//! What central tells branches to go by: the catalogue, for all of them, and each one's bandwidth.

use branchline_protocol::desk::Catalogue;
use branchline_protocol::event::EventBody;
use branchline_protocol::id::BranchCode;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, params};

use crate::ledger::sqlite::columns::{self, to_integer, unfit};
use crate::ledger::sqlite::identity::trail;
use crate::ledger::{CatalogueChange, Deed, LedgerError};

pub(super) fn catalogue(connection: &Connection) -> Result<Catalogue, LedgerError> {
    let found: Option<String> = connection
        .prepare_cached("SELECT catalogue FROM catalogue")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let read = |text: String| serde_json::from_str(&text).map_err(|_| unfit("the catalogue"));
    Ok(found.map(read).transpose()?.unwrap_or_default())
}

pub(super) fn change_catalogue(
    connection: &Connection,
    mut catalogue: Catalogue,
    deed: &Deed,
) -> Result<CatalogueChange, LedgerError> {
    let present = self::catalogue(connection)?.serial;
    if catalogue.serial != present {
        return Ok(CatalogueChange::Stale(present));
    }
    catalogue.serial = present + 1;
    if let Some(fault) = catalogue.fault() {
        return Ok(CatalogueChange::Refused(fault));
    }
    // Written by a derive; its maps' keys are texts.
    let text = serde_json::to_string(&catalogue).unwrap_or_default();
    connection
        .prepare_cached(
            "INSERT INTO catalogue (one, serial, catalogue) VALUES (1, ?1, ?2)
             ON CONFLICT (one) DO UPDATE SET serial = excluded.serial, catalogue = excluded.catalogue",
        )?
        .execute(params![to_integer(catalogue.serial), text])?;
    let serial = catalogue.serial;
    let (kind, body) = EventBody::CatalogueChanged { catalogue }.to_parts();
    connection
        .prepare_cached(
            "INSERT INTO events (at, branch, for_feed, kind, body)
             SELECT ?1, code, 1, ?2, ?3 FROM branches ORDER BY code",
        )?
        .execute(params![deed.at.0, kind, body.get()])?;
    trail::add(connection, deed)?;
    Ok(CatalogueChange::Done(serial))
}

/// A branch that is new hears what the others have heard.
pub(in crate::ledger::sqlite) fn tell_new_branch(
    connection: &Connection,
    branch: &BranchCode,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    let catalogue = catalogue(connection)?;
    if catalogue.serial == 0 {
        return Ok(());
    }
    tell(
        connection,
        branch,
        at,
        &EventBody::CatalogueChanged { catalogue },
    )
}

fn tell(
    connection: &Connection,
    branch: &BranchCode,
    at: UnixMillis,
    body: &EventBody,
) -> Result<(), LedgerError> {
    let (kind, body) = body.to_parts();
    connection
        .prepare_cached(
            "INSERT INTO events (at, branch, for_feed, kind, body) VALUES (?1, ?2, 1, ?3, ?4)",
        )?
        .execute(params![at.0, branch.as_str(), kind, body.get()])?;
    Ok(())
}

pub(super) fn bandwidths(
    connection: &Connection,
) -> Result<Vec<(BranchCode, String)>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT branch, rate FROM bandwidths WHERE rate IS NOT NULL ORDER BY branch",
    )?;
    let mut rows = statement.query([])?;
    let mut bandwidths = Vec::new();
    while let Some(row) = rows.next()? {
        bandwidths.push((columns::branch(row, 0)?, row.get(1)?));
    }
    Ok(bandwidths)
}

pub(super) fn set_bandwidth(
    connection: &Connection,
    branch: &BranchCode,
    rate: Option<&str>,
    deed: &Deed,
) -> Result<bool, LedgerError> {
    let is_there = connection
        .prepare_cached("SELECT 1 FROM branches WHERE code = ?1")?
        .exists([branch.as_str()])?;
    if !is_there {
        return Ok(false);
    }
    let present: Option<(i64, Option<String>)> = connection
        .prepare_cached("SELECT serial, rate FROM bandwidths WHERE branch = ?1")?
        .query_row([branch.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (serial, before) = present.unwrap_or_default();
    if before.as_deref() == rate {
        return Ok(true);
    }
    let serial = serial + 1;
    connection
        .prepare_cached(
            "INSERT INTO bandwidths (branch, serial, rate) VALUES (?1, ?2, ?3)
             ON CONFLICT (branch) DO UPDATE SET serial = excluded.serial, rate = excluded.rate",
        )?
        .execute(params![branch.as_str(), serial, rate])?;
    let body = EventBody::BandwidthChanged {
        serial: columns::whole(serial, "a serial")?,
        rate: rate.map(str::to_owned),
    };
    tell(connection, branch, deed.at, &body)?;
    trail::add(connection, deed)?;
    Ok(true)
}
