//! Joining on real processes and sockets: tokens that many hold at once, enrolments cut at every place and
//! repeated, and what a token gives when it is used up.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;

use branchline_protocol::enrolment::Token;
use harness::identity::{enrolment, enrolment_request, new_key};
use harness::processes::{Branch, Central, sandbox, succeeded, text};
use harness::raw_http::{Answer, Connection, Place};
use harness::tls;
use rcgen::KeyPair;
use serde_json::Value;

use crate::hostile_ingress::assert_problem;

/// Who asks at the same time.
const RACERS: usize = 50;

/// What a command of central's lists as JSON.
fn listed(central: &Central, command: &str) -> Vec<Value> {
    let said = succeeded(&central.cli(&[command, "list", "--json"]));
    serde_json::from_str(&said).expect("a list")
}

/// The agents that central knows.
pub(crate) fn agents(central: &Central) -> Vec<Value> {
    listed(central, "agent")
}

fn uses_of_the_only_token(central: &Central) -> u64 {
    let tokens = listed(central, "token");
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    tokens[0]["used"].as_u64().expect("a number")
}

/// Each asks over a connection of its own, which is open before any of them asks.
fn race(central: &Central, token: &Token, keys: Vec<KeyPair>) -> Vec<Answer> {
    let place = Place::Tls(central.address, tls::client(&central.anchors(), None));
    let ready = Arc::new(Barrier::new(keys.len()));
    let racers: Vec<_> = keys
        .into_iter()
        .map(|key| {
            let request = enrolment_request(enrolment(token, &key)).to_bytes();
            let (place, ready) = (place.clone(), ready.clone());
            thread::spawn(move || {
                let mut connection = Connection::open(&place).expect("connect");
                connection.shake_hands().expect("shake hands");
                ready.wait();
                connection.send(&request).expect("ask");
                connection.answer().expect("central answers")
            })
        })
        .collect();
    racers
        .into_iter()
        .map(|racer| racer.join().expect("a racer ends"))
        .collect()
}

#[test]
fn a_token_replayed_in_a_race_makes_one_agent() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let token: Token = central.token("LYN").parse().expect("a token");
    let keys = (0..RACERS).map(|_| new_key()).collect();
    let answers = race(&central, &token, keys);
    let (joined, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(joined.len(), 1, "{}", joined.len());
    for answer in refused {
        // One that comes in a crowd may also be told to come again.
        if answer.status != 429 && answer.status != 503 {
            assert_problem(answer, 401, "token-used-up", "a token in a race");
        }
    }
    assert_eq!(agents(&central).len(), 1);
    assert_eq!(uses_of_the_only_token(&central), 1);
}

/// A request that is repeated by the network is the same enrolment, however many arrive at once.
#[test]
fn one_enrolment_repeated_in_a_race_makes_one_agent() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let token: Token = central.token("LYN").parse().expect("a token");
    let key = new_key();
    let same = |_| KeyPair::try_from(key.serialize_der()).expect("the key again");
    let answers = race(&central, &token, (0..RACERS).map(same).collect());
    let mut joined = Vec::new();
    for answer in &answers {
        match answer.status {
            200 => joined.push(answer.json()["agent"].clone()),
            429 | 503 => {}
            _ => panic!("{}", answer.text()),
        }
    }
    joined.dedup();
    assert_eq!(joined.len(), 1, "{joined:?}");
    assert_eq!(agents(&central).len(), 1);
    assert_eq!(uses_of_the_only_token(&central), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_agents_join_by_one_token_and_the_eleventh_is_told_why_not() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let token = central.token_with("LYN", &["--uses", "10"]);
    let mut branches: Vec<Branch> = thread::scope(|scope| {
        let joining: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| joined(sandbox.path(), &central, &token)))
            .collect();
        joining
            .into_iter()
            .map(|one| one.join().expect("it joins"))
            .collect()
    });
    let eleventh = newcomer(sandbox.path(), "LYN");
    let refused = eleventh.cli(&["enroll", &token]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(70), "{said}");
    assert!(said.contains("used up"), "{said}");
    assert_eq!(uses_of_the_only_token(&central), 10);

    let mut numbers = Vec::new();
    for branch in &mut branches {
        branch.start();
        let saved = branch.file("From one of ten").await;
        numbers.push(saved.number.to_string());
        branch.wait_drained().await;
        central.assert_equal(branch);
        branch.stop();
    }
    numbers.sort();
    let mut expected: Vec<String> = (2..=10).map(|n| format!("LYN{n}-000001")).collect();
    expected.push("LYN-000001".to_owned());
    expected.sort();
    assert_eq!(numbers, expected);
}

fn newcomer(sandbox: &Path, code: &str) -> Branch {
    let branch = Branch::strange(sandbox, code);
    branch.configure_as_enrolled("");
    branch
}

fn joined(sandbox: &Path, central: &Central, token: &str) -> Branch {
    let branch = newcomer(sandbox, "LYN");
    branch.configure(central.address, "");
    succeeded(&branch.cli(&["enroll", token]));
    branch
}

/// What is cut off, counted over a connection.
#[derive(Clone, Copy, Debug)]
enum Cut {
    FromAgent(u64),
    FromCentral(u64),
}

/// Passes one connection's bytes on, outside TLS, and breaks it where it is told to.
fn cutting(upstream: SocketAddr, cut: Cut) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, upstream) = (client.expect("a connection"), TcpStream::connect(upstream));
            let Ok(upstream) = upstream else { continue };
            let (up, down) = match cut {
                Cut::FromAgent(bytes) => (bytes, u64::MAX),
                Cut::FromCentral(bytes) => (u64::MAX, bytes),
            };
            carry(&client, &upstream, up);
            carry(&upstream, &client, down);
        }
    });
    address
}

fn carry(from: &TcpStream, to: &TcpStream, most: u64) {
    let mut from = from.try_clone().expect("clone");
    let mut to = to.try_clone().expect("clone");
    thread::spawn(move || {
        let (mut buffer, mut left) = ([0; 4_096], most);
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let passed = count.min(usize::try_from(left).unwrap_or(usize::MAX));
            left -= passed as u64;
            if to.write_all(&buffer[..passed]).is_err() || left == 0 {
                break;
            }
        }
        // However it ended: both directions do.
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    });
}

/// However far each attempt came: one agent, one use, one certificate in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enrolment_cut_anywhere_and_repeated_costs_one_use() {
    for (direction, step) in [
        (Cut::FromAgent as fn(u64) -> Cut, 61),
        (Cut::FromCentral, 97),
    ] {
        let sandbox = sandbox();
        let mut central = Central::init(sandbox.path());
        central.start();
        let token = central.token("LYN");
        let mut branch = newcomer(sandbox.path(), "LYN");
        let (mut at, mut attempts) = (0, 0);
        loop {
            let cut = direction(at);
            branch.configure(cutting(central.address, cut), "");
            let output = branch.cli(&["enroll", &token]);
            if output.status.success() {
                break;
            }
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(75), "{cut:?}: {said}");
            assert!(agents(&central).len() <= 1, "{cut:?}");
            (at, attempts) = (at + step, attempts + 1);
            assert!(at < 100_000, "it never joins");
        }
        println!("{attempts} attempts failed, the last one cut before byte {at}");
        assert!(attempts > 10, "only {attempts} attempts were cut");
        assert_eq!(agents(&central).len(), 1);
        assert_eq!(uses_of_the_only_token(&central), 1);
        branch.configure(central.address, "");
        branch.start();
        let saved = branch.file("Joined at last").await;
        assert_eq!(saved.number.to_string(), "LYN-000001");
        branch.wait_drained().await;
        central.assert_equal(&branch);
    }
}
