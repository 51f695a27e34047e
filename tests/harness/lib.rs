//! What the tests, the benchmarks and the demo stand on: real processes, proxies that misbehave, TLS
//! and certificates of every kind, a virus scanner, disks that run full or lose power, and a file system
//! that crashes.

pub mod chaos;
pub mod clamd;
pub mod connect_proxy;
pub mod crash_vfs;
pub mod debian;
pub mod debian_machine;
pub mod desktop;
pub mod disks;
pub mod dmz;
pub mod forge;
pub mod haproxy;
pub mod identity;
pub mod journal;
pub mod middlebox;
pub mod narrow;
pub mod packages;
pub mod processes;
pub mod programs;
pub mod raw_http;
pub mod samples;
pub mod tls;
pub mod waiting;
pub mod webdriver;
pub mod wine;
