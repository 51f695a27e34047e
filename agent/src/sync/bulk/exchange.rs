//! One announcement, or one body: read from the store, sent, and handed back with its answer.

use std::sync::Arc;
use std::time::Duration;

use branchline_protocol::id::FileId;
use branchline_protocol::manifest::{
    Announcement, AnnouncementReply, ChunkRef, ChunksReply, Section,
};
use branchline_protocol::outcome::Outcome;
use tokio::time::Instant;

use super::plan::{Ask, Picked};
use crate::link::Answer;
use crate::link::bulk::{BulkLink, ChunkBody, Timing};
use crate::store::{Store, StoreError};

/// What ended.
pub(super) enum Done {
    Announced(Announced),
    Sent(Sent),
    /// Whether central can be reached was found out.
    Knocked(Instant, Result<(), Outcome>),
    /// The store could not be read.
    Store(StoreError),
    /// The exchange's task broke.
    Lost,
}

pub(super) struct Announced {
    pub(super) begun: Instant,
    /// The files of the sections, in their order.
    pub(super) asked: Vec<FileId>,
    /// Files whose manifests the store could not give.
    pub(super) unreadable: Vec<FileId>,
    /// `None` where there was nothing to announce after all.
    pub(super) answer: Option<Answer<AnnouncementReply>>,
}

pub(super) struct Sent {
    pub(super) begun: Instant,
    /// The chunks of the body, in its order.
    pub(super) picked: Vec<Picked>,
    /// Did not fit.
    pub(super) unsent: Vec<Picked>,
    /// Decayed on the disk.
    pub(super) decayed: Vec<Picked>,
    /// Bytes of the body.
    pub(super) bytes: usize,
    pub(super) timing: Timing,
    /// `None` where nothing was left to send.
    pub(super) answer: Option<Answer<ChunksReply>>,
}

pub(super) async fn knock(link: BulkLink) -> Done {
    let begun = Instant::now();
    Done::Knocked(begun, link.knock().await)
}

pub(super) async fn announce(store: Arc<Store>, link: BulkLink, asks: Vec<Ask>) -> Done {
    let mut announcement = Announcement::default();
    let (mut asked, mut unreadable) = (Vec::new(), Vec::new());
    for ask in asks {
        let count = ask.count as usize;
        let chunks = if count == 0 {
            Vec::new()
        } else {
            match store.chunks_of(ask.file.id, ask.from, count).await {
                Ok(chunks) => chunks,
                Err(fault) => return Done::Store(fault),
            }
        };
        if chunks.len() == count {
            asked.push(ask.file.id);
            announcement.files.push(section(&ask, chunks));
        } else {
            unreadable.push(ask.file.id);
        }
    }
    let begun = Instant::now();
    let answer = if announcement.files.is_empty() {
        None
    } else {
        tracing::debug!(files = announcement.files.len(), "announcing");
        Some(link.announce(&announcement).await)
    };
    Done::Announced(Announced {
        begun,
        asked,
        unreadable,
        answer,
    })
}

fn section(ask: &Ask, chunks: Vec<ChunkRef>) -> Section {
    Section {
        file: ask.file.id,
        size: ask.file.size,
        root: ask.file.root,
        count: ask.file.count,
        from: ask.from,
        chunks,
    }
}

pub(super) async fn send(store: Arc<Store>, link: BulkLink, wanted: Vec<Picked>) -> Done {
    let chunks = wanted.iter().map(|one| one.wanted.chunk).collect();
    let loaded = match store.load_chunks(chunks).await {
        Ok(loaded) => loaded,
        Err(fault) => return Done::Store(fault),
    };
    let mut body = ChunkBody::default();
    let (mut picked, mut unsent, mut decayed) = (Vec::new(), Vec::new(), Vec::new());
    let mut loaded = loaded.into_iter();
    for one in wanted {
        // A store that gives less than it was asked for has them later.
        let Some(chunk) = loaded.next() else {
            unsent.push(one);
            continue;
        };
        match chunk.stored {
            None => decayed.push(one),
            Some(stored) => match body.push(chunk.chunk, chunk.encoding, stored) {
                Ok(()) => picked.push(one),
                Err(_) => unsent.push(one),
            },
        }
    }
    let (begun, bytes) = (Instant::now(), body.bytes());
    let mut timing = Timing {
        took: Duration::ZERO,
        held: Duration::ZERO,
    };
    let answer = if picked.is_empty() {
        None
    } else {
        let (answer, measured) = link.send_chunks(body).await;
        timing = measured;
        Some(answer)
    };
    Done::Sent(Sent {
        begun,
        picked,
        unsent,
        decayed,
        bytes,
        timing,
        answer,
    })
}
