//! The door, with a real ledger.

use std::net::IpAddr;
use std::sync::Arc;

use branchline_protocol::time::UnixMillis;

use super::{Attempt, Operators, SESSION_IDLE, SESSION_MOST, SignInFault, first, passwords};
use crate::authority::operators::passwords::PasswordFault;
use crate::authority::operators::secret::Bearer;
use crate::ledger::sqlite::{FILE_NAME, SqliteLedger};
use crate::ledger::{
    Actor, Deed, IdentityLedger, NewApiToken, NewOperator, OperatorLedger, Right, Role, TrailEntry,
    TrailFilter,
};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const PASSWORD: &str = "correct horse battery";

struct Door {
    operators: Operators,
    ledger: Arc<SqliteLedger>,
    _folder: tempfile::TempDir,
}

fn deed() -> Deed {
    Deed {
        actor: Actor::CommandLine("root".into()),
        action: "operator-added",
        subject: String::new(),
        detail: String::new(),
        address: None,
        at: NOW,
    }
}

fn from(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn attempt<'a>(name: &'a str, password: &'a str) -> Attempt<'a> {
    Attempt {
        name,
        password,
        address: from("192.0.2.1"),
        at: NOW,
    }
}

impl Door {
    async fn with(name: &str, role: Role) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(SqliteLedger::open(&folder.path().join(FILE_NAME)).unwrap());
        let new = NewOperator {
            name: name.parse().unwrap(),
            role,
            password: passwords::hash(PASSWORD).unwrap(),
            must_change: false,
            deed: deed(),
        };
        assert!(ledger.add_operator(new).await.unwrap());
        Self {
            operators: Operators::new(ledger.clone()),
            ledger,
            _folder: folder,
        }
    }

    async fn trail(&self, action: &str) -> Vec<TrailEntry> {
        let filter = TrailFilter {
            action: Some(action.into()),
            most: 1_000,
            ..TrailFilter::default()
        };
        self.ledger.trail(filter).await.unwrap()
    }

    async fn may(&self, session: &Bearer, right: Right, after: i64) -> Option<bool> {
        let at = UnixMillis(NOW.0 + after);
        let caller = self.operators.by_session(&session.to_session(), at).await;
        caller.unwrap().map(|caller| caller.may(right))
    }
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap()
}

#[tokio::test]
async fn who_signs_in_may_what_the_role_may_until_the_session_ends() {
    let door = Door::with("anna", Role::Support).await;
    let session = door.operators.sign_in(attempt("anna", PASSWORD)).await;
    let session = session.unwrap();
    for (right, may) in [
        (Right::Read, true),
        (Right::Reply, true),
        (Right::Release, false),
        (Right::Administer, false),
    ] {
        assert_eq!(door.may(&session, right, 0).await, Some(may), "{right:?}");
    }
    let idle = millis(SESSION_IDLE);
    assert_eq!(door.may(&session, Right::Read, idle).await, None);
    // Used every half hour, it lasts a day of work and no longer.
    let day = millis(SESSION_MOST);
    for after in (0..day).step_by(1_800_000) {
        assert_eq!(
            door.may(&session, Right::Read, after).await,
            Some(true),
            "{after}"
        );
    }
    assert_eq!(door.may(&session, Right::Read, day).await, None);

    let other = Bearer::random().unwrap();
    assert_eq!(door.may(&other, Right::Read, 0).await, None);
    let none = door.operators.by_session("rubbish", NOW).await.unwrap();
    assert_eq!(none, None);
    let text = session.to_session();
    let out = || door.operators.sign_out(&text, from("192.0.2.1"), NOW);
    out().await.unwrap();
    out().await.unwrap();
    assert_eq!(door.may(&session, Right::Read, 0).await, None);
    assert_eq!(door.trail("signed-in").await.len(), 1);
    let left = door.trail("signed-out").await;
    assert_eq!((left.len(), left[0].actor.as_str()), (1, "operator:anna"));
}

#[tokio::test]
async fn a_wrong_password_and_a_name_that_is_not_there_are_the_same() {
    let door = Door::with("anna", Role::Viewer).await;
    for (name, password) in [
        ("anna", "correct horse batterx"),
        ("anna", ""),
        ("nobody", PASSWORD),
        ("Anna", PASSWORD),
        ("hunter2 is my password", "anna"),
    ] {
        let refused = door.operators.sign_in(attempt(name, password)).await;
        assert!(
            matches!(refused, Err(SignInFault::Wrong)),
            "{name}: {refused:?}"
        );
    }
    let told = door.trail("sign-in-failed").await;
    let subjects: Vec<_> = told.iter().map(|entry| entry.subject.as_str()).collect();
    let nobody = "a name that nobody has";
    assert_eq!(subjects, ["anna", "anna", nobody, nobody, nobody]);
    assert!(told.iter().all(|entry| entry.actor == "bearer:192.0.2.1"));
}

#[tokio::test]
async fn the_first_password_is_good_for_setting_another_alone() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(SqliteLedger::open(&folder.path().join(FILE_NAME)).unwrap());
    let made = first::administrator(ledger.as_ref(), deed()).await.unwrap();
    let made = made.unwrap();
    let again = first::administrator(ledger.as_ref(), deed()).await;
    assert_eq!(again.unwrap(), None, "shown once");
    let operators = Operators::new(ledger.clone());
    let refused = operators.sign_in(attempt(first::NAME, &made)).await;
    assert!(
        matches!(refused, Err(SignInFault::ChangeFirst)),
        "{refused:?}"
    );
    let change = async |old: &str, new: &str| {
        operators
            .change_password(attempt(first::NAME, old), new)
            .await
    };
    let refused = change("wrong", PASSWORD).await;
    assert!(matches!(refused, Err(SignInFault::Wrong)), "{refused:?}");
    for (new, fault) in [
        ("short", PasswordFault::Short),
        (made.as_str(), PasswordFault::Same),
    ] {
        let refused = change(&made, new).await;
        assert!(
            matches!(&refused, Err(SignInFault::Password(found)) if *found == fault),
            "{refused:?}"
        );
    }
    change(&made, PASSWORD).await.unwrap();
    let refused = operators.sign_in(attempt(first::NAME, &made)).await;
    assert!(matches!(refused, Err(SignInFault::Wrong)), "{refused:?}");
    let session = operators.sign_in(attempt(first::NAME, PASSWORD)).await;
    let session = session.unwrap().to_session();
    let caller = operators.by_session(&session, NOW);
    assert!(caller.await.unwrap().unwrap().may(Right::Administer));
}

#[tokio::test]
async fn failures_make_the_next_one_wait_by_name_and_by_address() {
    let door = Door::with("anna", Role::Viewer).await;
    let try_in = async |name: &str, password: &str, address: &str| {
        let attempt = Attempt {
            name,
            password,
            address: from(address),
            at: NOW,
        };
        door.operators.sign_in(attempt).await
    };
    // By name, from everywhere.
    for host in 1..=6 {
        let refused = try_in("anna", "wrong", &format!("192.0.2.{host}")).await;
        assert!(matches!(refused, Err(SignInFault::Wrong)), "{refused:?}");
    }
    let refused = try_in("anna", PASSWORD, "192.0.2.99").await;
    assert!(
        matches!(refused, Err(SignInFault::TooMany(_))),
        "{refused:?}"
    );
    // By network, whatever the name.
    for host in 1..=11 {
        let refused = try_in(
            &format!("name{host}"),
            "wrong",
            &format!("2001:db8::{host}"),
        )
        .await;
        assert!(matches!(refused, Err(SignInFault::Wrong)), "{refused:?}");
    }
    let refused = try_in("ben", "wrong", "2001:db8::ffff").await;
    assert!(
        matches!(refused, Err(SignInFault::TooMany(_))),
        "{refused:?}"
    );
    let refused = try_in("ben", "wrong", "2001:db8:0:1::1").await;
    assert!(matches!(refused, Err(SignInFault::Wrong)), "{refused:?}");
    assert_eq!(door.trail("sign-in-failed").await.len(), 18);
}

#[tokio::test]
async fn many_attempts_at_once_count_as_many() {
    let door = Door::with("anna", Role::Viewer).await;
    let attempts = (0..200).map(|_| door.operators.sign_in(attempt("anna", "wrong")));
    let answers = futures_util::future::join_all(attempts).await;
    let tried = answers.iter();
    let tried = tried.filter(|answer| !matches!(answer, Err(SignInFault::TooMany(_))));
    assert_eq!(tried.count(), 6);
}

#[tokio::test]
async fn an_api_token_may_what_it_was_made_for_until_it_is_revoked() {
    let door = Door::with("anna", Role::Viewer).await;
    let bearer = Bearer::random().unwrap();
    let new = NewApiToken {
        name: "metrics".into(),
        hash: bearer.hash(),
        rights: vec![Right::Read],
        expires_at: None,
        deed: deed(),
    };
    let kept = door.ledger.add_api_token(new).await.unwrap();
    let token = bearer.to_api_token();
    let caller = async |text: &str| door.operators.by_api_token(text, NOW).await.unwrap();
    let known = caller(&token).await.unwrap();
    assert_eq!(known.actor, Actor::ApiToken(kept.number));
    assert!(known.may(Right::Read) && !known.may(Right::Reply));
    assert_eq!(caller(&bearer.to_session()).await, None);
    let session = door.operators.by_session(&token, NOW).await.unwrap();
    assert_eq!(session, None, "a token is no session");
    let session = door.operators.by_session(&bearer.to_session(), NOW).await;
    assert_eq!(session.unwrap(), None, "nor are its bytes");
    let revoked = door.ledger.revoke_api_token(kept.number, deed()).await;
    assert!(revoked.unwrap());
    assert_eq!(caller(&token).await, None);
}
