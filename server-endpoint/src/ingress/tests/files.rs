//! Files over HTTP on the real ledger and the real vault: announced, brought, received, told to whoever
//! waits for news.

use branchline_protocol::event::{Event, EventBody};
use branchline_protocol::exchange::FeedReply;
use branchline_protocol::file::FileState;
use branchline_protocol::id::{Digest, FileId};
use branchline_protocol::limits::CHUNK_LEAST_BYTES;
use branchline_protocol::manifest::{
    Announcement, AnnouncementReply, ChunkRef, ChunksReply, Places, Section, Standing,
};

use super::assert_quick;
use super::central::{Central, Request};
use super::depot::{body, chunks_request};
use crate::testing::{TestAgent, attachment, operation_id};

/// Three chunks, and the last of them is small.
fn content() -> Vec<Vec<u8>> {
    let least = CHUNK_LEAST_BYTES as usize;
    vec![vec![1; least], vec![2; least + 1], vec![3; 10]]
}

/// A file of that content, attached to the agent's first ticket; and its whole manifest.
async fn attach(central: &Central, agent: &mut TestAgent, word: &str) -> Section {
    let bytes = content().concat();
    let (size, root) = (bytes.len() as u64, Digest(*blake3::hash(&bytes).as_bytes()));
    let ticket = format!("ticket for {word}");
    agent.file(&[&ticket], 1);
    agent.journal.push(attachment(word, &ticket, size, root));
    agent.submit_all(central.ledger.as_ref()).await;
    Section {
        file: operation_id(word).into(),
        size,
        root,
        count: 3,
        from: 0,
        chunks: content().iter().map(|chunk| ChunkRef::of(chunk)).collect(),
    }
}

async fn announce(central: &Central, agent: &TestAgent, section: &Section) -> Standing {
    let announcement = Announcement {
        files: vec![section.clone()],
    };
    let body = serde_json::to_vec(&announcement).unwrap();
    let request = Request::post("/v1/manifests", agent, body);
    let reply: AnnouncementReply = central.ask(request).await.json();
    assert_eq!(reply.files.len(), 1);
    assert_eq!(reply.files[0].file, section.file);
    reply.files[0].standing.clone()
}

fn states(news: &FeedReply, file: FileId) -> Vec<FileState> {
    news.feed
        .iter()
        .filter_map(Event::body)
        .filter_map(|body| match body {
            EventBody::FileMoved { file: moved, state } if moved == file => Some(state),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_file_is_announced_brought_and_received_and_its_branch_is_told_at_once() {
    let central = Central::start().await;
    let mut agent = central.agent("LYN").await;
    let section = attach(&central, &mut agent, "photo").await;
    let lacking = |missing: &[(u32, u32)]| Standing::Wanted {
        announced: 3,
        missing: missing.iter().map(|at| Places(at.0, at.1)).collect(),
    };
    let standing = announce(&central, &agent, &section).await;
    assert_eq!(standing, lacking(&[(0, 3)]));
    let chunks = content();
    let request = chunks_request(&agent, body(&[&chunks[1]]));
    let reply: ChunksReply = central.ask(request).await.json();
    assert_eq!((reply.frames, reply.received.len()), (1, 0));
    let standing = announce(&central, &agent, &section).await;
    assert_eq!(standing, lacking(&[(0, 1), (2, 1)]));

    let before: FeedReply = central.feed(&agent, "", 0).await.json();
    let request = chunks_request(&agent, body(&[&chunks[2], &chunks[1], &chunks[0]]));
    let (waited, reply) = tokio::join!(central.feed(&agent, &before.cursor, 20), async {
        central.until_somebody_waits().await;
        central.ask(request.clone()).await.json::<ChunksReply>()
    });
    assert_eq!((reply.frames, reply.exceptions.len()), (3, 0));
    assert_eq!(reply.received, [section.file]);
    assert_quick(&waited);
    assert_eq!(states(&waited.json(), section.file), [FileState::Received]);
    let received = announce(&central, &agent, &section).await;
    let state = FileState::Received;
    assert_eq!(received, Standing::Received { state });
    // Once more, as after a reply that was lost.
    let again: ChunksReply = central.ask(request).await.json();
    assert_eq!((again.frames, again.exceptions.len()), (3, 0));

    // Another branch's file of the same content needs no bytes at all.
    let mut other = central.agent("PAR").await;
    let same = attach(&central, &mut other, "copy").await;
    let standing = announce(&central, &other, &same).await;
    assert!(
        matches!(standing, Standing::Received { .. }),
        "{standing:?}"
    );
    let news: FeedReply = central.feed(&other, "", 0).await.json();
    assert_eq!(states(&news, same.file), [FileState::Received]);
}
