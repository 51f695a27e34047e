//! `Client-Cert` in each request's head, over any split of the bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;

const END: &[u8] = b"\r\n\r\n";

/// The requests of one connection as they go past.
pub(super) struct Heads {
    line: Vec<u8>,
    /// What came of a head that is not whole.
    head: Vec<u8>,
    body: Body,
}

enum Body {
    /// So many bytes of it are to come; with 0 a head is.
    Bytes(usize),
    /// Without a length, to the end of the connection.
    Unknown,
}

impl Heads {
    /// Says in each head whose connection it is, if anybody's; what a client says of that is not passed on.
    pub(super) fn new(certificate: Option<&CertificateDer<'_>>) -> Self {
        let line = certificate.map(|der| format!("Client-Cert: :{}:\r\n", STANDARD.encode(der)));
        Self {
            line: line.unwrap_or_default().into_bytes(),
            head: Vec::new(),
            body: Body::Bytes(0),
        }
    }

    /// The next bytes, as they are to be passed on.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut passed = Vec::with_capacity(bytes.len() + self.line.len());
        let mut rest = bytes;
        while !rest.is_empty() {
            match &mut self.body {
                Body::Unknown => {
                    passed.extend_from_slice(rest);
                    rest = &[];
                }
                Body::Bytes(0) => rest = self.take_head(rest, &mut passed),
                Body::Bytes(left) => {
                    let (body, behind) = rest.split_at(rest.len().min(*left));
                    *left -= body.len();
                    passed.extend_from_slice(body);
                    rest = behind;
                }
            }
        }
        passed
    }

    fn take_head<'a>(&mut self, bytes: &'a [u8], passed: &mut Vec<u8>) -> &'a [u8] {
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let from = before.saturating_sub(END.len() - 1);
        let end = self.head[from..].windows(END.len()).position(|w| w == END);
        let Some(end) = end.map(|at| from + at + END.len()) else {
            return &[];
        };
        let text = String::from_utf8_lossy(&self.head[..end - 2]).into_owned();
        let mut length = Body::Bytes(0);
        for line in text.split_inclusive("\r\n") {
            let name = line.split(':').next().unwrap_or_default();
            if name.to_ascii_lowercase().starts_with("client-cert") {
                continue;
            }
            if name.eq_ignore_ascii_case("transfer-encoding") {
                length = Body::Unknown;
            }
            if name.eq_ignore_ascii_case("content-length") && !matches!(length, Body::Unknown) {
                let value = line[name.len() + 1..].trim().parse();
                length = value.map_or(Body::Unknown, Body::Bytes);
            }
            passed.extend_from_slice(line.as_bytes());
        }
        passed.extend_from_slice(&self.line);
        passed.extend_from_slice(b"\r\n");
        self.head.clear();
        self.body = length;
        &bytes[end - before..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_head_says_whose_it_is_over_any_split() {
        let certificate = CertificateDer::from(vec![1, 2, 3]);
        let came = b"POST /a HTTP/1.1\r\nHost: x\r\nclient-cert: :AAAA:\r\nContent-Length: 4\r\n\r\n\r\n\r\n\
            GET /b HTTP/1.1\r\nHost: x\r\nClient-Cert-Chain: :AAAA:\r\n\r\n";
        let expected = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nClient-Cert: :AQID:\r\n\r\n\r\n\r\n\
            GET /b HTTP/1.1\r\nHost: x\r\nClient-Cert: :AQID:\r\n\r\n";
        for size in 1..came.len() {
            let mut heads = Heads::new(Some(&certificate));
            let passed: Vec<u8> = came
                .chunks(size)
                .flat_map(|piece| heads.pass(piece))
                .collect();
            assert_eq!(String::from_utf8(passed).unwrap(), expected, "{size}");
        }
    }
}
