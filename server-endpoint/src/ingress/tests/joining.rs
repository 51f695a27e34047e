//! Joining, over real TLS: tokens that are none, races for their uses, requests that are none.

use branchline_protocol::enrolment::{Der, EnrolmentReply, JournalOf, Secret};
use branchline_protocol::id::AgentId;
use branchline_protocol::limits::ENROLMENT_BYTES;
use branchline_protocol::problem::ProblemKind;
use futures_util::future::join_all;
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::central::{Request, small_bounds};
use super::guarded::{Guarded, Identity, days, deed, post, signing_request};
use crate::ingress::{Bounds, Way};
use crate::ledger::{TokenFor, TrailFilter, now};

fn new_key() -> KeyPair {
    KeyPair::generate().unwrap()
}

async fn refused(central: &Guarded, request: Request, kind: ProblemKind, what: &str) -> String {
    let answer = central.ask(None, request).await;
    answer.assert_problem(kind, what).detail
}

/// The good body, with one member changed.
fn body_with(secret: &Secret, member: &str, value: &Value) -> Value {
    let mut body = json!({
        "secret": secret, "request": signing_request(&new_key()), "version": "0.1.0", "clock": 0,
    });
    body[member] = value.clone();
    body
}

async fn trail(central: &Guarded, action: &str) -> usize {
    let filter = TrailFilter {
        action: Some(action.to_owned()),
        most: 1_000,
        ..TrailFilter::default()
    };
    central.ledger().trail(filter).await.unwrap().len()
}

async fn agents(central: &Guarded) -> usize {
    let branches = central.ledger().branches().await.unwrap();
    branches.iter().map(|branch| branch.agents.len()).sum()
}

#[tokio::test]
async fn tokens_that_are_none_are_told_apart_and_recorded() {
    let central = Guarded::start().await;
    let good = central.token("LYN", 1).await;
    let branch = TokenFor::Branch("LYN".parse().unwrap());
    let expired = central.token_until(branch, 5, now().0 - 1).await;
    let never = Secret::from_bytes([3; 32]);
    let enrol = |secret: &Secret| Guarded::enrolment(secret, &new_key(), None);
    for (secret, kind) in [
        (&never, ProblemKind::UnknownToken),
        (&expired, ProblemKind::TokenExpired),
    ] {
        refused(&central, enrol(secret), kind, "token").await;
    }
    central.ask(None, enrol(&good)).await.assert_ok();
    refused(&central, enrol(&good), ProblemKind::TokenUsedUp, "used up").await;
    let tokens = central.ledger().tokens().await.unwrap();
    let number = tokens.iter().map(|token| token.number).max().unwrap();
    let by = deed("token-revoked");
    assert!(central.ledger().revoke_token(number, by).await.unwrap());
    refused(
        &central,
        enrol(&expired),
        ProblemKind::UnknownToken,
        "revoked",
    )
    .await;
    assert_eq!(trail(&central, "enrolment-refused").await, 4);
    assert_eq!(agents(&central).await, 1);
}

#[tokio::test]
async fn p2_a_repeat_is_the_same_enrolment_and_takes_no_use() {
    let central = Guarded::start().await;
    let secret = central.token("LYN", 1).await;
    let key = new_key();
    let mut certificates = Vec::new();
    for _ in 0..3 {
        let request = Guarded::enrolment(&secret, &key, None);
        let reply: EnrolmentReply = central.ask(None, request).await.json();
        certificates.push((reply.agent, reply.ordinal, reply.issued.certificate));
    }
    assert!(certificates.windows(2).all(|pair| pair[0] == pair[1]));
    let issued = central.ledger().certificates(certificates[0].0).await;
    assert_eq!(issued.unwrap().len(), 1);
    assert_eq!(agents(&central).await, 1);
}

#[tokio::test]
async fn a_race_of_fifty_for_three_uses_has_three_winners() {
    let central = Guarded::with(
        Way::Tls,
        Bounds {
            enrolments: 64,
            enrolment_failures: 1_000,
            ..small_bounds()
        },
    )
    .await;
    let secret = central.token("LYN", 3).await;
    // Each of ten keys five times over, all at once.
    let keys: Vec<KeyPair> = (0..10).map(|_| new_key()).collect();
    let racing = (0..50).map(|racer| {
        let request = Guarded::enrolment(&secret, &keys[racer % keys.len()], None);
        let central = &central;
        async move {
            // Whoever is told to come back does.
            loop {
                let answer = central.ask_again(None, request.clone()).await;
                if answer.status != 503 {
                    return answer;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    });
    let answers = join_all(racing).await;
    let mut winners: Vec<AgentId> = Vec::new();
    for answer in &answers {
        if answer.status == 200 {
            winners.push(answer.json::<EnrolmentReply>().agent);
        } else {
            answer.assert_problem(ProblemKind::TokenUsedUp, "lost the race");
        }
    }
    // Whoever won did so with all five of its attempts.
    assert_eq!(winners.len(), 15);
    winners.sort_unstable();
    winners.dedup();
    assert_eq!((winners.len(), agents(&central).await), (3, 3));
}

#[tokio::test]
async fn bodies_and_requests_that_are_none() {
    let central = Guarded::start().await;
    let secret = central.token("LYN", 100).await;
    let with =
        |member: &str, value: Value| post("/v1/enrolment", &body_with(&secret, member, &value));
    let key = new_key();
    let mut forged = signing_request(&key).as_bytes().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let forged = Der::new(forged).unwrap();
    let certificate = Identity::self_signed(&[]).chain.remove(0);
    for (value, what) in [
        (json!(forged), "a bad signature"),
        (json!(Der::new(certificate).unwrap()), "a certificate"),
        (json!("AQID"), "three bytes"),
    ] {
        let request = with("request", value);
        refused(&central, request, ProblemKind::InvalidField, what).await;
    }
    for (member, value) in [
        ("request", json!("")),
        ("request", json!("not base64")),
        ("request", json!(null)),
        ("secret", json!("00")),
        ("secret", json!(null)),
        ("journal_of", json!({ "agent": "x" })),
        ("clock", json!("now")),
    ] {
        let request = with(member, value.clone());
        let what = format!("{member}: {value}");
        let detail = refused(&central, request, ProblemKind::Malformed, &what).await;
        let secret = json!(secret).to_string();
        assert!(!detail.contains(secret.trim_matches('"')), "{detail}");
    }
    let large = with("version", json!("v".repeat(ENROLMENT_BYTES)));
    refused(&central, large, ProblemKind::TooLarge, "large").await;
    let packed = zstd::bulk::compress(&vec![b' '; ENROLMENT_BYTES + 1], 3).unwrap();
    let packed = Request::bare("POST", "/v1/enrolment", packed).with("content-encoding", "zstd");
    refused(&central, packed, ProblemKind::TooLarge, "packed").await;
    let no_version = with("clock", json!(0)).without("branchline-protocol");
    refused(
        &central,
        no_version,
        ProblemKind::UnsupportedVersion,
        "none",
    )
    .await;
    assert_eq!(agents(&central).await, 0);
    assert_eq!(central.ledger().tokens().await.unwrap()[0].used, 0);
}

#[tokio::test]
async fn a_journal_stays_with_its_agent() {
    let central = Guarded::start().await;
    let joined = central.join("LYN").await;
    let journal_of = |ordinal| {
        Some(JournalOf {
            agent: joined.id(),
            branch: joined.record.branch.clone(),
            ordinal,
        })
    };
    // Neither its own branch's token nor another's makes it another agent, or takes its place.
    for branch in ["LYN", "PAR"] {
        let secret = central.token(branch, 1).await;
        let request = Guarded::enrolment(&secret, &new_key(), journal_of(1));
        let detail = refused(&central, request, ProblemKind::Conflict, branch).await;
        assert!(detail.contains("token"), "{detail}");
        let tokens = central.ledger().tokens().await.unwrap();
        assert_eq!(tokens[0].used, 0, "a use was taken");
    }
    let purpose = TokenFor::Agent(joined.id());
    let secret = central.token_until(purpose, 1, now().0 + days(1)).await;
    let request = Guarded::enrolment(&secret, &new_key(), journal_of(1));
    let reply: EnrolmentReply = central.ask(None, request).await.json();
    assert_eq!((reply.agent, reply.ordinal), (joined.id(), 1));
    assert_eq!(agents(&central).await, 1);
}

#[tokio::test]
async fn a_certificate_is_no_help_in_joining() {
    let central = Guarded::start().await;
    let joined = central.join("LYN").await;
    let request = Guarded::enrolment(&Secret::from_bytes([1; 32]), &new_key(), None);
    let answer = central.ask(Some(&joined.identity), request).await;
    answer.assert_problem(ProblemKind::UnknownToken, "with a certificate");
    let secret = central.token("PAR", 1).await;
    let request = Guarded::enrolment(&secret, &new_key(), None);
    let answer = central.ask(Some(&joined.identity), request).await;
    let reply: EnrolmentReply = answer.json();
    assert_ne!(reply.agent, joined.id());
}

#[tokio::test]
async fn p8_guessing_is_bounded_by_address() {
    let central = Guarded::start().await;
    let guess = || Guarded::enrolment(&Secret::from_bytes([9; 32]), &new_key(), None);
    let mut refusals = 0;
    let busy = loop {
        let answer = central.ask(None, guess()).await;
        if answer.status == 503 {
            break answer;
        }
        answer.assert_problem(ProblemKind::UnknownToken, "a guess");
        refusals += 1;
        assert!(refusals < 100, "no bound");
    };
    busy.assert_problem(ProblemKind::Busy, "too many");
    let after: u64 = busy.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    assert_eq!(trail(&central, "enrolment-refused").await, refusals);
    // Agents that have joined are not affected.
    let joined = central.join_directly("LYN").await;
    let feed = Request::bare("GET", "/v1/feed?after=&wait=0", Vec::new());
    central.ask(Some(&joined.identity), feed).await.assert_ok();
}
