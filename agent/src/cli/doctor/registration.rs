//! The way to a central on this machine without certificates, by a registration.

use std::time::Duration;

use branchline_protocol::outcome::Outcome;
use branchline_protocol::problem::ErrorClass;

use crate::cli::EXPOSED_REGISTRATION;
use crate::config::{Config, Registration};
use crate::link::{Answer, Link};

use super::finding::{Finding, Report, bad, good};

/// Beyond this the clock is called wrong.
const CLOCK_WARNING: Duration = Duration::from_secs(120);

pub(super) async fn examine(report: &mut Report, config: &Config) {
    let registration = Registration::read(&config.registration_path());
    report.tell(match &registration {
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
        let words = EXPOSED_REGISTRATION;
        report.tell(bad("registration", ErrorClass::CallIt, words));
    }
    if let Ok(registration) = &registration {
        for finding in central(config, registration).await {
            report.tell(finding);
        }
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
