//! What the tests, the benchmarks and the demo stand on: real processes, a proxy that misbehaves, and
//! a file system that crashes.

pub mod chaos;
pub mod crash_vfs;
pub mod journal;
pub mod processes;
pub mod raw_http;
