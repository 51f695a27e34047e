//! Central: takes what branches filed, once and in order, and holds it.
//!
//! On the data's way this crate is everything behind the link:
//!
//! ```text
//! intake → chunker → store → sync → link ─── [ingress → ledger + vault → inspection] → outbox → desk
//! ```
//!
//! Reader's path: [`server`] wires [`ingress`] (the agents' HTTP) to [`ledger`] (the store that
//! decides and remembers) and to [`vault`] (the bytes of files), which [`inspection`] proves
//! and has scanned; [`outbox`] tells outside systems what happens; [`authority`] issues and proves certificates; [`config`] and [`cli`] are how people
//! get at them; [`audit`] compares the ledger with a branch's journal. What a submission means is
//! decided in `branchline-protocol`.

pub mod audit;
pub mod authority;
pub mod cli;
pub mod config;
pub mod desk;
mod impatient;
pub mod ingress;
pub mod inspection;
pub mod ledger;
mod lingering;
pub mod outbox;
mod request_id;
pub mod server;
pub mod service;
mod systemd;
mod upkeep;
pub mod vault;

#[cfg(test)]
mod testing;
