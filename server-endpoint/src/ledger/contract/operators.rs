//! Operators, sessions, API tokens.

use branchline_protocol::time::UnixMillis;

use super::joining::{NOW, deed, digest_of};
use crate::ledger::{
    NewApiToken, NewOperator, NewPassword, NewSession, OperatorChange, OperatorLedger,
    OperatorName, PasswordHash, Right, Role, SESSIONS_EACH, TrailFilter,
};

const HOUR: i64 = 3_600_000;

pub(crate) fn name(name: &str) -> OperatorName {
    name.parse().unwrap()
}

fn password(word: &str) -> PasswordHash {
    PasswordHash(word.to_owned())
}

async fn add(ledger: &impl OperatorLedger, who: &str, role: Role) -> bool {
    let new = NewOperator {
        name: name(who),
        role,
        password: password("first"),
        must_change: false,
        deed: deed("operator-added", who),
    };
    ledger.add_operator(new).await.unwrap()
}

fn session(who: &str, secret: &str, proven: &str) -> NewSession {
    NewSession {
        hash: digest_of(secret),
        name: name(who),
        proven: password(proven),
        ends_at: UnixMillis(NOW.0 + 10 * HOUR),
        address: "192.0.2.1".into(),
        deed: deed("signed-in", who),
    }
}

async fn open(ledger: &impl OperatorLedger, who: &str, secret: &str) {
    let opened = ledger.open_session(session(who, secret, "first"));
    assert!(opened.await.unwrap(), "{who} {secret}");
}

async fn is_open(ledger: &impl OperatorLedger, secret: &str) -> bool {
    let session = ledger.session(digest_of(secret), NOW, HOUR).await;
    session.unwrap().is_some()
}

async fn actions(ledger: &impl OperatorLedger) -> Vec<String> {
    let filter = TrailFilter {
        most: 100,
        ..TrailFilter::default()
    };
    let entries = ledger.trail(filter).await.unwrap();
    entries.into_iter().map(|entry| entry.action).collect()
}

fn new_password(who: &str, word: &str, must_change: bool, proven: Option<&str>) -> NewPassword {
    NewPassword {
        name: name(who),
        password: password(word),
        must_change,
        proven: proven.map(password),
        deed: deed("password-set", who),
    }
}

pub(crate) async fn operators_come_change_and_go(ledger: &impl OperatorLedger) {
    assert!(add(ledger, "anna", Role::Administrator).await);
    assert!(add(ledger, "ben", Role::Viewer).await);
    assert!(!add(ledger, "ben", Role::Administrator).await, "taken");
    let all = ledger.operators().await.unwrap();
    let listed: Vec<_> = all.iter().map(|it| (it.name.as_str(), it.role)).collect();
    assert_eq!(
        listed,
        [("anna", Role::Administrator), ("ben", Role::Viewer)]
    );
    let change = ledger.set_role(name("ben"), Role::Support, deed("role-set", "ben"));
    assert_eq!(change.await.unwrap(), OperatorChange::Done);
    let same = ledger.set_role(name("ben"), Role::Support, deed("role-set", "ben"));
    assert_eq!(same.await.unwrap(), OperatorChange::Done);
    let nobody = ledger.set_role(name("cleo"), Role::Support, deed("role-set", "cleo"));
    assert_eq!(nobody.await.unwrap(), OperatorChange::Unknown);
    let set = ledger.set_password(new_password("ben", "second", true, None));
    assert!(set.await.unwrap());
    let ben = ledger.operator(name("ben")).await.unwrap().unwrap();
    assert_eq!((ben.role, ben.must_change), (Role::Support, true));
    assert_eq!(ben.password, password("second"));
    // Whoever proved the password of before does not get to set another.
    let late = ledger.set_password(new_password("ben", "third", false, Some("first")));
    assert!(!late.await.unwrap());
    let nobody = ledger.set_password(new_password("cleo", "third", false, None));
    assert!(!nobody.await.unwrap());
    let gone = ledger.remove_operator(name("ben"), deed("operator-removed", "ben"));
    assert_eq!(gone.await.unwrap(), OperatorChange::Done);
    let gone = ledger.remove_operator(name("ben"), deed("operator-removed", "ben"));
    assert_eq!(gone.await.unwrap(), OperatorChange::Unknown);
    assert!(ledger.operator(name("ben")).await.unwrap().is_none());
    let told = [
        "operator-added",
        "operator-added",
        "role-set",
        "password-set",
        "operator-removed",
    ];
    assert_eq!(actions(ledger).await, told);
    for bad in ["", "a", "Anna", "1a", "a b", "\u{e4}nna", &"a".repeat(61)] {
        assert!(bad.parse::<OperatorName>().is_err(), "{bad}");
    }
}

pub(crate) async fn there_is_always_an_administrator(ledger: &impl OperatorLedger) {
    add(ledger, "anna", Role::Administrator).await;
    add(ledger, "ben", Role::Support).await;
    let last = OperatorChange::LastAdministrator;
    let role = |who, role| ledger.set_role(name(who), role, deed("role-set", who));
    let remove = |who| ledger.remove_operator(name(who), deed("operator-removed", who));
    assert_eq!(role("anna", Role::Support).await.unwrap(), last);
    assert_eq!(remove("anna").await.unwrap(), last);
    assert_eq!(
        role("ben", Role::Administrator).await.unwrap(),
        OperatorChange::Done
    );
    assert_eq!(remove("anna").await.unwrap(), OperatorChange::Done);
    assert_eq!(role("ben", Role::Viewer).await.unwrap(), last);
}

pub(crate) async fn a_session_ends_with_what_it_was_opened_with(ledger: &impl OperatorLedger) {
    add(ledger, "anna", Role::Administrator).await;
    add(ledger, "ben", Role::Support).await;
    let state = async |secrets: [&str; 3]| {
        let mut open = Vec::new();
        for secret in secrets {
            open.push(is_open(ledger, secret).await);
        }
        open
    };
    open(ledger, "anna", "a").await;
    open(ledger, "ben", "b1").await;
    open(ledger, "ben", "b2").await;
    assert_eq!(state(["a", "b1", "b2"]).await, [true, true, true]);
    let known = ledger.session(digest_of("b1"), NOW, HOUR).await.unwrap();
    let known = known.unwrap();
    assert_eq!((known.name, known.role), (name("ben"), Role::Support));
    let ben = ledger.operator(name("ben")).await.unwrap().unwrap();
    assert_eq!((ben.sessions, ben.signed_in_at), (2, Some(NOW)));

    let close = || ledger.close_session(digest_of("b1"), deed("signed-out", "ben"));
    close().await.unwrap();
    close().await.unwrap();
    assert_eq!(state(["a", "b1", "b2"]).await, [true, false, true]);
    let role = ledger.set_role(name("ben"), Role::Viewer, deed("role-set", "ben"));
    role.await.unwrap();
    assert_eq!(state(["a", "b1", "b2"]).await, [true, false, false]);
    open(ledger, "ben", "b3").await;
    let set = ledger.set_password(new_password("ben", "first", false, None));
    assert!(set.await.unwrap());
    assert_eq!(state(["a", "b3", "b2"]).await, [true, false, false]);
    open(ledger, "ben", "b4").await;
    let gone = ledger.remove_operator(name("ben"), deed("operator-removed", "ben"));
    gone.await.unwrap();
    assert_eq!(state(["a", "b4", "b2"]).await, [true, false, false]);
    // Another of the same name is somebody else.
    add(ledger, "ben", Role::Support).await;
    assert!(!is_open(ledger, "b4").await);
    let told = actions(ledger).await;
    assert_eq!(told.iter().filter(|it| *it == "signed-out").count(), 1);
}

pub(crate) async fn a_session_is_not_opened_with_what_is_no_longer_so(
    ledger: &impl OperatorLedger,
) {
    add(ledger, "anna", Role::Administrator).await;
    let refused = async |session: NewSession| {
        let secret = session.hash;
        assert!(!ledger.open_session(session).await.unwrap());
        let none = ledger.session(secret, NOW, HOUR).await.unwrap();
        assert!(none.is_none());
    };
    refused(session("nobody", "s", "first")).await;
    refused(session("anna", "s", "of before")).await;
    let set = ledger.set_password(new_password("anna", "made", true, None));
    assert!(set.await.unwrap());
    refused(session("anna", "s", "made")).await;
    assert_eq!(actions(ledger).await, ["operator-added", "password-set"]);
}

pub(crate) async fn sessions_are_bounded_in_time_and_number(ledger: &impl OperatorLedger) {
    add(ledger, "anna", Role::Administrator).await;
    open(ledger, "anna", "a").await;
    let at = async |millis: i64| {
        let session = ledger.session(digest_of("a"), UnixMillis(NOW.0 + millis), HOUR);
        session.await.unwrap().is_some()
    };
    assert!(at(HOUR - 1).await && !at(HOUR).await);
    let used = async |millis: i64| {
        let used = ledger.use_session(digest_of("a"), UnixMillis(NOW.0 + millis));
        used.await.unwrap();
    };
    used(HOUR / 2).await;
    // What was noted late takes nothing away.
    used(HOUR / 4).await;
    assert!(at(HOUR).await && !at(HOUR * 3 / 2).await);
    used(10 * HOUR - 1).await;
    assert!(at(10 * HOUR - 1).await && !at(10 * HOUR).await);

    for number in 0..SESSIONS_EACH {
        open(ledger, "anna", &number.to_string()).await;
    }
    assert!(!is_open(ledger, "a").await && is_open(ledger, "0").await);
    let anna = ledger.operator(name("anna")).await.unwrap().unwrap();
    assert_eq!(anna.sessions, SESSIONS_EACH as u64);
}

pub(crate) async fn api_tokens_are_good_until_they_end(ledger: &impl OperatorLedger) {
    let add = async |secret: &str, rights: &[Right], ttl: Option<i64>| {
        let new = NewApiToken {
            name: format!("for {secret}"),
            hash: digest_of(secret),
            rights: rights.to_vec(),
            expires_at: ttl.map(|ttl| UnixMillis(NOW.0 + ttl)),
            deed: deed("api-token-made", ""),
        };
        ledger.add_api_token(new).await.unwrap()
    };
    let good = async |secret: &str, after: i64| {
        let token = ledger.api_token(digest_of(secret), UnixMillis(NOW.0 + after));
        token.await.unwrap()
    };
    let first = add("a", &[Right::Reply, Right::Read, Right::Read], None).await;
    assert_eq!(first.rights, [Right::Read, Right::Reply]);
    add("b", &[Right::Administer], Some(HOUR)).await;
    assert_eq!(good("a", 0).await, Some(first.clone()));
    assert!(good("a", 10_000 * HOUR).await.is_some());
    assert!(good("b", HOUR - 1).await.is_some() && good("b", HOUR).await.is_none());
    assert!(good("c", 0).await.is_none());
    ledger.use_api_token(first.number, NOW).await.unwrap();
    assert_eq!(good("a", 0).await.unwrap().used_at, Some(NOW));

    let revoke = |number| ledger.revoke_api_token(number, deed("api-token-revoked", "x"));
    assert!(revoke(first.number).await.unwrap());
    assert!(revoke(first.number).await.unwrap());
    assert!(!revoke(99).await.unwrap());
    assert!(good("a", 0).await.is_none());
    let listed = ledger.api_tokens().await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|it| (it.name.as_str(), it.revoked))
        .collect();
    assert_eq!(listed, [("for b", false), ("for a", true)]);
    let told = ["api-token-made", "api-token-made", "api-token-revoked"];
    assert_eq!(actions(ledger).await, told);
}
