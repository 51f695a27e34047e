//! Tokens and enrolments.

use std::collections::BTreeSet;

use branchline_protocol::enrolment::JournalOf;
use branchline_protocol::id::{AgentId, BranchCode, Digest};
use branchline_protocol::time::UnixMillis;
use futures_util::future::join_all;

use super::certificates::issue;
use crate::ledger::{
    Actor, AgentRecord, CertificateState, Deed, Enrol, Enrolled, Ledger, NewToken, Proof, TokenFor,
    TokenRecord,
};

/// When everything in these tests happens, unless it says otherwise.
pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const HOUR: i64 = 3_600_000;

pub(crate) fn digest_of(word: &str) -> Digest {
    Digest(*blake3::hash(word.as_bytes()).as_bytes())
}

pub(crate) fn deed(action: &'static str, subject: &str) -> Deed {
    Deed {
        actor: Actor::CommandLine("root".into()),
        action,
        subject: subject.into(),
        detail: String::new(),
        address: None,
        at: NOW,
    }
}

pub(crate) fn agent_id(word: &str) -> AgentId {
    AgentId::from_parts(
        1_700_000_000_000,
        digest_of(word).0[..10].try_into().unwrap(),
    )
}

fn code(branch: &str) -> BranchCode {
    branch.parse().unwrap()
}

pub(crate) async fn branch(ledger: &impl Ledger, branch: &str) {
    let added = ledger.add_branch(code(branch), None, deed("branch-added", branch));
    added.await.unwrap();
}

/// A token whose secret's hash is that of a word.
pub(crate) async fn token(
    ledger: &impl Ledger,
    word: &str,
    purpose: TokenFor,
    uses: u32,
) -> Option<TokenRecord> {
    let token = NewToken {
        hash: digest_of(word),
        purpose,
        uses,
        expires_at: UnixMillis(NOW.0 + HOUR),
        made: deed("token-made", ""),
    };
    ledger.add_token(token).await.unwrap()
}

pub(crate) async fn branch_token(ledger: &impl Ledger, word: &str, branch: &str, uses: u32) -> u64 {
    self::branch(ledger, branch).await;
    let made = token(ledger, word, TokenFor::Branch(code(branch)), uses).await;
    made.unwrap().number
}

pub(crate) fn enrol(token: &str, key: &str) -> Enrol {
    Enrol {
        token: digest_of(token),
        key: digest_of(key),
        candidate: agent_id(&format!("{token} {key}")),
        journal_of: None,
        address: "192.0.2.7".into(),
        at: NOW,
    }
}

pub(crate) async fn join(ledger: &impl Ledger, enrol: Enrol) -> AgentRecord {
    match ledger.enrol(enrol).await.unwrap() {
        Enrolled::Agent(agent) => agent,
        other => panic!("not joined: {other:?}"),
    }
}

pub(crate) async fn a_token_is_good_for_what_it_says(ledger: &impl Ledger) {
    let nobody = token(ledger, "t", TokenFor::Branch(code("LYN")), 1).await;
    assert_eq!(nobody, None, "a branch that is not there");
    let nobody = token(ledger, "t", TokenFor::Agent(agent_id("x")), 1).await;
    assert_eq!(nobody, None, "an agent that is not there");
    let number = branch_token(ledger, "t", "LYN", 2).await;

    let first = join(ledger, enrol("t", "a")).await;
    let second = join(ledger, enrol("t", "b")).await;
    assert_eq!((first.branch.as_str(), first.ordinal), ("LYN", 1));
    assert_eq!((second.branch.as_str(), second.ordinal), ("LYN", 2));
    let refused = ledger.enrol(enrol("t", "c")).await.unwrap();
    assert!(matches!(refused, Enrolled::UsedUp), "{refused:?}");
    let refused = ledger.enrol(enrol("another", "c")).await.unwrap();
    assert!(matches!(refused, Enrolled::UnknownToken), "{refused:?}");

    branch_token(ledger, "late", "LYN", 1).await;
    for (at, good) in [(HOUR, false), (HOUR - 1, true)] {
        let enrol = Enrol {
            at: UnixMillis(NOW.0 + at),
            ..enrol("late", "d")
        };
        let answer = ledger.enrol(enrol).await.unwrap();
        match answer {
            Enrolled::Agent(_) => assert!(good),
            Enrolled::Expired => assert!(!good),
            other => panic!("{other:?}"),
        }
    }

    let back = branch_token(ledger, "back", "LYN", 5).await;
    let revoked = |number| ledger.revoke_token(number, deed("token-revoked", ""));
    assert!(revoked(back).await.unwrap());
    assert!(revoked(back).await.unwrap(), "a repeat");
    assert!(!revoked(999).await.unwrap());
    let refused = ledger.enrol(enrol("back", "e")).await.unwrap();
    assert!(matches!(refused, Enrolled::UnknownToken), "{refused:?}");

    let tokens = ledger.tokens().await.unwrap();
    let listed: Vec<_> = tokens.iter().map(|it| (it.used, it.revoked)).collect();
    assert_eq!(listed, [(0, true), (1, false), (2, false)]);
    assert_eq!(tokens[2].number, number);
}

pub(crate) async fn a_token_raced_for_by_fifty_makes_one_agent(ledger: &impl Ledger) {
    branch_token(ledger, "t", "LYN", 1).await;
    let racing = (0..50).map(|key| ledger.enrol(enrol("t", &key.to_string())));
    let mut joined = 0;
    for answer in join_all(racing).await {
        match answer.unwrap() {
            Enrolled::Agent(_) => joined += 1,
            Enrolled::UsedUp => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(joined, 1);
    let branches = ledger.branches().await.unwrap();
    assert_eq!(branches[0].agents.len(), 1);
    assert_eq!(ledger.tokens().await.unwrap()[0].used, 1);
}

pub(crate) async fn a_repeat_is_the_same_enrolment_and_costs_nothing(ledger: &impl Ledger) {
    branch_token(ledger, "t", "LYN", 1).await;
    let agent = join(ledger, enrol("t", "a")).await;
    // Its candidate is another one each time, and by now the token is used up, and then expired.
    for (round, at) in [NOW.0, NOW.0 + 2 * HOUR].into_iter().enumerate() {
        let again = Enrol {
            candidate: agent_id(&format!("again {round}")),
            at: UnixMillis(at),
            ..enrol("t", "a")
        };
        assert_eq!(join(ledger, again).await.id, agent.id);
    }
    let racing = (0..50).map(|_| join(ledger, enrol("t", "a")));
    let same: BTreeSet<AgentId> = join_all(racing).await.iter().map(|it| it.id).collect();
    assert_eq!(same, BTreeSet::from([agent.id]));
    assert_eq!(ledger.tokens().await.unwrap()[0].used, 1);
    assert_eq!(ledger.branches().await.unwrap()[0].agents.len(), 1);

    // The same key with another token is another enrolment.
    branch_token(ledger, "u", "LYN", 1).await;
    assert_ne!(join(ledger, enrol("u", "a")).await.id, agent.id);
    // Taken back is taken back.
    let revoked = ledger.revoke_token(1, deed("token-revoked", "token 1"));
    assert!(revoked.await.unwrap());
    let refused = ledger.enrol(enrol("t", "a")).await.unwrap();
    assert!(matches!(refused, Enrolled::UnknownToken), "{refused:?}");
}

fn with_journal(enrol: Enrol, agent: AgentId, branch: &str, ordinal: u16) -> Enrol {
    Enrol {
        journal_of: Some(JournalOf {
            agent,
            branch: code(branch),
            ordinal,
        }),
        ..enrol
    }
}

pub(crate) async fn a_journal_decides_who_joins(ledger: &impl Ledger) {
    branch_token(ledger, "lyn", "LYN", 20).await;
    branch_token(ledger, "par", "PAR", 20).await;
    let first = join(ledger, enrol("lyn", "a")).await;
    let other = join(ledger, enrol("lyn", "b")).await;

    let refused = async |enrol: Enrol, words: &str| {
        let answer = ledger.enrol(enrol).await.unwrap();
        match answer {
            Enrolled::OtherJournal(why) => assert!(why.contains(words), "{why}"),
            other => panic!("{words}: {other:?}"),
        }
    };
    // Nobody becomes an agent that exists by a branch's token, its own branch's or another's.
    for (token, key) in [("lyn", "c"), ("par", "d")] {
        let stranger = with_journal(enrol(token, key), other.id, "LYN", other.ordinal);
        refused(stranger, "token create --agent LYN2").await;
        let stranger = with_journal(enrol(token, key), first.id, "LYN", 1);
        refused(stranger, "token create --agent LYN`").await;
    }
    // Central has lost this one: it comes back as itself, with its branch's token.
    let lost = agent_id("lost");
    refused(
        with_journal(enrol("par", "e"), lost, "LYN", 7),
        "use a token for LYN",
    )
    .await;
    refused(
        with_journal(enrol("lyn", "e"), lost, "LYN", 2),
        "another agent has that place",
    )
    .await;
    refused(
        with_journal(enrol("lyn", "e"), lost, "LYN", 0),
        "another agent has that place",
    )
    .await;
    let back = join(ledger, with_journal(enrol("lyn", "e"), lost, "LYN", 7)).await;
    assert_eq!((back.id, back.ordinal), (lost, 7));
    // Its repeat, with the journal that it has by then, is no stranger.
    let repeat = with_journal(enrol("lyn", "e"), lost, "LYN", 7);
    assert_eq!(join(ledger, repeat).await.id, lost);
    let repeat = with_journal(enrol("lyn", "a"), first.id, "LYN", 1);
    assert_eq!(join(ledger, repeat).await.id, first.id);

    // A token for an agent is for it alone.
    token(ledger, "own", TokenFor::Agent(other.id), 5)
        .await
        .unwrap();
    let stranger = with_journal(enrol("own", "f"), first.id, "LYN", 1);
    refused(stranger, "for agent 2 of LYN").await;
    let itself = with_journal(enrol("own", "f"), other.id, "LYN", 2);
    assert_eq!(join(ledger, itself).await.id, other.id);
    assert_eq!(join(ledger, enrol("own", "g")).await.id, other.id);
    // What was refused took no use.
    let used: Vec<_> = ledger.tokens().await.unwrap();
    let used: Vec<_> = used.iter().map(|token| token.used).collect();
    assert_eq!(used, [2, 0, 3]);
}

pub(crate) async fn joining_again_lifts_a_revocation_and_ends_what_was_before(
    ledger: &impl Ledger,
) {
    branch_token(ledger, "t", "LYN", 1).await;
    let agent = join(ledger, enrol("t", "a")).await;
    assert!(issue(ledger, &agent, 1, Proof::Token(digest_of("t")), "a").await);
    let revoked = ledger.revoke_agent(agent.id, deed("agent-revoked", "x"));
    assert!(revoked.await.unwrap());
    let nobody = ledger.revoke_agent(agent_id("nobody"), deed("agent-revoked", "x"));
    assert!(!nobody.await.unwrap());
    let known = ledger.agent(agent.id).await.unwrap().unwrap();
    assert_eq!(known.revoked_at, Some(NOW));
    // The enrolment that it came by does not help it.
    let refused = ledger.enrol(enrol("t", "a")).await.unwrap();
    assert!(matches!(refused, Enrolled::Revoked), "{refused:?}");

    token(ledger, "again", TokenFor::Agent(agent.id), 1)
        .await
        .unwrap();
    let back = join(ledger, enrol("again", "b")).await;
    assert_eq!((back.id, back.revoked_at), (agent.id, None));
    assert!(issue(ledger, &agent, 2, Proof::Token(digest_of("again")), "b").await);
    let states: Vec<_> = ledger.certificates(agent.id).await.unwrap();
    let states: Vec<_> = states.iter().map(|it| it.state).collect();
    assert_eq!(
        states,
        [CertificateState::Unproven, CertificateState::Revoked]
    );
    // Nor does it help whoever has the old machine, now that the agent is good again.
    let refused = ledger.enrol(enrol("t", "a")).await.unwrap();
    assert!(matches!(refused, Enrolled::Revoked), "{refused:?}");
    assert!(!issue(ledger, &agent, 3, Proof::Token(digest_of("t")), "a").await);
}

pub(crate) async fn a_token_from_before_a_revocation_does_not_lift_it(ledger: &impl Ledger) {
    branch_token(ledger, "t", "LYN", 1).await;
    let agent = join(ledger, enrol("t", "a")).await;
    token(ledger, "spare", TokenFor::Agent(agent.id), 9)
        .await
        .unwrap();
    let revoked = ledger.revoke_agent(agent.id, deed("agent-revoked", "x"));
    assert!(revoked.await.unwrap());
    let refused = ledger.enrol(enrol("spare", "b")).await.unwrap();
    assert!(matches!(refused, Enrolled::Revoked), "{refused:?}");
    let known = ledger.agent(agent.id).await.unwrap().unwrap();
    assert!(known.revoked_at.is_some());
    assert!(ledger.tokens().await.unwrap()[0].revoked);
}

pub(crate) async fn ordinals_are_given_out_once(ledger: &impl Ledger) {
    branch_token(ledger, "t", "LYN", 20).await;
    // One that says it was the last: the next one gets a place all the same.
    let last = with_journal(enrol("t", "z"), agent_id("last"), "LYN", u16::MAX);
    assert_eq!(join(ledger, last).await.ordinal, u16::MAX);
    for (key, ordinal) in [("a", 1), ("b", 2), ("c", 3)] {
        assert_eq!(join(ledger, enrol("t", key)).await.ordinal, ordinal);
    }
}
