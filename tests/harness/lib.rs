//! What the tests, the benchmarks and the demo stand on: real processes, a proxy that misbehaves, a
//! virus scanner, and a file system that crashes.

pub mod chaos;
pub mod clamd;
pub mod crash_vfs;
pub mod journal;
pub mod middlebox;
pub mod processes;
pub mod raw_http;
pub mod samples;
