//! Announcing files: what makes a manifest, and what central answers to it.

use branchline_protocol::file::FileState;
use branchline_protocol::manifest::{Places, Standing};

use super::attached::{TestFile, agent_with, announce, bring, chunk, place_in, record, told};
use crate::ledger::{Ledger, Want};
use crate::testing::FILED_AT;

pub(crate) fn wanted(announced: u32, missing: &[(u32, u32)]) -> Standing {
    Standing::Wanted {
        announced,
        missing: missing
            .iter()
            .map(|(from, count)| Places(*from, *count))
            .collect(),
    }
}

pub(crate) fn received() -> Standing {
    Standing::Received {
        state: FileState::Received,
    }
}

pub(crate) async fn attaching_makes_a_file_that_waits(ledger: &impl Ledger) {
    let (mut agent, file) = agent_with(ledger, "LYN", "f", &["a", "b"]).await;
    let found = record(ledger, &file).await;
    assert_eq!(
        (found.id, found.root, found.size),
        (file.id, file.root, file.size())
    );
    assert_eq!(
        (found.name.as_str(), found.reporter.as_str()),
        ("f.pdf", "j.martin")
    );
    assert_eq!(found.attached_at.to_string(), FILED_AT);
    assert_eq!(found.agent, agent.credentials.agent);
    assert_eq!(
        (&found.branch, &found.number),
        (&agent.branch, &agent.number(1))
    );
    assert_eq!(
        (&found.state, found.version, found.count),
        (&FileState::Waiting, 0, None)
    );
    assert_eq!((found.held_bytes, found.trouble.clone()), (0, None));
    let ticket = ledger.ticket(agent.number(1)).await.unwrap().unwrap();
    assert_eq!(
        (ticket.files.as_slice(), ticket.more_files),
        ([found].as_slice(), false)
    );
    // Told again, in another stream too, it is the same file.
    let all = agent.journal.len();
    agent.submit(ledger, 0, all).await;
    let operations = agent.journal.clone();
    agent = agent.forked("second", None);
    agent.journal = operations;
    agent.submit_all(ledger).await;
    let ticket = ledger.ticket(agent.number(1)).await.unwrap().unwrap();
    assert_eq!(ticket.files.len(), 1);
    assert!(ledger.chunks_of(file.id, 0, 9).await.unwrap().is_empty());
    let stranger = TestFile::new("nobody", &[]);
    assert!(ledger.file(stranger.id).await.unwrap().is_none());
}

pub(crate) async fn a_file_is_announced_brought_and_received(ledger: &impl Ledger) {
    let (agent, file) = agent_with(ledger, "LYN", "f", &["a", "b", "c"]).await;
    assert_eq!(
        announce(ledger, &agent, file.question()).await,
        wanted(0, &[])
    );
    let standing = announce(ledger, &agent, file.whole()).await;
    assert_eq!(standing, wanted(3, &[(0, 3)]));
    let asked = vec![chunk("b"), chunk("x")];
    let wants = ledger.wants(agent.credentials.agent, asked).await.unwrap();
    assert_eq!(wants, [Want::Wanted, Want::NotAnnounced]);

    let kept = bring(ledger, &agent, "one", &[chunk("b"), chunk("x")]).await;
    assert_eq!((kept.used, kept.not_announced), (1, vec![1]));
    assert!(kept.received.is_empty() && kept.news_for.is_empty());
    let standing = announce(ledger, &agent, file.question()).await;
    assert_eq!(standing, wanted(3, &[(0, 1), (2, 1)]));
    assert_eq!(
        record(ledger, &file).await.held_bytes,
        u64::from(chunk("b").size())
    );
    let wants = ledger
        .wants(agent.credentials.agent, vec![chunk("b")])
        .await
        .unwrap();
    assert_eq!(wants, [Want::Held]);

    let kept = bring(ledger, &agent, "two", &[chunk("a"), chunk("b"), chunk("c")]).await;
    assert_eq!((kept.used, &kept.received), (2, &vec![file.id]));
    assert_eq!(kept.news_for, [agent.branch.clone()]);
    assert_eq!(announce(ledger, &agent, file.whole()).await, received());
    assert_eq!(told(ledger, &agent, &file).await, [FileState::Received]);
    let places: Vec<_> = ledger.chunks_of(file.id, 0, 9).await.unwrap();
    let expected = [("two", 0), ("one", 0), ("two", 2)];
    for ((placed, chunk), (object, index)) in places.iter().zip(&file.chunks).zip(expected) {
        assert_eq!(
            (placed.chunk, placed.place),
            (*chunk, Some(place_in(object, index)))
        );
    }
    assert_eq!(places.len(), 3);
    assert_eq!(ledger.chunks_of(file.id, 1, 1).await.unwrap(), places[1..2]);
}
