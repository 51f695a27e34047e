//! Checks this crate against `vectors/`, which other implementations are checked against too. Every
//! file and every member of every entry must be one that is known here how to check.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::result_large_err,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a test: a panic is its answer; of the simulated central it uses a part"
)]

use std::convert::Infallible;
use std::path::PathBuf;

use branchline_protocol::chain::Position;
use branchline_protocol::desk::TicketState;
use branchline_protocol::event::{Rejection, RejectionCode, Verdict, VerdictAt};
use branchline_protocol::exchange::{Submission, SubmissionReply};
use branchline_protocol::id::{
    BranchCode, Digest, FileId, OperationId, Seq, StreamId, TicketId, TicketNumber,
};
use branchline_protocol::operation::{Malformed, Operation, Parsed};
use branchline_protocol::outcome::{Heard, Outcome, classify};
use branchline_protocol::problem::{ErrorClass, Problem, ProblemKind};
use branchline_protocol::rate::Rate;
use branchline_protocol::receiver::{Judgement, Known, Origin, TicketFacts, judge};
use branchline_protocol::time::{LocalTime, UnixMillis};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[path = "model/central.rs"]
mod central;
#[path = "vectors/files.rs"]
mod files;
#[path = "vectors/identity.rs"]
mod identity;
#[path = "model/seen.rs"]
mod seen;

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "vectors"].iter().collect()
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

#[test]
fn every_file_is_checked() {
    let files = std::fs::read_dir(folder()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    let checked = [
        "chain.json",
        "frames.json",
        "manifests.json",
        "operations.json",
        "problems.json",
        "rates.json",
        "states.json",
        "submissions.json",
        "ticket-numbers.json",
        "times.json",
        "tokens.json",
    ];
    assert_eq!(names, checked);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainFile {
    about: String,
    entries: Vec<Chain>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chain {
    title: String,
    stream: StreamId,
    genesis: Digest,
    operations: Vec<Link>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    text: String,
    seq: Seq,
    digest: Digest,
}

#[test]
fn chain() {
    for chain in read::<ChainFile>("chain.json").entries {
        let title = &chain.title;
        let mut position = Position::genesis(chain.stream);
        assert_eq!(position.digest, chain.genesis, "{title}");
        for link in &chain.operations {
            position = position.then(link.text.as_bytes());
            let (seq, digest) = (link.seq, link.digest);
            assert_eq!(position, Position { seq, digest }, "{title}");
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationsFile {
    about: String,
    origin: OriginEntry,
    ledger: Ledger,
    entries: Vec<OperationEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OriginEntry {
    branch: BranchCode,
    ordinal: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    tickets: Vec<LedgerTicket>,
    operations: Vec<LedgerOperation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerTicket {
    id: TicketId,
    branch: BranchCode,
    number: TicketNumber,
    withdrawn: bool,
}

/// With the verdict's members beside the id, as in a reply.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerOperation {
    id: OperationId,
    verdict: String,
    code: Option<RejectionCode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationEntry {
    title: String,
    text: String,
    #[serde(default)]
    padding: usize,
    parsed: String,
    id: Option<OperationId>,
    faults: Vec<String>,
    verdict: Expected,
}

/// A verdict without the words of its detail.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    verdict: String,
    number: Option<TicketNumber>,
    code: Option<RejectionCode>,
    #[serde(default)]
    repeat: bool,
}

impl Expected {
    fn of(verdict: &Verdict, repeat: bool) -> Self {
        let (verdict, number, code) = match verdict {
            Verdict::Accepted => ("accepted", None, None),
            Verdict::Renumbered { number } => ("renumbered", Some(number.clone()), None),
            Verdict::Rejected { reason } => ("rejected", None, Some(reason.code)),
        };
        let verdict = verdict.to_owned();
        Self {
            verdict,
            number,
            code,
            repeat,
        }
    }
}

impl Known for Ledger {
    type Error = Infallible;

    fn operation(&mut self, id: OperationId) -> Result<Option<Verdict>, Infallible> {
        let known = self.operations.iter().find(|operation| operation.id == id);
        Ok(
            known.map(|known| match (known.verdict.as_str(), known.code) {
                ("accepted", None) => Verdict::Accepted,
                ("rejected", Some(code)) => Verdict::Rejected {
                    reason: Rejection {
                        code,
                        detail: "as before".to_owned(),
                    },
                },
                other => panic!("not known how to check {other:?}"),
            }),
        )
    }

    fn ticket(&mut self, id: TicketId) -> Result<Option<TicketFacts>, Infallible> {
        let known = self.tickets.iter().find(|ticket| ticket.id == id);
        Ok(known.map(|ticket| TicketFacts {
            branch: ticket.branch.clone(),
            number: ticket.number.clone(),
            withdrawn: ticket.withdrawn,
        }))
    }

    fn file_taken(&mut self, _: FileId) -> Result<bool, Infallible> {
        Ok(false)
    }

    fn highest_suffix(&mut self, given: &TicketNumber) -> Result<Option<u32>, Infallible> {
        let of_number = |number: &TicketNumber| {
            let suffix = number.suffix;
            let number = TicketNumber {
                suffix: given.suffix,
                ..number.clone()
            };
            (number == *given).then_some(suffix)
        };
        let suffixes = self
            .tickets
            .iter()
            .filter_map(|ticket| of_number(&ticket.number));
        Ok(suffixes.max())
    }
}

#[test]
fn operations() {
    let mut file: OperationsFile = read("operations.json");
    let origin = Origin {
        branch: file.origin.branch,
        ordinal: file.origin.ordinal,
    };
    for entry in &file.entries {
        let title = &entry.title;
        let mut bytes = entry.text.clone().into_bytes();
        let end = bytes.pop();
        bytes.resize(bytes.len() + entry.padding, b' ');
        bytes.extend(end);
        let (parsed, id, faults) = match Operation::parse(&bytes) {
            Ok(Parsed::Known(operation)) => {
                let faults = operation.faults().into_iter().map(|fault| fault.field);
                (operation.body.kind(), Some(operation.id), faults.collect())
            }
            Ok(Parsed::Unknown { id, .. }) => ("unknown", Some(id), Vec::new()),
            Err(Malformed::Body { id, .. }) => ("malformed", Some(id), Vec::new()),
            Err(_) => ("malformed", None, Vec::new()),
        };
        assert_eq!(parsed, entry.parsed, "{title}");
        assert_eq!(id, entry.id, "{title}");
        assert_eq!(faults, entry.faults, "{title}");
        let Ok(judgement) = judge(&mut file.ledger, &origin, &bytes);
        let repeat = matches!(judgement, Judgement::Repeat { .. });
        let verdict = Expected::of(&judgement.verdict(), repeat);
        assert_eq!(verdict, entry.verdict, "{title}");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubmissionsFile {
    about: String,
    origin: OriginEntry,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Submitted(Submitted),
    Restored(Restored),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submitted {
    title: String,
    submission: String,
    answer: Answer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Restored {
    title: String,
    restored_to: usize,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    problem: Option<ProblemKind>,
    acknowledged: Option<Position>,
    head: Option<Position>,
    agreed: Option<bool>,
    serials_used: Option<u32>,
    verdicts: Option<Vec<ExpectedAt>>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedAt {
    seq: Seq,
    verdict: String,
    number: Option<TicketNumber>,
    code: Option<RejectionCode>,
}

impl ExpectedAt {
    fn of(at: &VerdictAt) -> Self {
        let Expected {
            verdict,
            number,
            code,
            ..
        } = Expected::of(&at.verdict, false);
        Self {
            seq: at.seq,
            verdict,
            number,
            code,
        }
    }
}

impl Answer {
    fn of(answer: Result<String, String>) -> Self {
        match answer {
            Ok(body) => {
                let reply: SubmissionReply = serde_json::from_str(&body).unwrap();
                Self {
                    acknowledged: Some(reply.acknowledged),
                    head: Some(reply.head),
                    verdicts: Some(reply.verdicts.iter().map(ExpectedAt::of).collect()),
                    ..Self::default()
                }
            }
            Err(body) => {
                let problem: Problem = serde_json::from_str(&body).unwrap();
                Self {
                    problem: Some(problem.kind),
                    head: problem.head,
                    agreed: problem.agreed,
                    serials_used: problem.serials_used,
                    ..Self::default()
                }
            }
        }
    }
}

#[test]
fn submissions() {
    let file: SubmissionsFile = read("submissions.json");
    let origin = central::origin();
    assert_eq!(
        (file.origin.branch, file.origin.ordinal),
        (origin.branch, origin.ordinal)
    );
    let mut central = central::Central::default();
    let mut states = vec![central.clone()];
    let mut mark = 0;
    for step in file.steps {
        match step {
            Step::Submitted(Submitted {
                title,
                submission,
                answer,
            }) => {
                assert!(
                    serde_json::from_str::<Submission<'_>>(&submission).is_ok(),
                    "{title}"
                );
                let got = Answer::of(central.answer(&submission, usize::MAX, &mut mark));
                assert_eq!(got, answer, "{title}");
                states.push(central.clone());
            }
            Step::Restored(Restored { restored_to, .. }) => central = states[restored_to].clone(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NumbersFile {
    about: String,
    valid: Vec<NumberEntry>,
    invalid: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NumberEntry {
    text: String,
    branch: BranchCode,
    ordinal: u16,
    serial: u32,
    suffix: u32,
}

#[test]
fn ticket_numbers() {
    let file: NumbersFile = read("ticket-numbers.json");
    for entry in file.valid {
        let number = TicketNumber {
            branch: entry.branch,
            ordinal: entry.ordinal,
            serial: entry.serial,
            suffix: entry.suffix,
        };
        assert_eq!(number.to_string(), entry.text);
        assert_eq!(entry.text.parse(), Ok(number), "{}", entry.text);
    }
    for text in file.invalid {
        assert!(text.parse::<TicketNumber>().is_err(), "{text:?} was taken");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimesFile {
    about: String,
    valid: Vec<TimeEntry>,
    invalid: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeEntry {
    text: String,
    millis: i64,
    offset_minutes: i16,
    written: Option<String>,
}

#[test]
fn times() {
    let file: TimesFile = read("times.json");
    for entry in file.valid {
        let time = LocalTime {
            millis: UnixMillis(entry.millis),
            offset_minutes: entry.offset_minutes,
        };
        assert_eq!(entry.text.parse(), Ok(time), "{}", entry.text);
        assert_eq!(time.to_string(), entry.written.unwrap_or(entry.text));
    }
    for text in file.invalid {
        assert!(text.parse::<LocalTime>().is_err(), "{text:?} was taken");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatesFile {
    about: String,
    entries: Vec<StateEntry>,
    unknown: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateEntry {
    state: TicketState,
    desk_may_move_to: Vec<TicketState>,
    after_branch_spoke: TicketState,
}

#[test]
fn states() {
    let file: StatesFile = read("states.json");
    let all: Vec<TicketState> = file.entries.iter().map(|entry| entry.state).collect();
    assert_eq!(all, TicketState::ALL, "{}", file.about);
    for entry in file.entries {
        let may = |to: &TicketState| entry.state.desk_may_move(*to);
        let moves: Vec<TicketState> = TicketState::ALL.into_iter().filter(may).collect();
        assert_eq!(moves, entry.desk_may_move_to, "{}", entry.state);
        let after = entry.state.after_branch_spoke();
        assert_eq!(after, entry.after_branch_spoke, "{}", entry.state);
    }
    for word in file.unknown {
        let json = serde_json::to_string(&word).unwrap();
        let state: TicketState = serde_json::from_str(&json).unwrap();
        assert_eq!(state, TicketState::Other, "{word:?}");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RatesFile {
    about: String,
    valid: Vec<RateEntry>,
    invalid: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateEntry {
    text: String,
    bytes: Option<u64>,
}

#[test]
fn rates() {
    let file: RatesFile = read("rates.json");
    for entry in file.valid {
        let rate: Result<Rate, _> = entry.text.parse();
        assert_eq!(rate.map(Rate::limit), Ok(entry.bytes), "{}", file.about);
    }
    for text in file.invalid {
        assert!(text.parse::<Rate>().is_err(), "{text:?} was taken");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProblemsFile {
    about: String,
    kinds: Vec<KindEntry>,
    others: Vec<OtherEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KindEntry {
    document: String,
    #[serde(rename = "type")]
    kind: String,
    status: u16,
    class: ErrorClass,
    title: String,
    outcome: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OtherEntry {
    title: String,
    document: String,
    outcome: Option<String>,
}

#[test]
fn problems() {
    let file: ProblemsFile = read("problems.json");
    let kinds = file.kinds.iter().map(|entry| entry.kind.as_str());
    let all = ProblemKind::ALL.iter().map(|kind| kind.tag());
    assert!(kinds.eq(all), "every kind has its entry, in order");
    for entry in file.kinds {
        let problem: Problem = serde_json::from_str(&entry.document).unwrap();
        let kind = problem.kind;
        assert_eq!(
            (kind.tag(), kind.status(), kind.class(), kind.title()),
            (&*entry.kind, entry.status, entry.class, &*entry.title)
        );
        let (status, class, title) = (problem.status, problem.class, problem.title.clone());
        assert_eq!(
            (status, class, title),
            (entry.status, entry.class, entry.title)
        );
        assert_eq!(outcome(&problem), entry.outcome, "{}", entry.kind);
        assert_eq!(serde_json::to_string(&problem).unwrap(), entry.document);
    }
    for entry in file.others {
        let problem: Option<Problem> = serde_json::from_str(&entry.document).ok();
        let got = problem.as_ref().map(outcome);
        assert_eq!(got, entry.outcome.as_deref(), "{}", entry.title);
    }
}

fn outcome(problem: &Problem) -> &'static str {
    let heard = Heard::Answer {
        status: problem.status,
        problem: Some(problem),
        retry_after: None,
    };
    match classify(heard) {
        Outcome::Done => "done",
        Outcome::Retry { .. } => "retry",
        Outcome::Smaller { .. } => "smaller",
        Outcome::Gap { .. } => "gap",
        Outcome::Diverged { .. } => "diverged",
        Outcome::Reenrol { .. } => "reenrol",
        Outcome::Renew { .. } => "renew",
        Outcome::Refused { .. } => "refused",
    }
}
