//! Times the link while bulk goes: a tiny request again and again, on connections of its own, which waits
//! where tickets would wait.

use std::time::Duration;

use branchline_protocol::exchange::{PROTOCOL_VERSION, VERSION_HEADER};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::Request;
use http::header::{CACHE_CONTROL, HOST};
use tokio::time::Instant;

use super::BulkLink;
use super::connection::Connection;
use super::paced_body::PacedBody;
use crate::link::gate::Probed;

/// What is asked for: an answer that costs central nothing.
const PATH: &str = "/livez";
/// Probes at once: a lost one must not silence the others.
const AT_ONCE: usize = 3;
/// An answer later than this tells nothing any more.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);
/// Pause where there is no connection to be had.
const AWAY: Duration = Duration::from_secs(1);

/// Probes until dropped, as often as the pace wants it, and tells the gate.
pub async fn probe(link: BulkLink) {
    let mut free: Vec<Connection> = Vec::new();
    let mut under_way = FuturesUnordered::new();
    let mut next = Instant::now();
    loop {
        tokio::select! {
            Some(ended) = under_way.next(), if !under_way.is_empty() => match ended {
                Some(connection) => free.push(connection),
                None => next = next.max(Instant::now() + AWAY),
            },
            () = tokio::time::sleep_until(next), if under_way.len() < AT_ONCE => {
                under_way.push(once(&link, usable(&link, &mut free)));
                next = Instant::now() + link.gate().probe_times().0;
            }
        }
    }
}

fn usable(link: &BulkLink, free: &mut Vec<Connection>) -> Option<Connection> {
    while let Some(mut connection) = free.pop() {
        if link.is_usable(&mut connection) {
            return Some(connection);
        }
    }
    None
}

/// One probe. Gives the connection back if it is still good, and `None` where the link gave nothing.
async fn once(link: &BulkLink, connection: Option<Connection>) -> Option<Connection> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => link.open().await.ok()?,
    };
    let (body, progress) = PacedBody::new(link.gate().clone(), Vec::new());
    let request = Request::get(PATH)
        .header(HOST, link.shared.link.way().origin.authority())
        .header(VERSION_HEADER, PROTOCOL_VERSION)
        .header(CACHE_CONTROL, "no-cache")
        .body(body)
        .ok()?;
    let started = Instant::now();
    let overdue_after = link.gate().probe_times().1;
    let mut late = false;
    let answered = {
        let exchange = connection.exchange(request, &progress, |seen| {
            seen.since.elapsed() > GIVE_UP_AFTER
        });
        tokio::pin!(exchange);
        tokio::select! {
            answered = &mut exchange => answered,
            () = tokio::time::sleep(overdue_after) => {
                late = true;
                link.gate().probed(Probed::Overdue(overdue_after));
                exchange.await
            }
        }
    };
    answered.ok()?;
    let took = started.elapsed();
    link.gate().probed(if late {
        Probed::Late(took)
    } else {
        Probed::Answered(took)
    });
    Some(connection)
}
