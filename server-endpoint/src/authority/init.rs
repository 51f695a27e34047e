//! Makes the authority: root, issuing CA, the server's own certificate. A repeat after an interruption
//! takes up what is there.

use std::path::Path;

use branchline_protocol::enrolment::{Der, Fingerprint, TrustBundle};
use branchline_protocol::time::UnixMillis;
use rcgen::{Issuer, KeyPair};
use rustls_pki_types::CertificateDer;

use super::make::{self, Signer};
use super::standing::Standing;
use super::{AuthorityError, fingerprint, folder};

/// What every server's certificate also says, for whoever sits at the machine itself.
const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What `init` found or made.
#[derive(Debug, Clone)]
pub struct Initialised {
    /// It was not there before.
    pub made: bool,
    /// SHA-256 of the root.
    pub root: Fingerprint,
    /// The names in the server's certificate.
    pub names: Vec<String>,
}

pub(super) fn init(
    authority: &Path,
    names: &[String],
    now: UnixMillis,
) -> Result<Initialised, AuthorityError> {
    let names = with_loopback(names);
    make::alternatives(&names)?;
    folder::make(authority)?;
    let _alone = folder::lock(authority)?;
    if let Some(standing) = Standing::read(authority)? {
        let root = folder::certificate(&authority.join(folder::root(standing.current)))?;
        return Ok(Initialised {
            made: false,
            root: fingerprint(&root),
            names: standing.names,
        });
    }
    let second = authority.join(folder::root(2));
    if second.exists() {
        let path = authority.join(folder::STANDING);
        let fault =
            "it is gone, and there was more than one root already; restore it from a backup";
        return Err(AuthorityError::content(&path, fault));
    }
    let root = new_pair(authority, 1, now)?;
    write_server(authority, 1, None, &names, now)?;
    let anchor = Der::new(root.to_vec());
    let standing = Standing {
        current: 1,
        next: None,
        old: None,
        trust: TrustBundle {
            serial: 1,
            anchors: anchor.into_iter().collect(),
        },
        signed: None,
        names,
    };
    standing.write(authority)?;
    Ok(Initialised {
        made: true,
        root: fingerprint(&root),
        names: standing.names,
    })
}

pub(super) fn with_loopback(names: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let given = names.iter().map(|name| name.trim_end_matches('.'));
    for name in given.chain(LOOPBACK_NAMES) {
        let name = name.to_ascii_lowercase();
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// Makes root and issuing CA `number`, or what of them is missing; gives the root.
pub(super) fn new_pair(
    authority: &Path,
    number: u32,
    now: UnixMillis,
) -> Result<CertificateDer<'static>, AuthorityError> {
    let root_path = authority.join(folder::root(number));
    let issuing_path = authority.join(folder::issuing(number));
    let key_path = authority.join(folder::root_key(number));
    if !root_path.exists() {
        let key = made_key(&key_path)?;
        let made = make::root(number, &key, now)?;
        folder::write(&root_path, made.pem().as_bytes())?;
    }
    let root = folder::certificate(&root_path)?;
    if !issuing_path.exists() {
        if !key_path.exists() {
            return Err(AuthorityError::RootKeyAway(key_path));
        }
        let by = Issuer::from_ca_cert_der(&root, folder::key(&key_path)?)?;
        let key = made_key(&authority.join(folder::issuing_key(number)))?;
        let made = make::issuing(number, &key, &by, now)?;
        folder::write(&issuing_path, made.pem().as_bytes())?;
    }
    Ok(root)
}

fn made_key(path: &Path) -> Result<KeyPair, AuthorityError> {
    if path.exists() {
        return folder::key(path);
    }
    let key = make::new_key()?;
    folder::write(path, key.serialize_pem().as_bytes())?;
    Ok(key)
}

/// What signs for `number`.
pub(super) fn signer(authority: &Path, number: u32) -> Result<Signer, AuthorityError> {
    let certificate = folder::certificate(&authority.join(folder::issuing(number)))?;
    let key = folder::key(&authority.join(folder::issuing_key(number)))?;
    Ok(Issuer::from_ca_cert_der(&certificate, key)?)
}

/// Makes the server's certificate from issuing CA `number`, with its chain up to the root. Where another
/// root `vouched` for this one, the chain also leads there, for whoever knows only that one.
pub(super) fn write_server(
    authority: &Path,
    number: u32,
    vouched: Option<u32>,
    names: &[String],
    now: UnixMillis,
) -> Result<(), AuthorityError> {
    let key = make::new_key()?;
    let made = make::server(names, &key, &signer(authority, number)?, now)?;
    let mut text = made.pem();
    for part in chain_behind(number, vouched) {
        let pem = folder::read(&authority.join(part))?;
        text.push_str(&String::from_utf8_lossy(&pem));
    }
    text.push_str(&key.serialize_pem());
    folder::write(&authority.join(folder::SERVER), text.as_bytes())
}

/// The files of what stands behind a server's certificate from issuing CA `number`, up to the root.
pub(super) fn chain_behind(number: u32, vouched: Option<u32>) -> Vec<String> {
    let mut parts = vec![folder::issuing(number)];
    if let Some(before) = vouched {
        parts.extend([folder::cross(number), folder::root(before)]);
    }
    parts.push(folder::root(number));
    parts
}
