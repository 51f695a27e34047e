//! What the way to central lets through: round trip, bodies' size and pace, and throughput.
//!
//! Everything together ends by a deadline. On a slow link less is measured, and that is said.

use std::time::Duration;

use branchline_protocol::enrolment::ProbeReply;
use branchline_protocol::limits::CHUNK_BODY_BYTES;
use branchline_protocol::outcome::Failure;
use branchline_protocol::problem::{ErrorClass, ProblemKind};
use tokio::time::{Instant, sleep_until};

use crate::cli::output;
use crate::link::survey::{ProbeBody, ProbeFault, Session, Survey};

use super::finding::{Finding, Report, bad, good, warning};
use super::way::words;

/// All of it.
const WITHIN: Duration = Duration::from_secs(20);
/// Round trips that are timed.
const ROUND_TRIPS: usize = 7;
/// Between the halves of the body that shows whether somebody collects it.
const PAUSE: Duration = Duration::from_millis(1_500);
/// Bytes of that body.
const HALVES_BYTES: usize = 32 * 1024;
/// Bodies that are tried, up to the largest that the agent ever sends.
const SIZES: [usize; 6] = [
    64 << 10,
    256 << 10,
    1 << 20,
    2 << 20,
    4 << 20,
    CHUNK_BODY_BYTES,
];
/// A body that would take longer is not tried.
const LONGEST: Duration = Duration::from_secs(6);
/// An answer comes within this beyond what the bytes need.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// The limit is found to so many bytes.
const FINE: usize = 32 << 10;

/// What is measured on, and how much longer.
struct Measuring<'a> {
    survey: &'a Survey,
    session: Option<Session>,
    deadline: Instant,
    round_trip: Duration,
}

pub(super) async fn examine(report: &mut Report, survey: &Survey, session: Session) {
    let mut measuring = Measuring {
        survey,
        session: Some(session),
        deadline: Instant::now() + WITHIN,
        round_trip: Duration::ZERO,
    };
    report.doing("timing round trips");
    let Some(latency) = measuring.latency().await else {
        report.tell(
            bad("latency", ErrorClass::TryAgain, "central stopped answering")
                .advising("Run the doctor again."),
        );
        return;
    };
    report.tell(latency);
    report.doing("asking central what it sees of this agent");
    match measuring.probe(ProbeBody::whole(1), ANSWER_WITHIN).await {
        Ok((reply, _)) => report.tell(http(&reply)),
        Err(fault) => {
            report.tell(unprobed(&fault));
            return;
        }
    }
    report.doing("sending a body in two halves");
    if let Some(finding) = measuring.buffering().await {
        report.tell(finding);
    }
    let mut sizes = Sizes::default();
    measuring.sizes(report, &mut sizes).await;
    for finding in sizes.findings() {
        report.tell(finding);
    }
}

impl Measuring<'_> {
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Sends a body over the present connection, or over a new one where that is gone.
    async fn probe(
        &mut self,
        body: ProbeBody,
        within: Duration,
    ) -> Result<(ProbeReply, Duration), ProbeFault> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self
                .survey
                .again()
                .await
                .ok_or(ProbeFault::Failed(Failure::Connect))?,
        };
        let answer = session.probe(body, within.min(self.left())).await;
        // After anything but a reply, half a body may be left on it.
        self.session = answer.is_ok().then_some(session);
        answer
    }

    async fn latency(&mut self) -> Option<Finding> {
        let mut took = Vec::new();
        for _ in 0..ROUND_TRIPS {
            match self.session.as_mut()?.tiny().await {
                Ok((time, _)) => took.push(time),
                Err(_) => break,
            }
            if self.left() < WITHIN / 2 {
                break;
            }
        }
        took.sort_unstable();
        let (least, median, most) = (took.first()?, took.get(took.len() / 2)?, took.last()?);
        self.round_trip = *least;
        let millis = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (least, median, most) = (millis(least), millis(median), millis(most));
        let words = if most == 0 {
            "under 1 ms".to_owned()
        } else {
            format!("{median} ms ({least} to {most} ms)")
        };
        Some(
            good("latency", words)
                .fact("median_millis", median)
                .fact("least_millis", least)
                .fact("most_millis", most),
        )
    }

    async fn buffering(&mut self) -> Option<Finding> {
        let body = ProbeBody::halves(HALVES_BYTES, PAUSE);
        let (reply, _) = self.probe(body, PAUSE + ANSWER_WITHIN).await.ok()?;
        let is_buffered = Duration::from_millis(reply.body_millis) < PAUSE / 3;
        let finding = if is_buffered {
            warning(
                "buffering",
                ErrorClass::CallIt,
                "something on the way collects whole bodies before it passes them on",
            )
            .advising(
                "It works, and files show their progress later. Where the device can pass requests on as \
                 they come (often \"streaming\" or \"request buffering off\"), let it.",
            )
        } else {
            good("buffering", "none; bodies are passed on as they come")
        };
        Some(finding.fact("buffered", is_buffered))
    }

    /// Larger and larger bodies; where one does not pass, the largest that does.
    async fn sizes(&mut self, report: &Report, sizes: &mut Sizes) {
        for size in SIZES {
            let expected = sizes.expected(size);
            if expected > LONGEST.min(self.left()) {
                sizes.untried = Some(expected);
                return;
            }
            report.doing(&format!("sending {}", output::size(size as u64)));
            match self.attempt(size, expected).await {
                Ok(took) => sizes.passed(size, took.saturating_sub(self.round_trip)),
                Err(fault) => {
                    sizes.stopped(size, fault);
                    break;
                }
            }
        }
        while let Some(size) = sizes.between()
            && !self.left().is_zero()
        {
            report.doing(&format!("sending {}", output::size(size as u64)));
            match self.attempt(size, sizes.expected(size)).await {
                Ok(took) => sizes.passed(size, took.saturating_sub(self.round_trip)),
                Err(fault) => sizes.stopped(size, fault),
            }
        }
    }

    /// One size, twice where the first attempt broke without an answer: links break.
    async fn attempt(&mut self, size: usize, expected: Duration) -> Result<Duration, ProbeFault> {
        let within = expected * 2 + ANSWER_WITHIN;
        let first = self.probe(ProbeBody::whole(size), within).await;
        let again = match first {
            Err(ProbeFault::Failed(Failure::Interrupted)) => {
                sleep_until(Instant::now() + Duration::from_millis(200)).await;
                self.probe(ProbeBody::whole(size), within).await
            }
            other => other,
        };
        again.map(|(_, took)| took)
    }
}

/// What bodies of which sizes did.
#[derive(Debug, Default)]
struct Sizes {
    largest: Option<(usize, Duration)>,
    least_stopped: Option<(usize, ProbeFault)>,
    /// The next would have taken so long.
    untried: Option<Duration>,
}

impl Sizes {
    fn passed(&mut self, size: usize, took: Duration) {
        if self.largest.is_none_or(|(before, _)| size > before) {
            self.largest = Some((size, took.max(Duration::from_micros(1))));
        }
    }

    fn stopped(&mut self, size: usize, fault: ProbeFault) {
        self.least_stopped = Some((size, fault));
    }

    fn bytes_per_second(&self) -> Option<u64> {
        let (size, took) = self.largest?;
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        Some((size as u64).saturating_mul(1_000_000) / micros)
    }

    /// How long a body should take; nothing is known of the first.
    fn expected(&self, size: usize) -> Duration {
        let rate = self.bytes_per_second().unwrap_or(u64::MAX).max(1);
        Duration::from_millis((size as u64).saturating_mul(1_000) / rate)
    }

    /// The size between the largest that passed and the least that did not, while they are apart.
    fn between(&self) -> Option<usize> {
        let (stopped, _) = self.least_stopped.as_ref()?;
        let passed = self.largest.map_or(0, |(size, _)| size);
        let apart = stopped.saturating_sub(passed);
        (apart > FINE.max(stopped / 32)).then_some(passed + apart / 2)
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![self.limit()];
        if let (Some(rate), Some((size, _))) = (self.bytes_per_second(), self.largest) {
            let kbits = rate.saturating_mul(8) / 1_000;
            let shown = match kbits {
                0..10_000 => format!("{kbits} kbit/s"),
                _ => format!("{} Mbit/s", kbits / 1_000),
            };
            let of = output::size(size as u64);
            let words = format!("about {shown} to central, by a body of {of}");
            findings.push(good("throughput", words).fact("up_bytes_per_second", rate));
        }
        findings
    }

    fn limit(&self) -> Finding {
        let largest = self.largest.map_or(0, |(size, _)| size);
        let passes = output::size(largest as u64);
        let finding = match (&self.least_stopped, self.untried) {
            (Some((size, fault)), _) => {
                let stopped = output::size(*size as u64);
                let how = match fault {
                    ProbeFault::Stranger(status) => {
                        format!(
                            "something on the way answers those of {stopped} with HTTP {status}"
                        )
                    }
                    ProbeFault::Problem(problem) => {
                        format!("central answers those of {stopped} with: {}", problem.title)
                    }
                    ProbeFault::Failed(failure) => {
                        format!("those of {stopped} get no answer ({})", words(*failure))
                    }
                };
                let said = format!("bodies up to {passes} pass; {how}");
                let full = output::size(CHUNK_BODY_BYTES as u64);
                let advice = format!(
                    "Raise the limit of request bodies on the way to {full}; until then the agent sends \
                     smaller ones, which is slower."
                );
                if largest == 0 {
                    bad("body size", ErrorClass::CallIt, said).advising(advice)
                } else {
                    warning("body size", ErrorClass::CallIt, said).advising(advice)
                }
            }
            (None, Some(expected)) => good(
                "body size",
                format!(
                    "bodies up to {passes} pass; larger ones take over {} s on this link and were not \
                     tried",
                    expected.as_secs()
                ),
            ),
            (None, None) => good(
                "body size",
                format!("bodies up to {passes} pass, which is all"),
            ),
        };
        finding.fact("largest_bytes", largest)
    }
}

fn http(reply: &ProbeReply) -> Finding {
    let mut words = format!(
        "{}; central sees this agent at {}",
        reply.http_version, reply.peer
    );
    if reply.through_proxy {
        words.push_str(", through a gateway before central that ends TLS");
    }
    if let Some(via) = &reply.via {
        words = format!("{words}; passed on by {via}");
    }
    good("HTTP", words)
        .fact("http_version", reply.http_version.clone())
        .fact("through_gateway", reply.through_proxy)
        .fact("peer", reply.peer.clone())
}

fn unprobed(fault: &ProbeFault) -> Finding {
    match fault {
        ProbeFault::Problem(problem) => {
            let words = format!("Central answered: {}. {}", problem.title, problem.detail);
            let advice = match problem.kind {
                ProblemKind::CertificateExpired | ProblemKind::CertificateSuperseded => {
                    "The agent asks for the next certificate by itself while it runs."
                }
                ProblemKind::Busy | ProblemKind::Unavailable => "Run the doctor again later.",
                _ => "Ask central's IT what became of this agent: `branchline-server agent show`.",
            };
            bad("central", problem.class, words).advising(advice)
        }
        ProbeFault::Stranger(status) => bad(
            "central",
            ErrorClass::CallIt,
            format!("Something on the way answered in central's place, with HTTP {status}"),
        )
        .advising("See what stands between this computer and central, and let requests pass."),
        ProbeFault::Failed(failure) => bad("central", ErrorClass::TryAgain, words(*failure))
            .advising("Run the doctor again; if that stays, something on the way cuts requests."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A way on which bodies up to so many bytes pass.
    fn found(limit: usize) -> (usize, usize) {
        let mut sizes = Sizes::default();
        let mut tried = 0;
        let mut attempt = |size: usize, sizes: &mut Sizes| {
            tried += 1;
            if size <= limit {
                sizes.passed(size, Duration::from_millis(10));
                true
            } else {
                sizes.stopped(size, ProbeFault::Stranger(413));
                false
            }
        };
        for size in SIZES {
            if !attempt(size, &mut sizes) {
                break;
            }
        }
        while let Some(size) = sizes.between() {
            attempt(size, &mut sizes);
        }
        (sizes.largest.map_or(0, |(size, _)| size), tried)
    }

    #[test]
    fn the_largest_body_that_passes_is_found_in_few_attempts() {
        for limit in [
            0,
            10_000,
            100_000,
            1_000_000,
            1 << 20,
            5_000_000,
            CHUNK_BODY_BYTES,
        ] {
            let (largest, tried) = found(limit);
            let apart = FINE.max(limit / 16);
            assert!(
                largest <= limit && limit - largest <= apart,
                "{limit}: {largest}"
            );
            assert!(tried <= 14, "{limit}: {tried}");
        }
    }

    #[test]
    fn a_slow_link_is_not_asked_for_bodies_that_take_for_ever() {
        let mut sizes = Sizes::default();
        assert_eq!(sizes.expected(SIZES[0]), Duration::ZERO);
        sizes.passed(64 << 10, Duration::from_secs(4));
        assert_eq!(sizes.expected(256 << 10), Duration::from_secs(16));
        sizes.untried = Some(Duration::from_secs(16));
        let said = serde_json::to_value(sizes.limit()).unwrap();
        assert_eq!(said["result"], "good", "{said}");
        assert!(
            said["words"].as_str().unwrap().contains("not tried"),
            "{said}"
        );
    }
}
