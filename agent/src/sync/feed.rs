//! The long poll on the feed: at most one at a time, and only while central is known to answer.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use branchline_protocol::exchange::FeedReply;
use branchline_protocol::limits;
use branchline_protocol::outcome::Outcome;
use tokio::time::Instant;

use crate::link::{Answer, Link};

pub(super) type FeedAnswer = Answer<FeedReply>;

/// A middlebox that cuts idle connections makes the wait shorter, down to this.
const LEAST_WAIT: Duration = Duration::from_secs(3);
/// Pause after a failed poll; the submissions find out about the link meanwhile.
const PAUSE: Duration = Duration::from_secs(5);

/// Pause between polls that bring news; doubled by each that ends early and brings none.
const LEAST_APART: Duration = Duration::from_millis(600);

pub(super) struct FeedPoll {
    cursor: Option<String>,
    wait: Duration,
    not_before: Instant,
    since: Instant,
    /// Polls in a row that ended early and brought nothing.
    idle: u32,
    polling: Option<Pin<Box<dyn Future<Output = FeedAnswer> + Send>>>,
}

impl FeedPoll {
    pub(super) fn new(cursor: Option<String>) -> Self {
        Self {
            cursor,
            wait: limits::FEED_WAIT,
            not_before: Instant::now(),
            since: Instant::now(),
            idle: 0,
            polling: None,
        }
    }

    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Resolves when a poll ends. Dropping the future keeps the poll going.
    pub(super) async fn poll(&mut self, link: &Link, connected: bool) -> FeedAnswer {
        if self.polling.is_none() {
            if !connected {
                return std::future::pending().await;
            }
            tokio::time::sleep_until(self.not_before).await;
        }
        if self.polling.is_none() {
            self.since = Instant::now();
        }
        let polling = self.polling.get_or_insert_with(|| {
            let (link, cursor, wait) = (link.clone(), self.cursor.clone(), self.wait);
            Box::pin(async move { link.feed(cursor.as_deref(), wait).await })
        });
        let answer = polling.await;
        self.polling = None;
        self.pace(&answer);
        answer
    }

    /// A feed that answers at once, again and again, is not asked as fast as it answers.
    fn pace(&mut self, answer: &FeedAnswer) {
        let now = Instant::now();
        let brought = match answer {
            Answer::Reply(reply) => reply.feed.iter().any(|event| event.body().is_some()),
            Answer::Outcome(_) => false,
        };
        let waited = now.duration_since(self.since) >= self.wait / 2;
        self.idle = if brought || waited {
            0
        } else {
            self.idle.saturating_add(1)
        };
        self.not_before = now + (LEAST_APART * (1 << self.idle.min(7))).min(PAUSE);
    }

    /// Takes a reply's cursor. `false`: nothing in it that the journal need keep.
    pub(super) fn accepts(&mut self, reply: &FeedReply) -> bool {
        if reply.cursor.len() > limits::CURSOR_BYTES || !reply.cursor.bytes().all(is_cursor_byte) {
            return false;
        }
        let news = !reply.feed.is_empty() || self.cursor.as_deref() != Some(&reply.cursor);
        if news {
            self.cursor = Some(reply.cursor.clone());
            // The poll under way asks behind the old cursor.
            self.polling = None;
        }
        news
    }

    pub(super) fn failed(&mut self, outcome: &Outcome) {
        self.not_before = Instant::now() + PAUSE;
        if matches!(outcome, Outcome::Retry { trouble, .. } if !trouble.central_answered) {
            self.wait = (self.wait / 2).max(LEAST_WAIT);
        }
    }
}

/// The cursor goes into a URL as it is.
fn is_cursor_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}
