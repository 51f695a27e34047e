//! Agents made by hand: a key, an enrolment over a raw connection, and a certificate to speak with.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use branchline_protocol::enrolment::{Der, ENROLMENT_PATH, EnrolmentReply, Token};
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

use crate::raw_http::{Answer, Place, Request};
use crate::tls::{self, Credentials};

/// An agent that joined by hand.
#[derive(Debug)]
pub struct Member {
    /// What central said of it.
    pub reply: EnrolmentReply,
    /// Its certificate and key.
    pub credentials: Credentials,
    /// Whom it trusts.
    pub anchors: Vec<CertificateDer<'static>>,
}

impl Member {
    /// Speaks to whatever is at `address` with its certificate.
    pub fn place(&self, address: SocketAddr) -> Place {
        Place::Tls(address, self.client(Some(&self.credentials)))
    }

    /// The same with another certificate, or with none.
    pub fn client(&self, credentials: Option<&Credentials>) -> Arc<ClientConfig> {
        tls::client(&self.anchors, credentials)
    }
}

/// A new key of the kind that agents have.
pub fn new_key() -> KeyPair {
    KeyPair::generate().expect("make a key")
}

/// A signing request for a key.
pub fn signing_request(key: &KeyPair) -> Der {
    let request = CertificateParams::default()
        .serialize_request(key)
        .expect("sign a request");
    Der::new(request.der().to_vec()).expect("a small request")
}

/// The body of an enrolment.
pub fn enrolment(token: &Token, key: &KeyPair) -> Vec<u8> {
    let body = json!({
        "secret": token.secret, "request": signing_request(key), "version": "0.0.0", "clock": 0,
    });
    body.to_string().into_bytes()
}

/// The request for it.
pub fn enrolment_request(body: Vec<u8>) -> Request {
    Request::new("POST", ENROLMENT_PATH)
        .header("Branchline-Protocol", "1")
        .json(body)
}

/// Asks to join, over a connection of its own without a certificate.
pub fn ask_to_join(
    address: SocketAddr,
    anchors: &[CertificateDer<'static>],
    token: &Token,
    key: &KeyPair,
) -> std::io::Result<Answer> {
    let place = Place::Tls(address, tls::client(anchors, None));
    enrolment_request(enrolment(token, key)).ask(&place)
}

/// Joins.
pub fn join(address: SocketAddr, anchors: &[CertificateDer<'static>], token: &str) -> Member {
    let token: Token = token.parse().expect("a token");
    let key = new_key();
    let answer = ask_to_join(address, anchors, &token, &key).expect("central answers");
    assert_eq!(answer.status, 200, "{}", answer.text());
    member(&answer, &key)
}

/// What an answer to an enrolment makes of a key.
pub fn member(answer: &Answer, key: &KeyPair) -> Member {
    let reply: EnrolmentReply = serde_json::from_slice(&answer.body).expect("an enrolment reply");
    let certificate = |der: &Der| CertificateDer::from(der.as_bytes().to_vec());
    Member {
        credentials: Credentials {
            chain: reply.issued.certificate.iter().map(certificate).collect(),
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        },
        anchors: reply.issued.trust.anchors.iter().map(certificate).collect(),
        reply,
    }
}

/// A certificate as `Client-Cert` carries it (RFC 9440).
pub fn client_cert(certificate: &CertificateDer<'_>) -> String {
    format!(":{}:", STANDARD.encode(certificate))
}
