//! Bodies beyond the limit, what is not HTTP, and clients that stall, idle or never read.

use std::time::{Duration, Instant};

use branchline_agent_api::REQUEST_BYTES;
use branchline_protocol::limits;
use harness::processes::wait_for;
use harness::raw_http::{Answer, Connection, Request, chunked, is_end};

use super::{
    COMMENTS, TICKETS, Target, WITHDRAWAL, assert_refused, emoji, good_ticket, ticket_with,
};

#[test]
fn bodies_beyond_the_limit_are_refused_however_they_are_framed() {
    let mut target = Target::start();
    let large = ticket_with("description", "x".repeat(REQUEST_BYTES).into());
    let huge = "x".repeat(64 * 1024 * 1024);
    let post = |route| Request::new("POST", route);
    let chunks = |body: &str, chunk| {
        let request = post(TICKETS).header("Transfer-Encoding", "chunked");
        request.json(chunked(body.as_bytes(), chunk))
    };
    let attacks = [
        ("with its length", post(TICKETS).json(large.clone())),
        ("64 MiB with its length", post(TICKETS).json(huge.clone())),
        ("in large chunks", chunks(&large, 60_000)),
        ("in small chunks", chunks(&large, 100)),
        ("64 MiB in chunks", chunks(&huge, 1 << 20)),
        ("to a comment", post(COMMENTS).json(large.clone())),
        ("to a withdrawal", post(WITHDRAWAL).json(large)),
    ];
    for (attack, request) in &attacks {
        assert_refused(&target.ask(request), 413, attack);
        target.assert_unharmed(attack);
    }
    // A body that only claims to be large is refused without being waited for.
    let claimed = post(TICKETS)
        .header("Content-Length", "9000000000")
        .json("");
    let mut connection = target.connect(&claimed.to_bytes());
    let asked = Instant::now();
    assert_refused(&connection.answer().expect("an answer"), 413, "a claim");
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
    let peak = peak_memory(target.branch.pid());
    assert!(peak < 64 * 1024 * 1024, "the agent took {peak} bytes");
    target.assert_unharmed("large bodies");
}

fn peak_memory(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("read /proc");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .expect("a number")
        * 1024
}

/// A post of a good ticket with these headers about its body.
fn framed(headers: &str, rest: &str) -> Vec<u8> {
    let body = good_ticket().to_string();
    let headers = headers.replace("LENGTH", &body.len().to_string());
    let kind = "Content-Type: application/json";
    format!("POST {TICKETS} HTTP/1.1\r\nHost: x\r\n{kind}\r\n{headers}\r\n\r\n{body}{rest}").into()
}

#[rustfmt::skip]
fn not_http() -> Vec<(&'static str, Vec<u8>)> {
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = "a".repeat(1 << 20);
    let head = |rest: &str| format!("GET /v1/status HTTP/1.1\r\nHost: x\r\n{rest}\r\n\r\n").into_bytes();
    vec![
        ("nothing", Vec::new()),
        ("zeros", vec![0; 4_096]),
        ("random bytes", (0..20_000).map(|_| fastrand::u8(..)).collect()),
        ("a line", b"hello\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("HTTP/9", b"GET /v1/status HTTP/9.9\r\n\r\n".to_vec()),
        ("a header without colon", head("nonsense")),
        ("a control character", head("X: a\x01b")),
        ("a folded header", head("X: a\r\n b")),
        ("a space in the target", b"GET /v1/ status HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("an endless target", format!("GET /{long} HTTP/1.1\r\n\r\n").into()),
        ("an endless method", format!("{long} / HTTP/1.1\r\n\r\n").into()),
        ("an endless header", head(&format!("X: {long}"))),
        ("many headers", head(&many)),
        ("two lengths", framed("Content-Length: LENGTH\r\nContent-Length: 7", "")),
        ("a negative length", framed("Content-Length: -1", "")),
        ("a length in words", framed("Content-Length: many", "")),
        ("a length beyond numbers", framed("Content-Length: 99999999999999999999999999", "")),
        ("chunks of no size", framed("Transfer-Encoding: chunked", "")),
        ("an unknown transfer coding", framed("Transfer-Encoding: gzip", "")),
        ("a body that breaks off", framed("Content-Length: 500", "")),
    ]
}

/// What is not a request cannot be answered as one: a bare 4xx or a closed connection will do, and
/// nobody else notices.
#[test]
fn what_is_not_http_is_dropped_and_nobody_else_notices() {
    let mut target = Target::start();
    for (attack, bytes) in not_http() {
        let mut connection = Connection::open(&target.place).expect("the agent listens");
        let sent = connection.send(&bytes);
        let _ = connection.close_sending();
        match connection.answer() {
            Ok(answer) => assert!((400..500).contains(&answer.status), "{attack}: {answer:?}"),
            Err(fault) => assert!(is_end(&fault), "{attack}: {fault} ({sent:?})"),
        }
        target.assert_unharmed(attack);
    }
    // A request whose end is in dispute is not served twice, nor its rest as another request.
    let smuggled = "\r\n0\r\n\r\nGET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";
    let both = framed(
        "Transfer-Encoding: chunked\r\nContent-Length: LENGTH",
        smuggled,
    );
    let answers = harness::processes::text(&target.connect(&both).rest().expect("an end"));
    assert!(!answers.contains("200 OK"), "{answers}");
    target.assert_unharmed("a length and chunks");
}

/// What is sent, and the statuses of the answers that come before the connection ends.
#[rustfmt::skip]
fn manners() -> Vec<(&'static str, String, &'static [u16])> {
    let body = good_ticket().to_string();
    let length = body.len();
    let get = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = |version: &str, more: &str| {
        format!("POST {TICKETS} HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\n{more}\r\n\r\n")
    };
    let good = post("1.1", &format!("Content-Length: {length}")) + &body;
    vec![
        ("HTTP/1.0", post("1.0", &format!("Content-Length: {length}")) + &body, &[200]),
        ("HTTP/1.0 without anything", "GET /v1/status HTTP/1.0\r\n\r\n".to_owned(), &[200]),
        ("two at once", format!("{get}{good}"), &[200, 200]),
        ("a good one behind a bad one", post("1.1", "Content-Length: 2") + "[]" + &good, &[400, 200]),
        ("a continue awaited", post("1.1", &format!("Expect: 100-continue\r\nContent-Length: {length}")) + &body, &[200]),
        ("chunks with extensions", post("1.1", "Transfer-Encoding: chunked") + &format!("{length:x};a=b\r\n{body}\r\n0\r\nX: y\r\n\r\n"), &[200]),
        ("an absolute target", get.replace("/v1", "http://elsewhere.example/v1"), &[200]),
        ("a line before the request", format!("\r\n{get}"), &[200]),
        ("a body nobody asked for", get.replace("Host: x", &format!("Content-Length: {length}")) + &body, &[200]),
    ]
}

#[test]
fn unusual_manners_that_http_allows_are_served() {
    let mut target = Target::start();
    for (manner, bytes, statuses) in manners() {
        let mut connection = target.connect(bytes.as_bytes());
        // Half-closed: nothing more will come, and the answers are still wanted.
        connection.close_sending().expect("half-close");
        for status in statuses {
            let answer = connection
                .answer()
                .unwrap_or_else(|fault| panic!("{manner}: {fault}"));
            assert_eq!(answer.status, *status, "{manner}: {}", answer.text());
        }
        assert_eq!(connection.rest().expect("the end"), b"", "{manner}");
        target.saved += u64::from(bytes.contains("POST"));
        target.assert_unharmed(manner);
    }
}

/// Connections that stall, each kind in its place.
struct Stalled {
    silent: Vec<Connection>,
    in_headers: Vec<Connection>,
    answered: Vec<Connection>,
    in_body: Vec<Connection>,
}

impl Stalled {
    fn open(target: &Target) -> Self {
        let kind = "Content-Type: application/json";
        let post = format!("POST {TICKETS} HTTP/1.1\r\nHost: x\r\n{kind}\r\n");
        let many = |count, bytes: &str| {
            (0..count)
                .map(|_| target.connect(bytes.as_bytes()))
                .collect::<Vec<_>>()
        };
        let chunk = format!("{post}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"sub");
        let mut in_body = many(
            20,
            &format!("{post}Content-Length: 90\r\n\r\n{{\"subject\""),
        );
        in_body.extend(many(5, &chunk));
        Self {
            silent: many(50, ""),
            in_headers: many(50, &post),
            answered: many(20, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"),
            in_body,
        }
    }

    fn assert_let_go(self) {
        for mut connection in self.in_body {
            let answer = connection.answer().expect("a stalled body is answered");
            assert_eq!(answer.status, 408);
            assert_eq!(answer.problem()["class"], "try_again");
            connection.rest().expect("and its connection closed");
        }
        for mut connection in self.silent {
            assert_eq!(
                connection.rest().expect("a silent connection is closed"),
                b""
            );
        }
        for mut connection in self.in_headers {
            let said = connection.rest().expect("an unfinished head is given up");
            assert!(
                said.is_empty() || said.starts_with(b"HTTP/1.1 408"),
                "{said:?}"
            );
        }
        for mut connection in self.answered {
            assert_eq!(connection.answer().expect("it was answered").status, 200);
            assert_eq!(
                connection.rest().expect("an idle connection is closed"),
                b""
            );
        }
    }
}

/// A byte now and then, until the agent has had enough. Gives its answer.
fn trickle(mut connection: Connection) -> Answer {
    while connection.send(b" ").is_ok() {
        std::thread::sleep(Duration::from_millis(100));
    }
    connection
        .answer()
        .expect("a body that trickles is answered in the end")
}

/// Clients that send slowly or not at all lose their connection in bounded time; nobody waits for
/// them, and filing goes on all the while.
fn clients_that_stall_are_let_go_and_block_nobody() {
    let mut target = Target::start();
    let stalled = Stalled::open(&target);
    let head = "Host: x\r\nContent-Type: application/json\r\nContent-Length: 100000";
    let slow = target.connect(format!("POST {TICKETS} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes());
    let started = Instant::now();
    let trickling = std::thread::spawn(|| trickle(slow));
    while !trickling.is_finished() {
        let asked = Instant::now();
        target.assert_unharmed("stalled clients");
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "filing took {:?}",
            asked.elapsed()
        );
        assert!(
            started.elapsed() < Duration::from_secs(40),
            "a trickle is never given up"
        );
    }
    assert_eq!(trickling.join().expect("the thread ends").status, 408);
    stalled.assert_let_go();
    assert!(
        started.elapsed() < Duration::from_secs(40),
        "{:?}",
        started.elapsed()
    );
    target.assert_unharmed("clients that were let go");
}

/// More connections than the agent takes at once: others wait for a moment and get through, and the
/// agent is as good as new when the flood is over.
fn three_hundred_idle_connections_delay_others_and_stop_nobody() {
    let mut target = Target::start();
    let pid = target.branch.pid();
    let open_files = || {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .expect("read /proc")
            .count()
    };
    let flood: Vec<Connection> = (0..300).map(|_| target.connect(b"")).collect();
    wait_for("the flood to be taken", || {
        (open_files() > 200).then_some(())
    });
    target.assert_unharmed("three hundred idle connections");
    assert!(open_files() < 320, "{} files are open", open_files());
    drop(flood);
    wait_for("the connections to be gone", || {
        (open_files() < 60).then_some(())
    });
    target.assert_unharmed("the flood");
}

/// Peers that ask and never read the answers.
fn peers_that_never_read_their_answers_are_let_go() {
    let mut target = Target::start();
    let long = ticket_with("description", emoji(limits::TEXT_CHARS).into());
    let saved = target.saved(TICKETS, long, "a long ticket").json();
    let number = saved["number"].as_str().expect("a number").to_owned();
    let asking = format!("GET {TICKETS}/{number} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(40);
    let deaf: Vec<Connection> = (0..270)
        .map(|_| target.connect(asking.as_bytes()))
        .collect();
    target.assert_unharmed("peers that never read");
    drop(deaf);
    target.assert_unharmed("peers that are gone");
}

/// Each on an agent of its own, side by side, because what they do most is wait.
#[test]
fn clients_without_manners_are_let_go_and_stop_nobody() {
    std::thread::scope(|scope| {
        scope.spawn(clients_that_stall_are_let_go_and_block_nobody);
        scope.spawn(three_hundred_idle_connections_delay_others_and_stop_nobody);
        scope.spawn(peers_that_never_read_their_answers_are_let_go);
    });
}
