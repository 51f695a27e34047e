//! What the desk does, in the ledger's SQLite file.
//!
//! Stands on the way back: `desk → [ledger] → feed`. Invariants, besides those of [`DeskLedger`]:
//! - A ticket's row is the fold of its events: whoever adds an event on a ticket does so through
//!   [`ticket::Ticket`], which moves the version with it, or gives the version in the same statement that
//!   makes the ticket. Files' movements are the exception: nobody has to have seen those.
//! - A command that was carried out has its row in `commands` in the same commit; one that was not has none
//!   and may be given again under its id.
//! - What is for central alone never has `for_feed` ([`ticket::is_for_branch`] names what has).
//! - The serials of catalogue and bandwidths grow in the commit that tells them to branches.

use branchline_protocol::desk::{Catalogue, OfferedFile};
use branchline_protocol::id::{BranchCode, FileId, TicketNumber};
use branchline_protocol::time::UnixMillis;

use super::SqliteLedger;
use super::files::giving;
use crate::ledger::{
    CatalogueChange, Command, Commanded, Deed, DeskLedger, FileGiven, GiveFile, GivenUp,
    LedgerError, Pending,
};

mod commands;
mod deciding;
pub(super) mod settings;
pub(super) mod ticket;

#[cfg(test)]
mod tests;

impl DeskLedger for SqliteLedger {
    fn command(&self, command: Command) -> Pending<'_, Commanded> {
        self.change(move |connection| commands::carry_out(connection, &command))
    }

    fn offered(&self, branch: BranchCode, file: FileId) -> Pending<'_, Option<OfferedFile>> {
        self.read(move |connection| commands::offered(connection, &branch, file))
    }

    fn may_give(
        &self,
        ticket: TicketNumber,
        by: String,
        bytes: u64,
    ) -> Pending<'_, Option<FileGiven>> {
        self.read(move |connection| giving::hindrance(connection, &ticket, &by, bytes))
    }

    fn give_file(&self, give: GiveFile) -> Pending<'_, FileGiven> {
        self.write_bulk(move |connection| giving::give(connection, &give))
    }

    fn abandon_given(&self, before: UnixMillis, at: UnixMillis) -> Pending<'_, GivenUp> {
        Box::pin(self.abandon_in_steps(before, at))
    }

    fn forget_given(&self, files: Vec<FileId>) -> Pending<'_, ()> {
        self.write_bulk(move |connection| giving::forget(connection, &files))
    }

    fn catalogue(&self) -> Pending<'_, Catalogue> {
        self.read(settings::catalogue)
    }

    fn change_catalogue(&self, catalogue: Catalogue, deed: Deed) -> Pending<'_, CatalogueChange> {
        self.change(move |connection| settings::change_catalogue(connection, catalogue, &deed))
    }

    fn bandwidths(&self) -> Pending<'_, Vec<(BranchCode, String)>> {
        self.read(settings::bandwidths)
    }

    fn set_bandwidth(
        &self,
        branch: BranchCode,
        rate: Option<String>,
        deed: Deed,
    ) -> Pending<'_, bool> {
        self.change(move |connection| {
            settings::set_bandwidth(connection, &branch, rate.as_deref(), &deed)
        })
    }
}

impl SqliteLedger {
    async fn abandon_in_steps(
        &self,
        before: UnixMillis,
        at: UnixMillis,
    ) -> Result<GivenUp, LedgerError> {
        let mut up = GivenUp::default();
        let mut next = Some(());
        while next.is_some() {
            let step = self
                .write_bulk(move |connection| giving::abandon(connection, before, at))
                .await?;
            up.objects.extend(step.freed);
            next = step.next;
        }
        up.files = self.read(giving::abandoned).await?;
        Ok(up)
    }
}
