//! A stolen ledger: what lies in its files is searched for everything that somebody could use.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use branchline_durable_sqlite::{Settings, open_writer};
use branchline_protocol::enrolment::{Secret, key_digest};
use branchline_protocol::time::UnixMillis;
use rcgen::{CertificateParams, KeyPair};
use rusqlite::types::ValueRef;

use crate::authority::operators::secret::Bearer;
use crate::authority::operators::{Attempt, Operators, first, passwords};
use crate::ledger::contract::joining::{NOW, branch, deed, enrol, join};
use crate::ledger::sqlite::{FILE_NAME, SqliteLedger};
use crate::ledger::{
    CertificateSerial, Enrol, IdentityLedger, NewApiToken, NewCertificate, NewToken,
    OperatorLedger, Proof, Right, TokenFor,
};

/// Everything that is secret, as its owner has it.
#[derive(Default)]
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: impl AsRef<[u8]>) {
        self.0.push((what, secret.as_ref().to_vec()));
    }

    /// Each as it may be written: raw, in hex, in base64 at any offset from the start of a group.
    fn written(&self) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        self.0.iter().flat_map(|(what, secret)| {
            let hex = hex_of(secret);
            let mut all = vec![
                secret.clone(),
                hex.to_uppercase().into_bytes(),
                hex.into_bytes(),
            ];
            for skipped in 0..3 {
                let rest = &secret[skipped.min(secret.len())..];
                let whole = &rest[..rest.len() / 3 * 3];
                all.push(STANDARD.encode(whole).into_bytes());
                all.push(URL_SAFE_NO_PAD.encode(whole).into_bytes());
            }
            all.into_iter().map(|written| (*what, written))
        })
    }

    fn found_in(&self, text: &[u8]) -> Vec<&'static str> {
        let found = self.written().filter(|(_, secret)| {
            assert!(secret.len() >= 12, "too short to be told from chance");
            text.windows(secret.len()).any(|window| window == secret)
        });
        found.map(|(what, _)| what).collect()
    }
}

fn hex_of(bytes: &[u8]) -> String {
    let digits =
        |byte: &u8| [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[digit as usize]);
    String::from_utf8(bytes.iter().flat_map(digits).collect()).unwrap()
}

/// Every column of every row of every table, one after the other; text and bytes as they are.
fn dump(path: &Path) -> Vec<u8> {
    let connection = open_writer(path, &Settings::default()).unwrap();
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table'";
    let mut tables = connection.prepare(sql).unwrap();
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let mut all = Vec::new();
    for table in tables {
        let table = table.unwrap();
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {table}"))
            .unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                match row.get_ref(column).unwrap() {
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => all.extend_from_slice(bytes),
                    ValueRef::Integer(number) => all.extend(number.to_string().bytes()),
                    ValueRef::Real(_) | ValueRef::Null => {}
                }
                all.push(0xff);
            }
        }
    }
    all
}

async fn fill(ledger: &std::sync::Arc<SqliteLedger>, secrets: &mut Secrets) {
    branch(ledger.as_ref(), "LYN").await;
    let token = Secret::from_bytes(*Bearer::random().unwrap().hash().0.first_chunk().unwrap());
    let text = serde_json::to_string(&token).unwrap();
    let bytes: Vec<u8> = (1..=64)
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect();
    secrets.add("a token", bytes);
    let made = NewToken {
        hash: token.hash(),
        purpose: TokenFor::Branch("LYN".parse().unwrap()),
        uses: 2,
        expires_at: UnixMillis(NOW.0 + 1),
        made: deed("token-made", ""),
    };
    ledger.add_token(made).await.unwrap().unwrap();

    let key = KeyPair::generate().unwrap();
    secrets.add("an agent's key", key.serialize_der());
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    let digest = key_digest(key.public_key_raw());
    let enrolling = Enrol {
        token: token.hash(),
        key: digest,
        ..enrol("", "")
    };
    let joined = join(ledger.as_ref(), enrolling).await;
    let kept = NewCertificate {
        serial: CertificateSerial([7; 16]),
        agent: joined.id,
        key: digest,
        not_before: NOW,
        not_after: NOW,
        der: certificate.der().to_vec(),
        at: NOW,
        proof: Proof::Token(token.hash()),
        deed: deed("certificate-issued", ""),
    };
    assert!(ledger.keep_certificate(kept).await.unwrap());

    let bearer = Bearer::random().unwrap();
    secrets.add("an API token", bearer.to_api_token());
    secrets.add("an API token's bytes", bytes_of(&bearer));
    let new = NewApiToken {
        name: "metrics".into(),
        hash: bearer.hash(),
        rights: vec![Right::Read],
        expires_at: None,
        deed: deed("api-token-made", ""),
    };
    ledger.add_api_token(new).await.unwrap();
    sign_in(ledger, secrets).await;
}

fn bytes_of(bearer: &Bearer) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(bearer.to_session()).unwrap()
}

async fn sign_in(ledger: &std::sync::Arc<SqliteLedger>, secrets: &mut Secrets) {
    let one_time = first::administrator(ledger.as_ref(), deed("", "")).await;
    let one_time = one_time.unwrap().unwrap();
    secrets.add("the one-time password", &one_time);
    let operators = Operators::new(ledger.clone());
    let chosen = passwords::one_time().unwrap();
    secrets.add("a password", &chosen);
    let attempt = |name, password| Attempt {
        name,
        password,
        address: [192, 0, 2, 1].into(),
        at: NOW,
    };
    let changed = operators.change_password(attempt(first::NAME, &one_time), &chosen);
    changed.await.unwrap();
    let session = operators.sign_in(attempt(first::NAME, &chosen)).await;
    let session = session.unwrap();
    secrets.add("a session", session.to_session());
    secrets.add("a session's bytes", bytes_of(&session));
    // Typed where the name belongs.
    let mistake = passwords::one_time().unwrap();
    secrets.add("a password in the place of a name", &mistake);
    let refused = operators.sign_in(attempt(&mistake, "x")).await;
    assert!(refused.is_err());
    let refused = operators.sign_in(attempt(first::NAME, &mistake)).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn nothing_in_a_stolen_ledger_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let mut secrets = Secrets::default();
    let ledger = std::sync::Arc::new(SqliteLedger::open(&path).unwrap());
    fill(&ledger, &mut secrets).await;
    assert_eq!(secrets.0.len(), 9);

    // The files as they lie there, the log included, and each value by itself.
    let mut stolen = Vec::new();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        stolen.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    assert_eq!(secrets.found_in(&stolen), Vec::<&str>::new());
    let stolen = dump(&path);
    assert!(stolen.windows(8).any(|window| window == b"argon2id"));
    assert_eq!(secrets.found_in(&stolen), Vec::<&str>::new());

    // The search finds what is there.
    let secret = secrets.0[0].1.clone();
    for written in [
        secret.clone(),
        STANDARD.encode(&secret).into_bytes(),
        URL_SAFE_NO_PAD
            .encode([b"ab", secret.as_slice()].concat())
            .into_bytes(),
    ] {
        let mut leaking = stolen.clone();
        leaking.extend(written);
        assert_eq!(secrets.found_in(&leaking).first(), Some(&"a token"));
    }
}
