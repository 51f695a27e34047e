//! End-to-end tests on the real binaries, one file for each promise or concern that they attack.

#![allow(
    clippy::disallowed_methods,
    reason = "a test's tasks end with the test"
)]

mod bulk_lane;
mod drop_folders;
mod files_intake;
mod hostile_central;
mod hostile_cli;
mod hostile_ingress;
mod hostile_local_api;
mod p01_crash_images;
mod p01_saved;
mod p02_exactly_once;
mod p03_acknowledged;
mod p06_line;
mod p08_bounds;
mod p10_outage;
mod structure;
