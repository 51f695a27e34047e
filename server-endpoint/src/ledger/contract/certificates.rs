//! Certificates and revocations.

use branchline_protocol::time::UnixMillis;

use super::joining::{NOW, agent_id, branch_token, deed, digest_of, enrol, join, token};
use crate::ledger::{
    AgentRecord, CERTIFICATES_KEPT, CertificateSerial, CertificateState, Ledger, NewCertificate,
    Proof, RefusedAgent, TokenFor, now,
};
use crate::testing::TestAgent;

use CertificateState::{Proven, Revoked, Superseded, Unproven};

fn serial(number: u8) -> CertificateSerial {
    CertificateSerial([number; 16])
}

fn certificate(agent: &AgentRecord, number: u8, proof: Proof, key: &str) -> NewCertificate {
    NewCertificate {
        serial: serial(number),
        agent: agent.id,
        key: digest_of(key),
        not_before: NOW,
        not_after: UnixMillis(NOW.0 + 1),
        der: vec![number; 3],
        at: NOW,
        proof,
        deed: deed("certificate-issued", &agent.id.to_string()),
    }
}

/// Whether the ledger kept the certificate of this number.
pub(crate) async fn issue(
    ledger: &impl Ledger,
    agent: &AgentRecord,
    number: u8,
    proof: Proof,
    key: &str,
) -> bool {
    let new = certificate(agent, number, proof, key);
    ledger.keep_certificate(new).await.unwrap()
}

/// An agent with a proven certificate of number 1.
async fn agent_in_use(ledger: &impl Ledger, word: &str) -> AgentRecord {
    branch_token(ledger, word, "LYN", 1).await;
    let agent = join(ledger, enrol(word, "a")).await;
    assert!(issue(ledger, &agent, 1, Proof::Token(digest_of(word)), "a").await);
    prove(ledger, &agent, 1).await;
    agent
}

async fn prove(ledger: &impl Ledger, agent: &AgentRecord, number: u8) {
    let proven = ledger.prove_certificate(agent.id, serial(number), NOW);
    proven.await.unwrap();
}

async fn renew(ledger: &impl Ledger, agent: &AgentRecord, number: u8, by: u8) -> bool {
    issue(ledger, agent, number, Proof::Certificate(serial(by)), "k").await
}

/// Newest first.
async fn states(ledger: &impl Ledger, agent: &AgentRecord) -> Vec<CertificateState> {
    let held = ledger.certificates(agent.id).await.unwrap();
    for certificate in &held {
        let seen = ledger.identify(agent.id, certificate.serial).await.unwrap();
        assert_eq!(seen.unwrap().certificate.as_ref(), Some(certificate));
    }
    held.iter().map(|certificate| certificate.state).collect()
}

pub(crate) async fn the_old_certificate_stays_until_the_new_one_is_proven(ledger: &impl Ledger) {
    let agent = agent_in_use(ledger, "t").await;
    assert!(renew(ledger, &agent, 2, 1).await);
    assert_eq!(states(ledger, &agent).await, [Unproven, Proven]);
    prove(ledger, &agent, 1).await;
    assert_eq!(states(ledger, &agent).await, [Unproven, Proven]);
    prove(ledger, &agent, 2).await;
    assert_eq!(states(ledger, &agent).await, [Proven, Superseded]);
    // What comes late from the old one changes nothing.
    prove(ledger, &agent, 1).await;
    prove(ledger, &agent, 9).await;
    assert_eq!(states(ledger, &agent).await, [Proven, Superseded]);
}

pub(crate) async fn an_unproven_certificate_gives_way(ledger: &impl Ledger) {
    let agent = agent_in_use(ledger, "t").await;
    assert!(renew(ledger, &agent, 2, 1).await);
    assert!(renew(ledger, &agent, 3, 1).await);
    assert_eq!(states(ledger, &agent).await, [Unproven, Superseded, Proven]);
    prove(ledger, &agent, 2).await;
    assert_eq!(states(ledger, &agent).await, [Unproven, Superseded, Proven]);
    prove(ledger, &agent, 3).await;
    assert_eq!(
        states(ledger, &agent).await,
        [Proven, Superseded, Superseded]
    );
    let held = &ledger.certificates(agent.id).await.unwrap()[0];
    assert_eq!((held.serial, &held.der), (serial(3), &vec![3; 3]));
    assert_eq!((held.key, held.not_before), (digest_of("k"), NOW));
}

pub(crate) async fn a_certificate_is_its_agents_alone(ledger: &impl Ledger) {
    let agent = agent_in_use(ledger, "t").await;
    branch_token(ledger, "u", "PAR", 1).await;
    let other = join(ledger, enrol("u", "b")).await;
    let seen = ledger.identify(other.id, serial(1)).await.unwrap().unwrap();
    assert_eq!((seen.agent.id, seen.certificate), (other.id, None));
    let nobody = ledger.identify(agent_id("nobody"), serial(1)).await;
    assert!(nobody.unwrap().is_none());
    // Nor can it prove, renew or supersede one.
    assert!(!renew(ledger, &other, 2, 1).await);
    assert!(renew(ledger, &agent, 2, 1).await);
    prove(ledger, &other, 2).await;
    assert_eq!(states(ledger, &agent).await, [Unproven, Proven]);
    assert!(states(ledger, &other).await.is_empty());
}

pub(crate) async fn no_certificate_for_who_was_revoked_meanwhile(ledger: &impl Ledger) {
    let agent = agent_in_use(ledger, "t").await;
    let revoke = || ledger.revoke_agent(agent.id, deed("agent-revoked", "x"));
    revoke().await.unwrap();
    assert_eq!(states(ledger, &agent).await, [Revoked]);
    assert!(!renew(ledger, &agent, 2, 1).await);
    assert!(!renew(ledger, &agent, 2, 77).await, "nor by an unknown one");
    prove(ledger, &agent, 1).await;
    assert_eq!(states(ledger, &agent).await, [Revoked]);

    token(ledger, "again", TokenFor::Agent(agent.id), 3)
        .await
        .unwrap();
    join(ledger, enrol("again", "b")).await;
    // A renewal by the old machine that was under way while the agent joined again.
    assert!(!renew(ledger, &agent, 2, 1).await);
    // An enrolment that was under way while the agent joined once more.
    join(ledger, enrol("again", "c")).await;
    let proof = Proof::Token(digest_of("again"));
    assert!(!issue(ledger, &agent, 2, proof, "b").await);
    assert!(!issue(ledger, &agent, 2, proof, "never").await);
    assert!(issue(ledger, &agent, 2, proof, "c").await);
    // A ledger restored from a backup does not know what it issued after it.
    assert!(renew(ledger, &agent, 3, 77).await);
}

pub(crate) async fn superseded_certificates_are_kept_within_bounds(ledger: &impl Ledger) {
    let agent = agent_in_use(ledger, "t").await;
    for number in 2..=(CERTIFICATES_KEPT + 20) {
        let number = u8::try_from(number).unwrap();
        assert!(renew(ledger, &agent, number, 1).await);
    }
    let held = states(ledger, &agent).await;
    assert_eq!((held.len(), held[0]), (CERTIFICATES_KEPT, Unproven));
    // The one in use is among the oldest, and stays.
    let seen = ledger.identify(agent.id, serial(1)).await.unwrap().unwrap();
    assert_eq!(seen.certificate.unwrap().state, Proven);
    let seen = ledger.identify(agent.id, serial(2)).await.unwrap().unwrap();
    assert_eq!(seen.certificate, None);

    let revoked = ledger.revoke_agent(agent.id, deed("agent-revoked", "x"));
    revoked.await.unwrap();
    token(ledger, "again", TokenFor::Agent(agent.id), 1)
        .await
        .unwrap();
    join(ledger, enrol("again", "b")).await;
    assert!(issue(ledger, &agent, 200, Proof::Token(digest_of("again")), "b").await);
    // Those that were revoked are never forgotten.
    let seen = ledger.identify(agent.id, serial(1)).await.unwrap().unwrap();
    assert_eq!(seen.certificate.unwrap().state, Revoked);
}

pub(crate) async fn revocations_are_told_in_order(ledger: &impl Ledger) {
    branch_token(ledger, "t", "LYN", 3).await;
    let mut agents = Vec::new();
    for key in ["a", "b", "c"] {
        agents.push(join(ledger, enrol("t", key)).await.id);
    }
    let (start, none) = ledger.revocations(None).await.unwrap();
    assert!(none.is_empty());
    let revoke = async |index: usize| {
        let revoked = ledger.revoke_agent(agents[index], deed("agent-revoked", "x"));
        revoked.await.unwrap()
    };
    revoke(0).await;
    let (first, told) = ledger.revocations(Some(start)).await.unwrap();
    assert_eq!(told, [agents[0]]);
    revoke(2).await;
    let (second, told) = ledger.revocations(Some(first)).await.unwrap();
    assert_eq!(told, [agents[2]]);
    assert!(start < first && first < second);
    assert_eq!(
        ledger.revocations(Some(second)).await.unwrap(),
        (second, vec![])
    );
    // One that joins again ends the connections of the machine that it was.
    token(ledger, "again", TokenFor::Agent(agents[1]), 1)
        .await
        .unwrap();
    join(ledger, enrol("again", "d")).await;
    let (_, told) = ledger.revocations(Some(second)).await.unwrap();
    assert_eq!(told, [agents[1]]);
}

/// That an agent was refused is kept until it is heard again.
pub(crate) async fn refusals_are_kept_until_an_agent_is_heard(ledger: &impl Ledger) {
    let agent = TestAgent::register(ledger, "LYN").await;
    let refused = async || ledger.agent(agent.id).await.unwrap().unwrap().refused;
    assert_eq!(refused().await, None);
    let at = UnixMillis(now().0 - 1_000);
    let note = async |why: &str, at| ledger.note_refusal(agent.id, why.into(), at).await.unwrap();
    note("too old", at).await;
    let why = "too old".to_owned();
    assert_eq!(refused().await, Some(RefusedAgent { at, why }));
    let mut heard = agent.clone();
    heard.file(&["a"], 1);
    heard.submit_all(ledger).await;
    assert_eq!(refused().await, None);
    note(&"x".repeat(5_000), UnixMillis(now().0 + 1_000)).await;
    assert!(refused().await.unwrap().why.chars().count() <= 301);
    // Nobody's.
    let nobody = agent_id("nobody");
    ledger
        .note_refusal(nobody, String::new(), at)
        .await
        .unwrap();
}
