//! The desk: from filing to an open console, questions on a million tickets, questions beside ingest, and how
//! fast the read model is built.

mod console;
mod million;

use std::time::{Duration, Instant};

use harness::processes::{Branch, Central, sandbox, succeeded};

use crate::baseline::append_and_sync;
use crate::draining::settings;
use crate::memory::{bare_process, highest};
use crate::report::{Report, at_least, at_most, mib, percentile, verdict};
use crate::tickets::fill;
use crate::wan::{BRANCH, CENTRAL, Wan, can_emulate, join, within};
use console::{Console, Program};

/// Tickets whose way to a console is timed.
const TICKETS: usize = 300;
const FAR_TICKETS: usize = 60;
/// Tickets that are taken in while questions are asked.
const INGEST: u64 = 30_000;
/// Programs that ask at once.
const ASKING: usize = 4;
const ONE_WAY: Duration = Duration::from_millis(150);
/// What the console asks for its inbox.
const INBOX: &str = "tickets(states: [NEW, OPEN], first: 50) { tickets { number branch state priority category \
     subject reporter assignee tags filedAt receivedAt changedAt version comments replies files \
     service { firstAnswerDue dueAt } } next }";

pub async fn measure(report: &mut Report) {
    near(report).await;
    far(report).await;
    on_a_million(report).await;
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// From before a ticket is filed until an open console has it, each when the one before is acknowledged.
async fn arrivals(branch: &Branch, console: &mut Console, count: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for index in 0..count {
        let started = Instant::now();
        let number = branch.file(&format!("Ticket {index}")).await.number;
        console.until(&number.to_string()).await;
        times.push(started.elapsed());
        branch.wait_drained().await;
    }
    times
}

async fn near(report: &mut Report) {
    eprintln!("desk: {TICKETS} tickets from a branch to a console, on loopback");
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    central.start();
    branch.start();
    let mut console = Console::open(&central, &api_token(&central)).await;
    arrivals(&branch, &mut console, 20).await;
    let mut syncs = append_and_sync(sandbox.path(), 300);
    let mut times = arrivals(&branch, &mut console, TICKETS).await;
    let [half, most] = [500, 990].map(|permille| percentile(&mut times, permille));
    let sync = percentile(&mut syncs, 500);
    report.row(
        "filing at a branch to an open console, loopback",
        format!("p50 {:.1} ms, p99 {:.1} ms", ms(half), ms(most)),
        format!("{:.1} ms for the three syncs on the way", 3.0 * ms(sync)),
        verdict(
            ms(most) <= 250.0,
            &format!("{:.1} ms (goal: p99 ≤ 250 ms)", ms(most)),
        ),
    );
}

async fn far(report: &mut Report) {
    let what = "filing at a branch to an open console, 300 ms round trip";
    if !can_emulate() {
        let skipped = "skipped: needs root and /dev/net/tun".to_owned();
        return report.row(what, skipped, String::new(), String::new());
    }
    eprintln!("desk: {FAR_TICKETS} tickets from a branch to a console, at 300 ms");
    let sandbox = sandbox();
    let _wan = Wan::start(sandbox.path(), "rtt=300ms");
    let (central, mut branch) = join(sandbox.path());
    within(BRANCH.0, || branch.start());
    let token = api_token(&central);
    let stream = within(CENTRAL.0, || std::net::TcpStream::connect(central.desk));
    let stream = stream.expect("reach the desk");
    let mut console = Console::over(stream, &central, &token).await;
    arrivals(&branch, &mut console, 3).await;
    let mut times = arrivals(&branch, &mut console, FAR_TICKETS).await;
    let [half, most] = [500, 990].map(|permille| percentile(&mut times, permille));
    report.row(
        what,
        format!("p50 {:.0} ms, p99 {:.0} ms", ms(half), ms(most)),
        format!("{:.0} ms: one way", ms(ONE_WAY)),
        at_most(half.as_secs_f64() / ONE_WAY.as_secs_f64(), 1.25),
    );
}

fn api_token(central: &Central) -> String {
    let made = central.cli(&["api-token", "create", "bench", "--right", "read"]);
    succeeded(&made).trim().to_owned()
}

async fn on_a_million(report: &mut Report) {
    let bare = bare_process();
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    million::make(central.folder(), report).await;
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    central.start();
    let program = Program::new(&central, &api_token(&central));
    program.ask("{ freshness { position } }").await;
    questions(report, &program).await;
    let resident = mib(highest(central.pid(), "VmRSS"));
    report.row(
        "memory of central with 1,000,000 tickets, after these questions",
        format!("{resident:.0} MiB"),
        format!("{:.1} MiB bare process", mib(bare)),
        verdict(
            resident <= 256.0,
            &format!("{resident:.0} MiB (goal ≤ 256 MiB)"),
        ),
    );
    beside_ingest(report, &mut branch, &program).await;
    let most = mib(highest(central.pid(), "VmHWM"));
    report.row(
        "the same, at most, ingest at full rate included",
        format!("{most:.0} MiB"),
        format!("{:.1} MiB bare process", mib(bare)),
        verdict(most <= 256.0, &format!("{most:.0} MiB (goal ≤ 256 MiB)")),
    );
}

/// Each kind of question many times, beside one that asks for nothing.
async fn questions(report: &mut Report, program: &Program) {
    let mut nothing = program.times(|_| "{ __typename }".to_owned(), 1_000).await;
    let nothing = percentile(&mut nothing, 990);
    let words = [
        "printer",
        "scanner",
        "network",
        "colleague",
        "blinks",
        "cable",
        "serial",
        "update",
    ];
    let rest = "{ tickets { number subject } next }";
    let some = |n: usize| words[n % words.len()];
    type Asked<'a> = (&'static str, Box<dyn Fn(usize) -> String + 'a>);
    let kinds: [Asked<'_>; 6] = [
        ("inbox, first page", Box::new(|_| format!("{{ {INBOX} }}"))),
        (
            "search: two words that most tickets have",
            Box::new(move |n| {
                format!(
                    "{{ tickets(search: \"{} {}\", first: 50) {rest} }}",
                    some(n),
                    some(n / 8 + 1)
                )
            }),
        ),
        (
            "search: a number, or a word that few have",
            Box::new(move |n| {
                let serial = n * 37 % 19_000 + 1;
                if n % 2 == 0 {
                    format!("{{ tickets(search: \"AAA-{serial}\", first: 50) {rest} }}")
                } else {
                    format!(
                        "{{ tickets(search: \"PC-{:05}\", first: 50) {rest} }}",
                        n * 131 % 99_999
                    )
                }
            }),
        ),
        (
            "search: words as they are typed (pri, prin, …), open tickets alone",
            Box::new(move |n| {
                let word = some(n / 4);
                let typed = &word[..(2 + n % 4).min(word.len())];
                format!("{{ tickets(search: \"{typed}\", states: [NEW, OPEN], first: 50) {rest} }}")
            }),
        ),
        (
            "filters that few or no tickets fit",
            Box::new(move |n| {
                let filter = [
                    "states: [WAITING]",
                    "states: [OPEN, WAITING, RESOLVED]",
                    "priorities: [URGENT]",
                    "categories: [\"nothing\"]",
                    "branches: [\"ZZZ\"]",
                    "assignee: \"nobody\"",
                    "due: OVERDUE, order: DUE",
                ][n % 7];
                format!("{{ tickets({filter}, first: 50) {rest} }}")
            }),
        ),
        (
            "a ticket",
            Box::new(|n| {
                let serial = n * 37 % 19_000 + 1;
                format!(
                    "{{ ticket(number: \"AAB-{serial:06}\") {{ summary {{ subject }} description timeline {{ said }} }} }}"
                )
            }),
        ),
    ];
    for (what, question) in kinds {
        let mut times = program.times(question, 1_000).await;
        let [half, most] = [500, 990].map(|permille| percentile(&mut times, permille));
        report.row(
            &format!("1,000,000 tickets: {what}"),
            format!("p50 {:.1} ms, p99 {:.1} ms", ms(half), ms(most)),
            format!("p99 {:.1} ms a question for nothing", ms(nothing)),
            verdict(
                ms(most) <= 100.0,
                &format!("{:.1} ms (goal: p99 ≤ 100 ms)", ms(most)),
            ),
        );
    }
}

/// How many inboxes are answered in a second while a branch delivers as fast as it can, and what that costs it.
async fn beside_ingest(report: &mut Report, branch: &mut Branch, program: &Program) {
    eprintln!("desk: questions beside {INGEST} tickets that arrive");
    let alone = drain(branch, 0).await;
    let idle = program.rate(ASKING, Duration::from_secs(5)).await;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let draining = async {
        let rate = drain(branch, INGEST).await;
        stop.send(()).ok();
        rate
    };
    let asking = program.clone().rate_until(ASKING, stopped);
    let (busy, beside) = tokio::join!(asking, draining);
    report.row(
        "inboxes answered beside ingest at full rate",
        format!("{busy:.0}/s, ingest at {beside:.0} tickets/s"),
        format!("{idle:.0}/s with nothing else; ingest alone {alone:.0} tickets/s"),
        at_least(busy, 100.0, "/s"),
    );
}

/// Files tickets from this number on at a branch that is off, and times what it takes to deliver them.
async fn drain(branch: &mut Branch, first: u64) -> f64 {
    fill(settings(&branch.data()), first..first + INGEST).await;
    let started = Instant::now();
    branch.start();
    branch.wait_drained().await;
    let took = started.elapsed().as_secs_f64();
    branch.stop();
    #[allow(clippy::cast_precision_loss)]
    let count = INGEST as f64;
    count / took
}
