//! Requests inside requests: shapes that two readers of HTTP may read differently. Whoever gets one past a
//! proxy in front of central would speak through the proxy's connection, for whomever they like.

use harness::identity::client_cert;
use harness::processes::text;
use harness::raw_http::{Connection, Place, Request};
use harness::tls;

use super::{OPERATIONS, Target, VERSION};

/// A connection on which the proxy's word counts.
fn through_the_proxy(target: &Target) -> Place {
    let proxy = target.central.proxy();
    let config = tls::client(&proxy.anchors, Some(&proxy.own));
    Place::Tls(target.central.address, config)
}

/// What is smuggled: a good submission of the other agent's, with the other's certificate.
fn smuggled(target: &mut Target) -> String {
    // A ticket that central has not; if it were taken, the agent's own next one would not fit.
    let serial = target.good.serial;
    let ticket = target.good.ticket().to_string();
    target.good.serial = serial;
    let body = text(&target.good.body(&[ticket.as_bytes()]));
    let victim = client_cert(&target.good.member.credentials.chain[0]);
    format!(
        "POST {OPERATIONS} HTTP/1.1\r\nHost: x\r\n{VERSION}: 1\r\nClient-Cert: {victim}\r\n\
         Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What comes behind all of it, so that a connection that is still in step ends, too. Closing it from this
/// side would keep central from reading on, and what is smuggled with it.
const LAST: &str = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// What central says to all of it, until it closes.
fn said_to(place: &Place, bytes: &str) -> String {
    let mut connection = Connection::open(place).expect("connect");
    // Central may have refused it, and gone, before it has all been sent.
    let sent = connection.send(bytes.as_bytes());
    let said = connection.rest();
    text(&said.unwrap_or_else(|fault| panic!("{fault} ({sent:?})")))
}

/// Answers in what came.
fn answers(said: &str) -> usize {
    said.matches("HTTP/1.1 ").count()
}

/// Sends it, reads until central closes, and sees one answer at most besides that to the last request, and
/// nothing done.
fn assert_one_request(target: &mut Target, place: &Place, attack: &str, bytes: &str) {
    let said = said_to(place, &format!("{bytes}{LAST}"));
    assert!(!said.contains("acknowledged"), "{attack}: {said}");
    let to_the_last = usize::from(said.trim_end().ends_with("\r\n\r\nlive"));
    assert!(answers(&said) <= 1 + to_the_last, "{attack}: {said}");
    target.assert_unharmed(attack);
}

/// The fields that say where the body ends, and the body in front of what is smuggled.
#[rustfmt::skip]
const SHAPES: &[(&str, &str, &str)] = &[
    ("CL.TE", "Content-Length: LENGTH\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    ("TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
    ("an unknown coding", "Content-Length: LENGTH\r\nTransfer-Encoding: xchunked", "0\r\n\r\n"),
    ("chunked is not last", "Content-Length: LENGTH\r\nTransfer-Encoding: chunked, identity", "0\r\n\r\n"),
    ("two codings", "Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: cow", "0\r\n\r\n"),
    ("a blank before the colon", "Content-Length: LENGTH\r\nTransfer-Encoding : chunked", "0\r\n\r\n"),
    ("a folded coding", "Content-Length: LENGTH\r\nTransfer-Encoding:\r\n chunked", "0\r\n\r\n"),
    ("a coding behind a tab", "Content-Length: LENGTH\r\nTransfer-Encoding:\x0bchunked", "0\r\n\r\n"),
    ("a bare line feed", "X: y\nTransfer-Encoding: chunked\r\nContent-Length: LENGTH", "0\r\n\r\n"),
    ("a bare carriage return", "X: y\rTransfer-Encoding: chunked\r\nContent-Length: LENGTH", "0\r\n\r\n"),
    ("two lengths, the short one first", "Content-Length: 5\r\nContent-Length: LENGTH", "0\r\n\r\n"),
    ("two lengths, the long one first", "Content-Length: LENGTH\r\nContent-Length: 5", "0\r\n\r\n"),
    ("a list of lengths", "Content-Length: 5, LENGTH", "0\r\n\r\n"),
    ("a length with a sign", "Content-Length: +5", "0\r\n\r\n"),
    ("a length in hexadecimal", "Content-Length: 0x5", "0\r\n\r\n"),
    ("a chunk's size that overflows", "Transfer-Encoding: chunked", "10000000000000005\r\n0\r\n\r\n"),
    ("a chunk's size with a sign", "Transfer-Encoding: chunked", "+0\r\n\r\n"),
    ("a chunk that ends in other bytes", "Transfer-Encoding: chunked", "1\r\nxyy0\r\n\r\n"),
];

#[test]
fn a_request_inside_another_is_never_answered() {
    let mut target = Target::start();
    let proxy = through_the_proxy(&target);
    let direct = target.evil.place.clone();
    let attacker = client_cert(&target.evil.member.credentials.chain[0]);
    for (attack, fields, before) in SHAPES {
        for (place, certificate) in [
            (&proxy, format!("Client-Cert: {attacker}\r\n")),
            (&direct, String::new()),
        ] {
            let inner = smuggled(&mut target);
            let length = (before.len() + inner.len()).to_string();
            let fields = fields.replace("LENGTH", &length);
            let outer = format!(
                "POST {OPERATIONS} HTTP/1.1\r\nHost: x\r\n{VERSION}: 1\r\n{certificate}\
                 Content-Type: application/json\r\n{fields}\r\n\r\n{before}{inner}"
            );
            assert_one_request(&mut target, place, attack, &outer);
        }
    }
    target.assert_holds(0);
    // What was inside would have been taken, had anybody read it as a request.
    let inner = smuggled(&mut target);
    let outer = format!("GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n{inner}");
    let said = said_to(&proxy, &outer);
    assert_eq!(answers(&said), 2, "{said}");
    assert!(said.contains("acknowledged"), "{said}");
}

/// Behind a proxy that adds the field, another one cannot be hidden.
#[test]
fn a_second_certificate_cannot_be_slipped_in() {
    let mut target = Target::start();
    let proxy = through_the_proxy(&target);
    let victim = client_cert(&target.good.member.credentials.chain[0]);
    let attacker = client_cert(&target.evil.member.credentials.chain[0]);
    let fields = [
        format!("Client-Cert: {victim}\r\nClient-Cert: {attacker}"),
        format!("Client-Cert: {attacker}\r\nClient-Cert: {victim}"),
        format!("X: y\nClient-Cert: {victim}\r\nClient-Cert: {attacker}"),
        format!("Client-Cert: {attacker}\nClient-Cert: {victim}"),
        format!("Client-Cert: {attacker}, {victim}"),
        format!("Client-Cert: {attacker}\r\n {victim}"),
        format!("Client-Cert: {attacker}\r\nclient-cert: {victim}"),
        format!("Client-Cert : {victim}\r\nClient-Cert: {attacker}"),
        format!("Client-Cert: {attacker};x={victim}"),
    ];
    for fields in &fields {
        let request = format!(
            "GET /v1/feed?after=&wait=0 HTTP/1.1\r\nHost: x\r\n{VERSION}: 1\r\n{fields}\r\n\
             Connection: close\r\n\r\n"
        );
        let mut connection = Connection::open(&proxy).expect("connect");
        connection.send(request.as_bytes()).expect("send");
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.status, 400, "{fields}: {}", answer.text());
        target.assert_unharmed("two certificates");
    }
    // The proxy's word alone is taken.
    let request = Request::new("GET", "/v1/feed?after=&wait=0").header(VERSION, "1");
    let answer = request.header("Client-Cert", &attacker).ask(&proxy);
    assert_eq!(answer.expect("an answer").status, 200);
}
