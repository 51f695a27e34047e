//! Identities in the ledger's SQLite file: tokens, enrolments, certificates, revocations, trust, the trail.
//!
//! Stands beside the way of operations and files: ingress asks here who stands behind a certificate, the
//! authority keeps here what it issued.
//!
//! Invariants, besides those of [`IdentityLedger`]:
//! - Each verb that changes something is one job of the writer, so one transaction with its entry in the
//!   trail ([`trail`]): neither is ever there without the other.
//! - `tokens.used` counts the rows of `enrolments` of that token, and never passes `tokens.uses`.
//! - An agent's row is never deleted, nor its ordinal given to another.
//!
//! All of it is small and rare, and somebody waits for it: it goes with the tickets, not with bulk.

use branchline_durable_sqlite::Lane;
use branchline_protocol::enrolment::SignedTrust;
use branchline_protocol::id::{AgentId, BranchCode};
use branchline_protocol::time::UnixMillis;
use rusqlite::Connection;

use super::SqliteLedger;
use crate::ledger::{
    CertificateRecord, CertificateSerial, Deed, Enrol, Enrolled, Identified, IdentityLedger,
    LedgerError, NewCertificate, NewToken, Pending, TokenRecord, TrailEntry, TrailFilter,
};

mod certificates;
mod ending;
mod enrolling;
mod publishing;
mod tokens;
pub(super) mod trail;

#[cfg(test)]
mod tests;

impl SqliteLedger {
    /// Work that somebody waits for.
    pub(super) fn change<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Pending<'_, T> {
        Box::pin(self.write(Lane::Control, job))
    }
}

impl IdentityLedger for SqliteLedger {
    fn add_branch(&self, code: BranchCode, name: Option<String>, deed: Deed) -> Pending<'_, ()> {
        self.change(move |connection| {
            super::agents::add_branch(connection, &code, name.as_deref(), deed.at)?;
            trail::add(connection, &deed)
        })
    }

    fn add_token(&self, token: NewToken) -> Pending<'_, Option<TokenRecord>> {
        self.change(move |connection| tokens::add(connection, &token))
    }

    fn tokens(&self) -> Pending<'_, Vec<TokenRecord>> {
        self.read(tokens::list)
    }

    fn revoke_token(&self, number: u64, deed: Deed) -> Pending<'_, bool> {
        self.change(move |connection| tokens::revoke(connection, number, &deed))
    }

    fn enrol(&self, enrol: Enrol) -> Pending<'_, Enrolled> {
        self.change(move |connection| enrolling::enrol(connection, enrol))
    }

    fn keep_certificate(&self, certificate: NewCertificate) -> Pending<'_, bool> {
        self.change(move |connection| certificates::keep(connection, &certificate))
    }

    fn identify(
        &self,
        agent: AgentId,
        serial: CertificateSerial,
    ) -> Pending<'_, Option<Identified>> {
        self.read(move |connection| certificates::identify(connection, agent, serial))
    }

    fn prove_certificate(
        &self,
        agent: AgentId,
        serial: CertificateSerial,
        _at: UnixMillis,
    ) -> Pending<'_, ()> {
        self.change(move |connection| certificates::prove(connection, agent, serial))
    }

    fn note_refusal(&self, agent: AgentId, why: String, at: UnixMillis) -> Pending<'_, ()> {
        self.change(move |connection| super::agents::note_refusal(connection, agent, &why, at))
    }

    fn certificates(&self, agent: AgentId) -> Pending<'_, Vec<CertificateRecord>> {
        self.read(move |connection| certificates::list(connection, agent))
    }

    fn revoke_agent(&self, agent: AgentId, deed: Deed) -> Pending<'_, bool> {
        self.change(move |connection| ending::revoke_agent(connection, agent, &deed))
    }

    fn revocations(&self, after: Option<u64>) -> Pending<'_, (u64, Vec<AgentId>)> {
        self.read(move |connection| ending::revocations(connection, after))
    }

    fn publish_trust(&self, trust: SignedTrust, deed: Deed) -> Pending<'_, ()> {
        self.change(move |connection| publishing::publish(connection, trust, &deed))
    }

    fn record(&self, deed: Deed) -> Pending<'_, ()> {
        self.change(move |connection| trail::add(connection, &deed))
    }

    fn trail(&self, filter: TrailFilter) -> Pending<'_, Vec<TrailEntry>> {
        self.read(move |connection| trail::list(connection, &filter))
    }
}
