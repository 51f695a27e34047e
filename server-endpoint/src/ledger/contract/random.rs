//! Files announced, brought, lost, settled, moved and given up at random, against [`super::model`]: after
//! every step the ledger holds what the reference holds.

use std::collections::BTreeSet;

use branchline_protocol::file::FileState;
use branchline_protocol::id::BranchCode;
use branchline_protocol::manifest::ChunkRef;
use branchline_protocol::time::UnixMillis;
use fastrand::Rng;

use super::attached::{TestFile, WIDE, attach, bring_at, chunk, object, record, told};
use super::model::{Brought, Model, ModelFile};
use crate::ledger::{Announce, ChunkPlace, DedupScope, Ledger, MoveFile, ObjectName, UploadBounds};
use crate::testing::TestAgent;

/// Few, so that files share them.
const CHUNK_NAMES: usize = 14;
const FILES: usize = 16;

struct Run<'l, L> {
    ledger: &'l L,
    random: Rng,
    agents: Vec<TestAgent>,
    model: Model,
    /// What each object holds, by its number; immutable.
    objects: Vec<Vec<ChunkRef>>,
    clock: i64,
}

/// Runs so many steps, and `check` after each: what only the backend can look at.
pub(crate) async fn files_do_as_the_reference_does(
    ledger: &impl Ledger,
    seed: u64,
    steps: usize,
    check: impl Fn(),
) {
    let mut run = Run {
        ledger,
        random: Rng::with_seed(seed),
        agents: Vec::new(),
        model: Model::default(),
        objects: Vec::new(),
        clock: 1_800_000_000_000,
    };
    for branch in ["LYN", "LYN", "PAR", "NCE"] {
        run.agents.push(TestAgent::register(ledger, branch).await);
    }
    for step in 0..steps {
        run.clock += 1_000;
        print!("{step}: ");
        run.step().await;
        run.compare().await;
        check();
    }
    for file in &run.model.files {
        let moves = told(ledger, &run.agents[file.agent], &file.file).await;
        assert_eq!(moves, file.moves, "the events of {}", file.file.id);
    }
}

impl<L: Ledger> Run<'_, L> {
    async fn step(&mut self) {
        let kinds: [u32; 7] = [6, 12, 14, 3, 3, 12, 1];
        let mut pick = self.random.u32(..kinds.iter().sum::<u32>());
        let kind = kinds.iter().position(|&weight| {
            let is_it = pick < weight;
            pick = pick.saturating_sub(weight);
            is_it
        });
        match kind {
            _ if self.model.files.is_empty() => self.attach().await,
            Some(0) if self.model.files.len() < FILES => self.attach().await,
            Some(0 | 1) => self.announce().await,
            Some(2) => self.bring().await,
            Some(3) => self.lose().await,
            Some(4) => self.settle().await,
            Some(5) => self.move_file().await,
            _ => self.expire().await,
        }
    }

    fn some_chunk(&mut self) -> ChunkRef {
        let name = self.random.usize(..CHUNK_NAMES);
        let mut chunk = chunk(&name.to_string());
        chunk.1 += u32::try_from(name).unwrap();
        chunk
    }

    fn some_file(&mut self) -> usize {
        self.random.usize(..self.model.files.len())
    }

    async fn attach(&mut self) {
        let word = format!("file {}", self.model.files.len());
        let count = self.random.usize(..7);
        let chunks = (0..count).map(|_| self.some_chunk()).collect();
        let file = TestFile::of(&word, chunks);
        let agent = self.random.usize(..self.agents.len());
        println!("agent {agent} attaches {word} of {count} chunks");
        attach(self.ledger, &mut self.agents[agent], &file, &word).await;
        self.model.files.push(ModelFile {
            file,
            agent,
            branch: self.agents[agent].branch.clone(),
            state: FileState::Waiting,
            begun: false,
            announced: 0,
            scope: None,
            idle_since: None,
            moves: Vec::new(),
            in_trouble: false,
        });
    }

    async fn announce(&mut self) {
        let index = self.some_file();
        let of = &self.model.files[index];
        let (mut agent, count, announced) = (of.agent, of.file.chunks.len(), of.announced);
        if self.random.u32(..20) == 0 {
            agent = self.random.usize(..self.agents.len());
        }
        let (from, to) = match self.random.u32(..4) {
            0 => (0, count),
            1 => (0, 0),
            _ => {
                let from = self.random.usize(..=count);
                (from, self.random.usize(from..=count))
            }
        };
        let mut section = self.model.files[index].file.section(from, to);
        let repeated = announced.min(to).saturating_sub(from);
        if repeated > 0 && self.random.u32(..8) == 0 {
            let wrong = self.random.usize(..repeated);
            section.chunks[wrong].0 = chunk("not in any file").0;
        }
        let own = self.random.u32(..4) == 0;
        let branch = self.agents[agent].branch.clone();
        println!("agent {agent} announces {from}..{to} of file {index}, for its branch: {own}");
        let announce = Announce {
            agent: self.agents[agent].id,
            sections: vec![section.clone()],
            bounds: UploadBounds {
                scope: if own {
                    DedupScope::Branch
                } else {
                    DedupScope::Organisation
                },
                ..WIDE
            },
            at: UnixMillis(self.clock),
        };
        let moves = self.model.files[index].moves.len();
        let scope: Option<BranchCode> = own.then_some(branch);
        let expected = self
            .model
            .announce(agent, index, &section, scope, self.clock);
        let announced = self.ledger.announce(announce).await.unwrap();
        assert_eq!(announced.files[0].standing, expected);
        assert_eq!(
            announced.gave_news,
            self.model.files[index].moves.len() > moves
        );
    }

    async fn bring(&mut self) {
        let (agent, number) = self.some_body();
        let (name, chunks) = (format!("object {number}"), self.objects[number].clone());
        println!("agent {agent} brings {name} of {} chunks", chunks.len());
        let branch = self.agents[agent].branch.clone();
        let expected = self.model.bring(agent, &branch, &name, &chunks, self.clock);
        let at = UnixMillis(self.clock);
        let kept = bring_at(self.ledger, &self.agents[agent], &name, &chunks, at).await;
        let files = &self.model.files;
        let index = |id: &_| files.iter().position(|file| file.file.id == *id).unwrap();
        let brought = Brought {
            used: kept.used,
            not_announced: kept.not_announced,
            received: kept.received.iter().map(index).collect(),
            news_for: kept.news_for.into_iter().collect(),
        };
        assert_eq!(brought, expected);
    }

    /// Who brings which object: what a file of theirs lacks, anything, or an old one again.
    fn some_body(&mut self) -> (usize, usize) {
        let index = self.some_file();
        let of = &self.model.files[index];
        let mut agent = of.agent;
        let lacked = of.file.chunks.iter().zip(self.model.places(index));
        let lacked = lacked.filter(|(_, place)| place.is_none());
        let mut chunks: Vec<ChunkRef> = lacked.map(|(chunk, _)| *chunk).collect();
        if !self.objects.is_empty() && self.random.u32(..6) == 0 {
            return (agent, self.random.usize(..self.objects.len()));
        }
        if chunks.is_empty() || self.random.u32(..4) == 0 {
            agent = self.random.usize(..self.agents.len());
            for _ in 0..self.random.usize(1..6) {
                chunks.push(self.some_chunk());
            }
        }
        self.random.shuffle(&mut chunks);
        self.objects.push(chunks);
        (agent, self.objects.len() - 1)
    }

    async fn lose(&mut self) {
        let mut lost = Vec::new();
        for _ in 0..self.random.usize(1..4) {
            let held = self.model.chunks.iter().filter_map(|(key, place)| {
                let chunk = ChunkRef(branchline_protocol::id::Digest(key.0.0), key.0.1);
                place.map(|place| (chunk, place))
            });
            let held: Vec<(ChunkRef, ChunkPlace)> = held.collect();
            let Some((chunk, place)) = self.random.choice(&held) else {
                continue;
            };
            // Sometimes where it does not lie (any more).
            let place = match self.random.u32(..4) {
                0 => self
                    .random
                    .choice(&held)
                    .map_or(*place, |(_, other)| *other),
                _ => *place,
            };
            lost.push((*chunk, place));
        }
        println!("{} chunks are lost", lost.len());
        let expected = self.model.lose(&lost, self.clock);
        let waiting = self
            .ledger
            .lose_chunks(lost, UnixMillis(self.clock))
            .await
            .unwrap();
        let ids: BTreeSet<_> = expected
            .iter()
            .map(|&index| self.model.files[index].file.id)
            .collect();
        assert_eq!(waiting.into_iter().collect::<BTreeSet<_>>(), ids);
    }

    async fn settle(&mut self) {
        let index = self.some_file();
        println!("file {index} is settled");
        let expected = self.model.settle(index);
        let id = self.model.files[index].file.id;
        let freed = self.ledger.settle_chunks(id).await.unwrap();
        assert_eq!(freed.into_iter().collect::<BTreeSet<_>>(), expected);
    }

    async fn move_file(&mut self) {
        let ways = (0..self.model.files.len()).flat_map(|index| {
            let ways = self.model.ways(index).into_iter();
            ways.map(move |state| (index, state))
        });
        let ways: Vec<_> = ways.collect();
        let Some((index, state)) = self.random.choice(&ways).cloned() else {
            println!("no file moves");
            return;
        };
        println!("file {index} becomes {}", state.word());
        let file = self.model.files[index].file.id;
        let moved = MoveFile {
            file,
            version: self.model.files[index].moves.len() as u64,
            state: state.clone(),
            sniffed: None,
            disguised: false,
            deed: None,
            at: UnixMillis(self.clock),
        };
        let moved = self.ledger.move_file(moved).await.unwrap();
        assert!(moved.is_some(), "the version counts the events");
        self.model.move_file(index, state, self.clock);
    }

    async fn expire(&mut self) {
        let before = self.clock - self.random.i64(0..30_000);
        println!("what was idle since before {before} expires");
        let expected = self.model.expire(before, self.clock);
        let (before, at) = (UnixMillis(before), UnixMillis(self.clock));
        let freed = self.ledger.expire_uploads(before, at).await.unwrap();
        assert_eq!(freed.into_iter().collect::<BTreeSet<_>>(), expected);
    }

    async fn compare(&self) {
        for (index, file) in self.model.files.iter().enumerate() {
            let record = record(self.ledger, &file.file).await;
            let held = self.model.held_bytes(index);
            assert_eq!(
                (&record.state, record.held_bytes),
                (&file.state, held),
                "file {index}"
            );
            assert_eq!(
                record.version,
                file.moves.len() as u64,
                "events of file {index}"
            );
            assert_eq!(
                record.trouble.is_some(),
                file.in_trouble,
                "trouble of file {index}"
            );
            let placed = self.ledger.chunks_of(file.file.id, 0, 99).await.unwrap();
            let chunks: Vec<_> = placed.iter().map(|placed| placed.chunk).collect();
            assert_eq!(chunks, file.file.chunks[..file.announced]);
            let lie: Vec<_> = placed.iter().map(|placed| placed.place).collect();
            assert_eq!(lie, self.model.places(index), "file {index}");
            if file.state == FileState::Received {
                assert!(lie.iter().all(Option::is_some) && file.begun);
            }
        }
        let all: Vec<ObjectName> = (0..self.objects.len())
            .map(|n| object(&format!("object {n}")))
            .collect();
        let used = self.ledger.objects_in_use(all).await.unwrap();
        assert_eq!(
            used.into_iter().collect::<BTreeSet<_>>(),
            self.model.objects()
        );
    }
}
