//! Proxies that end TLS in central's place, and those who only say so.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use branchline_protocol::enrolment::{EnrolmentReply, Issued, ProbeReply, Secret};
use branchline_protocol::problem::ProblemKind;
use rcgen::KeyPair;

use super::body_of;
use super::central::{Request, small_bounds};
use super::guarded::{Guarded, Identity, PROXY, days, deed};
use crate::ingress::Way;
use crate::ledger::now;

const FIELD: &str = "client-cert";

fn passed_on(identity: &Identity) -> String {
    format!(":{}:", STANDARD.encode(identity.leaf()))
}

fn feed() -> Request {
    Request::bare("GET", "/v1/feed?after=&wait=0", Vec::new())
}

#[tokio::test]
async fn a_named_proxy_speaks_for_the_agent_whose_certificate_it_passes_on() {
    let central = Guarded::start().await;
    let proxy = central.proxy(PROXY);
    let joined = central.join("LYN").await;
    let field = passed_on(&joined.identity);
    let through = |request: Request| central.ask(Some(&proxy), request.with(FIELD, &field));
    let request = Request::bare("POST", "/v1/operations", body_of(&joined.agent, 0, 0));
    through(request).await.assert_ok();
    let reply: ProbeReply = through(Request::bare("POST", "/v1/probe", vec![1; 10]))
        .await
        .json();
    assert_eq!((reply.bytes, reply.through_proxy), (10, true));
    let reply: Issued = through(Guarded::renewal(&KeyPair::generate().unwrap()))
        .await
        .json();
    assert_eq!(reply.certificate.len(), 2);
    // What it says of the chain is not looked at.
    let request = feed().with("client-cert-chain", "nonsense");
    through(request).await.assert_ok();
    // Joining goes through it without a certificate.
    let secret = central.token("PAR", 1).await;
    let request = Guarded::enrolment(&secret, &KeyPair::generate().unwrap(), None);
    let reply: EnrolmentReply = central.ask(Some(&proxy), request).await.json();
    assert_eq!(reply.branch.to_string(), "PAR");
}

#[tokio::test]
async fn the_proxys_own_certificate_speaks_for_nobody() {
    let central = Guarded::start().await;
    let proxy = central.proxy(PROXY);
    let joined = central.join("LYN").await;
    let answer = central.ask(Some(&proxy), feed()).await;
    answer.assert_problem(ProblemKind::Unauthenticated, "nothing passed on");
    let renewal = Guarded::renewal(&KeyPair::generate().unwrap());
    let answer = central.ask(Some(&proxy), renewal).await;
    answer.assert_problem(ProblemKind::Unauthenticated, "its own renewal");
    let request = feed().with(FIELD, &passed_on(&proxy));
    let answer = central.ask(Some(&proxy), request).await;
    answer.assert_problem(ProblemKind::Unauthenticated, "its own, passed on");
    let request = feed().with(FIELD, &passed_on(&joined.identity));
    central.ask(Some(&proxy), request).await.assert_ok();
}

#[tokio::test]
async fn a_proxy_that_is_not_named_speaks_for_nobody() {
    let central = Guarded::start().await;
    let proxy = central.proxy("dmz2");
    let joined = central.join("LYN").await;
    let request = feed().with(FIELD, &passed_on(&joined.identity));
    let answer = central.ask(Some(&proxy), request).await;
    answer.assert_problem(ProblemKind::Malformed, "passing on");
    let answer = central.ask(Some(&proxy), feed()).await;
    let problem = answer.assert_problem(ProblemKind::Forbidden, "as itself");
    assert!(problem.detail.contains("dmz2"), "{problem}");
}

#[tokio::test]
async fn a_spoofed_field_is_refused_on_every_route_and_nothing_is_done() {
    let central = Guarded::start().await;
    let [victim, evil] = [central.join("LYN").await, central.join("PAR").await];
    let secret = central.token("PAR", 1).await;
    let key = KeyPair::generate().unwrap();
    for identity in [None, Some(&evil.identity), Some(&victim.identity)] {
        for (name, value) in [
            (FIELD, passed_on(&victim.identity)),
            (FIELD, String::new()),
            ("Client-CERT", passed_on(&victim.identity)),
            ("client-cert-chain", passed_on(&victim.identity)),
        ] {
            for request in [
                Request::bare("POST", "/v1/operations", body_of(&victim.agent, 0, 0)),
                feed(),
                Guarded::renewal(&key),
                Guarded::enrolment(&secret, &key, None),
                Request::bare("POST", "/v1/probe", vec![1; 10]),
                Request::get("/livez"),
                Request::get("/nowhere"),
            ] {
                let request = request.with(name, &value);
                let shown = request.shown();
                let answer = central.ask(identity, request).await;
                let problem = answer.assert_problem(ProblemKind::Malformed, &shown);
                assert!(problem.detail.contains("Client-Cert"), "{problem}");
            }
        }
    }
    assert_eq!(central.ledger().tokens().await.unwrap()[0].used, 0);
}

#[tokio::test]
async fn what_a_proxy_passes_on_is_proven_as_in_a_handshake() {
    let central = Guarded::start().await;
    let proxy = central.proxy(PROXY);
    let joined = central.join("LYN").await;
    let good = passed_on(&joined.identity);
    let expired = central.issue_at(&joined, now().0 - days(91), false).await;
    let urn = format!("urn:branchline:agent:{}", joined.id());
    let own = Identity::self_signed(&[urn.as_str()]);
    let (foreign, ..) = Guarded::start().await.sign(&joined.record, now().0);
    let mut bent = joined.identity.leaf().to_vec();
    let last = bent.len() - 1;
    bent[last] ^= 1;
    let pem = format!("-----BEGIN CERTIFICATE-----{}", &good[1..good.len() - 1]);
    let issuing = STANDARD.encode(&joined.identity.chain[1]);
    let cases = [
        (passed_on(&expired), ProblemKind::CertificateExpired),
        (passed_on(&own), ProblemKind::Unauthenticated),
        (passed_on(&foreign), ProblemKind::Unauthenticated),
        (
            format!(":{}:", STANDARD.encode(bent)),
            ProblemKind::Unauthenticated,
        ),
        (format!(":{issuing}:"), ProblemKind::Unauthenticated),
        (":AQID:".to_owned(), ProblemKind::Unauthenticated),
        (String::new(), ProblemKind::Malformed),
        (pem, ProblemKind::Malformed),
        (good[1..].to_owned(), ProblemKind::Malformed),
        (format!("{good}, {good}"), ProblemKind::Malformed),
        (format!("{good};a=1"), ProblemKind::Malformed),
    ];
    for (field, kind) in cases {
        let answer = central.ask(Some(&proxy), feed().with(FIELD, &field)).await;
        answer.assert_problem(kind, &field);
    }
    let twice = feed().with(FIELD, &good).and(FIELD, &good);
    let answer = central.ask(Some(&proxy), twice).await;
    answer.assert_problem(ProblemKind::Malformed, "two fields");
    // An expired one renews through the proxy too.
    let renewal = Guarded::renewal(&KeyPair::generate().unwrap());
    let renewal = renewal.with(FIELD, &passed_on(&expired));
    central.ask(Some(&proxy), renewal).await.assert_ok();
    let by = deed("agent-revoked");
    central
        .ledger()
        .revoke_agent(joined.id(), by)
        .await
        .unwrap();
    let answer = central.ask(Some(&proxy), feed().with(FIELD, &good)).await;
    answer.assert_problem(ProblemKind::Revoked, "revoked");
}

#[tokio::test]
async fn insecure_loopback_is_a_proxy_to_whoever_is_on_this_machine() {
    let central = Guarded::with(Way::InsecureLoopback, small_bounds()).await;
    let secret = central.token("LYN", 1).await;
    let key = KeyPair::generate().unwrap();
    let request = Guarded::enrolment(&secret, &key, None);
    let reply: EnrolmentReply = central.central.ask(request).await.json();
    let identity = Identity::of(key, &reply.issued);
    let request = feed().with(FIELD, &passed_on(&identity));
    central.central.ask(request).await.assert_ok();
    let answer = central.central.ask(feed()).await;
    answer.assert_problem(ProblemKind::Unauthenticated, "nothing passed on");
    let guess = Guarded::enrolment(&Secret::from_bytes([1; 32]), &identity.key, None);
    let answer = central.central.ask(guess).await;
    answer.assert_problem(ProblemKind::UnknownToken, "a guess");
}
