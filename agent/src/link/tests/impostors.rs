//! Others in central's place: each is told for what it is, by both lanes, and none is told anything.

use branchline_protocol::problem::ErrorClass;

use super::authority::Served;
use super::*;

const LATE: authority::Days = (-20, -10);
const EARLY: authority::Days = (10, 20);

/// ServerHello of TLS 1.1: version 3.2, a random, no session, AES-128-SHA, no compression.
const TLS_1_1: &[u8] = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02\
    0123456789abcdef0123456789abcdef\x00\x00\x2f\x00";

struct Case {
    what: &'static str,
    peer: Peer,
    expected: Failure,
}

/// Both lanes of an enrolled agent, and the one that joins.
async fn all_tell(ours: &Authority, case: &Case) {
    let Case {
        what,
        peer,
        expected,
    } = case;
    let mutual = Link::mutual(&peer.url(), &ours.agent(), &settings()).unwrap();
    let joining = Link::joining(&peer.url(), ours.fingerprint(), &settings()).unwrap();
    for link in [mutual, joining] {
        assert_eq!(control(&link).await, Err(*expected), "{what}, control");
        assert_eq!(bulk(&link).await, Err(*expected), "{what}, bulk");
    }
    for heard in peer.heard() {
        // Who speaks no TLS has heard our first handshake message, and nothing readable.
        assert!(!heard.head.contains("HTTP/"), "{what}: {}", heard.head);
        assert!(heard.shown.is_none(), "{what}: {heard:?}");
    }
}

async fn posing(by: &Authority, served: &Served) -> Peer {
    Peer::central(by.serves(served)).await
}

#[tokio::test]
async fn another_authority_is_nobody_whatever_else_is_right() {
    let (ours, theirs) = (
        Authority::new("Branchline root"),
        Authority::new("Public CA"),
    );
    let good = theirs.server("localhost", GOOD);
    let mut with_our_root = good.clone();
    with_our_root.chain.push(ours.root.clone());
    let mut only_our_root = good.clone();
    only_our_root.chain.truncate(1);
    only_our_root.chain.push(ours.root.clone());
    let mut another_key = ours.server("localhost", GOOD);
    another_key.key = good.key.clone();
    let namesake = Authority::new("Branchline root");
    for (what, by, served) in [
        ("a valid public certificate", &theirs, good),
        ("our root at the end of their chain", &theirs, with_our_root),
        (
            "our root, and nothing that leads to it",
            &theirs,
            only_our_root,
        ),
        ("our certificate with another key", &ours, another_key),
        (
            "an authority of our name",
            &namesake,
            namesake.server("localhost", GOOD),
        ),
        (
            "another authority, expired",
            &theirs,
            theirs.server("localhost", LATE),
        ),
        (
            "another authority, of another name",
            &theirs,
            theirs.server("x.org", GOOD),
        ),
    ] {
        let peer = posing(by, &served).await;
        let expected = Failure::NotCentral;
        let case = Case {
            what,
            peer,
            expected,
        };
        all_tell(&ours, &case).await;
    }
}

#[tokio::test]
async fn central_under_another_name_or_at_another_time() {
    let ours = Authority::new("Branchline root");
    for (what, name, days, expected) in [
        (
            "another name",
            "central.example.org",
            GOOD,
            Failure::WrongName,
        ),
        ("expired", "localhost", LATE, Failure::OutsideValidity),
        (
            "not yet valid",
            "localhost",
            EARLY,
            Failure::OutsideValidity,
        ),
        (
            "expired and of another name",
            "x.org",
            LATE,
            Failure::WrongName,
        ),
    ] {
        let peer = posing(&ours, &ours.server(name, days)).await;
        let case = Case {
            what,
            peer,
            expected,
        };
        all_tell(&ours, &case).await;
    }
}

#[tokio::test]
async fn without_its_root_the_chain_does_for_whom_it_is_known_and_not_for_joining() {
    let ours = Authority::new("Branchline root");
    let mut served = ours.server("localhost", GOOD);
    served.chain.pop();
    let central = posing(&ours, &served).await;
    let mutual = Link::mutual(&central.url(), &ours.agent(), &settings()).unwrap();
    assert_eq!(control(&mutual).await, Ok(()));
    let joining = Link::joining(&central.url(), ours.fingerprint(), &settings()).unwrap();
    assert_eq!(control(&joining).await, Err(Failure::NotCentral));
}

#[tokio::test]
async fn tls_1_2_is_spoken_only_where_it_is_allowed() {
    let ours = Authority::new("Branchline root");
    let served = ours.server("localhost", GOOD);
    let config = ours.serves_with(&served, &[&rustls::version::TLS12]);
    let case = Case {
        what: "TLS 1.2",
        peer: Peer::central(config).await,
        expected: Failure::Handshake,
    };
    all_tell(&ours, &case).await;
    let lenient = LinkSettings {
        tls12: true,
        ..settings()
    };
    let link = Link::mutual(&case.peer.url(), &ours.agent(), &lenient).unwrap();
    assert_eq!(control(&link).await, Ok(()));
    assert_eq!(bulk(&link).await, Ok(()));
    assert!(case.peer.heard().iter().all(|heard| heard.shown.is_some()));
}

#[tokio::test]
async fn what_speaks_no_tls_of_today_is_told_nothing() {
    let ours = Authority::new("Branchline root");
    for (what, says) in [
        ("TLS 1.1", TLS_1_1),
        (
            "plain HTTP",
            b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n",
        ),
        (
            "a captive portal",
            b"HTTP/1.1 302 Found\r\nlocation: http://portal.hotel/\r\n\r\n",
        ),
        ("an alert", b"\x15\x03\x03\x00\x02\x02\x46"),
        ("nothing", b""),
    ] {
        let case = Case {
            what,
            peer: Peer::saying(says).await,
            expected: Failure::Handshake,
        };
        all_tell(&ours, &case).await;
    }
}

#[tokio::test]
async fn the_words_name_whom_it_must_look_at() {
    let (ours, utm) = (
        Authority::new("Branchline root"),
        Authority::new("Sophos\u{1b}[31m"),
    );
    let peer = posing(&utm, &utm.server("localhost", GOOD)).await;
    let link = Link::mutual(&peer.url(), &ours.agent(), &settings()).unwrap();
    match link.feed(None, Duration::ZERO).await {
        Answer::Outcome(Outcome::Retry { trouble, .. }) => {
            assert_eq!(trouble.class, ErrorClass::CallIt);
            assert!(!trouble.central_answered);
            assert!(
                trouble.words.contains("\"Sophos[31m issuing\""),
                "{trouble:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    let peer = posing(&ours, &ours.server("central.example.org", GOOD)).await;
    let link = Link::mutual(&peer.url(), &ours.agent(), &settings()).unwrap();
    let said = words(link.feed(None, Duration::ZERO).await);
    assert!(
        said.contains("is for central.example.org and not for localhost"),
        "{said}"
    );
}
