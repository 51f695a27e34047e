//! What an append costs the ledger's writer, per operation: submissions of 2,000 tickets of 1 KiB, one
//! agent after another, each durable before the next. `cargo bench -p branchline-server`.

use std::time::{Duration, Instant};

use branchline_protocol::chain::Position;
use branchline_protocol::exchange::{Credentials, Health};
use branchline_protocol::id::{AgentId, BranchCode, OperationId, StreamId, TicketNumber};
use branchline_protocol::operation::{Body, Contact, Operation, Priority, Reporter, TicketFiled};
use branchline_server::ledger::sqlite::SqliteLedger;
use branchline_server::ledger::{Append, Appended, Batch, Ledger, NewAgent, now};

const OPERATIONS: usize = 2_000;
const AGENTS: usize = 4;
const ROUNDS: usize = 10;

struct Agent {
    id: AgentId,
    branch: BranchCode,
    stream: StreamId,
    at: Position,
    made: u64,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let folder = tempfile::tempdir();
    let (Ok(runtime), Ok(folder)) = (runtime, folder) else {
        return;
    };
    let Ok(ledger) = SqliteLedger::open(&folder.path().join("ledger.db")) else {
        return;
    };
    let took = runtime.block_on(rounds(&ledger));
    let mut all: Vec<f64> = took
        .iter()
        .map(|took| took.as_secs_f64() * 1e6 / OPERATIONS as f64)
        .collect();
    all.sort_by(f64::total_cmp);
    let mean = all.iter().sum::<f64>() / all.len().max(1) as f64;
    let (least, most) = (all.first(), all.last());
    let median = all.get(all.len() / 2);
    if let (Some(least), Some(median), Some(most)) = (least, median, most) {
        println!(
            "append of {OPERATIONS} tickets of 1 KiB, commit and sync included: \
             {median:.1} µs per ticket (mean {mean:.1}, best {least:.1}, worst {most:.1})"
        );
    }
}

async fn rounds(ledger: &SqliteLedger) -> Vec<Duration> {
    let codes = ["LYN", "PAR", "NCE", "LIL"];
    let mut agents = Vec::new();
    for (index, code) in codes.iter().take(AGENTS).enumerate() {
        let Ok(branch) = code.parse() else { continue };
        agents.push(register(ledger, index as u8, branch).await);
    }
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        for agent in &mut agents {
            let append = submission(agent);
            let count = append.operations.len() as u64;
            let operations: Vec<Vec<u8>> = append.operations.iter().map(<[u8]>::to_vec).collect();
            let started = Instant::now();
            let appended = ledger.append(append).await;
            took.push(started.elapsed());
            assert!(
                matches!(&appended, Ok(Appended::Held(held)) if held.appended as u64 == count),
                "{appended:?}"
            );
            agent.at = operations.iter().fold(agent.at, |at, bytes| at.then(bytes));
        }
    }
    took
}

async fn register(ledger: &SqliteLedger, index: u8, branch: BranchCode) -> Agent {
    let id = AgentId::from_parts(1, [index; 10]);
    let secret_hash = Credentials {
        agent: id,
        secret: [0; 32],
    }
    .secret_hash();
    let registered = ledger
        .register_agent(NewAgent {
            id,
            branch: branch.clone(),
            branch_name: None,
            secret_hash,
            at: now(),
        })
        .await;
    assert!(registered.is_ok(), "{registered:?}");
    let stream = StreamId::from_parts(1, [index; 10]);
    Agent {
        id,
        branch,
        stream,
        at: Position::genesis(stream),
        made: 0,
    }
}

fn submission(agent: &mut Agent) -> Append {
    let mut body = Vec::new();
    let mut bounds = Vec::new();
    for _ in 0..OPERATIONS {
        agent.made += 1;
        let start = body.len();
        body.extend(ticket(agent));
        bounds.push(start..body.len());
    }
    Append {
        agent: agent.id,
        stream: agent.stream,
        continues: None,
        after: agent.at,
        operations: Batch::new(body.into(), bounds),
        cursor: None,
        health: Health::default(),
        received_at: now(),
    }
}

fn ticket(agent: &Agent) -> Vec<u8> {
    let mut random = [0; 10];
    random.copy_from_slice(&blake3::hash(&agent.made.to_le_bytes()).as_bytes()[..10]);
    // Four ids to a millisecond, as a fast filer makes them.
    let id = OperationId::from_parts(1_700_000_000_000 + agent.made / 4, random);
    let serial = u32::try_from(agent.made).unwrap_or(u32::MAX);
    let text = "The printer on the second floor prints every page twice. ";
    let operation = Operation {
        id,
        at: "2026-11-21T09:12:00.250+01:00"
            .parse()
            .unwrap_or_else(|_| unreachable!("a time")),
        by: Reporter {
            user: "j.martin".into(),
        },
        body: Body::TicketFiled(TicketFiled {
            number: TicketNumber::given(agent.branch.clone(), 1, serial),
            subject: format!("Printer {serial} prints twice"),
            description: text.repeat(12),
            category: "hardware".into(),
            priority: Priority::Normal,
            contact: Contact {
                name: Some("Jeanne Martin".into()),
                phone: Some("+33 4 72 00 00 00".into()),
                mail: None,
            },
            asset: Some("LYN-PRN-0042".into()),
        }),
    };
    operation.encode()
}
