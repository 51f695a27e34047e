//! `make bench`: speed, memory and bytes on the wire, each beside a baseline measured in the same run,
//! because machines are shared and noisy. Prints a table; asserts nothing.
//!
//! `make bench BENCH=filing` runs one part: filing, draining, memory, wire, intake, upload, wan,
//! identity, desk, desktop, packages.

mod baseline;
mod desk;
mod desktop;
mod draining;
mod filing;
mod identity;
mod intake;
mod linkemu;
mod memory;
mod packages;
mod report;
mod tickets;
mod upload;
mod wan;
mod wire;

use report::Report;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.first().is_some_and(|part| part == baseline::IDLE) {
        return baseline::idle().await;
    }
    if wanted.first().is_some_and(|part| part == linkemu::ARGUMENT) {
        return linkemu::emulate(&std::env::args().skip(1).collect::<Vec<_>>());
    }
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
    let mut report = Report::default();
    if wants("filing") {
        filing::measure(&mut report).await;
    }
    if wants("draining") {
        draining::measure(&mut report).await;
    }
    if wants("memory") {
        memory::measure(&mut report).await;
    }
    if wants("wire") {
        wire::measure(&mut report).await;
    }
    if wants("intake") {
        intake::measure(&mut report).await;
    }
    if wants("upload") {
        upload::measure(&mut report).await;
    }
    if wants("wan") {
        wan::measure(&mut report).await;
    }
    if wants("identity") {
        identity::measure(&mut report).await;
    }
    if wants("desk") {
        desk::measure(&mut report).await;
    }
    if wants("desktop") {
        desktop::measure(&mut report).await;
    }
    if wants("packages") {
        packages::measure(&mut report);
    }
    report.print();
}
