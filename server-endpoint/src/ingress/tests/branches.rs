//! Each route with another branch's identifiers, by an agent with a good certificate of its own: an agent
//! sees and writes its own branch alone.

use branchline_protocol::enrolment::{EnrolmentReply, Issued};
use branchline_protocol::event::{Event, EventBody};
use branchline_protocol::exchange::{FeedReply, SubmissionReply};
use branchline_protocol::id::Digest;
use branchline_protocol::manifest::{
    AnnouncementReply, ChunkRef, ChunksReply, FrameRefusal, Section, Standing,
};
use branchline_protocol::problem::ProblemKind;
use rcgen::{CertificateParams, KeyPair, SanType};
use serde_json::json;

use super::body_of;
use super::central::Request;
use super::guarded::{Guarded, Joined, post};
use crate::authority::Presented;
use crate::testing::{attachment, comment, operation_id, withdrawal};

fn submission(joined: &Joined, from: usize, to: usize) -> Request {
    Request::bare("POST", "/v1/operations", body_of(&joined.agent, from, to))
}

fn feed(after: &str) -> Request {
    let path = format!("/v1/feed?after={after}&wait=0");
    Request::bare("GET", &path, Vec::new())
}

/// A victim at LYN with a ticket, a file whose bytes have not come, and a verdict in its feed; and
/// somebody at PAR.
async fn two_branches() -> (Guarded, Joined, Joined, Section) {
    let central = Guarded::start().await;
    let (mut victim, evil) = (central.join("LYN").await, central.join("PAR").await);
    let bytes = vec![1; 100];
    let root = Digest(*blake3::hash(&bytes).as_bytes());
    victim.agent.file(&["theirs"], 1);
    let file = attachment("photo", "theirs", 100, root);
    victim.agent.journal.push(file);
    victim
        .agent
        .journal
        .push(crate::testing::unknown_kind("odd"));
    let answer = central
        .ask(Some(&victim.identity), submission(&victim, 0, 3))
        .await;
    answer.assert_ok();
    let section = Section {
        file: operation_id("photo").into(),
        size: 100,
        root,
        count: 1,
        from: 0,
        chunks: vec![ChunkRef::of(&bytes)],
    };
    (central, victim, evil, section)
}

#[tokio::test]
async fn operations_another_agents_stream_numbers_and_tickets() {
    let (central, victim, mut evil, _) = two_branches().await;
    let own = evil.agent.stream;
    // The victim's stream, from its start and from its head.
    evil.agent.stream = victim.agent.stream;
    evil.agent.journal.clone_from(&victim.agent.journal);
    for at in [0, 3] {
        let answer = central
            .ask(Some(&evil.identity), submission(&evil, at, at))
            .await;
        answer.assert_problem(ProblemKind::ForeignStream, "the victim's stream");
    }
    evil.agent.stream = own;
    // The victim's number, its ticket, and its branch's next number.
    evil.agent.journal = vec![
        victim.agent.ticket("mine", 2),
        comment("note", "theirs"),
        withdrawal("away", "theirs"),
        attachment("virus", "theirs", 10, Digest([1; 32])),
    ];
    let answer = central
        .ask(Some(&evil.identity), submission(&evil, 0, 4))
        .await;
    let reply: SubmissionReply = answer.json();
    assert_eq!(reply.verdicts.len(), 4, "{:?}", reply.verdicts);
    let number = victim.agent.number(1);
    let ticket = central.ledger().ticket(number).await.unwrap().unwrap();
    assert!(ticket.comments.is_empty() && ticket.withdrawn.is_none());
    let second = central.ledger().ticket(victim.agent.number(2)).await;
    assert!(second.unwrap().is_none());
}

#[tokio::test]
async fn the_feed_is_the_certificates_branchs_whatever_the_cursor() {
    let (central, victim, evil, _) = two_branches().await;
    let theirs: FeedReply = central.ask(Some(&victim.identity), feed("")).await.json();
    assert!(!theirs.feed.is_empty());
    for after in ["", "0", &theirs.cursor] {
        let answer = central.ask(Some(&evil.identity), feed(after)).await;
        let reply: FeedReply = answer.json();
        assert!(reply.feed.is_empty(), "{after}: {:?}", reply.feed);
    }
    // Nor does naming the branch or the agent help.
    let claims = feed("")
        .with("x-branch", "LYN")
        .with("authorization", &format!("Bearer {}", victim.id()))
        .with("x-forwarded-for", "10.0.0.1")
        .with("x-client-cert", "anything")
        .with("x-ssl-client-s-dn", "CN=LYN");
    let reply: FeedReply = central.ask(Some(&evil.identity), claims).await.json();
    assert!(reply.feed.is_empty());
}

#[tokio::test]
async fn manifests_and_chunks_of_another_branchs_file() {
    let (central, victim, evil, section) = two_branches().await;
    let announce = || post("/v1/manifests", &json!({ "files": [section] }));
    let answer = central.ask(Some(&evil.identity), announce()).await;
    let reply: AnnouncementReply = answer.json();
    assert_eq!(reply.files[0].standing, Standing::NotAttached);
    let answer = central.ask(Some(&victim.identity), announce()).await;
    let reply: AnnouncementReply = answer.json();
    assert!(matches!(reply.files[0].standing, Standing::Wanted { .. }));
    // The bytes that the victim's file wants, brought by somebody whose own files do not.
    let chunk = vec![1; 100];
    let request = Request::bare("POST", "/v1/chunks", super::depot::body(&[&chunk]))
        .with("content-type", branchline_protocol::frame::MEDIA_TYPE);
    let answer = central.ask(Some(&evil.identity), request.clone()).await;
    let reply: ChunksReply = answer.json();
    assert!(reply.received.is_empty());
    assert_eq!(reply.exceptions.len(), 1);
    assert_eq!(reply.exceptions[0].fault, FrameRefusal::NotAnnounced);
    let answer = central.ask(Some(&victim.identity), request).await;
    let reply: ChunksReply = answer.json();
    assert_eq!(reply.received, [section.file]);
    // News of it are the victim's alone.
    let news: FeedReply = central.ask(Some(&evil.identity), feed("")).await.json();
    let moved = news.feed.iter().filter_map(Event::body);
    let moved = moved.filter(|body| matches!(body, EventBody::FileMoved { .. }));
    assert_eq!(moved.count(), 0);
}

#[tokio::test]
async fn a_renewal_is_for_the_one_who_asks_whatever_the_request_says() {
    let (central, victim, evil, _) = two_branches().await;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    let urn = format!("urn:branchline:agent:{}", victim.id());
    params.subject_alt_names = vec![SanType::URI(urn.as_str().try_into().unwrap())];
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, victim.id().to_string());
    let request = params.serialize_request(&key).unwrap();
    let request = branchline_protocol::enrolment::Der::new(request.der().to_vec()).unwrap();
    let body = json!({ "request": request, "agent": victim.id(), "branch": "LYN" });
    let answer = central
        .ask(Some(&evil.identity), post("/v1/certificate", &body))
        .await;
    let issued: Issued = answer.json();
    let examined = central.authority.examine(issued.certificate[0].as_bytes());
    let Ok(Presented::Agent(agent)) = examined else {
        panic!("{examined:?}");
    };
    assert_eq!(agent.agent, evil.id());
    // The victim's own key, as its certificate shows it: only its holder could ask for it, and the
    // present key is never the next.
    let own = Guarded::renewal(&victim.identity.key);
    let answer = central.ask(Some(&victim.identity), own).await;
    answer.assert_problem(ProblemKind::InvalidField, "the present key");
}

#[tokio::test]
async fn a_token_joins_its_own_branch_whatever_the_body_says() {
    let (central, victim, _, _) = two_branches().await;
    let secret = central.token("PAR", 1).await;
    let key = KeyPair::generate().unwrap();
    let body = json!({
        "secret": secret, "request": super::guarded::signing_request(&key), "version": "x",
        "clock": 0, "branch": "LYN", "agent": victim.id(), "ordinal": 1,
    });
    let answer = central.ask(None, post("/v1/enrolment", &body)).await;
    let reply: EnrolmentReply = answer.json();
    assert_eq!(reply.branch.to_string(), "PAR");
    assert_ne!(reply.agent, victim.id());
}
