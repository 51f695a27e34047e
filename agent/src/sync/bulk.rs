//! The bulk lane: carries files' chunks to central beside the loop that carries operations, and never in
//! its way (P7).
//!
//! On the data's way: store → **sync** → link. What goes next is [`plan`]'s decision, how fast it goes
//! [`branchline_protocol::pace`]'s; this task carries both out and owns their state. Nothing of it
//! outlives the process: the store says which files are open, central what it lacks of them.
//!
//! One announcement and up to [`limits::CHUNK_BODIES_IN_FLIGHT`] bodies are on their way at once. A body
//! that broke gives its chunks back to the plan. After a failure of the way, bare connections find out
//! whether it is open again; after one of central, one exchange does.

mod delay;
mod exchange;
mod plan;
pub mod rate;

use std::sync::Arc;
use std::time::Duration;

use branchline_agent_api::{LastError, LinkState, SendingStatus};
use branchline_protocol::file::FileFault;
use branchline_protocol::id::FileId;
use branchline_protocol::limits;
use branchline_protocol::manifest::{ChunksReply, FileStanding, Places, Standing};
use branchline_protocol::outcome::{Outcome, Trouble};
use branchline_protocol::pace::{BodySize, InFlight};
use branchline_protocol::problem::ErrorClass;
use futures_util::future::join_all;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{SyncStatus, UploadProgress};
use crate::link::Answer;
use crate::link::bulk::{BulkLink, probe};
use crate::link::gate::Gate;
use crate::store::files::UploadNote;
use crate::store::{Store, StoreError};
use delay::Delay;
use exchange::{Announced, Done, Sent};
use plan::{Plan, Wanted};
use rate::RateStatus;

/// Bytes of bodies in memory at once, whatever the link could carry.
const IN_FLIGHT_BYTES: usize = 12 * 1024 * 1024;
/// Files that are asked of the store for being the oldest.
const OLDEST: usize = 64;
/// How often the store is asked for files without being told to.
const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// How long to wait after the store failed.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// Wakes the lane: operations were acknowledged, or central has news of files.
#[derive(Debug, Default)]
pub struct BulkWake(Notify);

impl BulkWake {
    /// There may be something to send.
    pub fn tell(&self) {
        self.0.notify_one();
    }
}

/// How the lane is, for the status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BulkStatus {
    /// What hinders it, while something does.
    pub trouble: Option<LastError>,
}

/// What can be seen of the lane from outside.
#[derive(Debug, Clone)]
pub struct BulkView {
    /// What its pieces pass.
    pub gate: Arc<Gate>,
    /// What the lane says.
    pub status: watch::Receiver<BulkStatus>,
    /// Whose rate holds, and what is wrong with the configuration file.
    pub rate: watch::Receiver<RateStatus>,
}

impl BulkView {
    /// For the status.
    pub fn sending(&self) -> SendingStatus {
        SendingStatus {
            bytes_per_second: self.gate.going(),
            limit: self.gate.limit(),
            sent_bytes: self.gate.sent(),
            trouble: self.status.borrow().trouble.clone(),
            limit_by: self.rate.borrow().by,
            settings_fault: self.rate.borrow().fault.clone(),
        }
    }
}

/// The task.
pub struct BulkLane {
    store: Arc<Store>,
    link: BulkLink,
    wake: Arc<BulkWake>,
    uploads: Arc<UploadProgress>,
    control: watch::Receiver<SyncStatus>,
    status: watch::Sender<BulkStatus>,
    plan: Plan,
    size: BodySize,
    in_flight: InFlight,
    delay: Delay,
    tasks: JoinSet<Done>,
    bodies: usize,
    /// Bytes as stored for each thousand as they are, lately: how much a body may be filled by.
    stored_per_mille: usize,
    refresh_at: Instant,
    started: Instant,
}

enum Event {
    Done(Done),
    Refresh,
    Due,
    Connected,
    Shutdown,
}

impl BulkLane {
    /// Prepares the lane; nothing is sent before [`BulkLane::run`]. `control` says when the control lane
    /// got through; `status` is where the lane says how it is.
    pub fn new(
        store: Arc<Store>,
        link: BulkLink,
        wake: Arc<BulkWake>,
        uploads: Arc<UploadProgress>,
        control: watch::Receiver<SyncStatus>,
        status: watch::Sender<BulkStatus>,
    ) -> Self {
        let started = Instant::now();
        Self {
            store,
            link,
            wake,
            uploads,
            control,
            status,
            plan: Plan::default(),
            size: BodySize::default(),
            in_flight: InFlight::new(Duration::ZERO),
            delay: Delay::new(started),
            tasks: JoinSet::new(),
            bodies: 0,
            stored_per_mille: 1_000,
            refresh_at: started,
            started,
        }
    }

    /// Runs until shutdown. What is on its way then is given up: it is asked for again at the next start.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let link = self.link.clone();
        let mut probing = None;
        loop {
            if let Err(fault) = self.act().await
                && self.recover(&fault, &shutdown).await
            {
                return;
            }
            // The link is timed while something is on its way, and not for its own sake.
            if self.tasks.is_empty() {
                probing = None;
            } else if probing.is_none() {
                probing = Some(Box::pin(probe(link.clone())));
            }
            let event = tokio::select! {
                event = self.wait(&shutdown) => event,
                () = maybe(&mut probing) => continue,
            };
            let handled = match event {
                Event::Shutdown => return,
                Event::Done(done) => self.handle(done).await,
                Event::Refresh => {
                    self.refresh_at = Instant::now();
                    Ok(())
                }
                Event::Connected => {
                    self.delay.way_is_open();
                    Ok(())
                }
                Event::Due => Ok(()),
            };
            if let Err(fault) = handled
                && self.recover(&fault, &shutdown).await
            {
                return;
            }
        }
    }

    /// Begins whatever may begin now.
    async fn act(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        if now >= self.refresh_at {
            self.refresh().await?;
        }
        if now < self.delay.not_before() {
            return Ok(());
        }
        // After a failure, one exchange finds out for all.
        if self.delay.is_failing() && !self.tasks.is_empty() {
            return Ok(());
        }
        if self.delay.is_by_the_way() {
            if self.plan.len() > 0 {
                self.tasks.spawn(exchange::knock(self.link.clone()));
            }
            return Ok(());
        }
        if self.tasks.is_empty() {
            self.in_flight.idle(self.now());
        }
        self.begin_announcement();
        let at_once = if self.delay.is_failing() {
            usize::from(self.tasks.is_empty())
        } else {
            self.in_flight.bodies()
        };
        while self.bodies < at_once && self.begin_body() {}
        Ok(())
    }

    async fn refresh(&mut self) -> Result<(), StoreError> {
        self.refresh_at = Instant::now() + REFRESH_EVERY;
        if self.plan.len() >= plan::FILES {
            return Ok(());
        }
        // Those under way, and those set aside, are among the smallest again.
        let smallest = limits::ANNOUNCED_FILES + self.plan.len() + self.plan.set_aside();
        let files = self.store.files_to_send(smallest, OLDEST).await?;
        let now = self.now();
        self.plan.adopt(now, files);
        Ok(())
    }

    fn begin_announcement(&mut self) {
        let now = self.now();
        let asks = self.plan.announcement(now, self.size.bytes());
        if !asks.is_empty() {
            let (store, link) = (self.store.clone(), self.link.clone());
            self.tasks.spawn(exchange::announce(store, link, asks));
        }
    }

    fn begin_body(&mut self) -> bool {
        let share = IN_FLIGHT_BYTES / self.in_flight.bodies().max(1);
        let stored = self
            .size
            .bytes()
            .min(share.max(limits::LEAST_CHUNK_BODY_BYTES));
        let picked = self
            .plan
            .body(stored.saturating_mul(1_000) / self.stored_per_mille.max(50));
        if picked.is_empty() {
            return false;
        }
        self.bodies += 1;
        let (store, link) = (self.store.clone(), self.link.clone());
        self.tasks.spawn(exchange::send(store, link, picked));
        true
    }

    async fn wait(&mut self, shutdown: &CancellationToken) -> Event {
        let mut due = self.refresh_at;
        if let Some(at) = self.plan.due(self.now()) {
            due = due.min(self.started + at);
        }
        if self.delay.not_before() > Instant::now() {
            due = due.min(self.delay.not_before());
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Event::Shutdown,
            Some(joined) = self.tasks.join_next(), if !self.tasks.is_empty() => match joined {
                Ok(done) => Event::Done(done),
                Err(fault) => {
                    tracing::error!(error = %fault, "an exchange of the bulk lane ended early");
                    Event::Done(Done::Lost)
                }
            },
            () = self.wake.0.notified() => Event::Refresh,
            () = connected(&mut self.control), if self.delay.is_failing() => Event::Connected,
            () = tokio::time::sleep_until(due) => Event::Due,
        }
    }

    async fn handle(&mut self, done: Done) -> Result<(), StoreError> {
        match done {
            Done::Announced(announced) => self.handle_announced(announced).await,
            Done::Sent(sent) => {
                self.bodies = self.bodies.saturating_sub(1);
                self.handle_sent(sent).await
            }
            Done::Knocked(_, Ok(())) => {
                self.delay.door_is_open();
                self.link.gate().resumed();
                Ok(())
            }
            Done::Knocked(begun, Err(outcome)) => {
                self.failed(begun, &outcome);
                Ok(())
            }
            Done::Store(fault) => Err(fault),
            Done::Lost => Err(StoreError::Failed(
                "an exchange of the bulk lane ended early".to_owned(),
            )),
        }
    }

    async fn handle_announced(&mut self, announced: Announced) -> Result<(), StoreError> {
        self.plan.announcement_ended();
        for file in &announced.unreadable {
            self.forget(*file);
        }
        match announced.answer {
            Some(Answer::Reply(reply)) if reply.files.len() == announced.asked.len() => {
                self.got_through();
                let mut notes = Vec::new();
                for (file, standing) in announced.asked.iter().zip(reply.files) {
                    if standing.file == *file {
                        notes.extend(self.handle_standing(standing).await?);
                    }
                }
                self.plan.standings_told();
                self.note(notes).await?;
            }
            Some(Answer::Reply(_)) => {
                self.failed(announced.begun, &unfit("files"));
            }
            Some(Answer::Outcome(outcome)) => self.failed(announced.begun, &outcome),
            None => {}
        }
        Ok(())
    }

    async fn handle_standing(
        &mut self,
        standing: FileStanding,
    ) -> Result<Option<(FileId, UploadNote)>, StoreError> {
        let file = standing.file;
        let now = self.now();
        match standing.standing {
            Standing::Wanted { announced, missing } => {
                let wanted = self.wanted(file, &missing).await?;
                self.plan.want(now, file, announced, &missing, wanted);
                self.show(file);
                Ok(None)
            }
            Standing::Received { .. } => Ok(Some((file, UploadNote::Received))),
            Standing::Refused { fault } => Ok(Some((file, UploadNote::Refused(fault)))),
            Standing::NoRoom => {
                self.plan.no_room(now, file);
                let advice = FileFault::CentralQuota.advice();
                self.say(ErrorClass::CallIt, advice.to_owned());
                Ok(None)
            }
            Standing::NotAttached | Standing::Other => {
                tracing::warn!(%file, "central does not take a file just now");
                self.plan.put_aside(now, file);
                self.show(file);
                Ok(None)
            }
        }
    }

    /// The chunks at these places. Bounded by what one answer may name, whatever this one names.
    async fn wanted(&self, file: FileId, missing: &[Places]) -> Result<Vec<Wanted>, StoreError> {
        let mut wanted = Vec::new();
        for range in missing.iter().take(limits::MISSING_RANGES) {
            let room = limits::MISSING_CHUNKS - wanted.len();
            let count = (range.1 as usize).min(room);
            if count == 0 {
                continue;
            }
            let chunks = self.store.chunks_of(file, range.0, count).await?;
            let places = (range.0..).zip(chunks);
            wanted.extend(places.map(|(place, chunk)| Wanted { place, chunk }));
        }
        Ok(wanted)
    }

    async fn handle_sent(&mut self, sent: Sent) -> Result<(), StoreError> {
        self.plan.again(&sent.unsent);
        for one in &sent.decayed {
            // The store has said so, and gives the file out no more.
            self.plan.again(std::slice::from_ref(one));
            self.forget(one.file);
        }
        match sent.answer {
            None => {}
            Some(Answer::Reply(reply)) if fits(&reply, sent.picked.len()) => {
                self.got_through();
                let plain: usize = sent
                    .picked
                    .iter()
                    .map(|one| one.wanted.chunk.size() as usize)
                    .sum();
                self.learn(sent.bytes, plain, &sent.timing);
                let now = self.now();
                let received = self.plan.answered(now, &sent.picked, &reply);
                let mut shown: Vec<FileId> = sent.picked.iter().map(|one| one.file).collect();
                shown.dedup();
                for file in shown {
                    self.show(file);
                }
                let notes = received
                    .into_iter()
                    .map(|file| (file, UploadNote::Received));
                self.note(notes.collect()).await?;
            }
            Some(Answer::Reply(_)) => {
                self.plan.again(&sent.picked);
                self.failed(sent.begun, &unfit("chunks"));
            }
            Some(Answer::Outcome(outcome)) => {
                self.plan.again(&sent.picked);
                self.failed(sent.begun, &outcome);
            }
        }
        Ok(())
    }

    /// A body arrived: what that says of the link.
    fn learn(&mut self, stored: usize, plain: usize, timing: &crate::link::bulk::Timing) {
        let distance = self.link.gate().distance().unwrap_or_default();
        let now = self.now();
        let paced = timing.held * 2 > timing.took;
        self.size.arrived(stored, timing.took, distance);
        self.in_flight.arrived(now, stored, paced, distance);
        let part = (stored * 1_000).checked_div(plain).unwrap_or(1_000);
        self.stored_per_mille = (self.stored_per_mille * 3 + part.min(1_000)) / 4;
        tracing::debug!(
            bytes = stored,
            took = ?timing.took,
            held = ?timing.held,
            next = self.size.bytes(),
            at_once = self.in_flight.bodies(),
            "a body of chunks arrived"
        );
    }

    /// Keeps what central said of files; as many at once as the store syncs together.
    async fn note(&mut self, notes: Vec<(FileId, UploadNote)>) -> Result<(), StoreError> {
        if notes.is_empty() {
            return Ok(());
        }
        for (file, _) in &notes {
            self.forget(*file);
        }
        let store = &self.store;
        let kept = join_all(
            notes
                .iter()
                .map(|(file, note)| store.note_upload(*file, *note)),
        )
        .await;
        self.refresh_at = Instant::now();
        kept.into_iter().collect()
    }

    fn forget(&mut self, file: FileId) {
        self.plan.done(file);
        self.uploads.forget(file);
    }

    /// Shows how far a file is.
    fn show(&self, file: FileId) {
        match self.plan.held(file) {
            Some(held) => self.uploads.set(file, held),
            None => self.uploads.forget(file),
        }
    }

    fn got_through(&mut self) {
        if self.delay.got_through() {
            tracing::info!("files go to central again");
            self.link.gate().resumed();
        }
        self.status
            .send_if_modified(|status| status.trouble.take().is_some());
    }

    fn failed(&mut self, begun: Instant, outcome: &Outcome) {
        let was_failing = self.delay.is_failing();
        // What broke together counts once.
        let Some(delay) = self.delay.failed(begun, outcome) else {
            return;
        };
        let trouble = match outcome {
            Outcome::Retry { trouble, .. }
            | Outcome::Smaller { trouble }
            | Outcome::Renew { trouble }
            | Outcome::Refused { trouble }
            | Outcome::Reenrol { trouble } => trouble.clone(),
            Outcome::Done | Outcome::Gap { .. } | Outcome::Diverged { .. } => {
                unfit_trouble("files")
            }
        };
        if was_failing {
            tracing::debug!(again_in = ?delay, trouble = %trouble.words, "files do not get through");
        } else {
            tracing::warn!(again_in = ?delay, trouble = %trouble.words, "files do not get through");
        }
        // An outage says once that the link has changed, however often it is felt.
        let on_the_way = !trouble.central_answered && !was_failing;
        if on_the_way || matches!(outcome, Outcome::Smaller { .. }) {
            self.size.failed();
            let now = self.now();
            self.in_flight.failed(now);
            self.link.forget_connections();
        }
        self.say(trouble.class, trouble.words);
    }

    fn say(&self, class: ErrorClass, words: String) {
        let trouble = LastError {
            at: crate::ids::now(),
            class,
            words,
        };
        self.status
            .send_modify(|status| status.trouble = Some(trouble));
    }

    /// The store failed: give up what is on its way, wait, and start over from what it holds. Answers
    /// whether to end.
    async fn recover(&mut self, fault: &StoreError, shutdown: &CancellationToken) -> bool {
        if matches!(fault, StoreError::Closed) {
            return true;
        }
        tracing::error!(error = %fault, "the bulk lane cannot use the store");
        self.say(ErrorClass::CallIt, format!("{fault}."));
        self.tasks = JoinSet::new();
        self.bodies = 0;
        self.plan = Plan::default();
        self.refresh_at = Instant::now();
        tokio::select! {
            () = shutdown.cancelled() => true,
            () = tokio::time::sleep(STORE_RETRY) => false,
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Whether an answer is one to a body of so many frames.
fn fits(reply: &ChunksReply, frames: usize) -> bool {
    reply.frames as usize == frames
}

fn unfit(what: &str) -> Outcome {
    Outcome::Refused {
        trouble: unfit_trouble(what),
    }
}

fn unfit_trouble(what: &str) -> Trouble {
    Trouble {
        class: ErrorClass::CallIt,
        central_answered: true,
        words: format!("Central's answer does not fit the {what} that were sent."),
    }
}

/// Resolves when the control lane has got through since it was last looked at.
async fn connected(control: &mut watch::Receiver<SyncStatus>) {
    loop {
        if control.changed().await.is_err() {
            return std::future::pending().await;
        }
        if control.borrow_and_update().link.state == LinkState::Connected {
            return;
        }
    }
}

async fn maybe<F: Future<Output = ()> + Unpin>(future: &mut Option<F>) {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
