//! One loop that owns the state of the exchange with central: submissions, the feed, retries.
//!
//! On the data's way: store → **sync** → link, and back from the feed. The decisions are
//! [`branchline_protocol::sender`]'s; this loop carries them out, one at a time, and tells the status.
//! A killed process loses nothing here: all of it is computed again from the journal.

pub mod bulk;
pub mod enrolment;
mod feed;
pub mod fetching;
mod link_state;
pub mod membership;
pub mod renewal;
mod retry;
mod submission;
mod upload_progress;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use branchline_agent_api::{LastError, LinkStatus};
use branchline_protocol::event::EventBody;
use branchline_protocol::exchange::FeedReply;
use branchline_protocol::id::Seq;
use branchline_protocol::outcome::{Outcome, Trouble};
use branchline_protocol::problem::ErrorClass;
use branchline_protocol::sender::{Action, Sender, StreamState};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::link::gate::Gate;
use crate::link::{Answer, Link};
use crate::store::{Store, StoreError};

use bulk::BulkWake;
use feed::FeedPoll;
use membership::Membership;
use retry::RetryDelay;
use submission::Submitted;

pub use link_state::LinkWatch;
pub use upload_progress::UploadProgress;

/// How long to wait after the store failed before trying again.
const STORE_RETRY: Duration = Duration::from_secs(5);
/// How often operations beyond the retention time are removed.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// What the rest of the agent sees of the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncStatus {
    /// The way to central.
    pub link: LinkStatus,
    /// What went wrong last.
    pub last_error: Option<LastError>,
}

/// Wakes the loop when something was saved.
#[derive(Debug, Default)]
pub struct Appended(Notify);

impl Appended {
    /// Something was saved.
    pub fn tell(&self) {
        self.0.notify_one();
    }
}

/// What the control lane has to do with bulk.
#[derive(Debug, Clone, Default)]
pub struct BulkSide {
    /// Stands bulk back while something is being sent here.
    pub gate: Arc<Gate>,
    /// Told when files may have become sendable.
    pub wake: Arc<BulkWake>,
}

/// What the loop works with.
pub struct LoopParts {
    /// The journal.
    pub store: Arc<Store>,
    /// Told what central says of this agent.
    pub membership: Membership,
    /// Woken by filings.
    pub appended: Arc<Appended>,
    /// The other lane.
    pub bulk: BulkSide,
    /// How long acknowledged operations are kept.
    pub retention: Duration,
    /// Where it says how the link is.
    pub watch: LinkWatch,
}

type InFlight = Pin<Box<dyn Future<Output = Submitted> + Send>>;

/// The loop.
pub struct SyncLoop {
    store: Arc<Store>,
    link: Link,
    membership: Membership,
    appended: Arc<Appended>,
    bulk: BulkSide,
    retention: Duration,
    started: Instant,
    sender: Sender,
    in_flight: Option<InFlight>,
    feed: FeedPoll,
    retry: RetryDelay,
    watch: LinkWatch,
    prune_at: Instant,
}

enum Event {
    Submitted(Submitted),
    Feed(feed::FeedAnswer),
    Appended,
    Mended,
    Due,
    Prune,
    Shutdown,
}

impl SyncLoop {
    /// Prepares the loop; nothing is sent before [`SyncLoop::run`]. Waits for a journal that cannot be read
    /// just now; `None` at shutdown.
    pub async fn open(parts: LoopParts, link: Link, shutdown: &CancellationToken) -> Option<Self> {
        let found = loop {
            let store = &parts.store;
            let found = async { Ok((store.stream_state().await?, store.feed_cursor().await?)) };
            let fault: StoreError = match found.await {
                Ok(found) => break found,
                Err(fault) => fault,
            };
            tracing::error!(error = %fault, "the sync loop cannot use the journal");
            tokio::select! {
                () = shutdown.cancelled() => return None,
                () = tokio::time::sleep(STORE_RETRY) => {}
            }
        };
        Some(Self::new(parts, link, found))
    }

    fn new(parts: LoopParts, link: Link, (state, cursor): (StreamState, Option<String>)) -> Self {
        let LoopParts {
            store,
            membership,
            appended,
            bulk,
            retention,
            watch,
        } = parts;
        let started = Instant::now();
        Self {
            sender: Sender::new(Duration::ZERO, state),
            store,
            link,
            membership,
            appended,
            bulk,
            retention,
            started,
            in_flight: None,
            feed: FeedPoll::new(cursor),
            retry: RetryDelay::new(),
            watch,
            prune_at: started,
        }
    }

    /// Runs until shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let stepped = match self.act().await {
                Ok(wait_until) => match self.wait(wait_until, &shutdown).await {
                    Event::Shutdown => return,
                    event => self.handle(event).await,
                },
                Err(fault) => Err(fault),
            };
            if let Err(fault) = stepped
                && self.recover(&fault, &shutdown).await
            {
                return;
            }
        }
    }

    /// Carries out what the sender asks for, until it asks to wait.
    async fn act(&mut self) -> Result<Duration, StoreError> {
        loop {
            match self.sender.poll(self.now()) {
                Action::WaitUntil(at) => return Ok(at),
                Action::Compare { central } => {
                    let own = self.store.digest_at(central.seq).await?;
                    if let Some(position) = self.sender.handle_comparison(own) {
                        tracing::warn!(%position.seq, "central was restored; sending again from there");
                        self.store.rewind(position).await?;
                    }
                }
                Action::Fork {
                    cause,
                    from,
                    serials_used,
                } => {
                    let now = crate::ids::now();
                    let state = self.store.fork(cause, from, serials_used, now).await?;
                    tracing::warn!(?cause, ?from, stream = %state.stream, "opened a new stream");
                    self.sender.handle_forked(state);
                }
                Action::Submit {
                    after,
                    most_bytes,
                    most_operations,
                } => {
                    self.submit(after.seq, most_bytes, most_operations).await?;
                }
            }
        }
    }

    async fn wait(&mut self, wait_until: Duration, shutdown: &CancellationToken) -> Event {
        let due = self.started + wait_until.min(Duration::from_secs(86_400 * 365));
        let idle = self.in_flight.is_none();
        let feed = self.feed.poll(&self.link, self.watch.is_connected());
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Event::Shutdown,
            submitted = submitted(&mut self.in_flight) => Event::Submitted(submitted),
            () = self.appended.0.notified() => Event::Appended,
            () = self.membership.mended() => Event::Mended,
            answer = feed => Event::Feed(answer),
            () = tokio::time::sleep_until(due), if idle => Event::Due,
            () = tokio::time::sleep_until(self.prune_at) => Event::Prune,
        }
    }

    async fn handle(&mut self, event: Event) -> Result<(), StoreError> {
        match event {
            Event::Submitted(submitted) => {
                self.in_flight = None;
                self.handle_submitted(submitted).await
            }
            Event::Feed(answer) => self.handle_feed(answer).await,
            Event::Appended => {
                let head = self.store.stream_state().await?.head;
                self.sender.handle_appended(self.now(), head);
                Ok(())
            }
            Event::Mended => {
                self.sender.handle_mended(self.now());
                Ok(())
            }
            Event::Prune => self.prune().await,
            Event::Due | Event::Shutdown => Ok(()),
        }
    }

    async fn handle_feed(&mut self, answer: feed::FeedAnswer) -> Result<(), StoreError> {
        match answer {
            Answer::Reply(reply) => {
                self.watch.connected();
                self.membership.heard(reply.server_time);
                if self.feed.accepts(&reply) {
                    self.take_trust(&reply).await?;
                    if reply.rewound {
                        // Central was restored: what it lacks is asked now, not at the next heartbeat.
                        self.sender.handle_sign_of_life(self.now());
                    }
                    self.store.apply_feed(reply).await?;
                    self.bulk.wake.tell();
                }
                Ok(())
            }
            Answer::Outcome(outcome) => {
                // The feed broke: the next submission finds out what that means.
                self.feed.failed(&outcome);
                self.sender.handle_sign_of_life(self.now());
                Ok(())
            }
        }
    }

    async fn handle_submitted(&mut self, submitted: Submitted) -> Result<(), StoreError> {
        let now = self.now();
        match submitted {
            Answer::Reply(reply) => match self.sender.handle_reply(now, &reply) {
                Ok(settled) => {
                    self.retry.reset();
                    self.watch.connected();
                    self.membership.heard(reply.news.server_time);
                    if settled.journal_is_behind {
                        tracing::warn!("central holds more of this stream than the journal");
                    }
                    // News first: a feed that starts again makes the journal forget verdicts, and these
                    // are new ones.
                    if self.feed.accepts(&reply.news) {
                        self.take_trust(&reply.news).await?;
                        self.store.apply_feed(reply.news).await?;
                    }
                    self.store.acknowledge(settled, crate::ids::now()).await?;
                    self.bulk.wake.tell();
                    Ok(())
                }
                Err(unfit) => {
                    self.not_done(&Outcome::Refused {
                        trouble: self::unfit(unfit),
                    });
                    Ok(())
                }
            },
            Answer::Outcome(outcome) => {
                self.not_done(&outcome);
                Ok(())
            }
        }
    }

    /// Whom the feed names to be trusted is kept before the cursor moves past it.
    async fn take_trust(&mut self, reply: &FeedReply) -> Result<(), StoreError> {
        for event in &reply.feed {
            if let Some(EventBody::TrustChanged { trust }) = event.body() {
                let taken = self.membership.trust_changed(trust).await;
                taken.map_err(|fault| StoreError::Failed(fault.to_string()))?;
            }
        }
        Ok(())
    }

    fn not_done(&mut self, outcome: &Outcome) {
        self.membership.outcome(outcome);
        let delay = self.retry.after(outcome);
        let disputed = self.sender.is_fresh_fork();
        self.sender.handle_outcome(self.now(), outcome, delay);
        self.watch.outcome(outcome, delay, disputed);
    }

    async fn prune(&mut self) -> Result<(), StoreError> {
        let retention = i64::try_from(self.retention.as_millis()).unwrap_or(i64::MAX);
        let before = crate::ids::now().0.saturating_sub(retention);
        let more = self
            .store
            .prune(branchline_protocol::time::UnixMillis(before))
            .await?;
        let pause = if more {
            Duration::from_millis(100)
        } else {
            PRUNE_EVERY
        };
        self.prune_at = Instant::now() + pause;
        Ok(())
    }

    /// The store failed: say so, wait, and start over from what it holds. Answers whether to end.
    async fn recover(&mut self, fault: &StoreError, shutdown: &CancellationToken) -> bool {
        if matches!(fault, StoreError::Closed) {
            return true;
        }
        tracing::error!(error = %fault, "the sync loop cannot use the journal");
        self.watch.trouble(&Trouble {
            class: ErrorClass::CallIt,
            central_answered: false,
            words: format!("{fault}."),
        });
        self.in_flight = None;
        tokio::select! {
            () = shutdown.cancelled() => return true,
            () = tokio::time::sleep(STORE_RETRY) => {}
        }
        if let Ok(state) = self.store.stream_state().await {
            self.sender = Sender::new(self.now(), state);
        }
        // What was read of the feed and not kept is read again.
        if let Ok(cursor) = self.store.feed_cursor().await {
            self.feed = FeedPoll::new(cursor);
        }
        false
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// How far the present stream goes, for logs.
    fn head(&self) -> Seq {
        self.sender.state().head
    }
}

async fn submitted(in_flight: &mut Option<InFlight>) -> Submitted {
    match in_flight {
        Some(exchange) => exchange.await,
        None => std::future::pending().await,
    }
}

fn unfit(fault: branchline_protocol::sender::Unfit) -> Trouble {
    Trouble {
        class: ErrorClass::CallIt,
        central_answered: true,
        words: format!("{fault}."),
    }
}
