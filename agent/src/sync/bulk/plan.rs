//! What goes next: which files to announce, which chunks to put into a body, and what an answer means
//! for them. Pure; the lane carries it out.
//!
//! Invariants:
//! - A chunk is on its way at most once, whichever files want it.
//! - A file is asked about again when nothing of it is left to send or on its way, so that whatever was
//!   missed, lost or received by another path is found.
//! - A file that cannot go on is set aside for a while, and stops nobody (P6).
//! - Bounded: files under way, chunks wanted by them, and files set aside.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use branchline_protocol::id::{ChunkHash, FileId};
use branchline_protocol::limits;
use branchline_protocol::manifest::{ChunkRef, ChunksReply, FrameRefusal, Places};
use branchline_protocol::pace::{Share, Turns};

use crate::store::files::OutgoingFile;

/// Files under way at once: two announcements' worth, so that one is on its way while chunks of the other
/// go.
pub(super) const FILES: usize = 2 * limits::ANNOUNCED_FILES;
/// The next section of a long file is announced when fewer chunks of it are left to send.
const LOW_CHUNKS: usize = 2_048;
/// No further section is announced while so many chunks wait to be sent.
const ENOUGH_CHUNKS: usize = 16_384;
/// Bytes of JSON that a section and a chunk take in an announcement, about.
const SECTION_JSON: usize = 260;
const CHUNK_JSON: usize = 76;
/// How long a file is set aside the first time, doubled by each further time.
const ASIDE: Duration = Duration::from_secs(30);
const ASIDE_MOST: Duration = Duration::from_secs(600);
/// Files set aside; the first forgotten beyond that are simply tried again.
const ASIDE_FILES: usize = 4_096;
/// Times that chunks of a file may arrive damaged, or unannounced, before it is set aside.
const TRIES: u32 = 5;
/// How long files that central has no room for are not announced.
const NO_ROOM: Duration = Duration::from_secs(30);

/// The files under way.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// By id, which is by age: ids grow with time.
    files: BTreeMap<FileId, Upload>,
    by_size: BTreeSet<(u64, FileId)>,
    on_the_way: HashSet<ChunkHash>,
    /// Acknowledged since the announcement under way began: its answer may not know of them.
    acknowledged: HashSet<ChunkHash>,
    announcing: bool,
    wanted: usize,
    turns: Turns,
    aside: HashMap<FileId, Aside>,
    no_room_until: Duration,
}

#[derive(Debug)]
struct Upload {
    file: OutgoingFile,
    /// Places that central knows of, from 0 without gap.
    announced: u32,
    wanted: VecDeque<Wanted>,
    on_the_way: usize,
    /// It is part of the announcement under way.
    asking: bool,
    asked: bool,
    /// What it lacks is on its way for another file.
    waits: bool,
    held: u64,
    tries: u32,
}

#[derive(Debug, Clone, Copy)]
struct Aside {
    until: Duration,
    times: u32,
}

/// A place whose chunk central lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) place: u32,
    pub(super) chunk: ChunkRef,
}

/// A chunk picked for a body, and for which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Picked {
    pub(super) file: FileId,
    pub(super) wanted: Wanted,
}

/// A section to announce: `count` chunks from place `from` on; none asks how the file stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) file: OutgoingFile,
    pub(super) from: u32,
    pub(super) count: u32,
}

impl Plan {
    /// Files under way.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Files set aside just now: whoever asks for more must look beyond them.
    pub(super) fn set_aside(&self) -> usize {
        self.aside.len()
    }

    /// Takes files into the plan, as far as there is room.
    pub(super) fn adopt(&mut self, now: Duration, files: Vec<OutgoingFile>) {
        for file in files {
            let is_aside = self
                .aside
                .get(&file.id)
                .is_some_and(|aside| aside.until > now);
            if self.files.len() >= FILES || is_aside || self.files.contains_key(&file.id) {
                continue;
            }
            self.by_size.insert((file.size, file.id));
            let upload = Upload {
                announced: 0,
                wanted: VecDeque::new(),
                on_the_way: 0,
                asking: false,
                asked: false,
                waits: false,
                held: 0,
                tries: 0,
                file,
            };
            self.files.insert(upload.file.id, upload);
        }
    }

    /// When a file that was set aside, or for which there was no room, may be tried again.
    pub(super) fn due(&self, now: Duration) -> Option<Duration> {
        let room = (self.no_room_until > now).then_some(self.no_room_until);
        let aside = self.aside.values().map(|aside| aside.until);
        aside.filter(|until| *until > now).chain(room).min()
    }

    /// What to announce next, of about so many bytes; nothing while an announcement is under way.
    pub(super) fn announcement(&mut self, now: Duration, bytes: usize) -> Vec<Ask> {
        let mut asks = Vec::new();
        if self.announcing {
            return asks;
        }
        let (mut chunks, mut json) = (limits::SECTION_CHUNKS, 0);
        for id in self.in_turn() {
            let Some(upload) = self.files.get_mut(&id) else {
                continue;
            };
            let is_new = !upload.asked;
            if !upload.needs_asking(self.wanted) || (is_new && now < self.no_room_until) {
                continue;
            }
            let left = usize::try_from(upload.file.count.saturating_sub(upload.announced))
                .unwrap_or(usize::MAX);
            let fits = bytes.saturating_sub(json + SECTION_JSON) / CHUNK_JSON;
            let count = left.min(chunks).min(fits.max(1));
            if asks.len() == limits::ANNOUNCED_FILES || (!asks.is_empty() && fits == 0) {
                break;
            }
            if count == 0 && left > 0 {
                break;
            }
            chunks -= count;
            json += SECTION_JSON + count * CHUNK_JSON;
            upload.asking = true;
            asks.push(Ask {
                file: upload.file.clone(),
                from: upload.announced,
                count: u32::try_from(count).unwrap_or(0),
            });
        }
        self.announcing = !asks.is_empty();
        asks
    }

    /// The announcement under way ended; before its standings are told.
    pub(super) fn announcement_ended(&mut self) {
        self.announcing = false;
        for upload in self.files.values_mut() {
            upload.asking = false;
        }
    }

    /// All standings of an announcement were told.
    pub(super) fn standings_told(&mut self) {
        self.acknowledged.clear();
    }

    /// Central knows so many places of a file and misses these; `wanted` are the same as chunks.
    pub(super) fn want(
        &mut self,
        now: Duration,
        file: FileId,
        announced: u32,
        missing: &[Places],
        wanted: Vec<Wanted>,
    ) {
        let Some(upload) = self.files.get_mut(&file) else {
            return;
        };
        self.wanted -= upload.wanted.len();
        upload.announced = announced.min(upload.file.count);
        upload.asked = true;
        upload.held = held(&upload.file, upload.announced, missing);
        let told = wanted.len();
        upload.wanted = wanted
            .into_iter()
            .filter(|wanted| {
                let hash = wanted.chunk.hash();
                !self.on_the_way.contains(&hash) && !self.acknowledged.contains(&hash)
            })
            .collect();
        self.wanted += upload.wanted.len();
        let all_known = upload.announced == upload.file.count;
        upload.waits = upload.wanted.is_empty() && told > 0;
        let lacks_nothing = told == 0 && upload.on_the_way == 0 && all_known;
        // Central says that it lacks something of it and not what.
        if lacks_nothing || (told == 0 && announced == 0 && upload.file.count > 0) {
            self.put_aside(now, file);
        }
    }

    /// Central has no room for more files of this agent.
    pub(super) fn no_room(&mut self, now: Duration, file: FileId) {
        self.no_room_until = now + NO_ROOM;
        if let Some(upload) = self.files.get_mut(&file) {
            upload.asked = false;
        }
    }

    /// Sets a file aside for a while.
    pub(super) fn put_aside(&mut self, now: Duration, file: FileId) {
        if !self.files.contains_key(&file) {
            return;
        }
        self.remove(file);
        if self.aside.len() >= ASIDE_FILES {
            self.aside.retain(|_, aside| aside.until > now);
        }
        if self.aside.len() < ASIDE_FILES {
            let aside = self.aside.entry(file).or_insert(Aside {
                until: now,
                times: 0,
            });
            let time = ASIDE * 2_u32.saturating_pow(aside.times.min(10));
            aside.until = now + time.min(ASIDE_MOST);
            aside.times += 1;
        }
    }

    /// A file is done, or will not be sent.
    pub(super) fn done(&mut self, file: FileId) {
        self.remove(file);
        self.aside.remove(&file);
    }

    fn remove(&mut self, file: FileId) {
        if let Some(upload) = self.files.remove(&file) {
            self.by_size.remove(&(upload.file.size, file));
            self.wanted -= upload.wanted.len();
            // What it had on its way, or what others waited for with it, is asked for again.
            self.wake_waiting();
        }
    }

    /// Chunks for one body of about so many bytes, or nothing. Small remainders wait for the announcement
    /// under way, which may bring more to fill the body with, as long as others are on their way.
    pub(super) fn body(&mut self, bytes: usize) -> Vec<Picked> {
        let mut picked = Vec::new();
        let mut room = bytes;
        if self.announcing && !self.on_the_way.is_empty() && self.wanted_bytes_below(bytes / 2) {
            return picked;
        }
        'files: for id in self.in_turn() {
            let Some(upload) = self.files.get_mut(&id) else {
                continue;
            };
            while let Some(wanted) = upload.wanted.front().copied() {
                let size = wanted.chunk.size() as usize;
                let is_full = size > room && !picked.is_empty();
                if is_full || picked.len() == limits::CHUNK_BODY_FRAMES {
                    break 'files;
                }
                upload.wanted.pop_front();
                self.wanted -= 1;
                if self.on_the_way.insert(wanted.chunk.hash()) {
                    room = room.saturating_sub(size);
                    upload.on_the_way += 1;
                    picked.push(Picked { file: id, wanted });
                } else {
                    upload.waits = true;
                }
            }
        }
        picked
    }

    fn wanted_bytes_below(&self, bytes: usize) -> bool {
        let mut sum = 0;
        self.files
            .values()
            .flat_map(|upload| &upload.wanted)
            .all(|wanted| {
                sum += wanted.chunk.size() as usize;
                sum < bytes
            })
    }

    /// These did not arrive, or were not sent: they go again.
    pub(super) fn again(&mut self, picked: &[Picked]) {
        for one in picked.iter().rev() {
            self.landed(one);
            if let Some(upload) = self.files.get_mut(&one.file) {
                upload.wanted.push_front(one.wanted);
                self.wanted += 1;
            }
        }
        self.wake_waiting();
    }

    /// Central answered for a body of these. Answers with the files that it has whole.
    pub(super) fn answered(
        &mut self,
        now: Duration,
        picked: &[Picked],
        reply: &ChunksReply,
    ) -> Vec<FileId> {
        let refused: HashMap<u32, FrameRefusal> = reply
            .exceptions
            .iter()
            .map(|exception| (exception.frame, exception.fault))
            .collect();
        for (frame, one) in (0_u32..).zip(picked) {
            match refused.get(&frame) {
                None => self.arrived(one),
                Some(FrameRefusal::Corrupt) => {
                    self.again(std::slice::from_ref(one));
                    self.tried(now, one.file);
                }
                Some(FrameRefusal::NotAnnounced | FrameRefusal::Other) => {
                    self.landed(one);
                    self.announce_anew(one.file);
                    self.tried(now, one.file);
                }
            }
        }
        self.wake_waiting();
        reply.received.clone()
    }

    fn arrived(&mut self, one: &Picked) {
        self.landed(one);
        if self.announcing {
            self.acknowledged.insert(one.wanted.chunk.hash());
        }
        if let Some(upload) = self.files.get_mut(&one.file) {
            let size = u64::from(one.wanted.chunk.size());
            upload.held = (upload.held + size).min(upload.file.size);
        }
    }

    fn landed(&mut self, one: &Picked) {
        self.on_the_way.remove(&one.wanted.chunk.hash());
        if let Some(upload) = self.files.get_mut(&one.file) {
            upload.on_the_way = upload.on_the_way.saturating_sub(1);
        }
    }

    fn announce_anew(&mut self, file: FileId) {
        if let Some(upload) = self.files.get_mut(&file) {
            upload.announced = 0;
            self.wanted -= upload.wanted.len();
            upload.wanted.clear();
        }
    }

    fn tried(&mut self, now: Duration, file: FileId) {
        if let Some(upload) = self.files.get_mut(&file) {
            upload.tries += 1;
            if upload.tries > TRIES {
                self.put_aside(now, file);
            }
        }
    }

    fn wake_waiting(&mut self) {
        for upload in self.files.values_mut() {
            upload.waits = false;
        }
    }

    /// Bytes of each file that central has.
    pub(super) fn held(&self, file: FileId) -> Option<u64> {
        self.files.get(&file).map(|upload| upload.held)
    }

    /// The files in the order of this turn.
    fn in_turn(&mut self) -> Vec<FileId> {
        let first = match self.turns.deal() {
            Share::Smallest => None,
            Share::Oldest => self.files.keys().next().copied(),
        };
        let smallest = self.by_size.iter().map(|(_, id)| *id);
        first
            .into_iter()
            .chain(smallest.filter(|id| Some(*id) != first))
            .collect()
    }
}

impl Upload {
    fn needs_asking(&self, wanted_by_all: usize) -> bool {
        if self.asking {
            return false;
        }
        let is_long = self.announced < self.file.count;
        let runs_low = self.wanted.len() < LOW_CHUNKS && wanted_by_all < ENOUGH_CHUNKS;
        let is_empty = self.wanted.is_empty() && self.on_the_way == 0 && !self.waits;
        (is_long && runs_low) || is_empty
    }
}

/// Bytes of a file that central has, about, as far as its answer tells: by the share of places that it
/// does not miss, up to the last range where its answer is at its bounds.
fn held(file: &OutgoingFile, announced: u32, missing: &[Places]) -> u64 {
    let places: u64 = missing.iter().map(|range| u64::from(range.1)).sum();
    let at_bound =
        missing.len() >= limits::MISSING_RANGES || places >= limits::MISSING_CHUNKS as u64;
    let known = match missing.last() {
        Some(last) if at_bound => u64::from(last.0) + u64::from(last.1),
        _ => u64::from(announced),
    };
    let here = u128::from(known.saturating_sub(places)) * u128::from(file.size);
    let share = here / u128::from(file.count.max(1));
    u64::try_from(share).unwrap_or(u64::MAX).min(file.size)
}

#[cfg(test)]
mod tests;
