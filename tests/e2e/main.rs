//! End-to-end tests on the real binaries, one file for each promise or concern that they attack.

#![allow(
    clippy::disallowed_methods,
    reason = "a test's tasks end with the test"
)]

mod branch_network;
mod bulk_lane;
mod console;
mod desk;
mod desktop;
mod dmz_haproxy;
mod drop_folders;
mod enrolment;
mod files_intake;
mod hostile_bulk;
mod hostile_central;
mod hostile_cli;
mod hostile_ingress;
mod hostile_local_api;
mod identity_agent;
mod identity_restored;
mod journal_platforms;
mod monitoring;
mod outbox;
mod p01_crash_images;
mod p01_file_images;
mod p01_saved;
mod p02_exactly_once;
mod p03_acknowledged;
mod p03_power;
mod p04_bytes_proven;
mod p04_kills;
mod p05_scanned;
mod p05_untrusted;
mod p06_line;
mod p07_bulk_yields;
mod p08_bounds;
mod p09_disk_full;
mod p10_outage;
mod packages;
mod packages_rpm;
mod packages_windows;
mod revocation;
mod rollover;
mod structure;
mod way_back;
