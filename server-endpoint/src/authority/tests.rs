//! What the authority makes is taken where it should be and nowhere else: in whole TLS handshakes, byte
//! by byte between a client and a server in memory.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use branchline_protocol::enrolment::{Der, key_digest};
use branchline_protocol::id::AgentId;
use branchline_protocol::time::UnixMillis;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};

use super::*;
use crate::ledger::now;

mod folders;
mod handshakes;
mod requests;
mod rollover;
mod upkeep;

pub(super) const DAY: i64 = 24 * 3_600 * 1_000;

/// An authority in a folder of its own.
pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) authority: Arc<Authority>,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = ["central.example.org".to_owned()];
        Authority::init(&folder.path().join(FOLDER), &names, now()).unwrap();
        let authority = open(&folder.path().join(FOLDER)).unwrap();
        Self { folder, authority }
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join(FOLDER)
    }

    /// A certificate for a new agent, as if issued at `at`, and its key.
    pub(super) fn agent_at(&self, at: UnixMillis) -> (Vec<Der>, KeyPair, AgentRecord) {
        let key = KeyPair::generate().unwrap();
        let record = record(7);
        let request = Authority::read_request(&request(&key)).unwrap();
        let issued = self.authority.issue(&request, &record, at).unwrap();
        (issued.chain, key, record)
    }
}

pub(super) fn open(folder: &Path) -> Result<Arc<Authority>, AuthorityError> {
    Authority::open(
        folder,
        &config::Tls::default(),
        &config::Authority::default(),
    )
}

pub(super) fn record(number: u64) -> AgentRecord {
    AgentRecord {
        id: AgentId::from_parts(number, [7; 10]),
        branch: "LYN".parse().unwrap(),
        ordinal: 1,
        registered_at: UnixMillis(0),
        contact: None,
        refused: None,
        certificate_until: None,
        revoked_at: None,
        trust: None,
    }
}

pub(super) fn request(key: &KeyPair) -> Der {
    let request = CertificateParams::default().serialize_request(key).unwrap();
    Der::new(request.der().to_vec()).unwrap()
}

#[test]
fn an_issued_certificate_is_recognised_with_all_that_it_says() {
    let world = World::new();
    let key = KeyPair::generate().unwrap();
    let record = record(7);
    let at = UnixMillis(1_790_000_000_123);
    let request = Authority::read_request(&request(&key)).unwrap();
    let issued = world.authority.issue(&request, &record, at).unwrap();
    assert_eq!(issued.key, key_digest(&key.subject_public_key_info()));
    assert_eq!(issued.not_before, UnixMillis(1_789_999_700_000));
    assert_eq!(issued.not_after, UnixMillis(1_790_000_000_000 + 90 * DAY));
    let presented = world.authority.examine(issued.chain[0].as_bytes());
    let expected = PresentedAgent {
        agent: record.id,
        serial: issued.serial,
        key: issued.key,
        not_before: issued.not_before,
        not_after: issued.not_after,
    };
    assert_eq!(presented, Ok(Presented::Agent(expected)));
}
