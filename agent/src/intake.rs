//! How work enters the branch: the local API, and folders whose files become tickets by themselves.
//!
//! On the data's way: **intake** → chunker → store. Intake checks, the store saves, and only then is
//! anything answered.

mod changes;
pub mod counter;
pub mod drop_folders;
mod given;
mod impatient;
pub mod local_api;
mod problems;
mod requests;
mod settle;
pub mod taking;
mod uploads;
