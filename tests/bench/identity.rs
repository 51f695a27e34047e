//! What identity costs: handshakes beside a bare rustls server's, a sync with TLS and without, and an
//! agent's cold start in round trips.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use branchline_protocol::chain::Position;
use branchline_protocol::exchange::{Health, SubmissionHead, encode_submission};
use branchline_protocol::id::{OperationId, StreamId};
use harness::identity::{Member, client_cert};
use harness::processes::{Central, sandbox};
use harness::raw_http::{Connection, Place, Request};
use rustls::client::Resumption;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::report::{Report, at_least, at_most, micros, percentile};

/// Who shakes hands at the same time.
const CLIENTS: usize = 4;
/// For how long.
const SPAN: Duration = Duration::from_secs(3);
/// Syncs of one ticket each, in turn with and without TLS.
const SYNCS: usize = 500;
/// Before they are measured.
const WARM_UP: usize = 50;

pub async fn measure(report: &mut Report) {
    tokio::task::block_in_place(|| {
        handshakes(report);
        warm_sync(report);
    });
    crate::wan::cold_start(report).await;
}

fn handshakes(report: &mut Report) {
    eprintln!("identity: connections with a handshake and one small request each");
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let member = central.enrol_by_hand("LYN");
    let bare = bare_server(&central);
    let full = fresh(&member);
    // In turn, so that all see the same machine.
    let mut rates = [0.0; 4];
    for _ in 0..2 {
        let kept = member.client(Some(&member.credentials));
        for (rate, (address, config)) in rates.iter_mut().zip([
            (central.address, &full),
            (bare, &full),
            (central.address, &kept),
            (bare, &kept),
        ]) {
            *rate += connections_per_second(address, config) / 2.0;
        }
    }
    let [own, base, own_again, base_again] = rates;
    report.row(
        "new connections, both sides proven",
        format!("{own:.0}/s"),
        format!("{base:.0}/s bare rustls, one thread per connection"),
        at_least(own / base, 0.5, "×"),
    );
    report.row(
        "connections of clients that were there before",
        format!("{own_again:.0}/s"),
        format!("{base_again:.0}/s bare rustls, resumed"),
        "stated: central resumes none, so that each proves possession of its key anew".to_owned(),
    );
}

/// A client that remembers no session.
fn fresh(member: &Member) -> Arc<ClientConfig> {
    let config = member.client(Some(&member.credentials));
    let mut config = Arc::unwrap_or_clone(config);
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn connections_per_second(address: SocketAddr, config: &Arc<ClientConfig>) -> f64 {
    let (done, until) = (AtomicU64::new(0), Instant::now() + SPAN);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let place = Place::Tls(address, config.clone());
                while Instant::now() < until {
                    let answer = Request::new("GET", "/livez").ask(&place);
                    assert_eq!(answer.expect("an answer").status, 200);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    #[allow(clippy::cast_precision_loss)]
    let done = done.load(Ordering::Relaxed) as f64;
    done / started.elapsed().as_secs_f64()
}

/// Shakes hands as central does, in this process, and answers anything with the same words.
fn bare_server(central: &Central) -> SocketAddr {
    let mut roots = RootCertStore::empty();
    for anchor in central.anchors() {
        roots.add(anchor).expect("an anchor");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let own = &central.proxy().own;
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(own.chain.clone(), own.key.clone_key())
        .expect("a certificate");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let config = config.clone();
            std::thread::spawn(move || answer_once(client, config));
        }
    });
    address
}

fn answer_once(client: TcpStream, config: Arc<ServerConfig>) {
    let _ = client.set_nodelay(true);
    let connection = ServerConnection::new(config).expect("a connection");
    let mut stream = StreamOwned::new(connection, client);
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlive\n";
    if stream.read(&mut [0; 4_096]).is_ok_and(|count| count > 0) {
        // Whoever asked may have gone.
        let _ = stream.write_all(answer).and_then(|()| stream.flush());
        let _ = stream.read(&mut [0; 16]);
    }
}

/// An agent's stream over one connection that stays open.
struct Syncing {
    connection: Connection,
    speaks_for: Option<String>,
    stream: StreamId,
    at: Position,
    code: &'static str,
    serial: u32,
    times: Vec<Duration>,
}

impl Syncing {
    fn open(place: &Place, code: &'static str, speaks_for: Option<String>) -> Self {
        let random = std::array::from_fn(|_| fastrand::u8(..));
        let stream = StreamId::from_parts(1_790_000_000_000, random);
        Self {
            connection: Connection::open(place).expect("connect"),
            speaks_for,
            stream,
            at: Position::genesis(stream),
            code,
            serial: 0,
            times: Vec::new(),
        }
    }

    fn sync(&mut self) {
        self.serial += 1;
        let random = std::array::from_fn(|_| fastrand::u8(..));
        let ticket = json!({
            "id": OperationId::from_parts(1_790_000_000_000, random),
            "at": "2026-11-21T09:12:00.250+01:00", "by": { "user": "marie" }, "kind": "ticket_filed",
            "body": {
                "number": format!("{}-{:06}", self.code, self.serial), "subject": "Printer jams",
                "description": "Since this morning.", "category": "hardware", "priority": "normal",
                "contact": { "name": "Marie" },
            },
        })
        .to_string();
        let head = SubmissionHead {
            stream: self.stream,
            continues: None,
            after: self.at,
            cursor: None,
            health: Health::default(),
        };
        let mut request = Request::new("POST", "/v1/operations")
            .header("Branchline-Protocol", "1")
            .json(encode_submission(&head, &[ticket.as_bytes()]));
        if let Some(certificate) = &self.speaks_for {
            request = request.header("Client-Cert", certificate);
        }
        let request = request.to_bytes();
        let started = Instant::now();
        self.connection.send(&request).expect("send");
        let answer = self.connection.answer().expect("an answer");
        self.times.push(started.elapsed());
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.at = self.at.then(ticket.as_bytes());
    }
}

/// Two centrals side by side, and a ticket to each in turn.
fn warm_sync(report: &mut Report) {
    eprintln!("identity: {SYNCS} tickets, each a sync over a connection that stays open");
    let (with, without) = (sandbox(), sandbox());
    let mut protected = Central::init(with.path());
    protected.start();
    let member = protected.enrol_by_hand("LYN");
    let mut tls = Syncing::open(&member.place(protected.address), "LYN", None);

    let mut plain = Central::init(without.path());
    let member = plain.enrol_by_hand("NCE");
    plain.start_insecurely();
    let certificate = client_cert(&member.credentials.chain[0]);
    let place = Place::Tcp(plain.address);
    let mut http = Syncing::open(&place, "NCE", Some(certificate));
    for round in 0..WARM_UP + SYNCS {
        if round == WARM_UP {
            (tls.times, http.times) = (Vec::new(), Vec::new());
        }
        tls.sync();
        http.sync();
    }
    for (name, permille) in [("p50", 500), ("p99", 990)] {
        let own = percentile(&mut tls.times, permille);
        let base = percentile(&mut http.times, permille);
        report.row(
            &format!("a ticket's sync over a warm connection, {name}"),
            micros(own),
            format!("{} without TLS", micros(base)),
            at_most(own.as_secs_f64() / base.as_secs_f64(), 1.2),
        );
    }
}
