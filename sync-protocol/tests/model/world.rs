//! Agents, central, and the way between them; what each act does to them; and the quiet phase.

use std::collections::BTreeSet;
use std::time::Duration;

use branchline_protocol::id::{OperationId, StreamId, TicketId, TicketNumber};
use branchline_protocol::operation::{
    Body, CommentAdded, Contact, FileAttached, Operation, Priority, Reporter, TicketFiled,
    TicketWithdrawn,
};
use branchline_protocol::problem::{Problem, ProblemKind};

use crate::action::{Act, Fate};
use crate::agent::{Agent, Journal, Row};
use crate::central::{Central, origin};
use crate::reference;

/// How many of each are kept: running agents, images, backups, late requests, old replies.
const MOST: usize = 4;
const MOST_AGENTS: usize = 3;

#[derive(Debug)]
pub struct World {
    pub agents: Vec<Agent>,
    pub central: Central,
    images: Vec<Journal>,
    backups: Vec<Central>,
    late: Vec<String>,
    replies: Vec<String>,
    asked: Vec<Asked>,
    now: Duration,
    made: u64,
    marks: u64,
    pub history: History,
}

/// What has happened to operations, as far as it excuses anything later.
#[derive(Debug, Default)]
pub struct History {
    /// Ever answered with "saved".
    pub saved: BTreeSet<OperationId>,
    /// Damaged in some copy of the journal.
    pub damaged: BTreeSet<OperationId>,
    /// No longer retained by some copy.
    pub pruned: BTreeSet<OperationId>,
    /// Gone with a disk that was replaced by an image without them, or switched off for good.
    pub abandoned: BTreeSet<OperationId>,
    /// Taken by central and gone when it was restored.
    pub central_lost: BTreeSet<OperationId>,
    /// Asked for again, of an agent that no longer knew them: they stand at two places.
    pub asked_again: BTreeSet<OperationId>,
    pub central_was_restored: bool,
}

/// What a client once asked for and may ask for again.
#[derive(Debug, Clone, Copy)]
struct Asked {
    id: OperationId,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    File,
    Comment(TicketId),
    Attach(TicketId),
    Withdraw(TicketId),
}

/// Runs a history, checking after each act, then lets everything come to rest; then lets what was
/// still on the way arrive, and all come to rest again.
pub fn run(history: &[Act]) -> Result<(), String> {
    let mut world = World::new();
    for (n, act) in history.iter().enumerate() {
        world.act(*act);
        reference::always(&world).map_err(|fault| format!("after act {n}, {act:?}: {fault}"))?;
    }
    world.come_to_rest()?;
    reference::at_rest(&world).map_err(|fault| format!("at rest: {fault}"))?;
    for body in std::mem::take(&mut world.late) {
        world.deliver(&body, usize::MAX).ok();
    }
    world.come_to_rest()?;
    reference::at_rest(&world).map_err(|fault| format!("after late requests: {fault}"))
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            agents: Vec::new(),
            central: Central::default(),
            images: Vec::new(),
            backups: vec![Central::default()],
            late: Vec::new(),
            replies: Vec::new(),
            asked: Vec::new(),
            now: Duration::ZERO,
            made: 0,
            marks: 0,
            history: History::default(),
        };
        let journal = Journal::new(new_stream(&mut world.made));
        world.images.push(journal.clone());
        world.agents.push(Agent::start(world.now, journal));
        world
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::File(who) => self.ask(who, What::File),
            Act::Comment(who, on) => self.ask_on_ticket(who, on, What::Comment),
            Act::Attach(who, on) => self.ask_on_ticket(who, on, What::Attach),
            Act::Withdraw(who, on) => self.ask_on_ticket(who, on, What::Withdraw),
            Act::AskAgain(who, which) => self.ask_again(who, which),
            Act::Turn(who, most, fate) => self.turn(self.who(who), most.into(), fate),
            Act::LateRequest(which) => {
                if let Some(which) = usize::from(which).checked_rem(self.late.len()) {
                    let body = self.late.remove(which);
                    self.deliver(&body, usize::MAX).ok();
                }
            }
            Act::Restart(who) => {
                let agent = self.who(who);
                let journal = self.agents[agent].journal.clone();
                self.agents[agent] = Agent::start(self.now, journal);
            }
            Act::Image(who) => {
                let image = self.agents[self.who(who)].journal.clone();
                keep(&mut self.images, image);
            }
            Act::Restored(who, which) => self.restore(who, which),
            Act::Twin(which) => {
                if self.agents.len() < MOST_AGENTS {
                    let image = self.images[usize::from(which) % self.images.len()].clone();
                    self.agents.push(Agent::start(self.now, image));
                }
            }
            Act::Retire(who) => {
                if self.agents.len() > 1 {
                    let agent = self.agents.remove(self.who(who));
                    self.abandon(&agent.journal);
                }
            }
            Act::Backup => keep(&mut self.backups, self.central.clone()),
            Act::CentralRestored(which) => {
                let backup = self.backups[usize::from(which) % self.backups.len()].clone();
                let before = std::mem::replace(&mut self.central, backup);
                let lost = before
                    .by_id
                    .keys()
                    .filter(|id| !self.central.by_id.contains_key(id));
                self.history.central_lost.extend(lost);
                self.history.central_was_restored = true;
            }
            Act::Damage(who, which) => {
                let agent = self.who(who);
                let id = self.agents[agent].journal.damage(which.into());
                self.history.damaged.extend(id);
            }
            Act::Rebuilt(who) => {
                let agent = self.who(who);
                let mut journal = self.agents[agent].journal.clone();
                journal.rebuild(new_stream(&mut self.made));
                self.agents[agent] = Agent::start(self.now, journal);
            }
            Act::Prune(who, count) => {
                let agent = self.who(who);
                let gone = self.agents[agent].journal.prune(count.into());
                self.history.pruned.extend(gone);
            }
        }
    }

    fn who(&self, who: u8) -> usize {
        usize::from(who) % self.agents.len()
    }

    fn ask_on_ticket(&mut self, who: u8, on: u8, what: fn(TicketId) -> What) {
        let rows = self.agents[self.who(who)].journal.all_rows();
        let Some(row) = usize::from(on).checked_rem(rows.len()) else {
            return;
        };
        self.ask(who, what(rows[row].ticket));
    }

    fn ask(&mut self, who: u8, what: What) {
        self.made += 1;
        let id = OperationId::from_parts(self.made, [7; 10]);
        self.asked.push(Asked { id, what });
        self.history.saved.insert(id);
        self.save(self.who(who), Asked { id, what });
    }

    fn ask_again(&mut self, who: u8, which: u8) {
        let agent = self.who(who);
        let Some(which) = usize::from(which).checked_rem(self.asked.len()) else {
            return;
        };
        let asked = self.asked[which];
        let rows = self.agents[agent].journal.all_rows();
        if rows.iter().all(|row| row.id != asked.id) {
            self.history.asked_again.insert(asked.id);
            self.save(agent, asked);
        }
    }

    fn save(&mut self, agent: usize, asked: Asked) {
        let agent = &mut self.agents[agent];
        if matches!(asked.what, What::File) {
            agent.journal.serial += 1;
        }
        let operation = operation(asked, agent.journal.serial);
        let row = Row {
            id: asked.id,
            ticket: operation.body.ticket().unwrap_or(asked.id.into()),
            given: match &operation.body {
                Body::TicketFiled(body) => Some(body.number.clone()),
                _ => None,
            },
            bytes: String::from_utf8(operation.encode()).unwrap().into(),
            damaged: false,
        };
        agent.append(self.now, row);
    }

    fn restore(&mut self, who: u8, which: u8) {
        let agent = self.who(who);
        let image = self.images[usize::from(which) % self.images.len()].clone();
        let before = std::mem::replace(&mut self.agents[agent], Agent::start(self.now, image));
        self.abandon(&before.journal);
    }

    fn abandon(&mut self, journal: &Journal) {
        let ids = journal.retained().iter().map(|row| row.id);
        self.history.abandoned.extend(ids);
    }

    fn turn(&mut self, who: usize, most: usize, fate: Fate) {
        let made = &mut self.made;
        let request = self.agents[who].turn(&mut self.now, most, || new_stream(made));
        let Some(body) = request else {
            return;
        };
        match fate {
            Fate::Through => self.exchange(who, &body, usize::MAX),
            Fate::Partly(most) => self.exchange(who, &body, most.into()),
            Fate::RequestLost => self.agents[who].hear_nothing(self.now),
            Fate::ReplyLost => {
                self.deliver(&body, usize::MAX).ok();
                self.agents[who].hear_nothing(self.now);
            }
            Fate::Doubled => {
                self.exchange(who, &body, usize::MAX);
                keep(&mut self.late, body);
            }
            Fate::Late => {
                self.agents[who].hear_nothing(self.now);
                keep(&mut self.late, body);
            }
            Fate::OldReply(which) => self.old_reply(who, &body, which),
            Fate::Busy => self.refuse(who, ProblemKind::Busy),
            Fate::TooLarge => self.refuse(who, ProblemKind::TooLarge),
        }
    }

    fn exchange(&mut self, who: usize, body: &str, most: usize) {
        let answer = self.deliver(body, most);
        match answer {
            Ok(reply) => self.agents[who].hear_reply(self.now, &reply),
            Err(problem) => self.agents[who].hear_problem(self.now, &problem),
        }
    }

    fn deliver(&mut self, body: &str, most: usize) -> Result<String, String> {
        let answer = self.central.answer(body, most, &mut self.marks);
        if let Ok(reply) = &answer {
            keep(&mut self.replies, reply.clone());
        }
        answer
    }

    fn refuse(&mut self, who: usize, kind: ProblemKind) {
        let problem = serde_json::to_string(&Problem::new(kind, "not now")).unwrap();
        self.agents[who].hear_problem(self.now, &problem);
    }

    /// Only one that cannot be the answer to this request: one that could be is a lost request.
    fn old_reply(&mut self, who: usize, body: &str, which: u8) {
        let old = usize::from(which).checked_rem(self.replies.len());
        let old = old.map(|which| self.replies[which].clone());
        match old.filter(|reply| !reference::could_answer(body, reply)) {
            Some(reply) => self.agents[who].hear_reply(self.now, &reply),
            None => self.agents[who].hear_nothing(self.now),
        }
    }

    /// No faults any more: every agent takes turns until another turn changes nothing.
    fn come_to_rest(&mut self) -> Result<(), String> {
        // Twins that share a stream disturb each other once; then each has its own.
        for _ in 0..=MOST_AGENTS {
            let mut moved = false;
            for who in 0..self.agents.len() {
                moved |= self.bring_to_rest(who)?;
            }
            if !moved {
                return Ok(());
            }
        }
        Err("the agents keep disturbing each other".to_owned())
    }

    fn bring_to_rest(&mut self, who: usize) -> Result<bool, String> {
        // A gap, a comparison and two forks, with a submission each; two turns and a submission for
        // every damaged row; the feed from its start.
        let damaged = self.agents[who].journal.retained().iter();
        let damaged = damaged.filter(|row| row.damaged).count();
        let most = 12 + 3 * damaged + 2 * self.history.saved.len();
        for turns in 0..most {
            let before = self.agents[who].journal.fingerprint();
            self.turn(who, usize::MAX, Fate::Through);
            let agent = &self.agents[who];
            if agent.is_idle(self.now) && agent.journal.fingerprint() == before {
                return Ok(turns > 0);
            }
        }
        Err(format!("agent {who} does not come to rest in {most} turns"))
    }
}

fn keep<T>(kept: &mut Vec<T>, new: T) {
    if kept.len() == MOST {
        kept.remove(0);
    }
    kept.push(new);
}

fn new_stream(made: &mut u64) -> StreamId {
    *made += 1;
    StreamId::from_parts(*made, [1; 10])
}

fn operation(asked: Asked, serial: u32) -> Operation {
    let body = match asked.what {
        What::File => Body::TicketFiled(TicketFiled {
            number: TicketNumber::given(origin().branch, origin().ordinal, serial),
            subject: "The till prints nothing".to_owned(),
            description: "Since this morning.".to_owned(),
            category: "till".to_owned(),
            priority: Priority::Normal,
            contact: Contact {
                name: Some("Ana".to_owned()),
                ..Contact::default()
            },
            asset: None,
        }),
        What::Comment(ticket) => Body::CommentAdded(CommentAdded {
            ticket,
            text: "Still nothing.".to_owned(),
        }),
        What::Attach(ticket) => Body::FileAttached(FileAttached {
            ticket,
            name: "till.log".to_owned(),
            size: 7,
            root: branchline_protocol::id::Digest([3; 32]),
        }),
        What::Withdraw(ticket) => Body::TicketWithdrawn(TicketWithdrawn {
            ticket,
            reason: None,
        }),
    };
    Operation {
        id: asked.id,
        at: "2026-11-21T09:12:00.250+01:00".parse().unwrap(),
        by: Reporter {
            user: "ana".to_owned(),
        },
        body,
    }
}
