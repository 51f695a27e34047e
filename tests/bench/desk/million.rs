//! A million tickets in a central that is not running, put into its ledger as branches' submissions, and the
//! read model that is built of them.

use std::path::Path;
use std::time::Instant;

use branchline_protocol::chain::Position;
use branchline_protocol::exchange::Health;
use branchline_protocol::id::{AgentId, BranchCode, OperationId, StreamId, TicketId, TicketNumber};
use branchline_protocol::operation::{
    Body, Operation, Priority, Reporter, TicketFiled, TicketWithdrawn,
};
use branchline_server::config;
use branchline_server::desk::read_model::{self, ReadModel};
use branchline_server::ledger::sqlite::{FILE_NAME, SqliteLedger};
use branchline_server::ledger::{Append, Appended, Batch, Ledger, NewAgent, now};

use crate::baseline::bare_inserts;
use crate::report::{Report, at_least};
use crate::tickets::Tickets;

const BRANCHES: u8 = 50;
const OF_EACH: u32 = 20_000;
/// Tickets in one submission.
const AT_ONCE: u32 = 1_000;
/// Of so many tickets the branch takes all but one back: most of a central's tickets are done.
const DONE_OF: u32 = 10;

struct Agent {
    id: AgentId,
    branch: BranchCode,
    stream: StreamId,
    at: Position,
    made: u32,
}

/// Fills the ledger in this data directory, and builds the read model, whose rate is a row of the report.
pub async fn make(data: &Path, report: &mut Report) {
    let ledger = SqliteLedger::open(&data.join(FILE_NAME)).expect("open the ledger");
    let count = u32::from(BRANCHES) * OF_EACH;
    eprintln!("desk: {count} tickets for the ledger");
    let mut tickets = Tickets::new(11);
    for number in 0..BRANCHES {
        let mut agent = register(&ledger, number).await;
        while agent.made < OF_EACH {
            let append = submission(&mut agent, &mut tickets);
            let end = append.operations.iter().fold(agent.at, Position::then);
            let appended = ledger.append(append).await.expect("append");
            assert!(matches!(&appended, Appended::Held(held) if held.acknowledged == end));
            agent.at = end;
        }
    }
    let bare = bare_inserts(data, 200_000);
    eprintln!("desk: the read model of them");
    let folder = data.join(read_model::FOLDER);
    let model = ReadModel::open_with(&folder, config::Service::default().goals().expect("none"));
    let model = model.expect("open the read model");
    let started = Instant::now();
    let events = model.rebuild(&ledger).await.expect("build the read model");
    let took = started.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss)]
    let rate = events as f64 / took;
    report.row(
        &format!("building the read model of 1,000,000 tickets, {events} events"),
        format!("{rate:.0} events/s, {took:.0} s"),
        format!("{bare:.0}/s bare SQLite inserts"),
        at_least(rate, 5_000.0, "events/s"),
    );
}

async fn register(ledger: &SqliteLedger, number: u8) -> Agent {
    let id = AgentId::from_parts(1, [number + 1; 10]);
    let code = format!(
        "A{}{}",
        char::from(b'A' + number / 26),
        char::from(b'A' + number % 26)
    );
    let branch: BranchCode = code.parse().expect("a code");
    let new = NewAgent {
        id,
        branch: branch.clone(),
        branch_name: None,
        at: now(),
    };
    ledger.register_agent(new).await.expect("register");
    let stream = StreamId::from_parts(1, [number + 1; 10]);
    Agent {
        id,
        branch,
        stream,
        at: Position::genesis(stream),
        made: 0,
    }
}

fn submission(agent: &mut Agent, tickets: &mut Tickets) -> Append {
    let mut body = Vec::new();
    let mut bounds = Vec::new();
    let mut add = |operation: &Operation| {
        let start = body.len();
        body.extend(operation.encode());
        bounds.push(start..body.len());
    };
    for _ in 0..AT_ONCE {
        agent.made += 1;
        let filed = filing(agent, tickets);
        add(&filed);
        if !agent.made.is_multiple_of(DONE_OF) {
            let withdrawn = Body::TicketWithdrawn(TicketWithdrawn {
                ticket: TicketId::from(filed.id),
                reason: None,
            });
            add(&operation(agent, 1, withdrawn));
        }
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

fn filing(agent: &Agent, tickets: &mut Tickets) -> Operation {
    let ask = tickets.ask();
    let body = Body::TicketFiled(TicketFiled {
        number: TicketNumber::given(agent.branch.clone(), 1, agent.made),
        subject: ask.subject,
        description: ask.description,
        category: ask.category.unwrap_or_default(),
        priority: [Priority::Normal, Priority::Low, Priority::High][(agent.made % 3) as usize],
        contact: ask.contact,
        asset: ask.asset,
    });
    operation(agent, 0, body)
}

fn operation(agent: &Agent, which: u8, body: Body) -> Operation {
    let mut random = [0; 10];
    let seed = [
        agent.branch.as_str().as_bytes(),
        &agent.made.to_le_bytes(),
        &[which],
    ]
    .concat();
    random.copy_from_slice(&blake3::hash(&seed).as_bytes()[..10]);
    Operation {
        id: OperationId::from_parts(1_700_000_000_000 + u64::from(agent.made), random),
        at: "2026-11-21T09:12:00.250+01:00".parse().expect("a time"),
        by: Reporter {
            user: "j.martin".to_owned(),
        },
        body,
    }
}
