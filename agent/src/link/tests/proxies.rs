//! Through the branch's proxy, and past proxies that are of no use.

use super::*;
use crate::config::{ProxyChoice, ProxyCredentials};

const LOGIN: &str = "roxy-Authorization: Basic bWFyaWU6czNjcmV0\r\n"; // as either lane writes it

fn through(proxy: &Peer, credentials: Option<&str>) -> LinkSettings {
    let address = proxy.address;
    LinkSettings {
        proxy: ProxyChoice::At {
            host: address.ip().to_string(),
            port: address.port(),
        },
        proxy_credentials: credentials.and_then(ProxyCredentials::read),
        tls12: false,
    }
}

#[tokio::test]
async fn both_lanes_go_through_the_proxy_and_leave_the_name_to_it() {
    let authority = Authority::new("Branchline root");
    let served = authority.server("central.example.org", GOOD);
    let central = Peer::central(authority.serves(&served)).await;
    let proxy = Peer::proxy(central.address, None).await;
    let url = "https://central.example.org";
    let link = Link::mutual(url, &authority.agent(), &through(&proxy, None)).unwrap();
    assert_eq!(control(&link).await, Ok(()));
    assert_eq!(bulk(&link).await, Ok(()));
    for heard in proxy.heard() {
        let asked = "CONNECT central.example.org:443 HTTP/1.1\r\n";
        assert!(heard.head.starts_with(asked), "{}", heard.head);
    }
    assert_eq!((proxy.heard().len(), central.heard().len()), (2, 2));
}

#[tokio::test]
async fn the_proxy_is_told_who_we_are_and_nobody_else_is() {
    let (authority, central, _) = central_and_link().await;
    let proxy = Peer::proxy(central.address, Some("Basic bWFyaWU6czNjcmV0")).await;
    let with = through(&proxy, Some("marie:s3cret"));
    let link = Link::mutual(&central.url(), &authority.agent(), &with).unwrap();
    assert_eq!(control(&link).await, Ok(()));
    assert_eq!(bulk(&link).await, Ok(()));
    for heard in proxy.heard() {
        let head = heard.head.to_lowercase();
        assert!(head.contains(&LOGIN.to_lowercase()), "{}", heard.head);
    }
    for heard in central.heard() {
        assert!(
            !heard.head.to_lowercase().contains("proxy-auth"),
            "{}",
            heard.head
        );
    }
    for without in [None, Some("marie:wrong")] {
        let settings = through(&proxy, without);
        let link = Link::mutual(&central.url(), &authority.agent(), &settings).unwrap();
        assert_eq!(control(&link).await, Err(Failure::ProxyLogin));
        assert_eq!(bulk(&link).await, Err(Failure::ProxyLogin));
        let said = words(link.feed(None, Duration::ZERO).await);
        let named = format!("http://{}", proxy.address);
        assert!(said.contains(&named) && said.contains("password"), "{said}");
        let shown = format!("{link:?} {said}");
        assert!(
            !shown.contains("wrong") && !shown.contains("bWFyaWU6"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn proxies_of_no_use_are_told_as_that() {
    let (authority, central, _) = central_and_link().await;
    let endless: &[u8] = Box::leak(
        [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 100_000]]
            .concat()
            .into_boxed_slice(),
    );
    for (what, says) in [
        ("refuses", &b"HTTP/1.1 403 Forbidden\r\n\r\n"[..]),
        ("cannot reach central", b"HTTP/1.1 502 Bad Gateway\r\n\r\n"),
        ("closes", b""),
        ("closes in the middle", b"HTTP/1.1 200 OK\r\n"),
        ("is no proxy", b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("has no end", endless),
    ] {
        let proxy = Peer::saying(says).await;
        let settings = through(&proxy, None);
        let link = Link::mutual(&central.url(), &authority.agent(), &settings).unwrap();
        assert_eq!(control(&link).await, Err(Failure::Proxy), "{what}, control");
        assert_eq!(bulk(&link).await, Err(Failure::Proxy), "{what}, bulk");
    }
    let proxy = Peer::saying(b"").await;
    let settings = through(&proxy, None);
    drop(proxy);
    let link = Link::mutual(&central.url(), &authority.agent(), &settings).unwrap();
    assert_eq!(control(&link).await, Err(Failure::Proxy), "gone, control");
    assert_eq!(bulk(&link).await, Err(Failure::Proxy), "gone, bulk");
    assert!(central.heard().is_empty());
}

#[tokio::test]
async fn who_answers_behind_the_proxy_must_be_central_all_the_same() {
    let (authority, _, _) = central_and_link().await;
    let utm = Authority::new("UTM");
    let posing = Peer::central(utm.serves(&utm.server("localhost", GOOD))).await;
    let proxy = Peer::proxy(posing.address, None).await;
    let settings = through(&proxy, None);
    let link = Link::mutual(&posing.url(), &authority.agent(), &settings).unwrap();
    assert_eq!(control(&link).await, Err(Failure::NotCentral));
    assert_eq!(bulk(&link).await, Err(Failure::NotCentral));
    assert!(posing.heard().is_empty());
    let silent = Peer::saying(b"").await;
    let proxy = Peer::proxy(silent.address, None).await;
    let settings = through(&proxy, None);
    let link = Link::mutual(&silent.url(), &authority.agent(), &settings).unwrap();
    assert_eq!(control(&link).await, Err(Failure::Handshake));
    assert_eq!(bulk(&link).await, Err(Failure::Handshake));
}
