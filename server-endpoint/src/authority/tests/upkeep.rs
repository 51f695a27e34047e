//! What serves stays fresh while it serves: renewal, other names, certificates given by people.

use rcgen::{BasicConstraints, IsCa, Issuer};
use rustls::version::TLS13;

use super::handshakes::{client, root_of, shake};
use super::*;

const NAME: &str = "central.example.org";

fn proven(authority: &Authority, root: &[u8], name: &str) -> bool {
    let shaken = shake(authority, client(&[root], None, &TLS13), name);
    shaken.client.is_ok()
}

fn shown(authority: &Authority) -> Vec<u8> {
    authority.live.now().server.cert[0].to_vec()
}

#[test]
fn the_servers_certificate_is_renewed_at_two_thirds_of_its_life() {
    let world = World::new();
    let first = shown(&world.authority);
    let day = |days: i64| UnixMillis(now().0 + days * DAY);
    for early in [0, 100, 264] {
        assert_eq!(world.authority.tend(day(early)).unwrap(), Tended::Nothing);
    }
    assert_eq!(shown(&world.authority), first);
    assert_eq!(world.authority.tend(day(265)).unwrap(), Tended::Renewed);
    let second = shown(&world.authority);
    assert_ne!(second, first);
    assert_eq!(world.authority.tend(day(265)).unwrap(), Tended::Nothing);
    assert!(world.authority.live.now().server_validity.1 > day(265 + 396));
    // Also one that has ended long since, and as the next start finds it.
    assert_eq!(world.authority.tend(day(3_000)).unwrap(), Tended::Renewed);
    assert_eq!(
        shown(&open(&world.path()).unwrap()),
        shown(&world.authority)
    );
}

#[test]
fn a_renewal_that_fails_leaves_what_there_is() {
    let world = World::new();
    let first = shown(&world.authority);
    let root = root_of(&world);
    let issuing = world.path().join("issuing-1.key");
    std::fs::remove_file(&issuing).unwrap();
    let later = UnixMillis(now().0 + 300 * DAY);
    assert!(world.authority.tend(later).is_err());
    assert_eq!(shown(&world.authority), first);
    assert!(proven(&world.authority, &root, NAME));
}

#[test]
fn other_names_hold_without_a_restart() {
    let world = World::new();
    let root = root_of(&world);
    let names = ["New.example.org.".to_owned(), "10.1.2.3".to_owned()];
    let all = Authority::rename(&world.path(), &names, now()).unwrap();
    let expected = [
        "new.example.org",
        "10.1.2.3",
        "localhost",
        "127.0.0.1",
        "::1",
    ];
    assert_eq!(all, expected);
    assert!(proven(&world.authority, &root, NAME));
    assert_eq!(world.authority.tend(now()).unwrap(), Tended::Reloaded);
    assert!(!proven(&world.authority, &root, NAME));
    for name in expected {
        assert!(proven(&world.authority, &root, name), "{name}");
    }
    assert_eq!(world.authority.names(), expected);
}

/// Another organisation's CA, and what it gave to this server.
struct Given {
    folder: tempfile::TempDir,
    root: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Given {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        let name = rcgen::DnType::CommonName;
        params
            .distinguished_name
            .push(name, "Another organisation's root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let given = Self {
            folder,
            root,
            issuer,
        };
        given.put();
        given
    }

    /// Puts a new certificate with its key in place.
    fn put(&self) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        let tls = self.tls();
        let chain = made.pem() + &self.root.pem();
        folder::write(tls.certificate.as_deref().unwrap(), chain.as_bytes()).unwrap();
        folder::write(tls.key.as_deref().unwrap(), key.serialize_pem().as_bytes()).unwrap();
    }

    fn tls(&self) -> config::Tls {
        config::Tls {
            certificate: Some(self.folder.path().join("given.pem")),
            key: Some(self.folder.path().join("given.key")),
            tls12: false,
        }
    }

    fn open(&self, world: &World) -> Result<Arc<Authority>, AuthorityError> {
        Authority::open(&world.path(), &self.tls(), &config::Authority::default())
    }

    fn announced(&self, world: &World) -> Arc<Authority> {
        let path = self.tls().certificate.unwrap();
        Authority::announce(&world.path(), &[&path], None).unwrap();
        self.open(world).unwrap()
    }
}

#[test]
fn a_given_certificate_serves_once_agents_were_told_of_its_root() {
    let world = World::new();
    let given = Given::new();
    let fault = given.open(&world).err().unwrap();
    assert!(fault.to_string().contains("cert announce"), "{fault}");
    let authority = given.announced(&world);
    assert_eq!(authority.anchor(), fingerprint(given.root.der()));
    assert_eq!(authority.trust().anchors.len(), 2);
    assert!(proven(&authority, given.root.der(), NAME));
    assert!(!proven(&authority, &root_of(&world), NAME));
    // It is not ours to renew, and agents' certificates still come from here.
    let later = UnixMillis(now().0 + 5_000 * DAY);
    assert_eq!(authority.tend(later).unwrap(), Tended::Nothing);
    let (certificate, _, _) = world.agent_at(now());
    assert!(authority.examine(certificate[0].as_bytes()).is_ok());
}

#[test]
fn one_given_certificate_takes_anothers_place_while_agents_know_both() {
    let world = World::new();
    let (first, second) = (Given::new(), Given::new());
    let authority = first.announced(&world);
    let paths = [&first, &second].map(|given| given.tls().certificate.unwrap());
    let [one, two] = paths.each_ref().map(std::path::PathBuf::as_path);
    let told = Authority::announce(&world.path(), &[one, two], None).unwrap();
    assert_eq!(told.read().unwrap().anchors.len(), 3);
    assert_eq!(told.read().unwrap().serial, 3);
    // A repeat tells the same; what is named twice is told once.
    let again = Authority::announce(&world.path(), &[one, two, one], None).unwrap();
    assert_eq!(again, told);
    assert_eq!(authority.tend(now()).unwrap(), Tended::Reloaded);
    second.open(&world).unwrap();
    let told = Authority::announce(&world.path(), &[two], None).unwrap();
    assert_eq!(told.read().unwrap().anchors.len(), 2);
    assert!(first.open(&world).is_err());
    // What serves goes on with what it has.
    assert!(authority.tend(now()).is_err());
    assert!(proven(&authority, first.root.der(), NAME));
}

#[test]
fn a_given_certificate_is_read_again_when_it_was_changed() {
    let world = World::new();
    let given = Given::new();
    let authority = given.announced(&world);
    let first = shown(&authority);
    given.put();
    assert_eq!(authority.tend(now()).unwrap(), Tended::Reloaded);
    assert_ne!(shown(&authority), first);
    let second = shown(&authority);
    // Half of a change: key and certificate do not go together. The pair before goes on.
    let key = KeyPair::generate().unwrap().serialize_pem();
    let path = given.tls().key.unwrap();
    folder::write(&path, key.as_bytes()).unwrap();
    let fault = authority.tend(now()).err().unwrap();
    assert!(fault.to_string().contains("do not go together"), "{fault}");
    assert_eq!(shown(&authority), second);
    assert!(proven(&authority, given.root.der(), NAME));
    given.put();
    assert_eq!(authority.tend(now()).unwrap(), Tended::Reloaded);
}

#[test]
fn a_given_certificate_that_leads_nowhere_is_refused_in_words() {
    let world = World::new();
    let given = Given::new();
    let path = given.tls().certificate.unwrap();
    let pem = std::fs::read_to_string(&path).unwrap();
    let (alone, _) = pem.split_at(pem.find("-----END").unwrap() + 27);
    std::fs::write(&path, alone).unwrap();
    let fault = given.open(&world).err().unwrap();
    assert!(fault.to_string().contains("not a root"), "{fault}");
    let other = Given::new();
    std::fs::write(&path, alone.to_owned() + "\n" + &other.root.pem()).unwrap();
    let fault = given.open(&world).err().unwrap();
    assert!(fault.to_string().contains("does not lead"), "{fault}");
    std::fs::remove_file(&path).unwrap();
    let fault = given.open(&world).err().unwrap();
    assert!(fault.to_string().contains("given.pem"), "{fault}");
}
