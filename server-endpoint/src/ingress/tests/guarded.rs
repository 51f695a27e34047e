//! A central over TLS with an authority of its own, and agents that joined it; and a client that shows
//! whatever certificate it is told to.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use branchline_protocol::enrolment::{
    Der, EnrolmentReply, EnrolmentRequest, Issued, JournalOf, RenewalRequest, Secret,
};
use branchline_protocol::id::{AgentId, BranchCode};
use branchline_protocol::time::UnixMillis;
use rcgen::{CertificateParams, KeyPair};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::central::{Answer, Central, Request, small_bounds};
use crate::authority::{Authority, CertificateRequest};
use crate::ingress::{Bounds, Door, Way};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{
    Actor, AgentRecord, CertificateSerial, Deed, Ledger, NewAgent, NewCertificate, NewToken, Proof,
    TokenFor, now,
};
use crate::testing::{TestAgent, new_authority};

/// The proxy that may speak for agents.
pub(super) const PROXY: &str = "dmz1";
const DAY: i64 = 24 * 3_600_000;

pub(super) struct Guarded {
    pub(super) central: Central,
    pub(super) authority: Arc<Authority>,
    folder: tempfile::TempDir,
}

/// A key and what is shown with it.
pub(super) struct Identity {
    pub(super) key: KeyPair,
    pub(super) chain: Vec<Vec<u8>>,
}

/// An agent that joined.
pub(super) struct Joined {
    pub(super) agent: TestAgent,
    pub(super) identity: Identity,
    pub(super) record: AgentRecord,
}

pub(super) fn days(count: i64) -> i64 {
    count * DAY
}

/// A signing request for a new key, whatever it asks for.
pub(super) fn signing_request(key: &KeyPair) -> Der {
    let params = CertificateParams::new(vec!["anything.example".to_owned()]).unwrap();
    let request = params.serialize_request(key).unwrap();
    Der::new(request.der().to_vec()).unwrap()
}

pub(super) fn deed(action: &'static str) -> Deed {
    Deed {
        actor: Actor::CommandLine("test".to_owned()),
        action,
        subject: "test".to_owned(),
        detail: String::new(),
        address: None,
        at: now(),
    }
}

pub(super) fn post(path: &str, body: &impl serde::Serialize) -> Request {
    Request::bare("POST", path, serde_json::to_vec(body).unwrap())
}

impl Identity {
    pub(super) fn leaf(&self) -> &[u8] {
        &self.chain[0]
    }

    /// Signed by its own key.
    pub(super) fn self_signed(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names
            .into_iter()
            .map(|name| rcgen::SanType::URI(name.try_into().unwrap()))
            .collect();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.self_signed(&key).unwrap();
        Self {
            chain: vec![certificate.der().to_vec()],
            key,
        }
    }

    fn certified(&self) -> CertifiedKey {
        let chain = self
            .chain
            .iter()
            .map(|der| CertificateDer::from(der.clone()));
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        // Whether they fit is for central to find out.
        CertifiedKey::new(chain.collect(), key)
    }
}

/// Shows a certificate whoever asks.
#[derive(Debug)]
struct Show(Arc<CertifiedKey>);

impl ResolvesClientCert for Show {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
    fn has_certs(&self) -> bool {
        true
    }
}

impl Guarded {
    pub(super) async fn start() -> Self {
        Self::with(Way::Tls, small_bounds()).await
    }

    pub(super) async fn with(way: Way, bounds: Bounds) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = new_authority(folder.path());
        let door = Door {
            authority: authority.clone(),
            way,
            proxies: vec![PROXY.to_owned()],
            grace: Duration::from_secs(400 * 24 * 3_600),
        };
        let path = folder.path().join("ledger.db");
        let ledger = Arc::new(SqliteLedger::open(&path).unwrap());
        Self {
            central: Central::behind(door, ledger, bounds, path).await,
            authority,
            folder,
        }
    }

    pub(super) fn ledger(&self) -> &dyn Ledger {
        self.central.ledger.as_ref()
    }

    /// A token that is good for an hour.
    pub(super) async fn token(&self, branch: &str, uses: u32) -> Secret {
        let branch: BranchCode = branch.parse().unwrap();
        let made = deed("branch-added");
        self.ledger()
            .add_branch(branch.clone(), None, made)
            .await
            .unwrap();
        self.token_until(TokenFor::Branch(branch), uses, now().0 + 3_600_000)
            .await
    }

    pub(super) async fn token_until(&self, purpose: TokenFor, uses: u32, until: i64) -> Secret {
        let mut random = [0; 32];
        getrandom::fill(&mut random).unwrap();
        let secret = Secret::from_bytes(random);
        let token = NewToken {
            hash: secret.hash(),
            purpose,
            uses,
            expires_at: UnixMillis(until),
            made: deed("token-made"),
        };
        self.ledger().add_token(token).await.unwrap().unwrap();
        secret
    }

    pub(super) fn enrolment(
        secret: &Secret,
        key: &KeyPair,
        journal_of: Option<JournalOf>,
    ) -> Request {
        let body = EnrolmentRequest {
            secret: secret.clone(),
            request: signing_request(key),
            journal_of,
            version: "0.1.0".to_owned(),
            clock: now(),
        };
        post("/v1/enrolment", &body)
    }

    pub(super) fn renewal(key: &KeyPair) -> Request {
        let request = signing_request(key);
        post("/v1/certificate", &RenewalRequest { request })
    }

    /// An agent that joins as agents do.
    pub(super) async fn join(&self, branch: &str) -> Joined {
        let secret = self.token(branch, 1).await;
        let key = KeyPair::generate().unwrap();
        let request = Self::enrolment(&secret, &key, None);
        let reply: EnrolmentReply = self.ask(None, request).await.json();
        let record = self.ledger().agent(reply.agent).await.unwrap().unwrap();
        Joined {
            agent: TestAgent::of(&record),
            identity: Identity::of(key, &reply.issued),
            record,
        }
    }

    /// An agent that joined without asking the route.
    pub(super) async fn join_directly(&self, branch: &str) -> Joined {
        let new = NewAgent {
            id: AgentId::from_bytes([0x77; 16]),
            branch: branch.parse().unwrap(),
            branch_name: None,
            at: now(),
        };
        let record = self.ledger().register_agent(new).await.unwrap();
        let (identity, ..) = self.sign(&record, now().0);
        Joined {
            agent: TestAgent::of(&record),
            identity,
            record,
        }
    }

    /// A certificate as central would have made it then, kept in the ledger or not.
    pub(super) async fn issue_at(&self, joined: &Joined, at: i64, keep: bool) -> Identity {
        let (identity, issued, request) = self.sign(&joined.record, at);
        if keep {
            let certificate = NewCertificate {
                serial: issued.serial,
                agent: joined.record.id,
                key: request.key,
                not_before: issued.not_before,
                not_after: issued.not_after,
                der: identity.leaf().to_vec(),
                at: UnixMillis(at),
                proof: Proof::Certificate(CertificateSerial([0; 16])),
                deed: deed("certificate-issued"),
            };
            assert!(self.ledger().keep_certificate(certificate).await.unwrap());
        }
        identity
    }

    pub(super) fn sign(
        &self,
        record: &AgentRecord,
        at: i64,
    ) -> (
        Identity,
        crate::authority::IssuedCertificate,
        CertificateRequest,
    ) {
        let key = KeyPair::generate().unwrap();
        let request = Authority::read_request(&signing_request(&key)).unwrap();
        let issued = self
            .authority
            .issue(&request, record, UnixMillis(at))
            .unwrap();
        let chain = issued.chain.iter().map(|der| der.as_bytes().to_vec());
        let identity = Identity {
            key,
            chain: chain.collect(),
        };
        (identity, issued, request)
    }

    /// A proxy's identity, as `cert issue-proxy` makes one.
    pub(super) fn proxy(&self, name: &str) -> Identity {
        let folder = self.folder.path().join(crate::authority::FOLDER);
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let issuing = read("issuing-1.pem");
        let by = KeyPair::from_pem(&read("issuing-1.key")).unwrap();
        let by = rcgen::Issuer::from_ca_cert_pem(&issuing, by).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let urn = format!("urn:branchline:proxy:{name}");
        params
            .subject_alt_names
            .push(rcgen::SanType::URI(urn.try_into().unwrap()));
        params.extended_key_usages = vec![
            rcgen::ExtendedKeyUsagePurpose::ServerAuth,
            rcgen::ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&key, &by).unwrap();
        Identity {
            chain: vec![certificate.der().to_vec()],
            key,
        }
    }

    pub(super) async fn connect(
        &self,
        identity: Option<&Identity>,
    ) -> io::Result<TlsStream<TcpStream>> {
        let stream = self.central.connect().await;
        shake_hands(&self.authority, identity, stream).await
    }

    pub(super) async fn ask(&self, identity: Option<&Identity>, request: Request) -> Answer {
        let answer = self.try_ask(identity, request).await;
        answer.unwrap()
    }

    /// Comes back where the connection ends, as one of an agent does that was revoked a moment ago.
    pub(super) async fn ask_again(&self, identity: Option<&Identity>, request: Request) -> Answer {
        let mut ended = 0;
        loop {
            match self.try_ask(identity, request.clone()).await {
                Ok(answer) => return answer,
                Err(fault) => assert!(ended < 100, "{fault}"),
            }
            ended += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Fails where central ends the handshake or the connection.
    pub(super) async fn try_ask(
        &self,
        identity: Option<&Identity>,
        request: Request,
    ) -> io::Result<Answer> {
        let mut connection = self.connect(identity).await?;
        connection.write_all(&request.bytes()).await?;
        // With TLS 1.3, a client hears of its refusal when it reads.
        Answer::try_read(&mut connection).await
    }
}

impl Identity {
    pub(super) fn of(key: KeyPair, issued: &Issued) -> Self {
        let chain = issued.certificate.iter().map(|der| der.as_bytes().to_vec());
        Self {
            key,
            chain: chain.collect(),
        }
    }
}

impl Joined {
    pub(super) fn id(&self) -> AgentId {
        self.record.id
    }
}

pub(super) async fn shake_hands(
    authority: &Authority,
    identity: Option<&Identity>,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for anchor in authority.trust().anchors {
        let der = CertificateDer::from(anchor.as_bytes().to_vec());
        roots.add(der).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            config.with_client_cert_resolver(Arc::new(Show(Arc::new(identity.certified()))))
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// One request on a connection that stays.
pub(super) async fn ask_on(
    connection: &mut TlsStream<TcpStream>,
    request: &Request,
) -> io::Result<Answer> {
    connection.write_all(&request.bytes()).await?;
    Answer::try_read(connection).await
}
