//! What can be checked without leaving the computer: disk, journal, files, and the agent itself.

use branchline_agent_api::{Client, ClientError, LinkState, Status};
use branchline_protocol::problem::ErrorClass;

use crate::cli::output;
use crate::config::Config;
use crate::platform::disk_free;
use crate::store::JOURNAL_FILE;
use crate::store::inspect::Inspection;

use super::files;
use super::finding::{Finding, Report, bad, good, warning};

/// Below this much free disk the doctor warns.
const DISK_WARNING_BYTES: u64 = 512 * 1024 * 1024;

pub(super) async fn examine(report: &mut Report, config: &Config) {
    report.tell(good("configuration", "can be read"));
    report.tell(disk(config));
    report.tell(journal(config));
    let status = match Client::new(&config.socket) {
        Ok(client) => client.status().await,
        Err(fault) => Err(fault),
    };
    report.tell(files::examine(config, status.as_ref().ok()));
    report.tell(agent(status));
}

fn disk(config: &Config) -> Finding {
    match disk_free(&config.data_dir) {
        None => warning(
            "disk",
            ErrorClass::TryAgain,
            format!("{} does not exist yet", config.data_dir.display()),
        )
        .advising("The agent makes it at its first start."),
        Some(free) if free < DISK_WARNING_BYTES => {
            let left = output::size(free);
            let words = format!("only {left} free for the journal");
            bad("disk", ErrorClass::CallIt, words)
                .advising("Make room; without it no more tickets can be saved.")
                .fact("free_bytes", free)
        }
        Some(free) => {
            let words = format!("{} free for the journal", output::size(free));
            good("disk", words).fact("free_bytes", free)
        }
    }
}

fn journal(config: &Config) -> Finding {
    let path = config.data_dir.join(JOURNAL_FILE);
    if !path.exists() {
        let words = "not there yet";
        return warning("journal", ErrorClass::TryAgain, words)
            .advising("The agent makes it at its first start.");
    }
    match Inspection::open(&path).and_then(|journal| Ok(journal.waiting(1)?)) {
        Ok((_, waiting)) => {
            let count = output::count(waiting);
            good("journal", format!("can be read; {count} operations wait"))
                .fact("waiting", waiting)
        }
        Err(fault) => bad("journal", ErrorClass::CallIt, fault.to_string())
            .advising("Run the doctor as the agent's own user, or as administrator."),
    }
}

fn agent(status: Result<Status, ClientError>) -> Finding {
    match status {
        Ok(status) => {
            let link = match status.link.state {
                LinkState::Starting => "starting",
                LinkState::Connected => "connected",
                LinkState::Waiting => "without connection",
                LinkState::Refused => "refused by central",
            };
            good("agent", format!("runs, version {}, {link}", status.version))
        }
        Err(fault) => bad("agent", fault.class(), fault.to_string())
            .advising("Start the service: `systemctl start branchline-agent`."),
    }
}
