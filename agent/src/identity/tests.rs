//! The identity's file under loss of power at each step, damage, and the wrong key; and who may change
//! whom the agent trusts.

use std::io;
use std::path::Path;

use branchline_protocol::enrolment::{Der, SignedTrust, TRUST_CONTEXT, TrustBundle};
use branchline_protocol::id::AgentId;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, SigningKey,
};

use super::file::Step;
use super::*;

struct Root {
    issuer: Issuer<'static, KeyPair>,
    der: Der,
}

impl Root {
    fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self {
            issuer: Issuer::new(params, key),
            der: Der::new(der).unwrap(),
        }
    }

    fn certificate_for(&self, key: &PrivateKey) -> Vec<Der> {
        let request = key.request().unwrap();
        let request = rcgen::CertificateSigningRequestParams::from_der(&request.as_bytes().into());
        let issued = request.unwrap().signed_by(&self.issuer).unwrap();
        vec![Der::new(issued.der().to_vec()).unwrap()]
    }

    fn keyed(&self) -> KeyedCertificate {
        let key = PrivateKey::generate().unwrap();
        let chain = self.certificate_for(&key);
        KeyedCertificate::new(key, chain).unwrap()
    }

    fn bundle(&self, serial: u64) -> TrustBundle {
        let anchors = vec![self.der.clone()];
        TrustBundle { serial, anchors }
    }

    fn sign(&self, bundle: &TrustBundle) -> SignedTrust {
        let bundle = serde_json::to_string(bundle).unwrap();
        let bytes = [TRUST_CONTEXT, bundle.as_bytes()].concat();
        SignedTrust {
            bundle,
            signer: fingerprint(self.der.as_bytes()),
            signature: Der::new(self.issuer.key().sign(&bytes).unwrap()).unwrap(),
        }
    }
}

fn kept() -> Kept {
    let root = Root::new();
    Kept {
        identity: Some(Identity {
            server: "https://central.example.org:8470".to_owned(),
            agent: AgentId(crate::ids::new_uuid(crate::ids::now())),
            branch: "LYN".parse().unwrap(),
            ordinal: 1,
            trust: root.bundle(1),
            current: root.keyed(),
            next: None,
        }),
        pending: None,
        joined_by: None,
    }
}

/// What is kept, to be compared. A key that Windows seals is sealed differently each time: its certificate
/// tells it from others.
fn text(kept: &Kept) -> String {
    let mut kept = serde_json::to_value(kept).unwrap();
    unseal(&mut kept);
    kept.to_string()
}

fn unseal(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) if text.starts_with("sealed:") => "sealed".clone_into(text),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(unseal),
        _ => {}
    }
}

fn temporary(folder: &Path) -> std::path::PathBuf {
    folder.join("identity.json.new")
}

/// What stays of a file that was not synced is anything between nothing and all of it.
fn lose_power(folder: &Path, at: Step) {
    let temporary = temporary(folder);
    if matches!(at, Step::Made | Step::Written) {
        let written = std::fs::read(&temporary).unwrap();
        std::fs::write(&temporary, &written[..written.len() / 2]).unwrap();
    }
}

#[test]
fn power_lost_at_any_step_leaves_one_usable_identity() {
    for at in Step::ALL {
        let folder = tempfile::tempdir().unwrap();
        let file = IdentityFile::in_folder(folder.path());
        let (former, mut next) = (kept(), kept());
        next.identity.as_mut().unwrap().next = Some(Next::Key(PrivateKey::generate().unwrap()));
        file.replace(&former, &mut |_| Ok(())).unwrap();
        let stopped = file.replace(&next, &mut |step| {
            if step == at {
                return Err(io::Error::other("power is lost"));
            }
            Ok(())
        });
        stopped.unwrap_err();
        lose_power(folder.path(), at);
        let found = text(&file.load().unwrap());
        let (old, new) = (text(&former), text(&next));
        let renamed = matches!(at, Step::Renamed | Step::Replaced);
        assert_eq!(found, if renamed { &*new } else { &*old }, "{at:?}");
        // And the next replacement is not in the way of what was left.
        let third = kept();
        file.replace(&third, &mut |_| Ok(())).unwrap();
        assert_eq!(text(&file.load().unwrap()), text(&third), "{at:?}");
        assert!(!temporary(folder.path()).exists());
    }
}

#[test]
fn each_step_is_taken_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = IdentityFile::in_folder(folder.path());
    let mut steps = Vec::new();
    let path = file.path();
    file.replace(&kept(), &mut |step| {
        // Nothing may stand under the name before what it holds is synced.
        assert_eq!(
            path.exists(),
            matches!(step, Step::Renamed | Step::Replaced),
            "{step:?}"
        );
        steps.push(step);
        Ok(())
    })
    .unwrap();
    assert_eq!(steps, Step::ALL);
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_read_it_from_the_first_byte_on() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    // What a crash left with a wider mode is not written into.
    std::fs::write(temporary(folder.path()), "").unwrap();
    let open = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(temporary(folder.path()), open.clone()).unwrap();
    let file = IdentityFile::in_folder(folder.path());
    file.replace(&kept(), &mut |step| {
        if matches!(step, Step::Made | Step::Written | Step::Synced) {
            assert_eq!(mode(&temporary(folder.path())), 0o600);
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(mode(&file.path()), 0o600);
    assert!(!file.is_exposed());
    std::fs::set_permissions(file.path(), open).unwrap();
    assert!(file.is_exposed());
}

#[test]
fn a_file_cut_or_bent_anywhere_is_no_identity_and_says_nothing_of_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = IdentityFile::in_folder(folder.path());
    assert!(file.load().unwrap().identity.is_none());
    let kept = kept();
    file.replace(&kept, &mut |_| Ok(())).unwrap();
    let whole = std::fs::read(file.path()).unwrap();
    for end in (0..whole.len() - 1).step_by(7) {
        std::fs::write(file.path(), &whole[..end]).unwrap();
        let fault = file.load().unwrap_err();
        assert!(matches!(fault, IdentityError::Damaged(_)), "{end}: {fault}");
    }
    let huge = [whole.as_slice(), &vec![b' '; 600 * 1024]].concat();
    std::fs::write(file.path(), huge).unwrap();
    assert!(matches!(file.load(), Err(IdentityError::Damaged(_))));
    // A certificate for another key: as when two files were put together by hand.
    let mut other = self::kept();
    other.identity.as_mut().unwrap().agent = kept.identity.as_ref().unwrap().agent;
    let mut mixed: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    let other = serde_json::to_value(&other).unwrap();
    mixed["identity"]["current"]["key"] = other["identity"]["current"]["key"].clone();
    std::fs::write(file.path(), mixed.to_string()).unwrap();
    let said = format!("{:?}", file.load().unwrap_err());
    let key = other["identity"]["current"]["key"].as_str().unwrap();
    assert!(!said.contains(&key[8..24]), "{said}");
}

#[test]
fn nothing_of_a_key_is_shown() {
    let kept = kept();
    let shown = format!(
        "{kept:?} {:#?}",
        kept.identity.as_ref().unwrap().showing(Which::Current)
    );
    let written = serde_json::to_value(&kept).unwrap();
    let key = written["identity"]["current"]["key"].as_str().unwrap();
    assert!(shown.contains("PrivateKey(…)"));
    assert!(!shown.contains(&key[6..16]), "{shown}");
}

#[test]
fn changes_by_two_at_once_are_both_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = IdentityFile::in_folder(folder.path());
    let start = kept();
    file.replace(&start, &mut |_| Ok(())).unwrap();
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                file.change(Change::Trust, |kept| {
                    kept.identity.as_mut().unwrap().trust.serial += 1;
                    true
                })
                .unwrap();
            });
        }
    });
    let kept = file.load().unwrap();
    assert_eq!(kept.identity.unwrap().trust.serial, 9);
}

#[test]
fn one_at_a_time_enrols() {
    let folder = tempfile::tempdir().unwrap();
    let file = IdentityFile::in_folder(folder.path());
    let turn = file.enrolment_turn().unwrap();
    assert!(turn.is_some());
    assert!(file.enrolment_turn().unwrap().is_none());
    drop(turn);
    assert!(file.enrolment_turn().unwrap().is_some());
}

#[test]
fn a_damaged_file_is_kept_aside_when_the_machine_joins_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = IdentityFile::in_folder(folder.path());
    std::fs::write(file.path(), "{\"identity\": {").unwrap();
    let trust = file.change(Change::Trust, |_| true);
    assert!(matches!(trust, Err(IdentityError::Damaged(_))));
    let pending = PendingEnrolment {
        key: PrivateKey::generate().unwrap(),
        token: branchline_protocol::id::Digest([1; 32]),
    };
    file.change(Change::EnrolmentKey, |kept| {
        kept.pending = Some(pending);
        true
    })
    .unwrap();
    assert!(file.load().unwrap().pending.is_some());
    let aside = folder.path().join("identity.json.damaged");
    assert_eq!(std::fs::read_to_string(aside).unwrap(), "{\"identity\": {");
}

#[test]
fn trust_changes_only_by_somebody_trusted_and_only_forward() {
    let (old, new, stranger) = (Root::new(), Root::new(), Root::new());
    let present = old.bundle(3);
    let both = |serial| TrustBundle {
        serial,
        anchors: vec![old.der.clone(), new.der.clone()],
    };
    let next = both(4);
    assert_eq!(verified(&present, &old.sign(&next)), Ok(next.clone()));
    assert_eq!(
        verified(&next, &new.sign(&new.bundle(5))),
        Ok(new.bundle(5))
    );
    for (signed, fault) in [
        (old.sign(&both(3)), TrustFault::NotNewer),
        (old.sign(&both(2)), TrustFault::NotNewer),
        (stranger.sign(&next), TrustFault::UnknownSigner),
        (new.sign(&next), TrustFault::UnknownSigner),
    ] {
        assert_eq!(verified(&present, &signed), Err(fault));
    }
    let mut forged = stranger.sign(&next);
    forged.signer = fingerprint(old.der.as_bytes());
    assert_eq!(verified(&present, &forged), Err(TrustFault::Forged));
    let mut bent = old.sign(&next);
    bent.bundle = bent.bundle.replace("\"serial\":4", "\"serial\":5");
    assert_eq!(verified(&present, &bent), Err(TrustFault::Forged));
    let none = TrustBundle {
        serial: 9,
        anchors: Vec::new(),
    };
    assert_eq!(
        verified(&present, &old.sign(&none)),
        Err(TrustFault::Unreadable)
    );
    let rubbish = TrustBundle {
        serial: 9,
        anchors: vec![Der::new(vec![1, 2, 3]).unwrap()],
    };
    assert_eq!(
        verified(&present, &old.sign(&rubbish)),
        Err(TrustFault::Unreadable)
    );
}
