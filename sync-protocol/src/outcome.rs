//! What an answer, or the lack of one, means for the agent: one pure function whose match arms are
//! the retry policy.
//!
//! The rule behind the arms: only a problem document of ours speaks for central. Anything else on the
//! way (a proxy's page, a captive portal, a bare status) is the way's trouble, and is tried again.

use std::time::Duration;

use crate::chain::Position;
use crate::limits;
use crate::problem::{ErrorClass, Problem, ProblemKind};

/// What came back from one request.
#[derive(Debug, Clone, Copy)]
pub enum Heard<'a> {
    /// An answer whose body was read and is what the call answers with.
    Reply,
    /// An answer with a status that is not success, or with a body that is not ours.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The problem document, where the body is one.
        problem: Option<&'a Problem>,
        /// What `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
    /// No answer.
    Failed(Failure),
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The name has no address.
    Resolve,
    /// Nobody took the connection.
    Connect,
    /// The connection broke while the request or its answer was under way.
    Interrupted,
    /// Nothing moved for too long.
    TimedOut,
    /// The answer is larger than [`limits::ANSWER_BYTES`].
    Oversized,
    /// The proxy cannot be reached, or will not connect to central.
    Proxy,
    /// The proxy asks who we are, or does not accept what it was told.
    ProxyLogin,
    /// Whoever answered proved to be somebody else: no anchor stands at the end of its chain.
    NotCentral,
    /// Central's certificate is for other names than the one in the configuration.
    WrongName,
    /// Central's certificate is not valid at the time that this machine's clock shows.
    OutsideValidity,
    /// Central ended the handshake because of our certificate.
    CertificateRefused,
    /// TLS failed for another reason.
    Handshake,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It worked.
    Done,
    /// The same again, after the usual delay, and not before `not_before` from now.
    Retry {
        /// What central or the way asked for, at most [`limits::RETRY_AFTER_MOST`].
        not_before: Option<Duration>,
        /// For status and log.
        trouble: Trouble,
    },
    /// Less at once.
    Smaller {
        /// For status and log.
        trouble: Trouble,
    },
    /// Central has less than the agent was told: go back to its head.
    Gap {
        /// Central's head.
        head: Position,
    },
    /// The stream forked: open a new one.
    Diverged {
        /// Whether `after` was common ground.
        agreed: bool,
        /// The highest ticket serial that central has seen of this agent.
        serials_used: u32,
    },
    /// The certificate is no longer good for this, and good enough to get the next one.
    Renew {
        /// For status and log.
        trouble: Trouble,
    },
    /// Central does not know this agent (any more): the only reason to enrol again.
    Reenrol {
        /// For status and log.
        trouble: Trouble,
    },
    /// Central refuses what this agent is or says; slowly again, in case IT mends it.
    Refused {
        /// For status and log.
        trouble: Trouble,
    },
}

impl Outcome {
    /// What is wrong, where something is.
    pub fn trouble(&self) -> Option<&Trouble> {
        match self {
            Self::Retry { trouble, .. }
            | Self::Smaller { trouble }
            | Self::Renew { trouble }
            | Self::Reenrol { trouble }
            | Self::Refused { trouble } => Some(trouble),
            Self::Done | Self::Gap { .. } | Self::Diverged { .. } => None,
        }
    }
}

/// What is wrong, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Who must act.
    pub class: ErrorClass,
    /// Central itself answered, so the link is not the trouble.
    pub central_answered: bool,
    /// One sentence.
    pub words: String,
}

impl Trouble {
    fn on_the_way(class: ErrorClass, words: impl Into<String>) -> Self {
        Self {
            class,
            central_answered: false,
            words: words.into(),
        }
    }

    fn at_central(problem: &Problem) -> Self {
        let detail = crate::text::clipped(&problem.detail, limits::DETAIL_CHARS);
        let words = format!("Central answered: {}. {detail}", problem.title);
        Self {
            class: problem.class,
            central_answered: true,
            words,
        }
    }
}

/// The retry policy.
pub fn classify(heard: Heard<'_>) -> Outcome {
    match heard {
        Heard::Reply => Outcome::Done,
        Heard::Failed(failure) => no_answer(failure),
        Heard::Answer {
            problem: Some(problem),
            retry_after,
            ..
        } => from_central(
            problem,
            retry_after.map(|after| after.min(limits::RETRY_AFTER_MOST)),
        ),
        Heard::Answer {
            status,
            problem: None,
            retry_after,
        } => from_the_way(
            status,
            retry_after.map(|after| after.min(limits::RETRY_AFTER_MOST)),
        ),
    }
}

fn from_central(problem: &Problem, not_before: Option<Duration>) -> Outcome {
    let trouble = Trouble::at_central(problem);
    match (problem.kind, problem.head) {
        (ProblemKind::Gap, Some(head)) => Outcome::Gap { head },
        (ProblemKind::Diverged, _) => Outcome::Diverged {
            agreed: problem.agreed.unwrap_or(false),
            serials_used: problem.serials_used.unwrap_or(0),
        },
        (ProblemKind::UnknownAgent, _) => Outcome::Reenrol { trouble },
        (ProblemKind::CertificateExpired | ProblemKind::CertificateSuperseded, _) => {
            Outcome::Renew { trouble }
        }
        (ProblemKind::TooLarge, _) => Outcome::Smaller { trouble },
        (
            ProblemKind::Busy
            | ProblemKind::Unavailable
            | ProblemKind::StoreFull
            | ProblemKind::TooSlow
            | ProblemKind::Damaged
            | ProblemKind::Internal,
            _,
        ) => Outcome::Retry {
            not_before,
            trouble,
        },
        (
            ProblemKind::Gap
            | ProblemKind::Malformed
            | ProblemKind::InvalidField
            | ProblemKind::NotFound
            | ProblemKind::MethodNotAllowed
            | ProblemKind::UnsupportedMedia
            | ProblemKind::Conflict
            | ProblemKind::UnsupportedVersion
            | ProblemKind::Unauthenticated
            | ProblemKind::Revoked
            | ProblemKind::UnknownToken
            | ProblemKind::TokenExpired
            | ProblemKind::TokenUsedUp
            | ProblemKind::Forbidden
            | ProblemKind::ForeignStream
            | ProblemKind::Other,
            _,
        ) => Outcome::Refused { trouble },
    }
}

fn from_the_way(status: u16, not_before: Option<Duration>) -> Outcome {
    let retry = |class, words: String| Outcome::Retry {
        not_before,
        trouble: Trouble::on_the_way(class, words),
    };
    match status {
        200..=299 => retry(
            ErrorClass::CallIt,
            "Something on the way to central, such as a log-in page, answered in its place.".into(),
        ),
        300..=399 => retry(
            ErrorClass::CallIt,
            format!("Something on the way redirects the connection (HTTP {status})."),
        ),
        407 => retry(
            ErrorClass::CallIt,
            "The proxy asks for a user name and password.".into(),
        ),
        413 => Outcome::Smaller {
            trouble: Trouble::on_the_way(
                ErrorClass::CallIt,
                "A proxy on the way finds the request too large.",
            ),
        },
        429 | 502..=504 => retry(
            ErrorClass::TryAgain,
            format!("A proxy on the way cannot reach central just now (HTTP {status})."),
        ),
        _ => retry(
            ErrorClass::CallIt,
            format!("Something that is not central answered with HTTP {status}."),
        ),
    }
}

fn no_answer(failure: Failure) -> Outcome {
    let (class, words) = match failure {
        Failure::Resolve => (ErrorClass::TryAgain, "Central's name cannot be resolved."),
        Failure::Connect => (ErrorClass::TryAgain, "Central cannot be reached."),
        Failure::Interrupted => (ErrorClass::TryAgain, "The connection to central broke."),
        Failure::TimedOut => (ErrorClass::TryAgain, "Central did not answer in time."),
        Failure::Oversized => (
            ErrorClass::CallIt,
            "The answer was larger than any of central's.",
        ),
        Failure::Proxy => (
            ErrorClass::TryAgain,
            "The proxy cannot be reached or does not reach central.",
        ),
        Failure::ProxyLogin => (
            ErrorClass::CallIt,
            "The proxy asks for a user name and password, or does not accept ours.",
        ),
        Failure::NotCentral => (
            ErrorClass::CallIt,
            "Whoever answered in central's place is not central: something on the way opens TLS.",
        ),
        Failure::WrongName => (
            ErrorClass::CallIt,
            "Central's certificate is for another name than the one it is called by.",
        ),
        Failure::OutsideValidity => (
            ErrorClass::CallIt,
            "This computer's clock is wrong, or central's certificate has expired.",
        ),
        Failure::CertificateRefused => (
            ErrorClass::CallIt,
            "Central does not take this agent's certificate.",
        ),
        Failure::Handshake => (
            ErrorClass::TryAgain,
            "The protected connection to central could not be made.",
        ),
    };
    Outcome::Retry {
        not_before: None,
        trouble: Trouble::on_the_way(class, words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unknown_agent_leads_to_enrolling_again() {
        for &kind in ProblemKind::ALL {
            let problem = Problem::new(kind, "x");
            let heard = Heard::Answer {
                status: kind.status(),
                problem: Some(&problem),
                retry_after: None,
            };
            let reenrol = matches!(classify(heard), Outcome::Reenrol { .. });
            assert_eq!(reenrol, kind == ProblemKind::UnknownAgent, "{kind:?}");
        }
        for status in [200, 302, 400, 401, 403, 404, 500] {
            let heard = Heard::Answer {
                status,
                problem: None,
                retry_after: None,
            };
            assert!(
                matches!(classify(heard), Outcome::Retry { .. }),
                "a proxy's {status}"
            );
        }
    }

    #[test]
    fn retry_after_is_honoured_and_bounded() {
        let problem = Problem::new(ProblemKind::Busy, "x");
        let asked = |seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            match classify(Heard::Answer {
                status: 503,
                problem: Some(&problem),
                retry_after,
            }) {
                Outcome::Retry {
                    not_before: Some(delay),
                    ..
                } => delay.as_secs(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(asked(30), 30);
        assert_eq!(asked(10_000_000), limits::RETRY_AFTER_MOST.as_secs());
    }
}
