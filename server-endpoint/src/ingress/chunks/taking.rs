//! The chunks of one request on their way into one object of the vault, and from there into the ledger.
//!
//! Invariants:
//! - A chunk is written only when an announced file wants it and its bytes are those that its hash names
//!   (P4); each once, whatever the body repeats.
//! - The ledger is told of a chunk after the object was sealed (P3). A request that ends before that
//!   leaves nothing; one that ends between the two leaves an object that nobody uses, for collection.
//! - The first place of a chunk stays. An object that came too late with everything is deleted.

use std::collections::HashMap;
use std::sync::Arc;

use branchline_durable_sqlite::crash_point;
use branchline_protocol::frame::Frame;
use branchline_protocol::id::AgentId;
use branchline_protocol::manifest::{ChunkRef, ChunksReply, FrameException, FrameRefusal};

use crate::ingress::Ingress;
use crate::ingress::refusal::Refusal;
use crate::ledger::{ChunksKept, KeepChunks, KeptChunk, ObjectName, Want, now};
use crate::vault::Writing;

pub(super) struct Taking {
    ingress: Arc<Ingress>,
    agent: AgentId,
    object: Option<Object>,
    /// What is in the object, and each one's frame.
    chunks: Vec<KeptChunk>,
    frames: Vec<u32>,
    /// Where in `chunks` a chunk is.
    known: HashMap<ChunkRef, usize>,
    /// Frames that repeat one of `chunks`.
    repeats: Vec<(u32, usize)>,
    exceptions: Vec<FrameException>,
}

/// The object being written.
struct Object {
    name: ObjectName,
    writing: Box<dyn Writing>,
    length: u64,
}

impl Taking {
    pub(super) fn new(ingress: Arc<Ingress>, agent: AgentId) -> Self {
        Self {
            ingress,
            agent,
            object: None,
            chunks: Vec::new(),
            frames: Vec::new(),
            known: HashMap::new(),
            repeats: Vec::new(),
            exceptions: Vec::new(),
        }
    }

    /// Takes what is wanted and good of these frames, the first of which has this index.
    pub(super) async fn add(&mut self, first: u32, frames: Vec<Frame>) -> Result<(), Refusal> {
        let wanted = self.wanted(first, frames).await?;
        if wanted.is_empty() {
            return Ok(());
        }
        let ingress = self.ingress.clone();
        let proven = ingress.gate.prove(&ingress, move |prover| {
            let prove = |(index, frame): (u32, Frame)| {
                let header = frame.header;
                let good = prover
                    .prove(header.chunk, header.encoding, &frame.stored)
                    .is_some();
                (index, frame, good)
            };
            wanted.into_iter().map(prove).collect::<Vec<_>>()
        });
        let pieces = self.place(proven.await?);
        self.write(pieces).await
    }

    /// The frames that may be taken, with their indices.
    async fn wanted(
        &mut self,
        first: u32,
        frames: Vec<Frame>,
    ) -> Result<Vec<(u32, Frame)>, Refusal> {
        let chunks = frames.iter().map(|frame| frame.header.chunk).collect();
        let wants = self.ingress.ledger.wants(self.agent, chunks).await?;
        let mut wanted = Vec::with_capacity(frames.len());
        for ((index, frame), want) in (first..).zip(frames).zip(wants) {
            match want {
                Want::Wanted => wanted.push((index, frame)),
                // Durable already.
                Want::Held => {}
                Want::NotAnnounced => self.except(index, FrameRefusal::NotAnnounced),
            }
        }
        Ok(wanted)
    }

    /// Gives each good chunk its place behind the others.
    fn place(&mut self, proven: Vec<(u32, Frame, bool)>) -> Vec<Vec<u8>> {
        let mut offset = self.object.as_ref().map_or(0, |object| object.length);
        let mut pieces = Vec::with_capacity(proven.len());
        for (index, frame, good) in proven {
            if !good {
                self.except(index, FrameRefusal::Corrupt);
                continue;
            }
            let header = frame.header;
            if let Some(known) = self.known.get(&header.chunk) {
                self.repeats.push((index, *known));
                continue;
            }
            self.known.insert(header.chunk, self.chunks.len());
            self.chunks.push(KeptChunk {
                chunk: header.chunk,
                offset,
                stored: header.stored,
                encoding: header.encoding,
            });
            self.frames.push(index);
            offset += u64::from(header.stored);
            pieces.push(frame.stored);
        }
        pieces
    }

    async fn write(&mut self, pieces: Vec<Vec<u8>>) -> Result<(), Refusal> {
        if pieces.is_empty() {
            return Ok(());
        }
        let health = &self.ingress.vault_health;
        let object = match &mut self.object {
            Some(object) => object,
            object => {
                let name = ObjectName::new(now());
                let writing = self.ingress.vault.begin_object(name).await;
                object.insert(Object {
                    name,
                    writing: writing.map_err(|fault| health.refuse(&fault))?,
                    length: 0,
                })
            }
        };
        object.length += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        let written = object.writing.append(pieces).await;
        written.map_err(|fault| health.refuse(&fault))
    }

    /// Makes durable what was taken.
    pub(super) async fn finish(mut self) -> Result<ChunksReply, Refusal> {
        let mut received = Vec::new();
        if let Some(object) = self.object.take() {
            let kept = self.keep(object).await?;
            received = kept.received;
            self.except_unannounced(&kept.not_announced);
        }
        self.exceptions
            .sort_unstable_by_key(|exception| exception.frame);
        Ok(ChunksReply {
            frames: 0,
            exceptions: self.exceptions,
            received,
        })
    }

    async fn keep(&mut self, object: Object) -> Result<ChunksKept, Refusal> {
        let ingress = &self.ingress;
        let sealed = object.writing.seal().await;
        sealed.map_err(|fault| ingress.vault_health.refuse(&fault))?;
        ingress.vault_health.works();
        let keep = KeepChunks {
            agent: self.agent,
            object: object.name,
            chunks: std::mem::take(&mut self.chunks),
            at: now(),
        };
        // When the ledger does not answer, nobody knows whether it has the object: it stays, for
        // collection to decide.
        let kept = ingress.ledger.keep_chunks(keep).await?;
        crash_point::reach("chunks-kept");
        for branch in &kept.news_for {
            ingress.bulletin.ring(branch);
        }
        tracing::debug!(
            used = kept.used,
            received = kept.received.len(),
            "chunks kept"
        );
        if kept.used == 0 {
            // What cannot be deleted now is collected later.
            let _ = ingress.vault.delete_objects(vec![object.name]).await;
        }
        Ok(kept)
    }

    /// Since it was asked for, nobody wants it any more.
    fn except_unannounced(&mut self, unannounced: &[usize]) {
        let first = unannounced
            .iter()
            .filter_map(|place| self.frames.get(*place).copied());
        let repeats = self
            .repeats
            .iter()
            .filter(|(_, place)| unannounced.contains(place))
            .map(|(index, _)| *index);
        let frames: Vec<u32> = first.chain(repeats).collect();
        for frame in frames {
            self.except(frame, FrameRefusal::NotAnnounced);
        }
    }

    fn except(&mut self, frame: u32, fault: FrameRefusal) {
        self.exceptions.push(FrameException { frame, fault });
    }
}
