//! From one root to the next, as clients see it that know the old root, both, or only the new one.

use branchline_protocol::enrolment::TRUST_CONTEXT;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::version::TLS13;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::handshakes::{client, shake};
use super::*;

const NAME: &str = "central.example.org";

impl World {
    fn next_root(&self) -> SignedTrust {
        Authority::next_root(&self.path(), None, now()).unwrap()
    }

    fn switch(&self) {
        Authority::switch(&self.path(), now()).unwrap();
    }

    fn retire_old(&self) -> SignedTrust {
        Authority::retire_old(&self.path(), None, now()).unwrap()
    }

    fn root(&self, number: u32) -> Vec<u8> {
        let path = self.path().join(folder::root(number));
        folder::certificate(&path).unwrap().to_vec()
    }

    /// The server takes up what the command changed, while it runs.
    fn tend(&self) {
        assert_eq!(self.authority.tend(now()).unwrap(), Tended::Reloaded);
        assert_eq!(self.authority.tend(now()).unwrap(), Tended::Nothing);
    }

    /// Which of these see central proven: who knows the old root, both, the new one.
    fn proven_to(&self) -> [bool; 3] {
        let (old, new) = (self.root(1), self.root(2));
        [&[&old[..]][..], &[&old, &new], &[&new]].map(|roots| {
            let shaken = shake(&self.authority, client(roots, None, &TLS13), NAME);
            shaken.client.is_ok()
        })
    }

    fn takes(&self, certificate: &[Der]) -> bool {
        self.authority.examine(certificate[0].as_bytes()).is_ok()
    }
}

/// As an agent proves a bundle: by the key of a root that it trusts already.
fn is_signed_by(signed: &SignedTrust, root: &[u8]) -> bool {
    let (_, parsed) = X509Certificate::from_der(root).unwrap();
    let key = parsed.public_key().subject_public_key.data.to_vec();
    let over = [TRUST_CONTEXT, signed.bundle.as_bytes()].concat();
    signed.signer == fingerprint(root)
        && UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
            .verify(&over, signed.signature.as_bytes())
            .is_ok()
}

#[test]
fn no_client_is_lost_on_the_way_before_the_old_root_is_retired() {
    let world = World::new();
    let (early, _, _) = world.agent_at(now());
    let token_anchor = world.authority.anchor();

    let told = world.next_root();
    world.tend();
    assert_eq!(world.proven_to(), [true, true, false]);
    assert_eq!(world.authority.anchor(), token_anchor);
    let bundle = told.read().unwrap();
    assert_eq!(bundle, world.authority.trust());
    assert_eq!(bundle.serial, 2);
    let anchors: Vec<&[u8]> = bundle.anchors.iter().map(Der::as_bytes).collect();
    assert_eq!(anchors, [&world.root(1)[..], &world.root(2)]);
    assert!(is_signed_by(&told, &world.root(1)) && !is_signed_by(&told, &world.root(2)));

    world.switch();
    world.tend();
    assert_eq!(world.proven_to(), [true, true, true]);
    assert_eq!(world.authority.anchor(), fingerprint(&world.root(2)));
    assert_eq!(world.authority.trust(), bundle);
    let (late, _, _) = world.agent_at(now());
    assert!(world.takes(&early) && world.takes(&late));
    let of_old = |der: &Der| world.authority.is_of_old_root(der.as_bytes()).unwrap();
    assert!(of_old(&early[0]) && !of_old(&late[0]));
    // A token from before the switch still leads here: its root is in the chain.
    let sent = world.authority.live.now().server.cert.clone();
    assert!(sent.iter().any(|der| fingerprint(der) == token_anchor));

    let told = world.retire_old();
    world.tend();
    assert_eq!(world.proven_to(), [false, true, true]);
    assert!(!world.takes(&early) && world.takes(&late));
    let bundle = told.read().unwrap();
    assert_eq!((bundle.serial, bundle.anchors.len()), (3, 1));
    assert_eq!(bundle.anchors[0].as_bytes(), world.root(2));
    assert!(is_signed_by(&told, &world.root(2)));

    // And once more.
    world.next_root();
    world.switch();
    world.tend();
    assert_eq!(world.authority.anchor(), fingerprint(&world.root(3)));
    assert_eq!(world.proven_to(), [false, true, true]);
}

#[test]
fn an_agents_certificate_from_before_still_gets_through_until_the_end() {
    let world = World::new();
    let (early, key, _) = world.agent_at(now());
    let shown: Vec<_> = early
        .iter()
        .map(|der| rustls_pki_types::CertificateDer::from(der.as_bytes().to_vec()))
        .collect();
    let gets_through = || {
        let root = world.root(2);
        let roots = [&world.root(1)[..], &root];
        let client = client(&roots, Some((shown.clone(), &key)), &TLS13);
        let shaken = shake(&world.authority, client, NAME);
        shaken.client.is_ok() && shaken.server.is_ok_and(|seen| seen.is_some())
    };
    world.next_root();
    world.switch();
    world.tend();
    assert!(gets_through());
    world.retire_old();
    world.tend();
    assert!(!gets_through());
}

#[test]
fn steps_are_taken_in_their_order() {
    let world = World::new();
    let path = world.path();
    assert!(matches!(
        Authority::switch(&path, now()),
        Err(RolloverError::NothingNext)
    ));
    assert!(matches!(
        Authority::retire_old(&path, None, now()),
        Err(RolloverError::NothingOld)
    ));
    let first = world.next_root();
    assert_eq!(world.next_root(), first, "a repeat tells the same");
    world.switch();
    assert!(matches!(
        Authority::next_root(&path, None, now()),
        Err(RolloverError::Unfinished)
    ));
    assert!(matches!(
        Authority::switch(&path, now()),
        Err(RolloverError::NothingNext)
    ));
    world.retire_old();
    assert!(matches!(
        Authority::retire_old(&path, None, now()),
        Err(RolloverError::NothingOld)
    ));
}

#[test]
fn a_root_key_that_is_kept_elsewhere_is_asked_for_where_it_is_needed() {
    let world = World::new();
    let path = world.path();
    let away = world.folder.path().join("safe.key");
    std::fs::rename(path.join("root-1.key"), &away).unwrap();
    let fault = Authority::next_root(&path, None, now()).err().unwrap();
    assert!(fault.to_string().contains("--root-key"), "{fault}");
    let wrong = path.join("issuing-1.key");
    let fault = Authority::next_root(&path, Some(&wrong), now())
        .err()
        .unwrap();
    assert!(
        fault.to_string().contains("not the key of root 1"),
        "{fault}"
    );
    std::fs::set_permissions(&away, PermissionsExt::from_mode(0o644)).unwrap();
    let fault = Authority::next_root(&path, Some(&away), now())
        .err()
        .unwrap();
    assert!(fault.to_string().contains("chmod 600"), "{fault}");
    std::fs::set_permissions(&away, PermissionsExt::from_mode(0o600)).unwrap();
    let told = Authority::next_root(&path, Some(&away), now()).unwrap();
    assert!(is_signed_by(&told, &world.root(1)));
    let second = world.folder.path().join("second.key");
    std::fs::rename(path.join("root-2.key"), &second).unwrap();
    world.switch();
    let fault = Authority::retire_old(&path, None, now()).err().unwrap();
    assert!(fault.to_string().contains("--root-key"), "{fault}");
    Authority::retire_old(&path, Some(&second), now()).unwrap();
    world.tend();
    assert_eq!(world.proven_to(), [false, true, true]);
}

#[test]
fn steps_that_were_interrupted_are_repeated() {
    let world = World::new();
    let standing = world.path().join(folder::STANDING);
    let before = std::fs::read(&standing).unwrap();
    world.next_root();
    let made = world.root(2);
    // As if the power had gone before the last replacement.
    folder::write(&standing, &before).unwrap();
    assert_eq!(world.authority.tend(now()).unwrap(), Tended::Reloaded);
    assert_eq!(world.authority.trust().serial, 1);
    let told = world.next_root();
    assert_eq!(world.root(2), made);
    assert!(is_signed_by(&told, &world.root(1)));

    let before = std::fs::read(&standing).unwrap();
    world.switch();
    folder::write(&standing, &before).unwrap();
    world.tend();
    assert_eq!(world.proven_to(), [true, true, true]);
    world.switch();
    world.tend();
    assert_eq!(world.proven_to(), [true, true, true]);

    let before = std::fs::read(&standing).unwrap();
    world.retire_old();
    folder::write(&standing, &before).unwrap();
    world.tend();
    assert_eq!(world.proven_to(), [false, true, true]);
    world.retire_old();
    world.tend();
    assert_eq!(world.proven_to(), [false, true, true]);
}
