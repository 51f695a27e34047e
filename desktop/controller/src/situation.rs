//! The line that is always visible: the way to central, in words. Pure.

use branchline_agent_api::{EnrolmentState, LinkState, Status};
use branchline_protocol::time::UnixMillis;

use crate::times::Clock;
use crate::view::{Mood, Presence, Situation};
use crate::words::{Language, put};

/// What the agent said last, or that it says nothing.
#[derive(Debug, Clone)]
pub enum Heard {
    /// It has not been asked yet.
    Nothing,
    /// Its status.
    Status(Box<Status>),
    /// It does not answer, since then.
    Away(UnixMillis),
}

impl Heard {
    /// Whether central can be reached just now.
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Status(status) if status.link.state == LinkState::Connected)
    }
}

/// In one line. `user` and `colleagues` are the agent's word on who sits here.
pub fn situation(
    heard: &Heard,
    user: &str,
    colleagues: bool,
    clock: &Clock,
    language: Language,
) -> Situation {
    let words = language.words();
    let (agent, mood, headline, detail) = match heard {
        Heard::Nothing => (
            Presence::Looking,
            Mood::Calm,
            words.looking.to_owned(),
            String::new(),
        ),
        Heard::Away(since) => (
            Presence::Away,
            Mood::Bad,
            put(words.away_since, &clock.since(*since, language)),
            words.away_means.to_owned(),
        ),
        Heard::Status(status) => {
            let (mood, headline, detail) = of_status(status, clock, language);
            (Presence::Here, mood, headline, detail)
        }
    };
    Situation {
        agent,
        mood,
        headline,
        detail,
        user: user.to_owned(),
        colleagues,
    }
}

fn of_status(status: &Status, clock: &Clock, language: Language) -> (Mood, String, String) {
    let words = language.words();
    let since = clock.since(status.link.since, language);
    let waits = waiting(status, false, language);
    let joined = |first: Option<String>, second: &str| match first {
        Some(first) => format!("{first} {second}"),
        None => second.to_owned(),
    };
    if matches!(
        status.enrolment.state,
        EnrolmentState::NotEnrolled | EnrolmentState::Enrolling
    ) {
        let headline = words.not_joined.to_owned();
        return (Mood::Bad, headline, words.not_joined_means.to_owned());
    }
    if status.enrolment.state == EnrolmentState::TokenNeeded
        || status.link.state == LinkState::Refused
    {
        let headline = put(words.refused_since, &since);
        let detail = joined(waits, words.nothing_lost);
        return (Mood::Bad, headline, format!("{} {detail}", words.tell_it));
    }
    match status.link.state {
        LinkState::Connected => {
            let sent = waiting(status, true, language);
            let mood = if sent.is_some() {
                Mood::Calm
            } else {
                Mood::Good
            };
            let detail = sent.unwrap_or_else(|| words.all_sent.to_owned());
            (mood, words.connected.to_owned(), detail)
        }
        LinkState::Starting => {
            let detail = waits.map_or_else(
                || words.go_on.to_owned(),
                |waits| format!("{waits} {}", words.nothing_lost),
            );
            (Mood::Calm, words.starting.to_owned(), detail)
        }
        LinkState::Waiting | LinkState::Refused => {
            let detail = waits.map_or_else(
                || words.go_on.to_owned(),
                |waits| format!("{waits} {}", words.nothing_lost),
            );
            (Mood::Warn, put(words.no_connection_since, &since), detail)
        }
    }
}

/// "3 tickets and 2 files are waiting.", or nothing where nothing does.
fn waiting(status: &Status, sending: bool, language: Language) -> Option<String> {
    let words = language.words();
    let (tickets, files) = (status.waiting_tickets, status.files.waiting);
    let mut parts = Vec::new();
    if tickets > 0 {
        parts.push(words.tickets.of(tickets, language));
    }
    if files > 0 {
        parts.push(words.files.of(files, language));
    }
    let verb = match (sending, tickets + files) {
        (_, 0) => return None,
        (false, 1) => words.one_waits,
        (false, _) => words.several_wait,
        (true, 1) => words.one_is_sent,
        (true, _) => words.several_are_sent,
    };
    Some(format!(
        "{} {verb}.",
        parts.join(&format!(" {} ", words.and))
    ))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn clock() -> Clock {
        Clock {
            now: "2026-11-21T10:00:00Z".parse().unwrap(),
            zone: TimeZone::UTC,
        }
    }

    pub(crate) fn status(state: &str, tickets: u64, files: u64) -> Status {
        let since = "2026-11-21T09:12:00Z".parse::<jiff::Timestamp>().unwrap();
        serde_json::from_value(serde_json::json!({
            "version": "1", "branch": "LYN", "ordinal": 1, "agent": null, "server": null,
            "link": { "state": state, "since": since.as_millisecond(), "next_attempt": null },
            "waiting": 9, "waiting_tickets": tickets, "oldest_waiting": null,
            "last_acknowledgement": null, "last_error": null, "rejected": 0, "damaged": 0,
            "journal_bytes": 0, "journal_limit_bytes": 0, "disk_free": null, "stream": null,
            "head": 0, "acknowledged": null,
            "files": { "waiting": files, "waiting_bytes": 0, "failed": 0, "used_bytes": 0,
                       "quota_bytes": 0, "reserve_bytes": 0, "taking": [] },
        }))
        .unwrap()
    }

    fn said(state: &str, tickets: u64, files: u64, language: Language) -> String {
        let heard = Heard::Status(Box::new(status(state, tickets, files)));
        let line = situation(&heard, "marie", false, &clock(), language);
        format!("{} {}", line.headline, line.detail)
    }

    #[test]
    fn the_link_is_said_in_words() {
        assert_eq!(
            said("waiting", 3, 2, Language::En),
            "No connection since 09:12. 3 tickets and 2 files are waiting. Nothing is lost."
        );
        assert_eq!(
            said("waiting", 1, 0, Language::De),
            "Keine Verbindung seit 09:12. 1 Ticket wartet. Nichts geht verloren."
        );
        assert_eq!(
            said("connected", 0, 2, Language::Fr),
            "Connecté. 2 fichiers sont en cours d’envoi."
        );
        assert_eq!(
            said("connected", 0, 0, Language::En),
            "Connected. Everything has been sent."
        );
        assert!(
            said("refused", 1, 0, Language::En).contains("Please tell IT. 1 ticket is waiting.")
        );
    }

    #[test]
    fn an_agent_that_is_away_is_said_and_calms() {
        let since = UnixMillis(
            "2026-11-20T09:12:00Z"
                .parse::<jiff::Timestamp>()
                .unwrap()
                .as_millisecond(),
        );
        let line = situation(&Heard::Away(since), "", false, &clock(), Language::En);
        assert_eq!(line.agent, Presence::Away);
        assert_eq!(
            line.headline,
            "Branchline on this computer has not answered since 20 Nov, 09:12."
        );
        assert!(line.detail.contains("is kept"));
    }
}
