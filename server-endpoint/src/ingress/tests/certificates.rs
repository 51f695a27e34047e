//! Certificates that are none, over real TLS: each is told apart, on every route that wants one.

use branchline_protocol::enrolment::{EnrolmentReply, Issued, ProbeReply};
use branchline_protocol::exchange::{FeedReply, SubmissionReply};
use branchline_protocol::id::AgentId;
use branchline_protocol::problem::ProblemKind;
use rcgen::KeyPair;

use super::body_of;
use super::central::Request;
use super::guarded::{Guarded, Identity, Joined, days, deed, post};
use crate::ledger::{CertificateState, now};
use crate::testing::TestAgent;

/// One request for each route that wants a good certificate.
fn wanting(agent: &TestAgent) -> Vec<Request> {
    vec![
        Request::bare("POST", "/v1/operations", body_of(agent, 0, 0)),
        Request::bare("GET", "/v1/feed?after=&wait=0", Vec::new()),
        post("/v1/manifests", &serde_json::json!({ "files": [] })),
        Request::bare("POST", "/v1/chunks", super::depot::body(&[]))
            .with("content-type", branchline_protocol::frame::MEDIA_TYPE),
        Request::bare("POST", "/v1/probe", vec![0; 1_000]),
    ]
}

/// On every route; a renewal is answered as it says.
async fn assert_answered(
    central: &Guarded,
    identity: Option<&Identity>,
    agent: &TestAgent,
    work: Option<ProblemKind>,
    renewal: Option<ProblemKind>,
) {
    for request in wanting(agent) {
        let shown = request.shown();
        let answer = central.ask_again(identity, request).await;
        match work {
            Some(kind) => drop(answer.assert_problem(kind, &shown)),
            None => answer.assert_ok(),
        }
    }
    let key = KeyPair::generate().unwrap();
    let answer = central.ask_again(identity, Guarded::renewal(&key)).await;
    match renewal {
        Some(kind) => drop(answer.assert_problem(kind, "renewal")),
        None => answer.assert_ok(),
    }
    central
        .ask_again(identity, Request::get("/livez"))
        .await
        .assert_ok();
}

async fn state_of(central: &Guarded, joined: &Joined, identity: &Identity) -> CertificateState {
    let kept = central.ledger().certificates(joined.id()).await.unwrap();
    let kept = kept.into_iter().find(|kept| kept.der == identity.leaf());
    kept.unwrap().state
}

#[tokio::test]
async fn an_agent_joins_works_and_renews() {
    let central = Guarded::start().await;
    let mut joined = central.join("LYN").await;
    assert_eq!(joined.record.ordinal, 1);
    joined.agent.file(&["a"], 1);
    let request = Request::bare("POST", "/v1/operations", body_of(&joined.agent, 0, 1));
    let reply: SubmissionReply = central.ask(Some(&joined.identity), request).await.json();
    assert_eq!(reply.acknowledged, joined.agent.position(1));
    let probe = Request::bare("POST", "/v1/probe", vec![7; 300_000]).with("via", "1.1 utm");
    let reply: ProbeReply = central.ask(Some(&joined.identity), probe).await.json();
    assert_eq!((reply.bytes, reply.through_proxy), (300_000, false));
    assert_eq!(
        (reply.peer.as_str(), reply.http_version.as_str()),
        ("127.0.0.1", "HTTP/1.1")
    );
    assert_eq!(reply.via.as_deref(), Some("1.1 utm"));

    // The old one is good until the new one is seen at work.
    let key = KeyPair::generate().unwrap();
    let answer = central
        .ask(Some(&joined.identity), Guarded::renewal(&key))
        .await;
    let issued: Issued = answer.json();
    let answer = central
        .ask(Some(&joined.identity), Guarded::renewal(&key))
        .await;
    let again: Issued = answer.json();
    assert_eq!(issued.certificate, again.certificate);
    let next = Identity::of(key, &issued);
    let agent = &joined.agent;
    assert_answered(&central, Some(&joined.identity), agent, None, None).await;
    let next = {
        // That renewal was for another key, and the one before gave way.
        assert_eq!(
            state_of(&central, &joined, &next).await,
            CertificateState::Superseded
        );
        let key = KeyPair::generate().unwrap();
        let answer = central
            .ask(Some(&joined.identity), Guarded::renewal(&key))
            .await;
        Identity::of(key, &answer.json())
    };
    assert_eq!(
        state_of(&central, &joined, &next).await,
        CertificateState::Unproven
    );
    assert_answered(&central, Some(&next), agent, None, None).await;
    let superseded = Some(ProblemKind::CertificateSuperseded);
    assert_answered(&central, Some(&joined.identity), agent, superseded, None).await;
}

#[tokio::test]
async fn renewing_does_not_prove_the_new_certificate() {
    let central = Guarded::start().await;
    let joined = central.join("LYN").await;
    let agent = &joined.agent;
    assert_answered(&central, Some(&joined.identity), agent, None, None).await;
    let next = central.issue_at(&joined, now().0, true).await;
    let key = KeyPair::generate().unwrap();
    central
        .ask(Some(&next), Guarded::renewal(&key))
        .await
        .assert_ok();
    assert_answered(&central, Some(&joined.identity), agent, None, None).await;
}

#[tokio::test]
async fn no_certificate_is_no_identity() {
    let central = Guarded::start().await;
    let joined = central.join("LYN").await;
    let none = Some(ProblemKind::Unauthenticated);
    assert_answered(&central, None, &joined.agent, none, none).await;
    // What says who one is in other places says nothing here.
    let request = Request::bare("POST", "/v1/operations", body_of(&joined.agent, 0, 0)).with(
        "authorization",
        &format!("Bearer {}.{}", joined.id(), "0".repeat(64)),
    );
    let answer = central.ask(None, request).await;
    answer.assert_problem(ProblemKind::Unauthenticated, "a bearer secret");
    assert!(answer.header("www-authenticate").is_some());
}

#[tokio::test]
async fn an_expired_certificate_only_renews_and_not_for_ever() {
    let central = Guarded::start().await;
    let joined = central.join("LYN").await;
    let agent = &joined.agent;
    let expired = central.issue_at(&joined, now().0 - days(91), true).await;
    let kind = Some(ProblemKind::CertificateExpired);
    assert_answered(&central, Some(&expired), agent, kind, None).await;
    let last = central
        .issue_at(&joined, now().0 - days(90 + 399), true)
        .await;
    assert_answered(&central, Some(&last), agent, kind, None).await;
    let gone = central
        .issue_at(&joined, now().0 - days(90 + 401), true)
        .await;
    let kind = Some(ProblemKind::Revoked);
    assert_answered(&central, Some(&gone), agent, kind, kind).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_taken_because_central_made_it() {
    let central = Guarded::start().await;
    let joined = central.join("LYN").await;
    let early = central.issue_at(&joined, now().0 + days(30), true).await;
    assert_answered(&central, Some(&early), &joined.agent, None, None).await;
}

#[tokio::test]
async fn p2_a_certificate_from_after_the_backup_is_taken() {
    let central = Guarded::start().await;
    let joined = central.join("LYN").await;
    let unknown = central.issue_at(&joined, now().0, false).await;
    assert_answered(&central, Some(&unknown), &joined.agent, None, None).await;
}

#[tokio::test]
async fn a_revoked_agent_is_refused_and_so_is_one_that_joined_elsewhere() {
    let central = Guarded::start().await;
    let joined = central.join("LYN").await;
    let agent = &joined.agent;
    assert_answered(&central, Some(&joined.identity), agent, None, None).await;
    let by = deed("agent-revoked");
    assert!(
        central
            .ledger()
            .revoke_agent(joined.id(), by)
            .await
            .unwrap()
    );
    let revoked = Some(ProblemKind::Revoked);
    assert_answered(&central, Some(&joined.identity), agent, revoked, revoked).await;
    // It joins again, as itself; what it had before stays refused.
    let purpose = crate::ledger::TokenFor::Agent(joined.id());
    let secret = central.token_until(purpose, 1, now().0 + 3_600_000).await;
    let key = KeyPair::generate().unwrap();
    let request = Guarded::enrolment(&secret, &key, None);
    let reply: EnrolmentReply = central.ask(None, request).await.json();
    assert_eq!(reply.agent, joined.id());
    let again = Identity::of(key, &reply.issued);
    assert_answered(&central, Some(&again), agent, None, None).await;
    assert_answered(&central, Some(&joined.identity), agent, revoked, revoked).await;
}

#[tokio::test]
async fn an_agent_that_central_does_not_know_is_told_so() {
    let central = Guarded::start().await;
    let joined = central.join("LYN").await;
    let mut stranger = joined.record.clone();
    stranger.id = AgentId::from_bytes([7; 16]);
    let (identity, ..) = central.sign(&stranger, now().0);
    let unknown = Some(ProblemKind::UnknownAgent);
    assert_answered(&central, Some(&identity), &joined.agent, unknown, unknown).await;
}

#[tokio::test]
async fn what_is_not_ours_ends_in_the_handshake() {
    let central = Guarded::start().await;
    let joined = central.join("LYN").await;
    let urn = format!("urn:branchline:agent:{}", joined.id());
    let other = Guarded::start().await;
    let (foreign, ..) = other.sign(&joined.record, now().0);
    let not_its_key = Identity {
        key: KeyPair::generate().unwrap(),
        chain: joined.identity.chain.clone(),
    };
    let bent = {
        let mut chain = joined.identity.chain.clone();
        let last = chain[0].len() - 1;
        chain[0][last] ^= 1;
        let key = KeyPair::from_pem(&joined.identity.key.serialize_pem()).unwrap();
        Identity { key, chain }
    };
    // The foreign CA as its own intermediate, and ours in front of theirs.
    let mut mixed = Identity {
        key: KeyPair::from_pem(&foreign.key.serialize_pem()).unwrap(),
        chain: foreign.chain.clone(),
    };
    mixed.chain.push(joined.identity.chain[1].clone());
    let cases = [
        ("self-signed", Identity::self_signed(&[urn.as_str()])),
        ("another CA", foreign),
        ("another CA with ours beside it", mixed),
        ("a key that is not its own", not_its_key),
        ("a bent signature", bent),
    ];
    for (what, identity) in &cases {
        for path in ["/livez", "/v1/feed?after=&wait=0"] {
            let request = Request::bare("GET", path, Vec::new());
            let answer = central.try_ask(Some(identity), request).await;
            let fault = answer
                .err()
                .unwrap_or_else(|| panic!("{what} was answered"));
            assert!(fault.to_string().contains("alert"), "{what}: {fault}");
        }
    }
    central
        .ask(Some(&joined.identity), wanting(&joined.agent).remove(0))
        .await
        .assert_ok();
}

#[tokio::test]
async fn the_ca_itself_and_the_server_are_no_agents() {
    let central = Guarded::start().await;
    let joined = central.join("LYN").await;
    // The issuing CA's certificate, without its key: refused whichever is looked at first.
    let identity = Identity {
        key: KeyPair::generate().unwrap(),
        chain: vec![joined.identity.chain[1].clone()],
    };
    let request = Request::bare("GET", "/v1/feed?after=&wait=0", Vec::new());
    assert!(central.try_ask(Some(&identity), request).await.is_err());
}

#[tokio::test]
async fn a_connection_is_judged_anew_for_every_request() {
    let central = Guarded::start().await;
    let joined = central.join("LYN").await;
    let mut connection = central.connect(Some(&joined.identity)).await.unwrap();
    let feed = Request::bare("GET", "/v1/feed?after=&wait=0", Vec::new()).without("connection");
    let answer = super::guarded::ask_on(&mut connection, &feed).await;
    drop(answer.unwrap().json::<FeedReply>());
    // Another certificate of the same agent is seen at work: this one is superseded from here on.
    let next = central.issue_at(&joined, now().0, true).await;
    central.ask(Some(&next), feed.clone()).await.assert_ok();
    let answer = super::guarded::ask_on(&mut connection, &feed)
        .await
        .unwrap();
    answer.assert_problem(ProblemKind::CertificateSuperseded, "superseded");
}
