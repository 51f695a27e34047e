//! What is told to all: the trail, and whom to trust.

use branchline_protocol::enrolment::{Der, Fingerprint, SignedTrust};
use branchline_protocol::event::EventBody;
use branchline_protocol::file::FileState;
use branchline_protocol::id::BranchCode;
use branchline_protocol::time::UnixMillis;

use super::attached::{agent_with, move_to, receive};
use super::certificates::issue;
use super::joining::{NOW, branch, branch_token, deed, digest_of, enrol, join};
use crate::ledger::{
    Actor, Deed, Ledger, MoveFile, Proof, TokenFor, TrailCheck, TrailEntry, TrailFault, TrailFilter,
};
use crate::testing::{TestAgent, unknown_kind};

async fn trail(ledger: &impl Ledger, filter: TrailFilter) -> Vec<TrailEntry> {
    let filter = TrailFilter {
        most: 1_000,
        ..filter
    };
    ledger.trail(filter).await.unwrap()
}

pub(crate) async fn each_deed_is_in_the_trail_and_the_trail_holds_together(ledger: &impl Ledger) {
    let number = branch_token(ledger, "t", "LYN", 1).await;
    let agent = join(ledger, enrol("t", "a")).await;
    join(ledger, enrol("t", "a")).await;
    assert!(issue(ledger, &agent, 1, Proof::Token(digest_of("t")), "a").await);
    let id = agent.id.to_string();
    let revoke = || ledger.revoke_agent(agent.id, deed("agent-revoked", &id));
    revoke().await.unwrap();
    let revoke = || ledger.revoke_token(number, deed("token-revoked", "token 1"));
    revoke().await.unwrap();
    revoke().await.unwrap();
    let long = Deed {
        actor: Actor::Operator("anna".into()),
        detail: "\u{e9}".repeat(2_000),
        address: Some("192.0.2.1".into()),
        at: UnixMillis(NOW.0 + 5),
        ..deed("file-released", "f")
    };
    ledger.record(long).await.unwrap();

    let entries = trail(ledger, TrailFilter::default()).await;
    let told: Vec<_> = entries.iter().map(|entry| entry.action.as_str()).collect();
    // What changed nothing is no deed.
    let expected = [
        "branch-added",
        "token-made",
        "agent-enrolled",
        "certificate-issued",
        "agent-revoked",
        "token-revoked",
        "file-released",
    ];
    assert_eq!(told, expected);
    assert_eq!(entries[1].subject, "token 1");
    assert_eq!(entries[2].actor, "bearer:192.0.2.7");
    assert_eq!(entries[2].subject, id);
    assert_eq!(entries[6].actor, "operator:anna");
    assert_eq!(entries[6].detail.chars().count(), 500);
    let mut check = TrailCheck::default();
    for entry in &entries {
        check.next(entry).unwrap();
    }

    let only = |filter| async { trail(ledger, filter).await.len() };
    let filter = TrailFilter::default;
    assert_eq!(
        only(TrailFilter {
            after: 5,
            ..filter()
        })
        .await,
        2
    );
    let since = Some(UnixMillis(NOW.0 + 1));
    assert_eq!(only(TrailFilter { since, ..filter() }).await, 1);
    let actor = Some("command-line:root".to_owned());
    assert_eq!(only(TrailFilter { actor, ..filter() }).await, 5);
    let action = Some("token-made".to_owned());
    assert_eq!(only(TrailFilter { action, ..filter() }).await, 1);
    let subject = Some(id);
    assert_eq!(
        only(TrailFilter {
            subject,
            ..filter()
        })
        .await,
        3
    );
    a_change_shows(&entries);
}

type Change = fn(&mut TrailEntry);

fn a_change_shows(entries: &[TrailEntry]) {
    let faults = |entries: &[TrailEntry]| {
        let mut check = TrailCheck::default();
        let found = entries.iter().filter_map(|entry| check.next(entry).err());
        found.collect::<Vec<_>>()
    };
    assert_eq!(faults(entries), []);
    let ways: [Change; 7] = [
        |entry| entry.actor = "server".into(),
        |entry| entry.action.push('x'),
        |entry| entry.subject.push('x'),
        |entry| entry.detail.push('x'),
        |entry| entry.address = entry.address.take().xor(Some(String::new())),
        |entry| entry.at.0 += 1,
        |entry| std::mem::swap(&mut entry.action, &mut entry.subject),
    ];
    for change in ways {
        let mut other = entries.to_vec();
        change(&mut other[3]);
        assert_eq!(faults(&other), [TrailFault::Changed(4)]);
        // Whoever computes the digest again has to do so for all that come after.
        other[3].digest = other[3].digest_after(other[2].digest);
        assert_eq!(faults(&other), [TrailFault::Changed(5)]);
    }
    let mut shorter = entries.to_vec();
    shorter.remove(3);
    assert_eq!(faults(&shorter), [TrailFault::Missing(4)]);
    let mut swapped = entries.to_vec();
    swapped.swap(3, 4);
    assert!(!faults(&swapped).is_empty());
}

pub(crate) async fn a_release_is_recorded_with_what_it_moves(ledger: &impl Ledger) {
    let (agent, file) = agent_with(ledger, "LYN", "f", &["a", "b"]).await;
    receive(ledger, &agent, &file, "one").await;
    move_to(ledger, &file, FileState::Scanning).await;
    let held = move_to(ledger, &file, FileState::Held).await;
    assert_eq!(trail(ledger, TrailFilter::default()).await.len(), 0);
    let release = MoveFile {
        file: file.id,
        version: held.version,
        state: FileState::Released {
            by: "Ada".into(),
            reason: "needed".into(),
        },
        sniffed: None,
        disguised: false,
        deed: Some(deed("file-released", &file.id.to_string())),
        at: NOW,
    };
    let released = ledger.move_file(release.clone()).await.unwrap();
    assert!(released.is_some());
    // It is not as it was seen any more, so that nothing is done.
    assert!(ledger.move_file(release).await.unwrap().is_none());
    let told = trail(ledger, TrailFilter::default()).await;
    let told: Vec<_> = told
        .iter()
        .map(|it| (it.action.as_str(), it.subject.clone()))
        .collect();
    assert_eq!(told, [("file-released", file.id.to_string())]);
}

fn trust(serial: u64, signature: u8) -> SignedTrust {
    SignedTrust {
        bundle: format!(r#"{{"serial":{serial},"anchors":["AAAA"]}}"#),
        signer: Fingerprint([1; 32]),
        signature: Der::new(vec![signature; 8]).unwrap(),
    }
}

pub(crate) async fn trust_reaches_each_branch_once_and_in_order(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    branch(ledger, "PAR").await;
    agent.journal.push(unknown_kind("x"));
    agent.submit_all(ledger).await;
    let publish = async |trust: SignedTrust| {
        let deed = deed("trust-published", "2");
        ledger.publish_trust(trust, deed).await.unwrap();
    };
    let before = ledger.news(None).await.unwrap().through;
    publish(trust(2, 7)).await;
    // Done again, because the answer was lost: signatures of the same are never the same.
    publish(trust(2, 8)).await;
    publish(trust(3, 9)).await;
    branch(ledger, "NCE").await;

    let read = async |branch: &str| {
        let code: BranchCode = branch.parse().unwrap();
        let page = ledger.feed(code.clone(), None).await.unwrap();
        let again = ledger.feed(code, Some(page.cursor)).await.unwrap();
        assert!(again.events.is_empty() && !again.rewound, "{branch}");
        let told = page.events.iter().filter_map(|event| match event.body() {
            Some(EventBody::TrustChanged { trust }) => Some(trust),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    for branch in ["LYN", "PAR"] {
        assert_eq!(read(branch).await, [trust(2, 7), trust(3, 9)], "{branch}");
    }
    assert_eq!(read("NCE").await, []);
    let mut news = ledger.news(Some(before)).await.unwrap().branches;
    news.sort_unstable_by_key(ToString::to_string);
    let codes: Vec<_> = news.iter().map(BranchCode::as_str).collect();
    assert_eq!(codes, ["LYN", "PAR"]);
    // The stream and its audit do not see it.
    let held = ledger.held(agent.stream, branchline_protocol::id::Seq(0), 9);
    assert_eq!(held.await.unwrap()[0].effects, 1);
    agent.journal.push(unknown_kind("y"));
    agent.submit_all(ledger).await;
    let purpose = TokenFor::Branch("NCE".parse().unwrap());
    assert!(
        super::joining::token(ledger, "n", purpose, 1)
            .await
            .is_some()
    );
    let filter = TrailFilter {
        action: Some("trust-published".into()),
        ..TrailFilter::default()
    };
    assert_eq!(trail(ledger, filter).await.len(), 2);
}
