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
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

use super::Desk;
use super::branches::{Taken, Trouble};
use super::callers::Reader;
use super::problem::Refusal;
use crate::ledger::now;

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
    let behind = freshness.behind_since.map_or(0, |since| {
        u64::try_from(now().0.saturating_sub(since.0)).unwrap_or_default()
    });
    text.gauge(
        "branchline_read_model_behind_seconds",
        "For how long the ledger could not be followed.",
        seconds(behind),
    );
    text.gauge(
        "branchline_ledger_up",
        "1 where the ledger answers the desk.",
        u8::from(desk.away_since().is_none()),
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

fn write_branches(text: &mut Text, taken: &Taken) {
    let agents = || taken.branches.iter().flat_map(|branch| &branch.agents);
    let of_agents = |text: &mut Text,
                     name: &str,
                     help: &str,
                     value: fn(&super::branches::AgentView) -> Option<String>| {
        text.family(name, "gauge", help);
        for branch in &taken.branches {
            for agent in &branch.agents {
                if let Some(value) = value(agent) {
                    let (code, ordinal) = (&branch.code, agent.record.ordinal);
                    text.value(
                        name,
                        &format!("branch=\"{code}\",agent=\"{ordinal}\""),
                        value,
                    );
                }
            }
        }
    };
    text.gauge("branchline_branches", "Branches.", taken.branches.len());
    of_agents(
        text,
        "branchline_agent_connected",
        "1 where the agent was heard of a moment ago.",
        |agent| Some(u8::from(agent.connected).to_string()),
    );
    of_agents(
        text,
        "branchline_agent_last_contact_timestamp_seconds",
        "When the agent was last heard of.",
        |agent| Some((agent.record.contact.as_ref()?.at.0 / 1_000).to_string()),
    );
    of_agents(
        text,
        "branchline_agent_waiting_operations",
        "Operations that waited at the branch when it was last heard of.",
        |agent| Some(agent.record.contact.as_ref()?.waiting.to_string()),
    );
    of_agents(
        text,
        "branchline_agent_certificate_end_timestamp_seconds",
        "When the agent's certificate ends.",
        |agent| Some((agent.record.certificate_until?.0 / 1_000).to_string()),
    );
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
}
