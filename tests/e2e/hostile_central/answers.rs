//! Answers that are not central's, or that no central would give: all are survived, and central's own are
//! taken when they come.

use std::time::Instant;

use harness::processes::{Branch, Central, sandbox};
use serde_json::json;
use tokio::task::JoinSet;

use super::Heals::{AfterItsDelay, ByItself};
use super::{
    Behaviour, FalseCentral, Heals, Victim, acknowledging, answer, good, html, nowhere, problem,
};

fn repeated(piece: &[u8], bytes: usize) -> Vec<u8> {
    piece.iter().copied().cycle().take(bytes).collect()
}

/// A false central's name, how it answers, what the status says of it, and how the agent gets over it.
type Attack = (&'static str, Box<Behaviour>, &'static str, Heals);

#[rustfmt::skip]
fn on_the_way() -> Vec<Attack> {
    vec![
        ("a captive portal", Box::new(|_| html("200 OK")), "log-in page", ByItself),
        ("another program's JSON", Box::new(|_| good(&json!({ "ok": true }))), "log-in page", ByItself),
        ("JSON with wrong types", Box::new(|_| good(&json!({ "acknowledged": 7, "head": [], "news": "x" }))), "log-in page", ByItself),
        ("an empty answer", Box::new(|_| answer("200 OK", "", "")), "log-in page", ByItself),
        ("no content", Box::new(|_| b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()), "log-in page", ByItself),
        ("a redirect to itself", Box::new(|asked| answer("302 Found", &format!("Location: {}\r\n", asked.target), "")), "redirects", ByItself),
        ("a log-in by a proxy", Box::new(|_| html("401 Unauthorized")), "HTTP 401", ByItself),
        ("a proxy's own log-in", Box::new(|_| html("407 Proxy Authentication Required")), "user name and password", ByItself),
        ("a broken gateway", Box::new(|_| html("502 Bad Gateway")), "HTTP 502", ByItself),
        ("a problem of somebody else's", Box::new(|_| answer("403 Forbidden", "", r#"{"type":"about:blank","title":"x","status":403}"#)), "HTTP 403", ByItself),
        ("come back in three years", Box::new(|_| answer("503 Busy", "Retry-After: 99999999\r\n", "")), "HTTP 503", AfterItsDelay),
        ("come back never", Box::new(|_| answer("503 Busy", "Retry-After: 99999999999999999999999999\r\n", "")), "HTTP 503", ByItself),
        ("come back yesterday", Box::new(|_| answer("503 Busy", "Retry-After: -5\r\n", "")), "HTTP 503", ByItself),
        ("a closed connection", Box::new(|_| Vec::new()), "connection to central broke", ByItself),
        ("no HTTP", Box::new(|_| b"220 mail.example.org ESMTP\r\n".to_vec()), "connection to central broke", ByItself),
        ("an answer that breaks off", Box::new(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"ackn".to_vec()), "connection to central broke", ByItself),
        ("endless headers", Box::new(|_| [b"HTTP/1.1 200 OK\r\n".to_vec(), repeated(b"X-Y: z\r\n", 2 << 20)].concat()), "connection to central broke", ByItself),
        ("endless interim answers", Box::new(|_| repeated(b"HTTP/1.1 100 Continue\r\n\r\n", 1 << 20)), "connection to central broke", ByItself),
        ("five mebibytes", Box::new(|_| answer("200 OK", "", repeated(b" ", 5 << 20))), "larger than any", ByItself),
        ("an endless body", Box::new(|_| [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), repeated(b"4\r\n    \r\n", 24 << 20)].concat()), "larger than any", ByItself),
        ("a bomb", Box::new(|_| answer("200 OK", "Content-Encoding: zstd\r\n", zstd_zeros(10 << 30))), "larger than any", ByItself),
        ("a huge window", Box::new(|_| answer("200 OK", "Content-Encoding: zstd\r\n", zstd_of_window(31))), "connection to central broke", ByItself),
        ("damaged packing", Box::new(|_| answer("200 OK", "Content-Encoding: zstd\r\n", "not zstd")), "connection to central broke", ByItself),
    ]
}

#[rustfmt::skip]
fn at_central() -> Vec<Attack> {
    vec![
        ("acknowledging more than was sent", Box::new(acknowledging(|asked| nowhere(asked.reached().seq.0 + 1_000))), "does not fit", AfterItsDelay),
        ("acknowledging the end of numbers", Box::new(acknowledging(|_| nowhere(u64::MAX))), "does not fit", AfterItsDelay),
        ("acknowledging nothing", Box::new(acknowledging(|asked| asked.submission().after)), "does not fit", AfterItsDelay),
        ("acknowledging with a wrong digest", Box::new(acknowledging(|asked| nowhere(asked.reached().seq.0))), "does not fit", AfterItsDelay),
        ("acknowledging position 0", Box::new(acknowledging(|_| nowhere(0))), "does not fit", AfterItsDelay),
        ("knowing no agent", Box::new(|_| problem("unknown-agent", 401, json!({}))), "Says the false central", AfterItsDelay),
        ("taking it for revoked", Box::new(|_| problem("revoked", 401, json!({}))), "Says the false central", AfterItsDelay),
        ("taking its certificate for an old one", Box::new(|_| problem("certificate-superseded", 401, json!({}))), "Says the false central", AfterItsDelay),
        ("taking its certificate for expired", Box::new(|_| problem("certificate-expired", 401, json!({}))), "Says the false central", AfterItsDelay),
        ("a kind from the future", Box::new(|_| problem("imagined", 418, json!({}))), "Says the false central", AfterItsDelay),
        ("a foreign stream", Box::new(|_| problem("foreign-stream", 403, json!({}))), "Says the false central", AfterItsDelay),
        ("an internal error", Box::new(|_| problem("internal", 500, json!({}))), "Says the false central", ByItself),
        ("a gap without head", Box::new(|_| problem("gap", 409, json!({}))), "Says the false central", AfterItsDelay),
    ]
}

#[rustfmt::skip]
fn disputes() -> Vec<Attack> {
    vec![
        ("a gap far ahead", Box::new(|_| problem("gap", 409, json!({ "head": nowhere(1 << 40) }))), "", AfterItsDelay),
        ("a gap at the beginning", Box::new(|_| problem("gap", 409, json!({ "head": nowhere(0) }))), "", AfterItsDelay),
        ("forked for ever, agreed", Box::new(|_| problem("diverged", 409, json!({ "head": nowhere(3), "agreed": true, "serials_used": 1 }))), "", AfterItsDelay),
        ("forked for ever, not agreed", Box::new(|_| problem("diverged", 409, json!({ "head": nowhere(3), "agreed": false }))), "", AfterItsDelay),
    ]
}

#[rustfmt::skip]
fn too_large() -> Vec<Attack> {
    vec![
        ("everything too large, says a proxy", Box::new(|_| html("413 Too Large")), "too large", ByItself),
        ("everything too large, says central", Box::new(|_| problem("too-large", 413, json!({}))), "Says the false central", ByItself),
    ]
}

/// A zstd frame of so many zeros, written by hand: blocks of 128 KiB that say "this byte, repeated".
fn zstd_zeros(bytes: u64) -> Vec<u8> {
    const BLOCK: u32 = 128 * 1024;
    // Magic, no content size, a window of 8 MiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3];
    let blocks = bytes / u64::from(BLOCK);
    for block in 1..=blocks {
        let header = (BLOCK << 3) | (1 << 1) | u32::from(block == blocks);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// A small zstd frame that asks for a window of two to this power.
fn zstd_of_window(log: u8) -> Vec<u8> {
    let mut frame = zstd_zeros(1 << 20);
    frame[5] = (log - 10) << 3;
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_answers_in_centrals_place_is_survived() {
    survive(on_the_way()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_central_gone_mad_is_survived() {
    survive(at_central()).await;
}

/// The journal forks when it must, and then with the usual delays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_central_that_disputes_every_stream_is_survived() {
    survive(disputes()).await;
}

/// Smaller submissions are tried, and then the usual delays apply.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finds_every_submission_too_large_is_survived() {
    survive(too_large()).await;
}

/// Each attack against an agent of its own, all at once.
async fn survive(attacks: Vec<Attack>) {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut serving = JoinSet::new();
    let mut victims = Vec::new();
    for (index, (name, behaviour, words, heals)) in attacks.into_iter().enumerate() {
        let fake = FalseCentral::start(&mut serving, &central, behaviour).await;
        let letter = |n: usize| char::from(b'A' + u8::try_from(n % 26).expect("a letter"));
        let code = format!("X{}{}", letter(index / 26), letter(index));
        let mut branch = Branch::join(sandbox.path(), &central, &code, fake.address);
        branch.start();
        for n in 0..3 {
            branch.file(&format!("Ticket {n}")).await;
        }
        victims.push(Victim {
            name,
            words,
            heals,
            fake,
            branch,
            since: Instant::now(),
        });
    }
    for victim in &mut victims {
        victim.endure().await;
    }
    for victim in &victims {
        victim.fake.become_real();
    }
    for victim in &mut victims {
        victim.recover(&central).await;
    }
}
