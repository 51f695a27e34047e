//! The desk: what central support works with.
//!
//! On the data's way: `ledger → outbox → [desk]`. Questions are answered from the read model, which goes on
//! when the ledger is away (P10); whatever changes something goes to the ledger.

pub mod read_model;
