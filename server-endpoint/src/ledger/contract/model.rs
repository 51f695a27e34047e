//! The reference for the ledger's files: what it should hold, kept as simply as can be.

use std::collections::{BTreeMap, BTreeSet};

use branchline_protocol::file::FileState;
use branchline_protocol::frame::Encoding;
use branchline_protocol::id::BranchCode;
use branchline_protocol::limits;
use branchline_protocol::manifest::{ChunkRef, ManifestFault, Places, Section, Standing};

use super::attached::{TestFile, object};
use crate::ledger::{ChunkPlace, ObjectName};

/// A chunk in the scope in which it is told apart: a branch's, or anybody's.
type Key = (ChunkOrder, Option<BranchCode>);
/// A chunk by what orders it.
type ChunkOrder = ([u8; 32], u32);

#[derive(Debug)]
pub(super) struct ModelFile {
    pub(super) file: TestFile,
    pub(super) agent: usize,
    pub(super) branch: BranchCode,
    pub(super) state: FileState,
    pub(super) begun: bool,
    pub(super) announced: usize,
    pub(super) scope: Option<BranchCode>,
    pub(super) idle_since: Option<i64>,
    /// States that it was moved to, in order.
    pub(super) moves: Vec<FileState>,
    pub(super) in_trouble: bool,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) files: Vec<ModelFile>,
    /// Chunks that a manifest names, and where they lie.
    pub(super) chunks: BTreeMap<Key, Option<ChunkPlace>>,
}

/// What bringing chunks should come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Brought {
    pub(super) used: usize,
    pub(super) not_announced: Vec<usize>,
    pub(super) received: BTreeSet<usize>,
    pub(super) news_for: BTreeSet<BranchCode>,
}

fn order(chunk: &ChunkRef) -> ChunkOrder {
    (chunk.hash().0, chunk.size())
}

/// Where the chunks of [`super::attached::bring`] lie.
fn place_of(name: &str, chunks: &[ChunkRef], index: usize) -> ChunkPlace {
    let before = chunks[..index]
        .iter()
        .map(|chunk| u64::from(chunk.size() - 1));
    ChunkPlace::Object {
        object: object(name),
        offset: before.sum(),
        stored: chunks[index].size() - 1,
        encoding: Encoding::Zstd,
    }
}

impl ModelFile {
    fn keys(&self) -> Vec<Key> {
        let chunks = self.file.chunks[..self.announced].iter();
        chunks
            .map(|chunk| (order(chunk), self.scope.clone()))
            .collect()
    }

    fn move_to(&mut self, state: FileState, at: i64) {
        self.idle_since = match &state {
            FileState::Waiting => self.begun.then_some(at),
            FileState::Corrupt => Some(at),
            _ => None,
        };
        self.in_trouble = false;
        self.moves.push(state.clone());
        self.state = state;
    }
}

impl Model {
    pub(super) fn places(&self, file: usize) -> Vec<Option<ChunkPlace>> {
        let keys = self.files[file].keys();
        keys.iter().map(|key| self.chunks[key]).collect()
    }

    pub(super) fn held_bytes(&self, file: usize) -> u64 {
        let chunks = &self.files[file].file.chunks;
        let places = self.places(file);
        let held = chunks
            .iter()
            .zip(places)
            .filter(|(_, place)| place.is_some());
        held.map(|(chunk, _)| u64::from(chunk.size())).sum()
    }

    pub(super) fn objects(&self) -> BTreeSet<ObjectName> {
        let objects = self.chunks.values().filter_map(|place| match place {
            Some(ChunkPlace::Object { object, .. }) => Some(*object),
            _ => None,
        });
        objects.collect()
    }

    fn is_complete(&self, file: usize) -> bool {
        let of = &self.files[file];
        of.begun
            && of.announced == of.file.chunks.len()
            && self.places(file).iter().all(Option::is_some)
    }

    /// Files that have one of these chunks.
    fn with(&self, keys: &BTreeSet<Key>) -> Vec<usize> {
        let has = |file: &ModelFile| file.keys().iter().any(|key| keys.contains(key));
        (0..self.files.len())
            .filter(|&index| has(&self.files[index]))
            .collect()
    }

    fn receive_if_complete(&mut self, file: usize, at: i64) -> bool {
        let is = self.files[file].state == FileState::Waiting && self.is_complete(file);
        if is {
            self.files[file].move_to(FileState::Received, at);
        }
        is
    }

    fn missing(&self, file: usize) -> Vec<Places> {
        let mut ranges: Vec<Places> = Vec::new();
        let mut told = BTreeSet::new();
        for (place, key) in (0..).zip(self.files[file].keys()) {
            if self.chunks[&key].is_some() || !told.insert(key) {
                continue;
            }
            match ranges.last_mut() {
                Some(Places(from, count)) if *from + *count == place => *count += 1,
                _ => ranges.push(Places(place, 1)),
            }
        }
        assert!(ranges.len() <= limits::MISSING_RANGES);
        ranges
    }

    pub(super) fn announce(
        &mut self,
        agent: usize,
        file: usize,
        section: &Section,
        scope: Option<BranchCode>,
        at: i64,
    ) -> Standing {
        let of = &mut self.files[file];
        if of.agent != agent {
            return Standing::NotAttached;
        }
        if !matches!(of.state, FileState::Waiting | FileState::Expired) {
            let state = of.state.clone();
            return Standing::Received { state };
        }
        if of.state == FileState::Expired {
            of.move_to(FileState::Waiting, at);
        }
        if of.begun {
            of.idle_since = Some(at);
        }
        let from = section.from as usize;
        let to = from + section.chunks.len();
        if from <= of.announced {
            let known = to.min(of.announced);
            if section.chunks[..known.saturating_sub(from)] != of.file.chunks[from..known.max(from)]
            {
                let fault = ManifestFault::Overlap;
                return Standing::Refused { fault };
            }
            if to > of.announced || section.count == 0 {
                if !of.begun {
                    (of.begun, of.scope) = (true, scope);
                }
                of.idle_since = Some(at);
                of.announced = to;
                for key in of.keys() {
                    self.chunks.entry(key).or_insert(None);
                }
                self.receive_if_complete(file, at);
            }
        }
        match self.files[file].state.clone() {
            FileState::Waiting => Standing::Wanted {
                announced: self.files[file].announced.try_into().unwrap(),
                missing: self.missing(file),
            },
            state => Standing::Received { state },
        }
    }

    pub(super) fn bring(
        &mut self,
        agent: usize,
        branch: &BranchCode,
        name: &str,
        chunks: &[ChunkRef],
        at: i64,
    ) -> Brought {
        let mut brought = Brought::default();
        let mut placed = BTreeSet::new();
        for (index, chunk) in chunks.iter().enumerate() {
            let place = place_of(name, chunks, index);
            let own = [None, Some(branch.clone())].map(|scope| (order(chunk), scope));
            let own = own.into_iter().filter(|key| {
                let mut files = self.files.iter();
                files.any(|file| file.agent == agent && file.keys().contains(key))
            });
            let own: Vec<Key> = own.collect();
            if own.is_empty() {
                brought.not_announced.push(index);
            }
            let mut lies_here = false;
            for key in own {
                let lies = self.chunks.get_mut(&key).unwrap();
                if lies.is_none() {
                    *lies = Some(place);
                    placed.insert(key);
                    lies_here = true;
                } else {
                    lies_here |= *lies == Some(place);
                }
            }
            brought.used += usize::from(lies_here);
        }
        for file in self.with(&placed) {
            if self.files[file].state != FileState::Waiting {
                continue;
            }
            self.files[file].idle_since = Some(at);
            if self.receive_if_complete(file, at) {
                brought.news_for.insert(self.files[file].branch.clone());
                if self.files[file].agent == agent {
                    brought.received.insert(file);
                }
            }
        }
        brought
    }

    /// Answers with the files that wait.
    pub(super) fn lose(&mut self, lost: &[(ChunkRef, ChunkPlace)], at: i64) -> BTreeSet<usize> {
        let mut keys = BTreeSet::new();
        for (chunk, place) in lost {
            for (key, lies) in &mut self.chunks {
                if key.0 == order(chunk) && *lies == Some(*place) {
                    *lies = None;
                    keys.insert(key.clone());
                }
            }
        }
        let mut waiting = BTreeSet::new();
        for index in self.with(&keys) {
            let file = &mut self.files[index];
            match file.state {
                FileState::Received | FileState::Scanning => {
                    file.move_to(FileState::Waiting, at);
                    waiting.insert(index);
                }
                FileState::Waiting => {
                    waiting.insert(index);
                }
                FileState::Corrupt | FileState::Expired => {}
                _ => file.in_trouble = true,
            }
        }
        waiting
    }

    /// Answers with the objects freed.
    pub(super) fn settle(&mut self, file: usize) -> BTreeSet<ObjectName> {
        let before = self.objects();
        let mut offset = 0;
        let root = self.files[file].file.root;
        for key in self.files[file].keys() {
            let lies = self.chunks.get_mut(&key).unwrap();
            if matches!(lies, Some(ChunkPlace::Object { .. })) {
                *lies = Some(ChunkPlace::File { root, offset });
            }
            offset += u64::from(key.0.1);
        }
        before.difference(&self.objects()).copied().collect()
    }

    /// Answers with the objects freed.
    pub(super) fn expire(&mut self, before: i64, at: i64) -> BTreeSet<ObjectName> {
        let objects = self.objects();
        for file in &mut self.files {
            if file.idle_since.is_none_or(|since| since >= before) {
                continue;
            }
            file.announced = 0;
            if file.state == FileState::Waiting {
                file.move_to(FileState::Expired, at);
                file.begun = false;
            }
            file.idle_since = None;
        }
        let named: BTreeSet<Key> = self.files.iter().flat_map(ModelFile::keys).collect();
        self.chunks.retain(|key, _| named.contains(key));
        objects.difference(&self.objects()).copied().collect()
    }

    pub(super) fn move_file(&mut self, file: usize, state: FileState, at: i64) {
        self.files[file].move_to(state, at);
    }

    /// What inspection or a person may make of the file.
    pub(super) fn ways(&self, file: usize) -> Vec<FileState> {
        let infected = || FileState::Infected {
            signature: "S".into(),
        };
        match &self.files[file].state {
            FileState::Received => vec![FileState::Scanning],
            FileState::Scanning => vec![
                FileState::Clean,
                infected(),
                FileState::Held,
                FileState::Corrupt,
            ],
            FileState::Held => vec![
                FileState::Released {
                    by: "b".into(),
                    reason: "c".into(),
                },
                FileState::Clean,
            ],
            FileState::Clean => vec![infected()],
            _ => Vec::new(),
        }
    }
}
