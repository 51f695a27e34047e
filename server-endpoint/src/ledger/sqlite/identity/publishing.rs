//! Whom to trust, into each branch's feed.

use branchline_protocol::enrolment::SignedTrust;
use branchline_protocol::event::EventBody;
use rusqlite::{Connection, params};

use super::trail;
use crate::ledger::{Deed, LedgerError};

pub(super) fn publish(
    connection: &Connection,
    trust: SignedTrust,
    deed: &Deed,
) -> Result<(), LedgerError> {
    // Of what was signed and by whom: a repeat may come with another signature, which are never the same.
    let mut said = blake3::Hasher::new();
    said.update(&trust.signer.0);
    said.update(trust.bundle.as_bytes());
    let new = connection
        .prepare_cached("INSERT OR IGNORE INTO trust_published (digest, at) VALUES (?1, ?2)")?
        .execute(params![said.finalize().as_bytes(), deed.at.0])?;
    if new == 0 {
        return Ok(());
    }
    let (kind, body) = EventBody::TrustChanged { trust }.to_parts();
    connection
        .prepare_cached(
            "INSERT INTO events (at, branch, for_feed, kind, body)
             SELECT ?1, code, 1, ?2, ?3 FROM branches ORDER BY code",
        )?
        .execute(params![deed.at.0, kind, body.get()])?;
    trail::add(connection, deed)
}
