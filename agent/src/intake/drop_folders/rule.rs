//! One rule's loop: hears and looks, lets files settle, gathers bursts, and has them taken.
//!
//! It runs on a thread of its own, because a folder may lie on a share that does not answer: then this
//! thread hangs and nothing else does. All that it holds in memory can be lost: what was not filed is
//! found again by looking.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use branchline_agent_api::{DROP_FOLDER_TROUBLES, DropFolderState, FileTrouble};
use branchline_protocol::file::Actor;
use branchline_protocol::file_name::shown_name;
use branchline_protocol::problem::ErrorClass;
use branchline_protocol::time::UnixMillis;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::config::TicketPer;
use crate::platform::{FileKind, FilePrint, look, name_bytes, open_for_writing};
use crate::store::StoreError;

use super::super::settle::{Decision, Moment, Writer};
use super::burst::Burst;
use super::context::Context;
use super::folder::{self, Folder, Listing, Standing};
use super::names::Names;
use super::sent;
use super::taking::{self, Group, Outcome};
use super::tracked::{Stage, Tracked};
use super::watch::{Bell, Heard};

/// Between looks at a folder that is watched: events get lost.
const RESCAN_EVERY: Duration = Duration::from_secs(60);
/// Longest between looks at a folder that is not watched, or not there.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// A look at a folder may take this part of the time.
const SCAN_SHARE: u32 = 10;
/// Between two looks because of events, so that a busy writer does not keep the loop busy.
const PAUSE: Duration = Duration::from_millis(50);
/// Between moves to `sent/`, and after one that failed.
const SENT_EVERY: Duration = Duration::from_secs(2);
const SENT_AFTER_TROUBLE: Duration = Duration::from_secs(60);
/// Files followed at once; the rest are found when there is room.
const TRACKED_FILES: usize = 4_096;
/// Names handled between two looks at the clock.
const BATCH: usize = 500;
/// Groups being read at once: enough that their syncs are shared.
const TAKINGS: usize = 8;
/// Bytes of a group above which it is large; one of those is read at a time, beside small ones.
const LARGE_BYTES: u64 = 256 * 1024;
/// Links and folders of which it was said that they are passed over.
const SAID: usize = 1_000;

type Done = (bool, Vec<(OsString, Outcome)>);

/// One rule at work.
pub(super) struct Rule {
    cx: Arc<Context>,
    names: Names,
    bell: Arc<Bell>,
    folder: Folder,
    tracked: HashMap<OsString, Tracked>,
    /// Files that were seen and not followed for want of room.
    unfollowed: u64,
    burst: Burst,
    ready: VecDeque<Vec<OsString>>,
    takings: FuturesUnordered<LocalBoxFuture<'static, Done>>,
    large_under_way: bool,
    next_scan: Moment,
    next_sent: Moment,
    said: HashSet<OsString>,
}

impl Rule {
    pub(super) fn new(cx: Arc<Context>) -> Self {
        let bell = Arc::new(Bell::default());
        let own_folders = cx.agent.own_folders.clone();
        Self {
            names: Names::new(&cx.rule.patterns),
            folder: Folder::new(cx.rule.path.clone(), own_folders, bell.clone()),
            bell,
            tracked: HashMap::new(),
            unfollowed: 0,
            burst: Burst::new(cx.rule.settle()),
            ready: VecDeque::new(),
            takings: FuturesUnordered::new(),
            large_under_way: false,
            next_scan: Moment::ZERO,
            next_sent: Moment::ZERO,
            said: HashSet::new(),
            cx,
        }
    }

    /// Works until shutdown.
    pub(super) async fn run(mut self) {
        let shutdown = self.cx.agent.shutdown.clone();
        while !shutdown.is_cancelled() {
            if let Err(fault) = self.work().await {
                self.cx.error(ErrorClass::CallIt, &fault.to_string());
                self.next_scan = self.cx.now().saturating_add(POLL_EVERY);
            }
            self.publish();
            let wait = self.next_due().saturating_sub(self.cx.now());
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                Some(done) = self.takings.next() => self.settle_done(done),
                () = self.bell.rung() => tokio::time::sleep(PAUSE).await,
                () = tokio::time::sleep(wait.max(Duration::from_millis(1))) => {}
            }
        }
    }

    async fn work(&mut self) -> Result<(), StoreError> {
        let heard = self.bell.take();
        if heard.everything || self.cx.now() >= self.next_scan {
            // What was heard is looked at first, because it says what was moved into place.
            self.look_at_heard(heard).await?;
            self.scan().await?;
        } else {
            self.look_at_heard(heard).await?;
        }
        self.look_at_due();
        self.gather();
        self.start_takings();
        if self.cx.rule.move_to_sent && self.cx.now() >= self.next_sent {
            let troubled = sent::move_received(&self.cx).await?;
            let wait = if troubled {
                SENT_AFTER_TROUBLE
            } else {
                SENT_EVERY
            };
            self.next_sent = self.cx.now().saturating_add(wait);
        }
        Ok(())
    }

    /// When something must be done though nothing happens.
    fn next_due(&self) -> Moment {
        let files = self.tracked.values().filter_map(Tracked::due);
        let sent = self.cx.rule.move_to_sent.then_some(self.next_sent);
        files
            .chain(self.burst.ends_at())
            .chain(sent)
            .fold(self.next_scan, Moment::min)
    }

    /// Looks at the whole folder: what is new, and what has left it.
    async fn scan(&mut self) -> Result<(), StoreError> {
        let started = self.cx.now();
        let (standing, changed) = self.folder.visit(started);
        if changed {
            self.forget_all();
        }
        let every = match standing {
            Standing::Usable(state, words) => {
                let every = match state {
                    DropFolderState::Watching => RESCAN_EVERY,
                    _ => POLL_EVERY.min(self.cx.rule.settle()),
                };
                match self.list().await? {
                    Ok(()) => {
                        self.cx.become_state(state, words);
                        every
                    }
                    Err(fault) => self.unusable(&fault),
                }
            }
            Standing::Missing => self.unusable(&io::ErrorKind::NotFound.into()),
            Standing::Trouble(words) => self.unusable(&io::Error::other(words)),
        };
        let now = self.cx.now();
        let every = every.max(now.saturating_sub(started).saturating_mul(SCAN_SHARE));
        self.next_scan = now.saturating_add(every);
        Ok(())
    }

    fn unusable(&mut self, fault: &io::Error) -> Duration {
        self.folder.leave();
        self.forget_all();
        if fault.kind() == io::ErrorKind::NotFound {
            self.cx.become_state(DropFolderState::Missing, None);
        } else {
            let words = fault.to_string();
            self.cx.become_state(DropFolderState::Trouble, Some(words));
        }
        POLL_EVERY.min(self.cx.rule.settle())
    }

    /// Whatever was followed is found again by looking, if it is there. Files being read are read on.
    fn forget_all(&mut self) {
        self.tracked.retain(|_, file| file.stage == Stage::Taking);
        self.ready.clear();
        self.burst = Burst::new(self.cx.rule.settle());
        self.unfollowed = 0;
    }

    async fn list(&mut self) -> Result<io::Result<()>, StoreError> {
        let mut listing = match Listing::open(&self.cx.rule.path) {
            Ok(listing) => listing,
            Err(fault) => return Ok(Err(fault)),
        };
        self.unfollowed = 0;
        let mut present = folder::Names::default();
        loop {
            let names = match listing.next(BATCH) {
                Ok(names) if names.is_empty() => break,
                Ok(names) => names,
                Err(fault) => return Ok(Err(fault)),
            };
            for name in &names {
                present.add(&name_bytes(name));
            }
            self.look_at(names.into_iter().map(|name| (name, false)).collect())
                .await?;
            if self.cx.agent.shutdown.is_cancelled() {
                return Ok(Ok(()));
            }
        }
        self.tracked
            .retain(|name, file| file.stage == Stage::Taking || !present.lacks(&name_bytes(name)));
        self.note_gone(&present).await?;
        Ok(Ok(()))
    }

    /// Remembers which files have left the folder.
    async fn note_gone(&self, present: &folder::Names) -> Result<(), StoreError> {
        let (store, key) = (&self.cx.agent.store, self.cx.key);
        let mut after = Vec::new();
        loop {
            let here = store.dropped_here(key, after, 1_000).await?;
            let Some(last) = here.last() else {
                return Ok(());
            };
            after = last.clone();
            let gone: Vec<Vec<u8>> = here
                .into_iter()
                .filter(|name| present.lacks(name))
                .collect();
            if !gone.is_empty() {
                store.dropped_gone(key, gone).await?;
            }
        }
    }

    async fn look_at_heard(&mut self, heard: Heard) -> Result<(), StoreError> {
        let now = self.cx.now();
        let mut names: Vec<(OsString, bool)> = heard.names.into_iter().collect();
        for (name, _) in &names {
            if let Some(file) = self.tracked.get_mut(name) {
                file.heard(now);
            }
        }
        while !names.is_empty() {
            let rest = names.split_off(names.len().min(BATCH));
            self.look_at(std::mem::replace(&mut names, rest)).await?;
        }
        Ok(())
    }

    /// Looks at names, and follows those that are files, fit the rule and are not known.
    async fn look_at(&mut self, names: Vec<(OsString, bool)>) -> Result<(), StoreError> {
        let mut new: Vec<(OsString, bool, FilePrint)> = Vec::new();
        for (name, moved_in) in names {
            let Some(print) = self.look_at_one(&name) else {
                continue;
            };
            if let Some(file) = self.tracked.get_mut(&name) {
                let now = self.cx.now();
                let was_ready = file.stage == Stage::Ready;
                if file.seen(now, print, moved_in) || was_ready && file.stage != Stage::Ready {
                    self.burst.remove(&name);
                }
            } else {
                new.push((name, moved_in, print));
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let keys = new.iter().map(|(name, ..)| name_bytes(name)).collect();
        let known = self
            .cx
            .agent
            .store
            .dropped_before(self.cx.key, keys)
            .await?;
        let now = self.cx.now();
        for (name, moved_in, print) in new {
            let key = name_bytes(&name);
            match known.get(&key) {
                Some(before) if before.print == print => {
                    if before.gone {
                        let store = &self.cx.agent.store;
                        store
                            .recall_dropped(self.cx.key, before.clone(), key, print)
                            .await?;
                    }
                }
                _ if self.tracked.len() >= TRACKED_FILES => self.unfollowed += 1,
                _ => {
                    let file = Tracked::new(now, self.cx.rule.settle(), print, moved_in);
                    self.tracked.insert(name, file);
                }
            }
        }
        Ok(())
    }

    /// How a file looks, if it is one that this rule takes.
    fn look_at_one(&mut self, name: &OsStr) -> Option<FilePrint> {
        if !self.names.takes(name) {
            return None;
        }
        match look(&self.cx.rule.path.join(name)) {
            Ok(facts) if facts.kind == FileKind::File => return Some(facts.print),
            Ok(facts) => self.say_passed_over(name, facts.kind),
            Err(_) => {}
        }
        let is_read = |file: &Tracked| file.stage == Stage::Taking;
        if !self.tracked.get(name).is_some_and(is_read) && self.tracked.remove(name).is_some() {
            self.burst.remove(name);
        }
        None
    }

    /// Folders are expected in folders; of the rest it is said once that it is not taken.
    fn say_passed_over(&mut self, name: &OsStr, kind: FileKind) {
        if kind == FileKind::Folder || self.said.len() >= SAID || self.said.contains(name) {
            return;
        }
        self.said.insert(name.to_owned());
        let what = match kind {
            FileKind::Link => "is a symbolic link, and links are not followed",
            _ => "is not a file with content",
        };
        let name = shown_name(&name.to_string_lossy());
        self.cx
            .error(ErrorClass::FixInput, &format!("{name:?} {what}"));
    }

    /// Looks at files whose time has come, and asks of those that are still whether anybody writes.
    fn look_at_due(&mut self) {
        let now = self.cx.now();
        let is_due = |file: &Tracked| file.due().is_some_and(|due| due <= now);
        let due = self.tracked.iter().filter(|(_, file)| is_due(file));
        let due: Vec<OsString> = due.map(|(name, _)| name.clone()).collect();
        let mut asked = Vec::new();
        for name in due {
            let Some(print) = self.look_at_one(&name) else {
                continue;
            };
            let now = self.cx.now();
            if let Some(file) = self.tracked.get_mut(&name)
                && file.seen(now, print, false)
            {
                asked.push((self.cx.rule.path.join(&name), print));
            }
        }
        if asked.is_empty() {
            return;
        }
        let written = open_for_writing(&asked);
        let now = self.cx.now();
        for (path, print) in asked {
            let writer = if written.contains(&print.identity) {
                Writer::Open
            } else {
                Writer::NoneSeen
            };
            if let Some(name) = path.file_name()
                && let Some(file) = self.tracked.get_mut(name)
            {
                file.stage = match file.settling.asked(now, writer) {
                    Decision::Take => {
                        self.burst_or_queue(now, name.to_owned());
                        continue;
                    }
                    Decision::WaitUntil(until) => Stage::Settling(until),
                    Decision::AskForWriters => Stage::Settling(now),
                };
            }
        }
    }

    fn burst_or_queue(&mut self, now: Moment, name: OsString) {
        if let Some(file) = self.tracked.get_mut(&name) {
            file.stage = Stage::Ready;
        }
        match self.cx.rule.ticket_per {
            TicketPer::File => self.ready.push_back(vec![name]),
            TicketPer::Burst => {
                if !self.burst.add(now, name.clone()) {
                    self.gather();
                    self.burst.add(now, name);
                }
            }
        }
    }

    fn gather(&mut self) {
        if let Some(files) = self.burst.take(self.cx.now()) {
            self.ready.push_back(files);
        }
    }

    /// Has groups taken, small ones beside a large one.
    fn start_takings(&mut self) {
        let mut passed_over = VecDeque::new();
        while self.takings.len() < TAKINGS
            && let Some(names) = self.ready.pop_front()
        {
            let group = self.group(&names);
            if group.is_empty() {
                continue;
            }
            let bytes: u64 = group.iter().map(|(_, print)| print.size).sum();
            let is_large = bytes > LARGE_BYTES;
            if is_large && self.large_under_way {
                passed_over.push_back(names);
                continue;
            }
            self.large_under_way |= is_large;
            for (name, _) in &group {
                if let Some(file) = self.tracked.get_mut(name) {
                    file.stage = Stage::Taking;
                }
            }
            let cx = self.cx.clone();
            let taking = async move { (is_large, taking::take(cx, group).await) };
            self.takings.push(Box::pin(taking));
        }
        passed_over.append(&mut self.ready);
        self.ready = passed_over;
    }

    /// Those of a group that are still complete, as they looked when they were.
    fn group(&self, names: &[OsString]) -> Group {
        let ready = names.iter().filter_map(|name| {
            let file = self.tracked.get(name)?;
            (file.stage == Stage::Ready).then(|| (name.clone(), file.settling.print()))
        });
        ready.collect()
    }

    fn settle_done(&mut self, (was_large, files): Done) {
        self.large_under_way &= !was_large;
        let at = crate::ids::now();
        let now = self.cx.now();
        for (name, outcome) in files {
            match outcome {
                Outcome::Filed | Outcome::Known | Outcome::Gone | Outcome::Ending => {
                    self.tracked.remove(&name);
                    if outcome == Outcome::Filed {
                        self.cx.tell(|status| {
                            status.taken += 1;
                            status.last_taken = Some(at);
                        });
                    }
                }
                Outcome::Changed(print) => {
                    if let Some(file) = self.tracked.get_mut(&name) {
                        file.changed(now, print, at);
                    }
                }
                Outcome::Trouble(fault, words) => {
                    let shown = shown_name(&name.to_string_lossy());
                    let class = match fault.actor() {
                        Actor::Nobody => ErrorClass::TryAgain,
                        Actor::Filer => ErrorClass::FixInput,
                        Actor::BranchIt | Actor::CentralIt => ErrorClass::CallIt,
                    };
                    self.cx
                        .error(class, &format!("{shown:?} cannot be taken now: {words}"));
                    if let Some(file) = self.tracked.get_mut(&name) {
                        file.failed(now, fault, words, at);
                    }
                }
            }
        }
        // What was filed may have changed since, or others wait for room: events that came meanwhile
        // were for a file being read.
        if self.unfollowed > 0 && self.tracked.len() < TRACKED_FILES / 2 {
            self.next_scan = now;
        }
    }

    /// Tells the status how things are.
    fn publish(&self) {
        let (now, at) = (self.cx.now(), crate::ids::now());
        let mut troubles: Vec<FileTrouble> = Vec::new();
        for (name, file) in &self.tracked {
            let Some(trouble) = &file.trouble else {
                continue;
            };
            if troubles.len() >= DROP_FOLDER_TROUBLES {
                break;
            }
            let wait = file
                .due()
                .map_or(Moment::ZERO, |due| due.saturating_sub(now));
            let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            troubles.push(FileTrouble {
                name: shown_name(&name.to_string_lossy()),
                fault: trouble.fault,
                words: trouble.words.clone(),
                since: trouble.since,
                next_attempt: UnixMillis(at.0.saturating_add(wait)),
            });
        }
        troubles.sort_by(|one, two| one.name.cmp(&two.name));
        let waiting = self.tracked.len() as u64 + self.unfollowed;
        self.cx.tell(|status| {
            status.waiting = waiting;
            status.troubles = troubles;
        });
    }
}
