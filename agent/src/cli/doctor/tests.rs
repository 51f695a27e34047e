//! The doctor on ways that are in trouble, over real sockets: each trouble is named, with who must act and
//! what to do, and the doctor ends.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::certificate::Who;
use super::finding::Report;
use super::way;
use crate::config::{ProxyChoice, ProxyCredentials};
use crate::link::proxy::LinkSettings;
use crate::link::survey::Survey;
use crate::link::tests::authority::{Authority, Days, GOOD, http_date};
use crate::link::tests::peer::Peer;

/// What ends TLS before central, as a gateway does, and what it does to bodies.
#[derive(Debug, Clone, Copy, Default)]
struct Gateway {
    /// Larger bodies get 413 and the end of the connection.
    limit: Option<usize>,
    /// Bodies are passed on only when they are whole.
    collects: bool,
    /// Central's clock is so many days ahead.
    days_ahead: i64,
}

struct Open {
    url: String,
    _tasks: JoinSet<()>,
}

impl Gateway {
    async fn open(self, by: &Authority, days: Days) -> Open {
        let config = by.serves(&by.server("localhost", days));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                open.spawn(async move {
                    let _ = self.serve(acceptor, stream).await;
                });
            }
        });
        Open { url, _tasks: tasks }
    }

    async fn serve(self, acceptor: TlsAcceptor, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = acceptor.accept(stream).await?;
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
            }
            let begun = Instant::now();
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            if self.limit.is_some_and(|limit| length > limit) {
                let said =
                    "HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(said.as_bytes()).await?;
                stream.shutdown().await?;
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                return Ok(());
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            let took = if self.collects {
                0
            } else {
                begun.elapsed().as_millis()
            };
            let said = format!(
                r#"{{"bytes":{length},"body_millis":{took},"peer":"10.1.2.3","http_version":"HTTP/1.1",
                    "through_proxy":true,"server_time":0}}"#
            );
            let mut date = crate::ids::now();
            date.0 += self.days_ahead * 86_400_000;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ndate: {}\r\ncontent-length: {}\r\n\r\n{said}",
                http_date(date),
                said.len()
            );
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
        }
    }
}

fn direct() -> LinkSettings {
    LinkSettings {
        proxy: ProxyChoice::Direct,
        ..LinkSettings::default()
    }
}

async fn examined(url: &str, who: &Who, settings: &LinkSettings) -> Report {
    let survey = Survey::new(url, who.surveyor(), settings).unwrap();
    let mut report = Report::begin(true, Path::new("agent.toml"));
    way::take(&mut report, &survey, who).await;
    report
}

async fn as_agent(of: &Authority, url: &str) -> Report {
    examined(url, &Who::Agent(of.agent()), &direct()).await
}

/// A trouble that says who must act and what to do.
fn trouble(report: &Report, step: &str, result: &str) -> String {
    let found = report
        .of(step)
        .unwrap_or_else(|| panic!("nothing of {step}"));
    assert_eq!(found["result"], result, "{found}");
    assert_eq!(found["class"], "call_it", "{found}");
    assert!(
        found["advice"]
            .as_str()
            .is_some_and(|advice| !advice.is_empty())
    );
    found["words"].as_str().unwrap().to_owned()
}

fn fact(report: &Report, step: &str, name: &str) -> Value {
    report.of(step).unwrap()["facts"][name].clone()
}

#[tokio::test]
async fn a_way_in_order_is_measured_to_its_end() {
    let ours = Authority::new("Branchline root");
    let open = Gateway::default().open(&ours, GOOD).await;
    let report = as_agent(&ours, &open.url).await;
    for step in [
        "proxy",
        "name",
        "connection",
        "TLS",
        "clock",
        "latency",
        "HTTP",
        "buffering",
        "body size",
        "throughput",
    ] {
        let found = report
            .of(step)
            .unwrap_or_else(|| panic!("nothing of {step}"));
        assert_eq!(found["result"], "good", "{found}");
    }
    assert_eq!(fact(&report, "HTTP", "through_gateway"), true);
    assert!(!report.is_sick());
}

#[tokio::test]
async fn a_limit_on_bodies_and_a_collector_are_found() {
    let ours = Authority::new("Branchline root");
    let gateway = Gateway {
        limit: Some(1_000_000),
        collects: true,
        ..Gateway::default()
    };
    let open = gateway.open(&ours, GOOD).await;
    let report = as_agent(&ours, &open.url).await;
    let said = trouble(&report, "body size", "warning");
    assert!(said.contains("413") || said.contains("no answer"), "{said}");
    let largest = fact(&report, "body size", "largest_bytes")
        .as_u64()
        .unwrap();
    assert!((900_000..=1_000_000).contains(&largest), "{largest}");
    let said = trouble(&report, "buffering", "warning");
    assert!(said.contains("collects whole bodies"), "{said}");
    assert_eq!(fact(&report, "buffering", "buffered"), true);
    assert!(!report.is_sick(), "files go through, slower");
}

#[tokio::test]
async fn a_utm_that_opens_tls_is_named() {
    let (ours, utm) = (
        Authority::new("Branchline root"),
        Authority::new("Acme UTM"),
    );
    let open = Gateway::default().open(&utm, GOOD).await;
    for who in [Who::Agent(ours.agent()), Who::Bearer(ours.fingerprint())] {
        let report = examined(&open.url, &who, &direct()).await;
        let said = trouble(&report, "TLS", "bad");
        assert!(
            said.contains("\"Acme UTM issuing\"") && said.contains("firewall"),
            "{said}"
        );
        assert!(report.of("latency").is_none() && report.is_sick());
    }
    let report = examined(&open.url, &Who::Nobody, &direct()).await;
    let said = trouble(&report, "TLS", "warning");
    assert!(said.contains("cannot be told"), "{said}");
}

#[tokio::test]
async fn a_wrong_clock_is_told_with_both_times() {
    let ours = Authority::new("Branchline root");
    let gateway = Gateway {
        days_ahead: 3_620,
        ..Gateway::default()
    };
    let open = gateway.open(&ours, (3_600, 3_650)).await;
    for who in [Who::Agent(ours.agent()), Who::Bearer(ours.fingerprint())] {
        let report = examined(&open.url, &who, &direct()).await;
        trouble(&report, "TLS", "bad");
        let said = trouble(&report, "clock", "bad");
        assert!(said.contains("set this computer's clock"), "{said}");
    }
    let slightly = Gateway {
        days_ahead: 2,
        ..Gateway::default()
    };
    let open = slightly.open(&ours, GOOD).await;
    let report = as_agent(&ours, &open.url).await;
    trouble(&report, "clock", "bad");
    assert!(
        report.of("throughput").is_some(),
        "a clock stops no measuring"
    );
}

#[tokio::test]
async fn proxies_in_trouble_are_named() {
    let ours = Authority::new("Branchline root");
    let open = Gateway::default().open(&ours, GOOD).await;
    let central: std::net::SocketAddr = {
        let port = open.url.rsplit(':').next().unwrap().parse().unwrap();
        ([127, 0, 0, 1], port).into()
    };
    let through = |address: std::net::SocketAddr, login: Option<&str>| LinkSettings {
        proxy: ProxyChoice::At {
            host: address.ip().to_string(),
            port: address.port(),
        },
        proxy_credentials: login.and_then(ProxyCredentials::read),
        tls12: false,
    };
    let who = Who::Agent(ours.agent());
    let proxy = Peer::proxy(central, Some("Basic bWFyaWU6czNjcmV0")).await;
    let settings = through(proxy.address, Some("marie:s3cret"));
    let report = examined(&open.url, &who, &settings).await;
    assert_eq!(report.of("tunnel").unwrap()["result"], "good");
    assert_eq!(report.of("throughput").unwrap()["result"], "good");
    for login in [None, Some("marie:w0rd")] {
        let report = examined(&open.url, &who, &through(proxy.address, login)).await;
        let said = trouble(&report, "tunnel", "bad");
        assert!(
            said.contains("user name and password") && !said.contains("w0rd"),
            "{said}"
        );
    }
    let dead = proxy.address;
    drop(proxy);
    let report = examined(&open.url, &who, &through(dead, None)).await;
    let said = trouble(&report, "connection", "bad");
    assert!(
        said.contains(&format!("The proxy http://{dead} cannot be reached")),
        "{said}"
    );
}

#[tokio::test]
async fn nobody_there_and_no_name_are_told_apart() {
    let ours = Authority::new("Branchline root");
    let peer = Peer::saying(b"").await;
    let url = peer.url();
    drop(peer);
    let said = trouble(&as_agent(&ours, &url).await, "connection", "bad");
    assert!(said.contains("Central cannot be reached"), "{said}");
    let report = as_agent(&ours, "https://central.invalid").await;
    let said = trouble(&report, "name", "bad");
    assert!(said.contains("central.invalid"), "{said}");
}
