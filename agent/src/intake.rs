//! How work enters the branch: the local API. Drop folders will stand beside it.
//!
//! On the data's way: **intake** → chunker → store. Intake checks, the store saves, and only then is
//! anything answered.

mod impatient;
pub mod local_api;
mod problems;
mod requests;
pub mod taking;
mod uploads;
