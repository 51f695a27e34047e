//! Signing requests: only a strong key that is proven, whatever else is asked for.

use rcgen::{DnType, ExtendedKeyUsagePurpose, IsCa, SanType};

use super::*;

/// RSA with 1,024 bits, otherwise in order.
const WEAK: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIIBTjCBuAIBADAPMQ0wCwYDVQQDDAR3ZWFrMIGfMA0GCSqGSIb3DQEBAQUAA4GN
ADCBiQKBgQDuJmDXeiHY84oIdZKYUrJ3d3ZtNu4WJCrLQoIZBYYESOOXT7QLcQDB
FyLVuf9E0PuGdyddtqOow94ycLu2kjZj4RYYdg8xffCv1Th9J8+OEZK8ogSkA5N9
h5rkBXvgTjPDQK9V6JIiDiMG5fgMTa/jse9l/t5ywWaChUTftTb9oQIDAQABoAAw
DQYJKoZIhvcNAQELBQADgYEAyeLNsHSYgPcJlWqBRxZE1np98IYWpbEN56ma6eyd
pBIWAVm/rU2T/r8/ZLY7ZYE9B+mJq/enYi2NW1oN3XQ7O8Msza81G+hddz+QTEpD
xrZjMhgQ1pf39xjnOJZi9Ykpr7VzpN6ZowjbrvINb47rTYOQ6DEG5y8EP5efyESS
8Pw=
-----END CERTIFICATE REQUEST-----
";

pub(super) fn weak() -> Der {
    use rustls_pki_types::pem::PemObject;
    let der = rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(WEAK.as_bytes());
    Der::new(der.unwrap().to_vec()).unwrap()
}

#[test]
fn weak_keys_are_refused_and_strong_ones_taken() {
    assert_eq!(
        Authority::read_request(&weak()).err(),
        Some(RequestFault::Key)
    );
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let read = Authority::read_request(&request(&key)).unwrap();
        assert_eq!(read.key, key_digest(&key.subject_public_key_info()));
    }
}

/// Where the part that is signed stands: behind the outer head, as long as its own head says.
fn signed_part(request: &Der) -> std::ops::Range<usize> {
    use x509_parser::prelude::FromDer;
    let bytes = request.as_bytes();
    let (_, read) =
        x509_parser::certification_request::X509CertificationRequest::from_der(bytes).unwrap();
    let signed = read.certification_request_info.raw;
    let start = bytes.windows(signed.len()).position(|part| part == signed);
    let start = start.unwrap();
    start..start + signed.len()
}

#[test]
fn a_request_for_somebody_elses_key_is_refused() {
    let key = KeyPair::generate().unwrap();
    let good = request(&key);
    for at in signed_part(&good) {
        let mut bent = good.as_bytes().to_vec();
        bent[at] ^= 1;
        let bent = Authority::read_request(&Der::new(bent).unwrap());
        assert!(bent.is_err(), "byte {at}");
    }
    let mut longer = good.as_bytes().to_vec();
    longer.push(0);
    let longer = Authority::read_request(&Der::new(longer).unwrap());
    assert_eq!(longer.err(), Some(RequestFault::Malformed));
}

#[test]
fn nothing_but_the_key_of_a_request_counts() {
    let world = World::new();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "root");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = vec![
        SanType::DnsName("central.example.org".try_into().unwrap()),
        SanType::URI("urn:branchline:proxy:dmz1".try_into().unwrap()),
    ];
    params.is_ca = IsCa::ExplicitNoCa;
    let greedy = params.serialize_request(&key).unwrap();
    let greedy = Der::new(greedy.der().to_vec()).unwrap();
    let read = Authority::read_request(&greedy).unwrap();
    let record = record(7);
    let issued = world.authority.issue(&read, &record, now()).unwrap();
    let presented = world.authority.examine(issued.chain[0].as_bytes());
    assert!(matches!(presented, Ok(Presented::Agent(agent)) if agent.agent == record.id));
    let text = String::from_utf8_lossy(issued.chain[0].as_bytes()).into_owned();
    assert!(!text.contains("central.example.org") && !text.contains("dmz1"));
}
