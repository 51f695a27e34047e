//! Whole handshakes: who gets through to central, and to whom central proves itself.

use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Error, RootCertStore, ServerConnection,
    SignatureScheme, SupportedProtocolVersion,
};

use super::*;
use crate::authority::make;

/// Shows whatever it is told to, with whatever key.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A client that trusts these roots alone.
pub(crate) fn client(
    roots: &[&[u8]],
    shows: Option<(Vec<CertificateDer<'static>>, &KeyPair)>,
    version: &'static SupportedProtocolVersion,
) -> ClientConfig {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(CertificateDer::from(root.to_vec())).unwrap();
    }
    let provider = default_provider();
    let shows = shows.map(|(chain, key)| {
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = provider.key_provider.load_private_key(der).unwrap();
        Arc::new(Shows(Arc::new(CertifiedKey::new(chain, key))))
    });
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(store);
    match shows {
        Some(shows) => config.with_client_cert_resolver(shows),
        None => config.with_no_client_auth(),
    }
}

/// What each side made of the handshake.
pub(crate) struct Shaken {
    pub(crate) client: Result<(), Error>,
    /// The certificate that the server saw, if it got through.
    pub(crate) server: Result<Option<Vec<u8>>, Error>,
}

/// Carries bytes between the two until neither has anything to say.
pub(crate) fn shake(authority: &Authority, client: ClientConfig, name: &str) -> Shaken {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(authority.server_config()).unwrap();
    let (mut at_client, mut at_server) = (Ok(()), Ok(()));
    loop {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut up).unwrap();
        }
        let mut unread = up.as_slice();
        while at_server.is_ok() && server.read_tls(&mut unread).unwrap() > 0 {
            at_server = server.process_new_packets().map(|_| ());
        }
        while server.wants_write() {
            server.write_tls(&mut down).unwrap();
        }
        let mut unread = down.as_slice();
        while at_client.is_ok() && client.read_tls(&mut unread).unwrap() > 0 {
            at_client = client.process_new_packets().map(|_| ());
        }
        if up.is_empty() && down.is_empty() {
            break;
        }
    }
    let seen = server.peer_certificates().and_then(|chain| chain.first());
    let seen = seen.map(|certificate| certificate.to_vec());
    Shaken {
        client: at_client,
        server: at_server.map(|()| seen),
    }
}

fn chain(ders: &[Der]) -> Vec<CertificateDer<'static>> {
    let each = ders.iter();
    each.map(|der| CertificateDer::from(der.as_bytes().to_vec()))
        .collect()
}

/// Shows a certificate to the world's server; gives what the server made of it.
fn show(world: &World, shown: Vec<CertificateDer<'static>>, key: &KeyPair) -> Shaken {
    let root = root_of(world);
    let client = client(&[&root], Some((shown, key)), &TLS13);
    shake(&world.authority, client, "central.example.org")
}

pub(crate) fn root_of(world: &World) -> Vec<u8> {
    world.authority.trust().anchors[0].as_bytes().to_vec()
}

/// Refused in the handshake, by the server, with an alert that reaches the client.
fn assert_alert(shaken: &Shaken, alert: AlertDescription) {
    assert!(
        matches!(&shaken.client, Err(Error::AlertReceived(got)) if *got == alert),
        "{:?}",
        shaken.client
    );
    assert!(shaken.server.is_err());
}

#[test]
fn agents_get_through_whatever_the_date() {
    let world = World::new();
    let at = |days: i64| UnixMillis(now().0 + days * DAY);
    for (what, at) in [
        ("good", at(0)),
        ("expired yesterday", at(-91)),
        ("expired ten years ago", at(-3_650)),
        ("not yet valid", at(30)),
        ("ten years early", at(3_650)),
    ] {
        let (certificate, key, record) = world.agent_at(at);
        let shaken = show(&world, chain(&certificate), &key);
        assert_eq!(shaken.client, Ok(()), "{what}");
        let seen = shaken.server.unwrap().expect(what);
        let presented = world.authority.examine(&seen).unwrap();
        assert!(
            matches!(presented, Presented::Agent(agent) if agent.agent == record.id),
            "{what}"
        );
    }
}

#[test]
fn whoever_joins_needs_no_certificate() {
    let world = World::new();
    let client = client(&[&root_of(&world)], None, &TLS13);
    let shaken = shake(&world.authority, client, "central.example.org");
    assert_eq!(shaken.client, Ok(()));
    assert_eq!(shaken.server, Ok(None));
}

#[test]
fn a_certificate_that_is_not_ours_ends_the_handshake() {
    let world = World::new();
    let other = World::new();
    let (certificate, key, _) = other.agent_at(now());
    let shaken = show(&world, chain(&certificate), &key);
    assert_alert(&shaken, AlertDescription::UnknownCA);

    // Signed by itself, with our own words in it, and with our CA's name as its issuer's.
    let (ours, _, record) = world.agent_at(now());
    let key = KeyPair::generate().unwrap();
    let impostor = Impostor::of(&world);
    let serial = make::new_serial().unwrap();
    let validity = make::Validity::new(now(), std::time::Duration::from_secs(3_600));
    let forged = make::agent(&record, serial, &key, &impostor.issuer, validity).unwrap();
    let shown = vec![forged.der().clone(), chain(&ours)[1].clone()];
    let shaken = show(&world, shown, &key);
    assert_alert(&shaken, AlertDescription::UnknownCA);

    let myself = CertificateParams::new(vec!["agent".to_owned()]).unwrap();
    let myself = myself.self_signed(&key).unwrap();
    let shaken = show(&world, vec![myself.der().clone()], &key);
    assert_alert(&shaken, AlertDescription::UnknownCA);
}

/// A CA of the same name as ours, with its own key.
struct Impostor {
    issuer: make::Signer,
}

impl Impostor {
    fn of(world: &World) -> Self {
        let issuing = world.authority.live.now().issuing.clone();
        let key = KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::from_ca_cert_der(&issuing, key).unwrap();
        Self { issuer }
    }
}

#[test]
fn a_certificate_of_ours_for_another_purpose_is_no_agents() {
    let world = World::new();
    let by = super::super::init::signer(&world.path(), 1).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = ["central.example.org".to_owned()];
    let server = make::server(&names, &key, &by, now()).unwrap();
    let shaken = show(&world, vec![server.der().clone()], &key);
    assert!(shaken.client.is_err() && shaken.server.is_err());
    assert_eq!(
        world.authority.examine(server.der()),
        Err(CertificateFault::Purpose)
    );

    let proxy = make::proxy("dmz1", &names, &key, &by, now()).unwrap();
    let shaken = show(&world, vec![proxy.der().clone()], &key);
    let seen = shaken.server.unwrap().unwrap();
    let name = "dmz1".to_owned();
    assert_eq!(
        world.authority.examine(&seen),
        Ok(Presented::Proxy { name })
    );

    let issuing = world.authority.live.now().issuing.clone();
    assert_eq!(
        world.authority.examine(&issuing),
        Err(CertificateFault::Purpose)
    );
}

#[test]
fn a_certificate_with_a_weak_key_is_refused_even_if_ours() {
    let world = World::new();
    let by = super::super::init::signer(&world.path(), 1).unwrap();
    let weak = requests::weak();
    let (_, csr) = {
        use x509_parser::prelude::FromDer;
        x509_parser::certification_request::X509CertificationRequest::from_der(weak.as_bytes())
            .unwrap()
    };
    let public = csr.certification_request_info.subject_pki.raw;
    let public = rcgen::SubjectPublicKeyInfo::from_der(public).unwrap();
    let validity = make::Validity::new(now(), std::time::Duration::from_secs(3_600));
    let serial = make::new_serial().unwrap();
    let made = make::agent(&record(7), serial, &public, &by, validity).unwrap();
    assert_eq!(
        world.authority.examine(made.der()),
        Err(CertificateFault::Weak)
    );
}

#[test]
fn somebody_elses_certificate_is_of_no_use_without_its_key() {
    let world = World::new();
    let (certificate, _, _) = world.agent_at(now());
    let thief = KeyPair::generate().unwrap();
    let shaken = show(&world, chain(&certificate), &thief);
    assert_alert(&shaken, AlertDescription::DecryptError);
}

#[test]
fn bytes_bent_anywhere_in_a_certificate_never_make_another_agent() {
    let world = World::new();
    let (certificate, _, _) = world.agent_at(now());
    let good = certificate[0].as_bytes();
    for at in 0..good.len() {
        let mut bent = good.to_vec();
        bent[at] ^= 1;
        assert!(world.authority.examine(&bent).is_err(), "byte {at}");
    }
    let mut longer = good.to_vec();
    longer.push(0);
    assert_eq!(
        world.authority.examine(&longer),
        Err(CertificateFault::Malformed)
    );
}

#[test]
fn central_proves_itself_to_whoever_knows_the_root_and_by_its_names_only() {
    let world = World::new();
    let root = root_of(&world);
    for name in ["central.example.org", "localhost", "127.0.0.1", "::1"] {
        let shaken = shake(&world.authority, client(&[&root], None, &TLS13), name);
        assert_eq!(shaken.client, Ok(()), "{name}");
    }
    let shaken = shake(
        &world.authority,
        client(&[&root], None, &TLS13),
        "other.example.org",
    );
    assert!(matches!(
        shaken.client,
        Err(Error::InvalidCertificate(
            rustls::CertificateError::NotValidForNameContext { .. }
        ))
    ));
    let other = root_of(&World::new());
    let shaken = shake(
        &world.authority,
        client(&[&other], None, &TLS13),
        "central.example.org",
    );
    assert_eq!(
        shaken.client,
        Err(Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer
        ))
    );
}

#[test]
fn the_chain_that_central_sends_ends_in_the_anchor() {
    let world = World::new();
    let chain = world.authority.live.now().server.cert.clone();
    assert_eq!(chain.len(), 3);
    assert_eq!(fingerprint(&chain[2]), world.authority.anchor());
    assert_eq!(chain[2].as_ref(), root_of(&world));
}

#[test]
fn tls_12_only_where_it_was_asked_for() {
    let world = World::new();
    let root = root_of(&world);
    let (certificate, key, _) = world.agent_at(now());
    let old = || client(&[&root], Some((chain(&certificate), &key)), &TLS12);
    let shaken = shake(&world.authority, old(), "central.example.org");
    assert!(shaken.client.is_err() && shaken.server.is_err());
    let tls = config::Tls {
        tls12: true,
        ..config::Tls::default()
    };
    let settings = config::Authority::default();
    let lenient = Authority::open(&world.path(), &tls, &settings).unwrap();
    let shaken = shake(&lenient, old(), "central.example.org");
    assert_eq!(shaken.client, Ok(()));
    assert!(shaken.server.unwrap().is_some());
    let thief = KeyPair::generate().unwrap();
    let stolen = client(&[&root], Some((chain(&certificate), &thief)), &TLS12);
    assert!(
        shake(&lenient, stolen, "central.example.org")
            .server
            .is_err()
    );
}
