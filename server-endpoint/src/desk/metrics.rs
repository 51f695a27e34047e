//! Figures for Prometheus, in its text format: what the desk does, how far the read model is, and how
//! branches are.
//!
//! They are for whoever may read, by an API token: a proxy on the same machine makes everybody look like
//! the machine itself, so that where a request comes from is no proof.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use branchline_protocol::time::UnixMillis;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

use super::Desk;
use super::branches::{AgentView, Taken, TargetView, Trouble};
use super::callers::Reader;
use super::problem::Refusal;
use crate::authority::{HoldingKind, Part};
use crate::inspection::Scanning;
use crate::ledger::{Contact, now};

const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Upper bounds of the times that are counted, in milliseconds.
const BOUNDS_MILLIS: [u64; 8] = [5, 20, 50, 100, 300, 1_000, 3_000, 10_000];

/// What is counted as it happens.
#[derive(Default)]
pub(super) struct Metrics {
    /// By the first digit of the status.
    statuses: [AtomicU64; 6],
    /// As many as took at most so long, by [`BOUNDS_MILLIS`].
    within: [AtomicU64; BOUNDS_MILLIS.len()],
    millis: AtomicU64,
}

impl Metrics {
    /// A request was answered.
    pub(super) fn count(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100);
        if let Some(count) = self.statuses.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.millis.fetch_add(millis, Ordering::Relaxed);
        for (bound, count) in BOUNDS_MILLIS.iter().zip(&self.within) {
            if millis <= *bound {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn write(&self, text: &mut Text) {
        text.family(
            "branchline_desk_requests_total",
            "counter",
            "Requests answered, by the first digit of their status.",
        );
        let mut all = 0;
        for (class, count) in self.statuses.iter().enumerate().skip(1) {
            let count = count.load(Ordering::Relaxed);
            all += count;
            let label = format!("class=\"{class}xx\"");
            text.value("branchline_desk_requests_total", &label, count);
        }
        text.family(
            "branchline_desk_request_seconds",
            "histogram",
            "How long requests took to their answer's head.",
        );
        for (bound, count) in BOUNDS_MILLIS.iter().zip(&self.within) {
            let label = format!("le=\"{}\"", seconds(*bound));
            let count = count.load(Ordering::Relaxed);
            text.value("branchline_desk_request_seconds_bucket", &label, count);
        }
        text.value("branchline_desk_request_seconds_bucket", "le=\"+Inf\"", all);
        let sum = seconds(self.millis.load(Ordering::Relaxed));
        text.value("branchline_desk_request_seconds_sum", "", sum);
        text.value("branchline_desk_request_seconds_count", "", all);
    }
}

/// The text format.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into memory does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = if labels.is_empty() {
            writeln!(self.0, "{name} {value}")
        } else {
            writeln!(self.0, "{name}{{{labels}}} {value}")
        };
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, "gauge", help);
        self.value(name, "", value);
    }
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

/// Figures for Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, content_type = "text/plain")))]
pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    Reader(_): Reader,
) -> Result<Response, Refusal> {
    let mut text = Text::default();
    text.family("branchline_build_info", "gauge", "This server's version.");
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    text.value("branchline_build_info", &version, 1);
    desk.metrics.write(&mut text);
    text.gauge(
        "branchline_desk_live_connections",
        "Consoles that watch.",
        desk.live.sockets.count(),
    );
    let freshness = *desk.model.freshness().borrow();
    text.gauge(
        "branchline_read_model_position",
        "The last event that questions are answered with.",
        freshness.position,
    );
    text.gauge(
        "branchline_read_model_behind_seconds",
        "For how long the ledger could not be followed.",
        seconds(since(freshness.behind_since)),
    );
    text.gauge(
        "branchline_ledger_up",
        "1 where the ledger answers the desk.",
        u8::from(desk.away_since().is_none()),
    );
    write_central(&desk, &mut text);
    text.gauge(
        "branchline_tickets_overdue",
        "Tickets with something that was due before now.",
        desk.model.overdue(now()).await?,
    );
    text.family(
        "branchline_tickets",
        "gauge",
        "Tickets by branch and state.",
    );
    for (branch, state, tickets) in desk.model.tally().await? {
        // Codes and states are small letters, capitals and digits: nothing is to be escaped.
        let labels = format!("branch=\"{branch}\",state=\"{state}\"");
        text.value("branchline_tickets", &labels, tickets);
    }
    if let Some(taken) = desk.snapshot.now() {
        write_branches(&mut text, &taken);
    }
    let mut response = text.0.into_response();
    let media = HeaderValue::from_static(MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, media);
    Ok(response)
}

/// What central itself needs, and how long it will have it.
fn write_central(desk: &Desk, text: &mut Text) {
    match desk.watched.scanner.now() {
        Scanning::NotConfigured => {}
        scanning => text.gauge(
            "branchline_scanner_up",
            "1 where the virus scanner answers; not there where none is configured.",
            u8::from(scanning == Scanning::There),
        ),
    }
    let name = "branchline_certificate_end_timestamp_seconds";
    text.family(name, "gauge", "When central's own certificates end.");
    // Those of a root that is being retired are meant to end.
    let held = desk.enrolling.authority.holdings().unwrap_or_default();
    for holding in held.iter().filter(|it| it.part == Part::Current) {
        let kind = match holding.kind {
            HoldingKind::Server => "server",
            HoldingKind::Issuing => "issuing",
            HoldingKind::Root { .. } => "root",
        };
        let label = format!("certificate=\"{kind}\"");
        text.value(name, &label, holding.not_after.0 / 1_000);
    }
}

fn write_targets(text: &mut Text, taken: &Taken) {
    type Value = fn(&TargetView) -> u64;
    let families: [(&str, &str, Value); 3] = [
        (
            "branchline_outbox_failing_seconds",
            "For how long the target has taken nothing.",
            |target| since(target.state.failing_since) / 1_000,
        ),
        (
            "branchline_outbox_dead_letters",
            "Letters to the target that were given up.",
            |target| target.dead_letters,
        ),
        (
            "branchline_outbox_position",
            "The last event that the target has.",
            |target| position(&target.state.mark),
        ),
    ];
    for (name, help, value) in families {
        text.family(name, "gauge", help);
        for target in &taken.targets {
            // Small letters, digits and hyphens.
            let label = format!("target=\"{}\"", target.name);
            text.value(name, &label, value(target));
        }
    }
}

/// Milliseconds since then.
fn since(at: Option<UnixMillis>) -> u64 {
    at.map_or(0, |at| {
        u64::try_from(now().0.saturating_sub(at.0)).unwrap_or_default()
    })
}

/// Of a mark, which is a position and a tag of what stands there.
fn position(mark: &str) -> u64 {
    let position = mark.split_once('-').map_or(mark, |(position, _)| position);
    position.parse().unwrap_or_default()
}

fn write_branches(text: &mut Text, taken: &Taken) {
    let agents = || taken.branches.iter().flat_map(|branch| &branch.agents);
    text.gauge("branchline_branches", "Branches.", taken.branches.len());
    for (name, help, value) in OF_AGENTS {
        text.family(name, "gauge", help);
        for branch in &taken.branches {
            // What was revoked is meant to be gone.
            let agents = branch.agents.iter();
            for agent in agents.filter(|agent| agent.record.revoked_at.is_none()) {
                if let Some(value) = value(agent) {
                    let (code, ordinal) = (&branch.code, agent.record.ordinal);
                    let labels = format!("branch=\"{code}\",agent=\"{ordinal}\"");
                    text.value(name, &labels, value);
                }
            }
        }
    }
    text.family(
        "branchline_agents_troubled",
        "gauge",
        "Agents with this trouble.",
    );
    for trouble in Trouble::ALL {
        let label = format!("trouble=\"{}\"", trouble.as_str());
        let count = agents().filter(|agent| agent.troubles.contains(&trouble));
        text.value("branchline_agents_troubled", &label, count.count());
    }
    if let Some(room) = taken.room {
        text.gauge(
            "branchline_vault_room_bytes",
            "Bytes that files may still take at central before the reserve for tickets.",
            room,
        );
    }
    write_targets(text, taken);
}

type OfAgent = (&'static str, &'static str, fn(&AgentView) -> Option<String>);

/// What is said of each agent, where it is known.
const OF_AGENTS: [OfAgent; 9] = [
    (
        "branchline_agent_connected",
        "1 where the agent was heard of a moment ago.",
        |agent| Some(u8::from(agent.connected).to_string()),
    ),
    (
        "branchline_agent_last_contact_timestamp_seconds",
        "When the agent was last heard of.",
        |agent| Some((contact(agent)?.at.0 / 1_000).to_string()),
    ),
    (
        "branchline_agent_refused_timestamp_seconds",
        "When central last refused to speak with the agent, where it was not heard of since; else 0.",
        |agent| {
            let refused = agent.record.refused.as_ref();
            Some(
                refused
                    .map_or(0, |refused| refused.at.0 / 1_000)
                    .to_string(),
            )
        },
    ),
    (
        "branchline_agent_waiting_operations",
        "Operations that waited at the branch when it was last heard of.",
        |agent| Some(contact(agent)?.waiting.to_string()),
    ),
    (
        "branchline_agent_oldest_waiting_seconds",
        "For how long the oldest of them has waited, by central's clock; 0 where nothing waits.",
        |agent| {
            let contact = contact(agent)?;
            let oldest = contact.oldest_waiting;
            let oldest = oldest.map(|it| UnixMillis(it.0.saturating_sub(contact.clock_skew)));
            Some(seconds(since(oldest)))
        },
    ),
    (
        "branchline_agent_disk_free_bytes",
        "Bytes left on the disk of the branch's machine.",
        |agent| Some(contact(agent)?.disk_free?.to_string()),
    ),
    (
        "branchline_agent_damaged_operations",
        "Operations that the branch cannot read any more.",
        |agent| Some(contact(agent)?.damaged.to_string()),
    ),
    (
        "branchline_agent_clock_skew_seconds",
        "By how much the branch's clock is ahead.",
        |agent| {
            let skew = contact(agent)?.clock_skew;
            let sign = if skew < 0 { "-" } else { "" };
            Some(format!("{sign}{}", seconds(skew.unsigned_abs())))
        },
    ),
    (
        "branchline_agent_certificate_end_timestamp_seconds",
        "When the agent's certificate ends.",
        |agent| Some((agent.record.certificate_until?.0 / 1_000).to_string()),
    ),
];

fn contact(agent: &AgentView) -> Option<&Contact> {
    agent.record.contact.as_ref()
}
