//! A wrong clock, here or at central: told for what it is, without telling central anything.

use branchline_protocol::time::UnixMillis;

use super::*;

const DAY: i64 = 86_400_000;

/// Central whose certificate is good on these days, and whose clock is so many days off ours.
async fn central(authority: &Authority, days: authority::Days, ahead: i64) -> Peer {
    let peer = Peer::central(authority.serves(&authority.server("localhost", days))).await;
    let date = UnixMillis(crate::ids::now().0 + ahead * DAY);
    peer.says(Says {
        date,
        ..Says::ok("{}")
    });
    peer
}

#[tokio::test]
async fn a_wrong_clock_here_is_told_with_both_times() {
    let authority = Authority::new("Branchline root");
    for (days, ahead) in [((-3_650, -3_600), -3_620), ((3_600, 3_650), 3_620)] {
        let peer = central(&authority, days, ahead).await;
        let mutual = Link::mutual(&peer.url(), &authority.agent(), &settings()).unwrap();
        let anchor = authority.fingerprint();
        let joining = Link::joining(&peer.url(), anchor, &settings()).unwrap();
        for link in [mutual, joining] {
            let said = words(link.feed(None, Duration::ZERO).await);
            assert!(said.contains("set this computer's clock"), "{said}");
            let found = link.diagnose().await;
            let Some(ClockFinding::Differs { here, central }) = found else {
                panic!("{found:?}");
            };
            let days = (central.0 - here.0 + DAY / 2).div_euclid(DAY);
            assert_eq!(days, ahead);
        }
        let heard = peer.heard();
        assert_eq!(heard.len(), 2, "asked once by each link");
        for heard in heard {
            assert!(heard.head.starts_with("GET /livez "), "{}", heard.head);
            assert!(heard.shown.is_none(), "the diagnosis shows no certificate");
        }
    }
}

#[tokio::test]
async fn a_certificate_of_centrals_that_ended_is_not_blamed_on_the_clock() {
    let authority = Authority::new("Branchline root");
    let peer = central(&authority, (-20, -10), 0).await;
    let link = Link::mutual(&peer.url(), &authority.agent(), &settings()).unwrap();
    let said = words(link.feed(None, Duration::ZERO).await);
    assert!(said.contains("must be renewed at central"), "{said}");
}

#[tokio::test]
async fn whoever_is_not_central_is_not_asked_for_the_time() {
    let (ours, theirs) = (
        Authority::new("Branchline root"),
        Authority::new("Public CA"),
    );
    let peer = central(&theirs, (-20, -10), -15).await;
    let link = Link::mutual(&peer.url(), &ours.agent(), &settings()).unwrap();
    assert_eq!(link.diagnose().await, None);
    let key_of_another = {
        let mut served = ours.server("localhost", (-20, -10));
        served.key = theirs.server("localhost", GOOD).key;
        Peer::central(ours.serves(&served)).await
    };
    let link = Link::mutual(&key_of_another.url(), &ours.agent(), &settings()).unwrap();
    assert_eq!(link.diagnose().await, None);
    assert!(peer.heard().is_empty() && key_of_another.heard().is_empty());
}
