//! What commands about identities share: the authority opened, agents found by what people call them,
//! times given as people give them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use branchline_protocol::id::{AgentId, BranchCode};

use super::Failure;
use crate::authority::{Authority, AuthorityError, FOLDER};
use crate::config::Config;
use crate::ledger::{AgentRecord, Ledger};

impl From<AuthorityError> for Failure {
    fn from(fault: AuthorityError) -> Self {
        Self {
            class: fault.class(),
            message: fault.to_string(),
        }
    }
}

/// Opens the data directory's authority; `init` must have made it.
pub(super) fn open(data_dir: &Path, config: &Config) -> Result<Arc<Authority>, Failure> {
    let folder = data_dir.join(FOLDER);
    Ok(Authority::open(&folder, &config.tls, &config.authority)?)
}

/// What people call an agent: its branch, and its place there where it is not the first.
pub(super) fn agent_name(agent: &AgentRecord) -> String {
    match agent.ordinal {
        1 => agent.branch.to_string(),
        ordinal => format!("{}{ordinal}", agent.branch),
    }
}

/// An agent by its id, or as tickets are numbered: `LYN`, `LYN2`.
pub(super) async fn find_agent(ledger: &dyn Ledger, said: &str) -> Result<AgentRecord, Failure> {
    let unknown = || {
        Failure::fix_input(format!(
            "there is no agent {said}; `branchline-server agent list` shows them"
        ))
    };
    if let Ok(id) = said.parse::<AgentId>() {
        return ledger.agent(id).await?.ok_or_else(unknown);
    }
    let digits = said.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let code = said.strip_suffix(digits).unwrap_or(said);
    let ordinal = if digits.is_empty() { "1" } else { digits };
    let (Ok(code), Ok(ordinal)) = (code.parse::<BranchCode>(), ordinal.parse::<u16>()) else {
        return Err(Failure::fix_input(format!(
            "{said:?} is no agent: give its branch's code, with its number where it is not the \
             first (LYN, LYN2), or its id"
        )));
    };
    let branches = ledger.branches().await?;
    let branch = branches.into_iter().find(|branch| branch.code == code);
    branch
        .and_then(|branch| {
            let mut agents = branch.agents.into_iter();
            agents.find(|agent| agent.ordinal == ordinal)
        })
        .ok_or_else(unknown)
}

/// A length of time such as `90m`, `72h` or `30d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let refused =
        || format!("{text:?} is no length of time; give minutes, hours or days: 90m, 72h, 30d");
    let unit = text.chars().next_back().ok_or_else(refused)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 24 * 3_600,
        _ => return Err(refused()),
    };
    let count: u64 = text
        .strip_suffix(unit)
        .and_then(|count| count.parse().ok())
        .ok_or_else(refused)?;
    count
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read() {
        assert_eq!(duration("90m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("72h"), Ok(Duration::from_secs(259_200)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(2_592_000)));
        for bad in [
            "",
            "h",
            "72",
            "-1h",
            "1.5h",
            "72 h",
            "1w",
            "99999999999999999999d",
            "5\u{e4}",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(duration("18446744073709551615d").is_err());
    }
}
