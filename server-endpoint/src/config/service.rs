//! `[service]`: by when tickets are to be answered and done.
//!
//! They stand in the server's file because they are the organisation's own and change once a year: who changes
//! them restarts the server, and tickets that are there are counted again while questions go on.

use branchline_protocol::limits;
use branchline_protocol::operation::Priority;
use serde::{Deserialize, Serialize};

use crate::service::{self, Calendar, CountsFrom, Goals, HOURS_MOST};

/// Goals that may be named.
const GOALS: usize = 200;
/// Of how tickets are counted: another number counts all of them again.
const COUNTING: u32 = 1;

/// `[service]` in `server.toml`. Every key has a default; without goals nothing is due.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    zone: String,
    hours: Vec<String>,
    holidays: Vec<String>,
    counts_from: CountsFrom,
    goals: Vec<Goal>,
}

/// `[[service.goals]]`: what is promised to some tickets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Goal {
    #[serde(default)]
    priority: Option<Priority>,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    first_answer: Option<String>,
    #[serde(default)]
    resolution: Option<String>,
    #[serde(default)]
    around_the_clock: bool,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            zone: "UTC".to_owned(),
            hours: vec!["Mon-Fri 08:00-17:00".to_owned()],
            holidays: Vec::new(),
            counts_from: CountsFrom::Received,
            goals: Vec::new(),
        }
    }
}

impl Service {
    /// The goals, or what is wrong with them.
    pub fn goals(&self) -> Result<Goals, String> {
        let calendar = Calendar::read(&self.zone, &self.hours, &self.holidays)
            .map_err(|fault| format!("[service] {fault}"))?;
        if self.goals.len() > GOALS {
            return Err(format!("there can be at most {GOALS} [[service.goals]]"));
        }
        let numbered = self.goals.iter().zip(1..);
        let goals = numbered.map(|(goal, number)| {
            let wrong = |fault| format!("[[service.goals]] number {number}: {fault}");
            goal.read().map_err(wrong)
        });
        let goals: Vec<service::Goal> = goals.collect::<Result<_, _>>()?;
        Ok(Goals {
            fingerprint: if goals.is_empty() {
                String::new()
            } else {
                self.fingerprint()
            },
            calendar,
            counts_from: self.counts_from,
            goals,
        })
    }

    fn fingerprint(&self) -> String {
        let filed = self.counts_from == CountsFrom::Filed;
        let all = (
            COUNTING,
            &self.zone,
            &self.hours,
            &self.holidays,
            filed,
            &self.goals,
        );
        let text = serde_json::to_string(&all).unwrap_or_default();
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}

impl Goal {
    fn read(&self) -> Result<service::Goal, String> {
        if self.first_answer.is_none() && self.resolution.is_none() {
            return Err("promises nothing; say first_answer, resolution or both".to_owned());
        }
        let category = self.category.as_ref();
        if category.is_some_and(|code| code.is_empty() || code.len() > limits::CATEGORY_CHARS) {
            return Err("category is a category's code".to_owned());
        }
        Ok(service::Goal {
            priority: self.priority,
            category: self.category.clone(),
            first_answer: time("first_answer", self.first_answer.as_ref())?,
            resolution: time("resolution", self.resolution.as_ref())?,
            around_the_clock: self.around_the_clock,
        })
    }
}

/// `30m`, `4h`, `1h30m`: milliseconds.
fn time(key: &str, text: Option<&String>) -> Result<Option<i64>, String> {
    let Some(text) = text else {
        return Ok(None);
    };
    let read = || {
        let (hours, rest) = text.split_once('h').unwrap_or(("0", text));
        let minutes = match rest.strip_suffix('m') {
            Some(minutes) => minutes,
            None if rest.is_empty() => "0",
            None => return None,
        };
        let whole = |digits: &str| {
            let digits = Some(digits).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
            digits?.parse::<i64>().ok()
        };
        let minutes = whole(hours)?
            .checked_mul(60)?
            .checked_add(whole(minutes)?)?;
        (1..=HOURS_MOST * 60).contains(&minutes).then_some(minutes)
    };
    let minutes = read().ok_or_else(|| {
        format!("{key} {text:?} is not like \"30m\", \"4h\" or \"1h30m\", up to {HOURS_MOST} hours")
    })?;
    Ok(Some(minutes * 60_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Goals, String> {
        let service: Service = toml::from_str(text).map_err(|fault| fault.to_string())?;
        service.goals()
    }

    #[test]
    fn goals_are_read_and_their_fingerprint_says_whether_they_changed() {
        let text = |resolution: &str| {
            format!(
                "zone = \"Europe/Paris\"\nhours = [\"Mon-Fri 08:00-12:00\", \"mon-thu 13:00-17:30\"]\n\
                 holidays = [\"2026-12-24\", \"12-25\"]\n\
                 [[goals]]\npriority = \"urgent\"\nfirst_answer = \"30m\"\nresolution = \"{resolution}\"\n\
                 around_the_clock = true\n[[goals]]\nfirst_answer = \"1h30m\"\n"
            )
        };
        let goals = parse(&text("4h")).unwrap();
        assert_eq!(goals.goals.len(), 2);
        assert_eq!(goals.goals[0].resolution, Some(4 * 3_600_000));
        assert_eq!(goals.goals[1].first_answer, Some(90 * 60_000));
        let fingerprint = |text: &str| parse(text).unwrap().fingerprint;
        assert_eq!(goals.fingerprint, fingerprint(&text("4h")));
        assert_ne!(goals.fingerprint, fingerprint(&text("5h")));
        assert_eq!(Service::default().goals().unwrap().fingerprint, "");
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (bad, said) in [
            ("zone = \"Atlantis\"", "Atlantis"),
            ("hours = []", "no hour"),
            ("hours = [\"08:00-17:00\"]", "08:00-17:00"),
            ("hours = [\"Fri-Mon 08:00-17:00\"]", "Fri-Mon"),
            ("hours = [\"Mon 17:00-08:00\"]", "17:00-08:00"),
            ("hours = [\"Mon 08:00-24:01\"]", "24:01"),
            ("holidays = [\"25.12.\"]", "25.12."),
            ("holidays = [\"02-30\"]", "02-30"),
            ("[[goals]]\npriority = \"low\"", "promises nothing"),
            ("[[goals]]\nresolution = \"0m\"", "resolution"),
            ("[[goals]]\nresolution = \"-4h\"", "resolution"),
            ("[[goals]]\nresolution = \"2d\"", "2d"),
            ("[[goals]]\nresolution = \"99999999999999999999h\"", "hours"),
            ("[[goals]]\npriority = \"dire\"", "dire"),
            ("counts_from = \"monday\"", "monday"),
        ] {
            let fault = parse(bad).err().unwrap_or_else(|| panic!("{bad}"));
            assert!(fault.contains(said), "{bad}: {fault}");
        }
    }
}
