//! P8, everything has a bound: a full journal, a large backlog, many filers.

use std::collections::BTreeSet;

use branchline_agent::store::filing::{Ask, Filing, TicketDraft};
use branchline_agent::store::{ChunkBounds, Store, StoreSettings};
use branchline_agent_api::ClientError;
use branchline_protocol::id::OperationId;
use branchline_protocol::operation::{Priority, Reporter};
use branchline_protocol::problem::{ErrorClass, ProblemKind};
use branchline_protocol::time::{LocalTime, UnixMillis};
use harness::processes::{Branch, Central, sandbox, succeeded, ticket, wait_until};

#[tokio::test]
async fn a_full_journal_refuses_clearly_drains_and_takes_tickets_again() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.configure(central.address, "journal_limit_mib = 2");
    branch.start();
    let client = branch.client();
    let mut long = ticket("Fills the journal");
    long.description = "x".repeat(8_000);
    let mut saved = 0_u64;
    let refused = loop {
        match client.file_ticket(&long).await {
            Ok(_) => saved += 1,
            Err(ClientError::Problem(problem)) => break problem,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(saved > 50, "{saved}");
    assert_eq!(
        (refused.kind, refused.class),
        (ProblemKind::StoreFull, ErrorClass::CallIt)
    );
    assert!(
        refused.detail.contains("not saved") && refused.detail.contains("2 MiB"),
        "{refused}"
    );
    // Nothing was lost by it, reading goes on, and so it is after a restart.
    assert_eq!(branch.status().await.waiting, saved);
    branch.kill();
    branch.start();
    assert_eq!(branch.status().await.waiting, saved);
    assert!(client.file_ticket(&long).await.is_err());

    // Acknowledgements still fit, and make room: what is only retained gives way.
    central.start();
    branch.wait_drained().await;
    wait_until("room for a ticket", || async {
        client.file_ticket(&long).await.ok()
    })
    .await;
    branch.wait_drained().await;
    central.assert_equal(&branch);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_and_nothing_is_saved() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let mut large = ticket("Too large");
    large.description = "x".repeat(2 * 1024 * 1024);
    match branch.client().file_ticket(&large).await {
        Err(ClientError::Problem(problem)) => assert_eq!(problem.kind, ProblemKind::TooLarge),
        other => panic!("{other:?}"),
    }
    large.description = "x".repeat(16_001);
    match branch.client().file_ticket(&large).await {
        Err(ClientError::Problem(problem)) => {
            assert_eq!(problem.kind, ProblemKind::InvalidField);
            assert_eq!(problem.field.as_deref(), Some("description"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(branch.status().await.waiting, 0);
}

#[tokio::test]
async fn sixty_four_filers_at_once_get_numbers_of_their_own() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    central.start();
    let filers: Vec<_> = (0..64)
        .map(|filer| {
            let client = branch.client();
            tokio::spawn(async move {
                let mut numbers = Vec::new();
                for n in 0..10 {
                    let saved = client.file_ticket(&ticket(&format!("{filer}/{n}"))).await;
                    numbers.push(saved.expect("file").number.serial);
                }
                assert!(numbers.is_sorted(), "one filer's tickets keep their order");
                numbers
            })
        })
        .collect();
    let mut numbers = BTreeSet::new();
    for filer in filers {
        numbers.extend(filer.await.unwrap());
    }
    assert_eq!(numbers, (1..=640).collect());
    branch.wait_drained().await;
    central.assert_equal(&branch);
}

const BACKLOG: u64 = 1_000_000;

/// Opening reads a handful of pages whatever waits, and draining holds one batch at a time: both are
/// counted here, not timed. The whole million is drained by `make bench`; here it drains in part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_tickets_open_by_a_few_pages_and_drain_in_bounded_memory() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    fill(&branch).await;
    let size = std::fs::metadata(branch.journal()).unwrap().len();
    branch.start();
    let status = branch.status().await;
    assert_eq!(status.waiting, BACKLOG);
    let read = io_bytes(branch.pid(), "rchar");
    println!("opened {size} bytes by reading {read}");
    assert!(
        read < 8 * 1024 * 1024,
        "opening read {read} bytes of {size}"
    );

    branch.file("Files at once, whatever waits").await;
    central.start();
    wait_until("a part to drain", || async {
        (branch.status().await.waiting < BACKLOG * 9 / 10).then_some(())
    })
    .await;
    let peak = peak_memory(branch.pid());
    println!("peak memory {peak} bytes");
    assert!(peak < 96 * 1024 * 1024, "draining took {peak} bytes");
    let listed = succeeded(&branch.cli(&["queue", "list", "--limit", "3"]));
    assert!(listed.contains("more (--limit)"), "{listed}");
}

async fn fill(branch: &Branch) {
    let settings = StoreSettings {
        folder: branch.data(),
        limit_bytes: 64 << 30,
        branch: "LYN".parse().unwrap(),
        ordinal: 1,
        agent: None,
        chunks: ChunkBounds::default(),
    };
    let store = std::sync::Arc::new(Store::open(settings, UnixMillis(1)).unwrap());
    let mut under_way = tokio::task::JoinSet::new();
    for n in 0..BACKLOG {
        let store = store.clone();
        let millis = 1_790_000_000_000 + n;
        let random = std::array::from_fn(|_| fastrand::u8(..));
        let filing = Filing {
            id: OperationId::from_parts(millis, random),
            at: LocalTime {
                millis: UnixMillis(millis.cast_signed()),
                offset_minutes: 60,
            },
            by: Reporter {
                user: "marie".to_owned(),
            },
            ask: Ask::Ticket(TicketDraft {
                subject: format!("Ticket {n}"),
                description: "One of very many.".to_owned(),
                category: "general".to_owned(),
                priority: Priority::Low,
                contact: ticket("").contact,
                asset: None,
            }),
        };
        under_way.spawn(async move { store.save(filing).await.unwrap() });
        if under_way.len() >= 512 {
            under_way.join_next().await;
        }
    }
    while under_way.join_next().await.is_some() {}
}

fn io_bytes(pid: u32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap();
    line.trim_start_matches(':').trim().parse().unwrap()
}

fn peak_memory(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
