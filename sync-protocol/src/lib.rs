//! What branches and central say to each other, and what each must do about it.
//!
//! On the data's way this crate is the `sync` and `ingress` steps with everything impure taken out:
//!
//! ```text
//! intake → chunker → store → [sync] → link ─── [ingress] → ledger + vault → inspection → outbox → desk
//! ```
//!
//! Pure: no runtime, file system, SQL, HTTP, clock or randomness. Time and random bits are
//! arguments; a test reads the dependency tree and keeps it so. `PROTOCOL.md` beside this crate is
//! the normative text; where code and text differ, one of them has a fault.
//!
//! Reader's path: [`id`] and [`limits`] are the words and the bounds; [`operation`] is what a branch
//! can say and [`event`] what central can say back; [`chain`] binds operations into a stream;
//! [`exchange`] is what travels; [`outcome`] says what an answer means; [`sender`] and [`receiver`]
//! are the two ends. [`manifest`] and [`frame`] are what the bulk lane carries, [`pace`] how fast, and
//! [`file`] what becomes of a file and [`file_name`] what it may be called. [`enrolment`] is how an agent
//! joins and stays known. [`desk`] is what central support says back, and [`rate`] how fast bulk may go.

pub mod chain;
pub mod desk;
pub mod enrolment;
pub mod event;
pub mod exchange;
pub mod file;
pub mod file_name;
pub mod frame;
pub mod id;
pub mod limits;
pub mod manifest;
pub mod operation;
pub mod outcome;
pub mod pace;
pub mod problem;
pub mod rate;
pub mod receiver;
pub mod sender;
pub mod text;
pub mod time;
