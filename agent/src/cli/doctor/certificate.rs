//! Whom the agent goes as: its certificate, a token that waits, or nobody yet.

use branchline_protocol::enrolment::Fingerprint;
use branchline_protocol::problem::ErrorClass;
use branchline_protocol::time::UnixMillis;

use crate::config::Config;
use crate::identity::{Identity, IdentityFile, Showing, Which};
use crate::ids::now;
use crate::link::survey::Surveyor;
use crate::sync::renewal;

use super::finding::{Finding, Report, bad, good, warning};

const DAY: i64 = 86_400_000;

/// Who the doctor goes as.
pub(super) enum Who {
    Agent(Showing),
    Bearer(Fingerprint),
    Nobody,
}

impl Who {
    pub(super) fn surveyor(&self) -> Surveyor<'_> {
        match self {
            Self::Agent(showing) => Surveyor::Agent(showing),
            Self::Bearer(anchor) => Surveyor::Bearer(*anchor),
            Self::Nobody => Surveyor::Nobody,
        }
    }
}

/// Who we are, and where central is said to be.
pub(super) fn examine(report: &mut Report, config: &Config) -> (Who, Option<String>) {
    let file = IdentityFile::in_folder(&config.data_dir);
    if file.is_exposed() {
        let words = "others than its owner can read the agent's key, and whoever has it can speak for \
                     the branch";
        report.tell(bad("certificate", ErrorClass::CallIt, words).advising(format!(
            "Give {} the mode 0600; if somebody may have read it, have the agent revoked and let it \
             join again.",
            file.path().display()
        )));
    }
    let identity = match file.load() {
        Ok(kept) => kept.identity,
        Err(fault) => {
            report.tell(
                bad("certificate", ErrorClass::CallIt, fault.to_string())
                    .advising("Run the doctor as the agent's own user, or as administrator."),
            );
            None
        }
    };
    if let Some(identity) = identity {
        report.tell(certificate(&identity));
        let server = config.server.clone().unwrap_or(identity.server.clone());
        let showing = identity.showing(Which::Current);
        return (showing.map_or(Who::Nobody, Who::Agent), Some(server));
    }
    for found in config.token_sources().look() {
        match found.token {
            Ok(token) => {
                let words = format!("not joined yet; a token waits in {}", found.place);
                report.tell(
                    warning("certificate", ErrorClass::TryAgain, words)
                        .advising("The agent joins by itself once central can be reached."),
                );
                let server = config.server.clone().unwrap_or(token.url);
                return (Who::Bearer(token.anchor), Some(server));
            }
            Err(fault) => report.tell(
                bad(
                    "certificate",
                    ErrorClass::CallIt,
                    format!("{}: {fault}", found.place),
                )
                .advising("Ask central's IT for a token and put it there whole."),
            ),
        }
    }
    report.tell(
        bad(
            "certificate",
            ErrorClass::CallIt,
            "this computer has not joined central",
        )
        .advising("Ask central's IT for a token and run `branchline-agent enroll TOKEN`."),
    );
    (Who::Nobody, config.server.clone())
}

fn certificate(identity: &Identity) -> Finding {
    let facts = identity.current.facts();
    let (today, due) = (now(), renewal::due(facts));
    let left = (facts.not_after.0 - today.0).div_euclid(DAY);
    let who = format!("agent {} of branch {}", identity.ordinal, identity.branch);
    let finding = if facts.not_after < today {
        let days = -left;
        warning(
            "certificate",
            ErrorClass::TryAgain,
            format!("{who}; ended {days} days ago by this computer's clock"),
        )
        .advising(
            "The agent renews it by itself once it reaches central, unless it ended longer ago than \
             central's grace; then it needs a token made for this agent.",
        )
    } else if facts.not_before > today {
        warning(
            "certificate",
            ErrorClass::CallIt,
            format!("{who}; begins only on {}", day(facts.not_before)),
        )
        .advising("Set this computer's clock.")
    } else if due < today {
        warning(
            "certificate",
            ErrorClass::TryAgain,
            format!(
                "{who}; good for {left} more days, and renewal has been due since {}",
                day(due)
            ),
        )
        .advising("The agent renews it by itself once it reaches central.")
    } else {
        let words = format!("{who}; good for {left} more days, renewed on {}", day(due));
        good("certificate", words)
    };
    finding
        .fact("agent", identity.agent.to_string())
        .fact("not_after", facts.not_after.0)
        .fact("renewal_due", due.0)
        .fact("days_left", left)
}

fn day(at: UnixMillis) -> String {
    at.to_rfc3339().chars().take(10).collect()
}
