//! The agent in each branch: makes filings durable and carries them to central.
//!
//! Its part of the data's way, one module a step:
//!
//! ```text
//! intake → chunker → store → sync → link ─── ingress → ledger + vault → inspection → outbox → desk
//!                        ▲                                                      │
//!                        └──────────────────────── feed ────────────────────────┘
//! ```
//!
//! [`intake`] is how work enters, [`chunker`] cuts files, [`store`] is the only SQL, [`sync`] the one loop that owns the state of
//! the exchange, [`link`] the only network code. Dependency runs one way: `intake` and `sync` use
//! `store`, `sync` uses `link`; neither `store` nor `link` knows who uses it. A test reads the sources
//! and keeps it so.

pub mod agent;
pub mod chunker;
pub mod cli;
pub mod config;
pub mod identity;
pub mod ids;
pub mod intake;
pub mod link;
pub mod platform;
pub mod store;
pub mod sync;
