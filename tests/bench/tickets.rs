//! Tickets of about 1 KiB whose text compresses like text, from a seed.

use branchline_agent_api::FileTicket;
use branchline_protocol::id::OperationId;
use branchline_protocol::operation::{Contact, Reporter};
use branchline_protocol::time::{LocalTime, UnixMillis};

use branchline_agent::store::filing::{Ask, Filing, TicketDraft};
use branchline_agent::store::{Store, StoreSettings};

const WORDS: &[&str] = &[
    "the",
    "printer",
    "on",
    "third",
    "floor",
    "does",
    "not",
    "answer",
    "since",
    "this",
    "morning",
    "customer",
    "waits",
    "at",
    "till",
    "screen",
    "shows",
    "error",
    "code",
    "after",
    "update",
    "network",
    "slow",
    "scanner",
    "paper",
    "jam",
    "restart",
    "helped",
    "for",
    "an",
    "hour",
    "then",
    "again",
    "colleague",
    "tried",
    "another",
    "cable",
    "light",
    "blinks",
    "red",
    "twice",
    "please",
    "call",
    "back",
    "before",
    "noon",
    "serial",
    "number",
    "is",
    "on",
    "the",
    "label",
    "behind",
];

/// Seeded, so that two runs measure the same bytes.
pub struct Tickets(fastrand::Rng);

impl Tickets {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            text.push_str(WORDS[self.0.usize(..WORDS.len())]);
            text.push(' ');
            if self.0.u8(..12) == 0 {
                text.push_str(&self.0.u32(..).to_string());
                text.push(' ');
            }
        }
        text.trim_end().to_owned()
    }

    /// For the local API.
    pub fn ask(&mut self) -> FileTicket {
        FileTicket {
            id: None,
            subject: self.text(40),
            description: self.text(640),
            category: Some("hardware".to_owned()),
            priority: branchline_protocol::operation::Priority::Normal,
            contact: Contact {
                name: Some("Marie Dupont".to_owned()),
                phone: Some(format!(
                    "+33 4 72 {:02} {:02}",
                    self.0.u8(..99),
                    self.0.u8(..99)
                )),
                mail: None,
            },
            asset: Some(format!("PC-{:05}", self.0.u32(..99_999))),
        }
    }

    /// For the store.
    pub fn filing(&mut self, n: u64) -> Filing {
        let ask = self.ask();
        let millis = 1_790_000_000_000 + i64::try_from(n).expect("a small count");
        let random = std::array::from_fn(|_| self.0.u8(..));
        Filing {
            id: OperationId::from_parts(millis.unsigned_abs(), random),
            at: LocalTime {
                millis: UnixMillis(millis),
                offset_minutes: 60,
            },
            by: Reporter {
                user: "marie".to_owned(),
            },
            ask: Ask::Ticket(TicketDraft {
                subject: ask.subject,
                description: ask.description,
                category: ask.category.expect("set above"),
                priority: ask.priority,
                contact: ask.contact,
                asset: ask.asset,
            }),
        }
    }
}

/// Fills a journal with the tickets of these numbers, as many filers at once would. A number that was filed
/// before is the same ticket again.
pub async fn fill(settings: StoreSettings, numbers: std::ops::Range<u64>) {
    let store = Store::open(settings, UnixMillis(1_790_000_000_000)).expect("open the store");
    let store = std::sync::Arc::new(store);
    let mut tickets = Tickets::new(7);
    let mut under_way = tokio::task::JoinSet::new();
    for n in numbers {
        let (store, filing) = (store.clone(), tickets.filing(n));
        under_way.spawn(async move { store.save(filing).await.expect("save") });
        if under_way.len() >= 400 {
            under_way.join_next().await;
        }
    }
    while under_way.join_next().await.is_some() {}
}
