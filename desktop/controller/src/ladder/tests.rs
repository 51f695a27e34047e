//! The ladder is honest: nothing is reached before somebody has said so.

use super::*;
use jiff::tz::TimeZone;

fn clock() -> Clock {
    Clock {
        now: "2026-11-21T10:00:00Z".parse().unwrap(),
        zone: TimeZone::UTC,
    }
}

pub(crate) fn details(delivery: &serde_json::Value, files: &[serde_json::Value]) -> TicketDetails {
    let at = "2026-11-21T09:00:00Z".parse::<jiff::Timestamp>().unwrap();
    let at = serde_json::to_value(branchline_protocol::time::LocalTime {
        millis: UnixMillis(at.as_millisecond()),
        offset_minutes: 0,
    })
    .unwrap();
    let id = "01890000-0000-7000-8000-000000000001";
    let files: Vec<_> = files
        .iter()
        .map(|file| {
            let mut whole = serde_json::json!({
                "id": id, "position": 1, "number": "LYN-000001", "name": "scan.pdf", "size": 1000,
                "root": "00".repeat(32), "by": "marie", "at": at, "delivery": { "state": "received" },
            });
            whole
                .as_object_mut()
                .unwrap()
                .extend(file.as_object().unwrap().clone());
            whole
        })
        .collect();
    serde_json::from_value(serde_json::json!({
        "summary": {
            "number": "LYN-000001", "id": id, "subject": "Scanner", "category": "till",
            "priority": "high", "reporter": "marie", "filed_at": at, "delivery": delivery,
            "withdrawn": false,
        },
        "description": "It eats paper.", "contact": { "phone": "12" }, "entries": [], "files": files,
    }))
    .unwrap()
}

fn shown(delivery: &serde_json::Value, files: &[serde_json::Value], connected: bool) -> TicketView {
    let catalogue = Catalogue::default();
    let clock = clock();
    let telling = Telling {
        clock: &clock,
        language: Language::En,
        connected,
        catalogue: &catalogue,
    };
    ticket(&details(delivery, files), &Standings::new(), &telling)
}

/// One letter per rung: done, now, ahead, wrong.
fn rungs(view: &TicketView) -> String {
    let letter = |rung: &Rung| match rung.state {
        RungState::Done => 'd',
        RungState::Now => 'n',
        RungState::Ahead => 'a',
        RungState::Wrong => 'w',
    };
    view.ladder.iter().map(letter).collect()
}

#[test]
fn a_ticket_climbs_as_it_is_heard_of() {
    use serde_json::json;
    let (waiting, received) = (
        json!({ "state": "waiting" }),
        json!({ "state": "received" }),
    );
    let file = |upload: &str, state: Option<&str>| match state {
        Some(state) => json!({ "upload": upload, "state": { "state": state } }),
        None => json!({ "upload": upload }),
    };
    let offline = shown(&waiting, &[], false);
    assert_eq!(rungs(&offline), "dnaaa");
    assert!(offline.ladder[1].words.contains("Nothing is lost"));
    assert_eq!(shown(&waiting, &[], true).ladder[1].words, "Is being sent");
    assert_eq!(rungs(&shown(&received, &[], true)), "ddddd");
    let climb = [
        (file("waiting", None), "ddnaa"),
        (file("sent", Some("received")), "dddna"),
        (file("sent", Some("scanning")), "dddna"),
        (file("sent", Some("clean")), "ddddd"),
        (file("sent", Some("held")), "dddna"),
        // Central has every byte and has not said yet what it thinks of them.
        (file("sent", None), "dddna"),
        // A newer central says something that is not understood here: that is not "accepted".
        (file("sent", Some("polished")), "dddna"),
    ];
    for (file, expected) in climb {
        assert_eq!(
            rungs(&shown(&received, std::slice::from_ref(&file), true)),
            expected,
            "{file}"
        );
    }
    let two = [file("sent", Some("clean")), file("waiting", None)];
    assert_eq!(
        shown(&received, &two, true).ladder[2].words,
        "Arrived: 1 / 2"
    );
}

#[test]
fn what_is_wrong_says_what_to_do() {
    use serde_json::json;
    let received = json!({ "state": "received" });
    let infected = json!({
        "upload": "sent", "fault": "infected", "state": { "state": "infected", "signature": "x" },
    });
    let view = shown(&received, &[infected], true);
    assert_eq!(rungs(&view), "dddwa");
    let trouble = view.files[0].trouble.as_ref().unwrap();
    assert!(trouble.todo.contains("do not open"), "{trouble:?}");
    let rejected = json!({
        "state": "rejected", "reason": { "code": "invalid_field", "detail": "too long" },
    });
    let view = shown(&rejected, &[], true);
    assert_eq!(rungs(&view), "ddddw");
    assert!(view.trouble.unwrap().what.contains("too long"));
    let view = shown(&json!({ "state": "damaged" }), &[], true);
    assert_eq!(rungs(&view), "dwaaa");
    assert!(view.trouble.unwrap().todo.contains("again"));
}

#[test]
fn progress_is_what_has_gone() {
    use serde_json::json;
    let file = json!({ "upload": "waiting", "sent": 370 });
    let view = shown(&json!({ "state": "received" }), &[file], true);
    assert_eq!(view.files[0].percent, Some(37));
    assert_eq!(view.files[0].standing, "37 % sent");
    assert!(view.moving);
}
