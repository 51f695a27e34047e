//! Operators, their sessions, and API tokens in the ledger's SQLite file.
//!
//! Stands beside the way of operations and files, for whoever works at central. Invariants are those of
//! [`crate::ledger::operators`]; each verb is one job of the writer with its entry in the trail, but for
//! notes of when something was last used, which nobody waits for.

use branchline_protocol::id::Digest;
use branchline_protocol::time::UnixMillis;

use super::SqliteLedger;
use crate::ledger::{
    ApiTokenRecord, Deed, NewApiToken, NewOperator, NewPassword, NewSession, OperatorChange,
    OperatorLedger, OperatorName, OperatorRecord, Pending, Role, SessionRecord,
};

mod api_tokens;
mod people;
mod sessions;

#[cfg(test)]
mod tests;

impl OperatorLedger for SqliteLedger {
    fn add_operator(&self, new: NewOperator) -> Pending<'_, bool> {
        self.change(move |connection| people::add(connection, &new))
    }

    fn operators(&self) -> Pending<'_, Vec<OperatorRecord>> {
        self.read(people::list)
    }

    fn operator(&self, name: OperatorName) -> Pending<'_, Option<OperatorRecord>> {
        self.read(move |connection| people::find(connection, &name))
    }

    fn set_role(&self, name: OperatorName, role: Role, deed: Deed) -> Pending<'_, OperatorChange> {
        self.change(move |connection| people::set_role(connection, &name, role, &deed))
    }

    fn set_password(&self, new: NewPassword) -> Pending<'_, bool> {
        self.change(move |connection| people::set_password(connection, &new))
    }

    fn remove_operator(&self, name: OperatorName, deed: Deed) -> Pending<'_, OperatorChange> {
        self.change(move |connection| people::remove(connection, &name, &deed))
    }

    fn open_session(&self, new: NewSession) -> Pending<'_, bool> {
        self.change(move |connection| sessions::open(connection, &new))
    }

    fn session(
        &self,
        hash: Digest,
        at: UnixMillis,
        idle: i64,
    ) -> Pending<'_, Option<SessionRecord>> {
        self.read(move |connection| sessions::find(connection, hash, at, idle))
    }

    fn use_session(&self, hash: Digest, at: UnixMillis) -> Pending<'_, ()> {
        self.write_bulk(move |connection| sessions::note_use(connection, hash, at))
    }

    fn close_session(&self, hash: Digest, deed: Deed) -> Pending<'_, ()> {
        self.change(move |connection| sessions::close(connection, hash, &deed))
    }

    fn add_api_token(&self, new: NewApiToken) -> Pending<'_, ApiTokenRecord> {
        self.change(move |connection| api_tokens::add(connection, &new))
    }

    fn api_tokens(&self) -> Pending<'_, Vec<ApiTokenRecord>> {
        self.read(api_tokens::list)
    }

    fn api_token(&self, hash: Digest, at: UnixMillis) -> Pending<'_, Option<ApiTokenRecord>> {
        self.read(move |connection| api_tokens::find(connection, hash, at))
    }

    fn use_api_token(&self, number: u64, at: UnixMillis) -> Pending<'_, ()> {
        self.write_bulk(move |connection| api_tokens::note_use(connection, number, at))
    }

    fn revoke_api_token(&self, number: u64, deed: Deed) -> Pending<'_, bool> {
        self.change(move |connection| api_tokens::revoke(connection, number, &deed))
    }
}
