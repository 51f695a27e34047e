//! What the tests, the benchmarks and the demo stand on: real processes, a proxy that misbehaves, and
//! a file system that crashes.

pub mod crash_vfs;
pub mod processes;
