//! What the desktop client does, without a window: it speaks to the agent on the same machine and knows no
//! Tauri.
//!
//! Stands before `intake` on the data's way. All rules live in the agent. What is here is what a person in
//! front of it needs besides: what they have begun to write is kept on disk through a crash, a log-off and an
//! agent that is away ([`drafts`]); how far each ticket has come, and how the way to central is, are said in
//! words of their language ([`ladder`], [`situation`]); what they should hear of is announced once; and a file that came with
//! an answer is put where they want it ([`given`]).
//! [`Controller`] is tested against an agent in memory; the window is tested against real ones.

pub mod agent;
mod carrying;
mod controller;
pub mod drafts;
pub mod given;
pub mod ladder;
pub mod options;
mod read_marks;
pub mod situation;
mod times;
pub mod view;
pub mod words;

pub use agent::Agent;
pub use controller::{Controller, Event};
pub use words::Language;
