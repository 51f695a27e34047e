//! What an append costs the ledger's writer, per operation: submissions of 2,000 tickets of 1 KiB, one
//! agent after another, each durable before the next. `cargo bench -p branchline-server`.

use std::time::{Duration, Instant};

use branchline_protocol::chain::Position;
use branchline_protocol::exchange::Health;
use branchline_protocol::id::{AgentId, BranchCode, OperationId, StreamId, TicketNumber};
use branchline_protocol::operation::{Body, Contact, Operation, Priority, Reporter, TicketFiled};
use branchline_server::ledger::sqlite::SqliteLedger;
use branchline_server::ledger::{Append, Appended, Batch, Ledger, NewAgent, now};

const OPERATIONS: u16 = 2_000;
const ROUNDS: usize = 10;

struct Agent {
    id: AgentId,
    branch: BranchCode,
    stream: StreamId,
    at: Position,
    made: u64,
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let folder = tempfile::tempdir()?;
    let ledger = SqliteLedger::open(&folder.path().join("ledger.db"))?;
    let mut took = runtime.block_on(rounds(&ledger))?;
    took.sort();
    let each = |took: Duration| took.as_secs_f64() * 1e6 / f64::from(OPERATIONS);
    let count = u32::try_from(took.len())?;
    let mean = each(took.iter().sum::<Duration>() / count);
    let median = took.get(took.len() / 2).copied().map(each);
    let (least, most) = (
        took.first().copied().map(each),
        took.last().copied().map(each),
    );
    println!(
        "append of {OPERATIONS} tickets of 1 KiB, {count} times, commit and sync included: \
         {mean:.1} µs per ticket (median {:.1}, best {:.1}, worst {:.1})",
        median.unwrap_or_default(),
        least.unwrap_or_default(),
        most.unwrap_or_default()
    );
    Ok(())
}

async fn rounds(ledger: &SqliteLedger) -> anyhow::Result<Vec<Duration>> {
    let mut agents = Vec::new();
    for (index, code) in (1..).zip(["LYN", "PAR", "NCE", "LIL"]) {
        agents.push(register(ledger, index, code.parse()?).await?);
    }
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        for agent in &mut agents {
            let append = submission(agent)?;
            let end = append.operations.iter().fold(agent.at, Position::then);
            let started = Instant::now();
            let appended = ledger.append(append).await?;
            took.push(started.elapsed());
            let held = matches!(&appended, Appended::Held(held) if held.acknowledged == end);
            anyhow::ensure!(held, "{appended:?}");
            agent.at = end;
        }
    }
    Ok(took)
}

async fn register(ledger: &SqliteLedger, index: u8, branch: BranchCode) -> anyhow::Result<Agent> {
    let id = AgentId::from_parts(1, [index; 10]);
    let new = NewAgent {
        id,
        branch: branch.clone(),
        branch_name: None,
        at: now(),
    };
    ledger.register_agent(new).await?;
    let stream = StreamId::from_parts(1, [index; 10]);
    Ok(Agent {
        id,
        branch,
        stream,
        at: Position::genesis(stream),
        made: 0,
    })
}

fn submission(agent: &mut Agent) -> anyhow::Result<Append> {
    let mut body = Vec::new();
    let mut bounds = Vec::new();
    for _ in 0..OPERATIONS {
        agent.made += 1;
        let start = body.len();
        body.extend(ticket(agent)?);
        bounds.push(start..body.len());
    }
    Ok(Append {
        agent: agent.id,
        stream: agent.stream,
        continues: None,
        after: agent.at,
        operations: Batch::new(body.into(), bounds),
        cursor: None,
        health: Health::default(),
        received_at: now(),
    })
}

fn ticket(agent: &Agent) -> anyhow::Result<Vec<u8>> {
    let mut random = [0; 10];
    let hash = blake3::hash(&agent.made.to_le_bytes());
    for (random, byte) in random.iter_mut().zip(hash.as_bytes()) {
        *random = *byte;
    }
    // Four ids to a millisecond, as a fast filer makes them.
    let id = OperationId::from_parts(1_700_000_000_000 + agent.made / 4, random);
    let serial = u32::try_from(agent.made)?;
    let text = "The printer on the second floor prints every page twice. ";
    let operation = Operation {
        id,
        at: "2026-11-21T09:12:00.250+01:00".parse()?,
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
    Ok(operation.encode())
}
