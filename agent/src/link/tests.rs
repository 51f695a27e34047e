//! The link against central, against others in its place, and through proxies: over real sockets and TLS.

pub(crate) mod authority;
mod clocks;
mod impostors;
pub(crate) mod peer;
mod proxies;

use std::time::Duration;

use branchline_protocol::frame::Encoding;
use branchline_protocol::manifest::{ChunkRef, ChunksReply};
use branchline_protocol::outcome::Failure;
use branchline_protocol::problem::{Problem, ProblemKind};

use self::authority::{Authority, GOOD};
use self::peer::{Peer, Says};
use super::bulk::ChunkBody;
use super::*;

fn settings() -> LinkSettings {
    LinkSettings {
        proxy: crate::config::ProxyChoice::Direct,
        ..LinkSettings::default()
    }
}

/// What the control lane's request fails with, or its status.
async fn control(link: &Link) -> Result<(), Failure> {
    let through_proxy = link.way().route.proxy().is_some();
    let request = link.present().http.get(format!("{}/livez", link.server()));
    let request = request.timeout(Duration::from_secs(20));
    answer::receive(request, through_proxy).await.map(|_| ())
}

/// The same for a connection of the bulk lane, with a request over it.
async fn bulk(link: &Link) -> Result<(), Failure> {
    let lane = link.bulk(Arc::new(Gate::unpaced()));
    lane.livez().await
}

fn chunks(count: usize) -> ChunkBody {
    let mut body = ChunkBody::default();
    for number in 0..count {
        let chunk = vec![u8::try_from(number % 251).unwrap(); 100_000];
        body.push(ChunkRef::of(&chunk), Encoding::Plain, chunk)
            .unwrap();
    }
    body
}

fn replied<T: std::fmt::Debug>(answer: Answer<T>) -> T {
    match answer {
        Answer::Reply(reply) => reply,
        Answer::Outcome(outcome) => panic!("{outcome:?}"),
    }
}

fn words<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    match answer {
        Answer::Outcome(Outcome::Retry { trouble, .. }) => trouble.words,
        other => panic!("{other:?}"),
    }
}

async fn central_and_link() -> (Authority, Peer, Link) {
    let authority = Authority::new("Branchline root");
    let served = authority.server("localhost", GOOD);
    let central = Peer::central(authority.serves(&served)).await;
    let link = Link::mutual(&central.url(), &authority.agent(), &settings()).unwrap();
    (authority, central, link)
}

#[tokio::test]
async fn both_lanes_prove_who_they_are_and_speak_http_1() {
    let (_authority, central, link) = central_and_link().await;
    let reply = replied(link.feed(None, Duration::ZERO).await);
    assert_eq!(reply.cursor, "c");
    let lane = link.bulk(Arc::new(Gate::unpaced()));
    let reply: ChunksReply = replied(lane.send_chunks(chunks(40)).await.0);
    assert_eq!(reply.frames, 1);
    assert!(lane.gate().sent() >= 4_000_000);
    let heard = central.heard();
    assert_eq!(heard.len(), 2);
    for heard in heard {
        assert!(heard.shown.is_some(), "{heard:?}");
        assert!(heard.head.contains(" HTTP/1.1\r\n"), "{}", heard.head);
        let host = format!("\r\nhost: localhost:{}\r\n", central.address.port());
        assert!(heard.head.to_lowercase().contains(&host), "{}", heard.head);
        assert!(!heard.head.to_lowercase().contains("authorization"));
    }
}

#[tokio::test]
async fn a_certificate_that_takes_the_place_is_shown_on_connections_of_its_own() {
    let (authority, central, link) = central_and_link().await;
    let lane = link.bulk(Arc::new(Gate::unpaced()));
    replied(link.feed(None, Duration::ZERO).await);
    replied(lane.send_chunks(chunks(1)).await.0);
    let next = authority.agent();
    link.adopt(&next).unwrap();
    replied(link.feed(None, Duration::ZERO).await);
    replied(lane.send_chunks(chunks(1)).await.0);
    let heard = central.heard();
    let shown = |number: usize| heard[number].shown.as_ref().unwrap().as_ref().to_vec();
    assert_eq!(shown(0), shown(1));
    assert_ne!(shown(0), shown(2));
    assert_eq!(shown(2), next.certificate.chain()[0].as_bytes());
    assert_eq!(shown(2), shown(3));
    let before = [heard[0].connection, heard[1].connection];
    assert!(!before.contains(&heard[2].connection) && !before.contains(&heard[3].connection));
}

#[tokio::test]
async fn what_central_thinks_of_the_certificate_before_leads_to_no_renewal() {
    let (authority, central, link) = central_and_link().await;
    let problem = Problem::new(ProblemKind::CertificateSuperseded, "x");
    central.says(Says {
        status: "401 No",
        ..Says::ok(&serde_json::to_string(&problem).unwrap())
    });
    let of_now = link.feed(None, Duration::ZERO).await;
    assert!(matches!(of_now, Answer::Outcome(Outcome::Renew { .. })));
    let of_before = link.unless_of_before(of_now, link.present().generation);
    link.adopt(&authority.agent()).unwrap();
    let of_before = link.unless_of_before(of_before, 0);
    assert!(matches!(of_before, Answer::Outcome(Outcome::Retry { .. })));
}

#[tokio::test]
async fn central_that_does_not_take_our_certificate_is_told_apart() {
    let (_, central, _) = central_and_link().await;
    drop(central);
    let authority = Authority::new("Branchline root");
    let served = authority.server("localhost", GOOD);
    // Central proves itself to us, and wants clients of another authority.
    let other = Authority::new("Another root");
    let central = Peer::central(other.serves(&served)).await;
    let link = Link::mutual(&central.url(), &authority.agent(), &settings()).unwrap();
    assert_eq!(control(&link).await, Err(Failure::CertificateRefused));
    assert_eq!(bulk(&link).await, Err(Failure::CertificateRefused));
    assert!(central.heard().is_empty());
}

#[tokio::test]
async fn joining_needs_no_certificate_and_tells_the_secret_to_central_alone() {
    let authority = Authority::new("Branchline root");
    let served = authority.server("localhost", GOOD);
    let central = Peer::central(authority.serves(&served)).await;
    let secret = branchline_protocol::enrolment::Secret::from_bytes([0x5e; 32]);
    let request = EnrolmentRequest {
        secret,
        request: Der::new(vec![1, 2, 3]).unwrap(),
        journal_of: None,
        version: "1".to_owned(),
        clock: crate::ids::now(),
    };
    let link = Link::joining(&central.url(), authority.fingerprint(), &settings()).unwrap();
    let answer = link.enrol(&request).await;
    assert!(
        matches!(answer, Answer::Outcome(_)),
        "a feed is no enrolment"
    );
    let heard = central.heard();
    assert!(heard[0].head.starts_with("POST /v1/enrolment "));
    assert!(heard[0].shown.is_none());
    let said: serde_json::Value = serde_json::from_slice(&heard[0].body).unwrap();
    assert_eq!(said["request"], "AQID");

    let impostor = Authority::new("UTM");
    let posing = Peer::central(impostor.serves(&impostor.server("localhost", GOOD))).await;
    let link = Link::joining(&posing.url(), authority.fingerprint(), &settings()).unwrap();
    let said = words(link.enrol(&request).await);
    assert!(said.contains("\"UTM issuing\""), "{said}");
    assert!(posing.heard().is_empty());
}
