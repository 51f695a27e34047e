//! `doctor`: checks the agent and its way to central step by step, in plain words.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use branchline_agent_api::{Client, LinkState};
use branchline_protocol::outcome::Outcome;
use branchline_protocol::problem::ErrorClass;
use clap::Args;
use serde::Serialize;

use crate::config::{Config, ConfigError, Registration};
use crate::link::{Answer, Link};
use crate::platform::disk_free;
use crate::store::JOURNAL_FILE;
use crate::store::inspect::Inspection;

use super::{CliError, FOUND_SOMETHING, output};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What one step found.
#[derive(Debug, Serialize)]
struct Finding {
    step: &'static str,
    result: Verdict,
    words: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<ErrorClass>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Good,
    Warning,
    Bad,
}

/// Below this much free disk the doctor warns.
const DISK_WARNING_BYTES: u64 = 512 * 1024 * 1024;
/// Beyond this the clock is called wrong.
const CLOCK_WARNING: Duration = Duration::from_secs(120);

fn good(step: &'static str, words: impl Into<String>) -> Finding {
    Finding {
        step,
        result: Verdict::Good,
        words: words.into(),
        class: None,
    }
}

fn warning(step: &'static str, words: impl Into<String>) -> Finding {
    Finding {
        step,
        result: Verdict::Warning,
        words: words.into(),
        class: None,
    }
}

fn bad(step: &'static str, class: ErrorClass, words: impl Into<String>) -> Finding {
    Finding {
        step,
        result: Verdict::Bad,
        words: words.into(),
        class: Some(class),
    }
}

pub(super) async fn execute(
    args: DoctorArgs,
    path: &Path,
    config: Result<Config, ConfigError>,
) -> Result<ExitCode, CliError> {
    let findings = match config {
        Ok(config) => examine(&config).await,
        Err(fault) => vec![bad("configuration", ErrorClass::CallIt, fault.to_string())],
    };
    if args.json {
        output::json(&findings);
    } else {
        output::line(&format!(
            "Checking the agent configured in {}",
            path.display()
        ));
        for finding in &findings {
            output::line(&shown(finding));
        }
    }
    let sick = findings
        .iter()
        .any(|finding| finding.result == Verdict::Bad);
    Ok(if sick {
        ExitCode::from(FOUND_SOMETHING)
    } else {
        ExitCode::SUCCESS
    })
}

fn shown(finding: &Finding) -> String {
    let mark = match finding.result {
        Verdict::Good => "good",
        Verdict::Warning => "mind",
        Verdict::Bad => "BAD ",
    };
    let class = finding
        .class
        .map_or_else(String::new, |class| format!(" ({class})"));
    format!(
        "  {mark}  {:<14} {}{class}",
        finding.step,
        output::safe(&finding.words)
    )
}

async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![good("configuration", "can be read")];
    let registration = Registration::read(&config.registration_path());
    findings.push(match &registration {
        Ok(registration) => good(
            "registration",
            format!(
                "agent {} of branch {}",
                registration.ordinal, registration.branch
            ),
        ),
        Err(fault) => bad("registration", ErrorClass::CallIt, fault.to_string()),
    });
    if config.registration_is_exposed() {
        let words = super::EXPOSED_REGISTRATION;
        findings.push(bad("registration", ErrorClass::CallIt, words));
    }
    findings.push(disk(config));
    findings.push(journal(config));
    findings.push(agent(config).await);
    if let Ok(registration) = &registration {
        findings.extend(central(config, registration).await);
    }
    findings
}

fn disk(config: &Config) -> Finding {
    match disk_free(&config.data_dir) {
        None => warning(
            "disk",
            format!("{} does not exist yet", config.data_dir.display()),
        ),
        Some(free) if free < DISK_WARNING_BYTES => {
            let left = output::size(free);
            bad(
                "disk",
                ErrorClass::CallIt,
                format!("only {left} free for the journal"),
            )
        }
        Some(free) => good(
            "disk",
            format!("{} free for the journal", output::size(free)),
        ),
    }
}

fn journal(config: &Config) -> Finding {
    let path = config.data_dir.join(JOURNAL_FILE);
    if !path.exists() {
        return warning(
            "journal",
            "not there yet; the agent makes it at its first start",
        );
    }
    match Inspection::open(&path).and_then(|journal| Ok(journal.waiting(1)?)) {
        Ok((_, waiting)) => good(
            "journal",
            format!("can be read; {} operations wait", output::count(waiting)),
        ),
        Err(fault) => bad("journal", ErrorClass::CallIt, fault.to_string()),
    }
}

async fn agent(config: &Config) -> Finding {
    let status = match Client::new(&config.socket) {
        Ok(client) => client.status().await,
        Err(fault) => Err(fault),
    };
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
        Err(fault) => bad("agent", fault.class(), fault.to_string()),
    }
}

/// Asks central what the agent would ask, with nothing to say.
async fn central(config: &Config, registration: &Registration) -> Vec<Finding> {
    let link = match Link::new(
        config.server.as_deref().unwrap_or_default(),
        &registration.credentials,
    ) {
        Ok(link) => link,
        Err(fault) => return vec![bad("central", ErrorClass::CallIt, fault.to_string())],
    };
    let asked = std::time::Instant::now();
    match link.feed(None, Duration::ZERO).await {
        Answer::Reply(reply) => {
            let took = asked.elapsed();
            let words = format!("{} answers in {} ms", link.server(), took.as_millis());
            vec![good("central", words), clock(reply.server_time.0, took)]
        }
        Answer::Outcome(outcome) => {
            let trouble = match outcome {
                Outcome::Retry { trouble, .. }
                | Outcome::Smaller { trouble }
                | Outcome::Reenrol { trouble }
                | Outcome::Renew { trouble }
                | Outcome::Refused { trouble } => trouble,
                Outcome::Done | Outcome::Gap { .. } | Outcome::Diverged { .. } => {
                    return vec![good("central", format!("{} answers", link.server()))];
                }
            };
            vec![bad("central", trouble.class, trouble.words)]
        }
    }
}

fn clock(server_time: i64, took: Duration) -> Finding {
    let half = i64::try_from(took.as_millis() / 2).unwrap_or(0);
    let skew = crate::ids::now()
        .0
        .saturating_sub(server_time)
        .saturating_sub(half);
    let seconds = skew / 1_000;
    if skew.unsigned_abs() > u64::try_from(CLOCK_WARNING.as_millis()).unwrap_or(u64::MAX) {
        let side = if skew > 0 { "ahead of" } else { "behind" };
        let words = format!(
            "this computer is {} s {side} central; set its clock",
            seconds.abs()
        );
        return bad("clock", ErrorClass::CallIt, words);
    }
    good(
        "clock",
        format!("within {} s of central's", seconds.abs().saturating_add(1)),
    )
}
