//! What is said: bodies that are no submission, operations that are none, absurd health and cursors.

use branchline_protocol::exchange::{DIGEST_HEADER, body_digest};
use branchline_protocol::limits;
use harness::processes::{succeeded, text};
use serde_json::{Value, json};

use super::{OPERATIONS, Target, assert_problem, filed, new_id};

/// Bodies that are no submission: what is changed in a good one, and with what.
#[rustfmt::skip]
const BAD_MEMBERS: &[(&str, &str)] = &[
    ("stream", "null"), ("stream", "7"), ("stream", r#""x""#), ("stream", "{}"), ("after", "null"), ("after", "[]"),
    ("after", r#"{"seq":0}"#), ("after", r#"{"seq":-1,"digest":"00"}"#), ("after", r#"{"seq":1e999999,"digest":"00"}"#),
    ("after", r#"{"seq":18446744073709551616,"digest":"00"}"#), ("after", r#"{"seq":0,"digest":"AA"}"#),
    ("after", r#"{"seq":"0","digest":""}"#), ("operations", "null"), ("operations", "{}"), ("operations", "7"),
    ("operations", r#""[]""#), ("operations", "[1,]"), ("operations", "[1 2]"), ("operations", "[{]"), ("operations", r#"["\x"]"#),
    ("operations", "[nul]"), ("operations", "[01]"), ("operations", "[1e]"), ("operations", "[\"a\nb\"]"),
    ("health", "null"), ("health", "[7]"), ("health", r#"{"version":7,"clock":0,"waiting":0}"#), ("health", r#"{"version":"","clock":1e999999,"waiting":0}"#),
    ("health", r#"{"version":"","clock":9223372036854775808,"waiting":0}"#), ("health", r#"{"version":"","clock":0,"waiting":-1}"#),
    ("cursor", "7"), ("cursor", "[]"), ("continues", "7"), ("continues", r#"{"stream":"x"}"#),
];

#[test]
fn a_body_that_is_no_submission_is_refused_whole() {
    let mut target = Target::start();
    let good: Value = serde_json::from_slice(&target.evil.body(&[])).expect("JSON");
    let mut attacks: Vec<Vec<u8>> = BAD_MEMBERS
        .iter()
        .map(|(member, value)| {
            let others = good
                .as_object()
                .expect("an object")
                .iter()
                .filter(|(name, _)| name != member);
            let others: String = others
                .map(|(name, value)| {
                    format!("{},", json!(name).to_string() + ":" + &value.to_string())
                })
                .collect();
            format!("{{{others}\"{member}\":{value}}}").into_bytes()
        })
        .collect();
    let whole = good.to_string();
    let twice = whole.replacen('{', &format!("{{\"stream\":{},", good["stream"]), 1);
    attacks.extend([
        b"".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        whole.as_bytes()[..whole.len() - 1].to_vec(),
        format!("{whole}{whole}").into_bytes(),
        format!("{whole}x").into_bytes(),
        twice.into_bytes(),
        [b"\xef\xbb\xbf", whole.as_bytes()].concat(),
        whole.replace("[]", "[\"\u{0}\"]").into_bytes(),
        target.evil.body(&[b"\"\xff\""]),
        target.evil.body(&[b"\"\xed\xa0\x80\""]),
        target.evil.body(&[&[b'['; 200_000]]),
    ]);
    for body in &attacks {
        let attack = format!("{:.300}", text(body));
        let answer = target.evil.post(body.as_slice());
        assert_problem(&answer, 400, "malformed", &attack);
    }
    for (kind, coding) in [
        ("", ""),
        ("text/plain", ""),
        ("application/jsonp", ""),
        ("application/json", "gzip"),
        ("application/json", "zstd, zstd"),
        ("application/json", "ZSTD2"),
    ] {
        let request = target
            .evil
            .request("POST", OPERATIONS)
            .header("Content-Type", kind)
            .body(whole.clone());
        let request = if coding.is_empty() {
            request
        } else {
            request.header("Content-Encoding", coding)
        };
        assert_problem(
            &target.evil.ask(&request),
            415,
            "unsupported-media",
            &format!("{kind} {coding}"),
        );
    }
    target.evil.assert_served("bodies that are no submissions");
    target.assert_unharmed("bodies that are no submissions");
    target.assert_holds(1);
}

/// Operations that cannot take effect, with the code of the verdict that they get.
fn odd_operations() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let good = || filed("PAR-000999").to_string();
    let with = |member: &str, value: &str| {
        let mut ticket = filed("PAR-000999");
        ticket["body"][member] = json!("PLACE");
        ticket.to_string().replace("\"PLACE\"", value)
    };
    let envelope = |member: &str, value: &str| {
        let mut ticket = filed("PAR-000999");
        ticket[member] = json!("PLACE");
        ticket.to_string().replace("\"PLACE\"", value)
    };
    let twice = good().replacen('{', "{\"kind\":\"comment_added\",", 1);
    let by_position = format!(
        "[{:?},\"2026-11-21T09:12:00.250Z\",[\"marie\"],\"ticket_filed\",{}]",
        new_id(),
        filed("PAR-000999")["body"]
    );
    #[rustfmt::skip]
    let odd: Vec<(&str, String, &str)> = vec![
        ("an empty object", "{}".into(), "malformed"), ("null", "null".into(), "malformed"), ("a string", "\"text\"".into(), "malformed"),
        ("an array", "[]".into(), "malformed"), ("a number", "-0.0e-0".into(), "malformed"), ("true", "true".into(), "malformed"),
        ("a number beyond numbers", "1e999999".into(), "malformed"), ("many digits", "9".repeat(90_000), "malformed"),
        ("nested deeply", nested(40_000), "malformed"), ("nested more deeply than is allowed", nested(100_000), "malformed"),
        ("a body nested deeply", with("subject", &nested(40_000)), "malformed"),
        ("a member twice", twice, "malformed"), ("fields by position", by_position, "malformed"),
        ("a lone surrogate", with("subject", r#""\ud800""#), "malformed"), ("a half pair", with("subject", r#""\udc00\ud800""#), "malformed"),
        ("a number for text", with("subject", "1e999999"), "malformed"), ("a priority of its own", with("priority", r#""whenever""#), "malformed"),
        ("an id that is none", envelope("id", r#""x""#), "malformed"), ("a time that is none", envelope("at", r#""yesterday""#), "malformed"),
        ("a time beyond time", envelope("at", r#""99999-01-01T00:00:00Z""#), "malformed"), ("a kind that is a list", envelope("kind", "[]"), "malformed"),
        ("a NUL", with("subject", r#""a\u0000b""#), "invalid_field"), ("an escape", with("description", r#""\u001b[31m\u009b31m""#), "invalid_field"),
        ("a blank", with("subject", r#"" ""#), "invalid_field"), ("a long text", with("description", &format!("\"{}\"", "x".repeat(16_001))), "invalid_field"),
        ("a suffix", with("number", r#""PAR-000999-2""#), "invalid_field"), ("no contact", with("contact", "{}"), "invalid_field"),
        ("a kind from the future", envelope("kind", r#""ticket_imagined""#), "unknown_kind"), ("a kind of 80 kB", envelope("kind", &format!("\"{}\"", "k".repeat(80_000))), "unknown_kind"),
        ("no kind", envelope("kind", r#""""#), "unknown_kind"), ("another branch's number", filed("LYN-000001").to_string(), "foreign_number"),
        ("another agent's number", filed("PAR2-000001").to_string(), "foreign_number"), ("a number of no branch", filed("ZZZZZZZZ-4294967295").to_string(), "foreign_number"),
        ("more bytes than are allowed", with("description", &format!("\"{}\"", "x".repeat(limits::OPERATION_BYTES))), "malformed"),
    ];
    odd.into_iter()
        .map(|(name, bytes, code)| (name, bytes.into_bytes(), code))
        .collect()
}

#[test]
fn operations_that_are_none_take_their_place_with_a_verdict() {
    let mut target = Target::start();
    for (name, bytes, code) in odd_operations() {
        // Between two good ones, which both take effect.
        let (before, after) = (
            target.evil.ticket().to_string(),
            target.evil.ticket().to_string(),
        );
        let first = target.evil.at.seq.0 + 1;
        let verdicts = target
            .evil
            .submit(&[before.as_bytes(), &bytes, after.as_bytes()], name);
        assert_eq!(verdicts.len(), 1, "{name}: {verdicts:?}");
        assert_eq!(verdicts[0]["seq"], first + 1, "{name}: {verdicts:?}");
        assert_eq!(verdicts[0]["verdict"], "rejected", "{name}: {verdicts:?}");
        assert_eq!(verdicts[0]["reason"]["code"], code, "{name}: {verdicts:?}");
        let detail = verdicts[0]["reason"]["detail"].as_str().expect("a detail");
        assert!(
            detail.chars().count() <= limits::DETAIL_CHARS,
            "{name}: {detail}"
        );
        target.assert_unharmed(name);
    }
    // All of them once more in a stream of its own: repeats change nothing where an id could be read.
    let all = odd_operations();
    let all: Vec<&[u8]> = all.iter().map(|(_, bytes, _)| bytes.as_slice()).collect();
    let verdicts = target.evil.submit(&all, "all at once");
    assert_eq!(verdicts.len(), all.len());
    target.assert_holds(target.evil.serial as usize);
    let feed = target
        .evil
        .ask(&target.evil.request("GET", "/v1/feed?after=&wait=0"));
    assert_eq!(feed.status, 200, "{:.300}", feed.text());
    target.assert_unharmed("all at once");
}

/// Submits with this health, and lists agents as IT does.
fn assert_listed_with(target: &mut Target, health: &Value) {
    let mut body: Value = serde_json::from_slice(&target.evil.body(&[])).expect("JSON");
    body["health"] = health.clone();
    body["cursor"] = json!("c".repeat(100_000));
    let answer = target.evil.post(body.to_string());
    assert_eq!(answer.status, 200, "{health:.200}: {}", answer.text());
    for args in [vec!["branch", "list"], vec!["branch", "list", "--json"]] {
        let listed = succeeded(&target.central.cli(&args));
        assert!(listed.len() < 4_000, "{args:?}: {} bytes", listed.len());
        assert!(
            !listed.contains(['\u{1b}', '\u{9b}', '\u{202e}']),
            "{args:?}: {listed}"
        );
    }
    target.assert_unharmed("absurd health");
}

/// What an agent says of itself is anything at all, and IT's listings survive it.
#[test]
fn absurd_health_is_kept_within_bounds_and_can_be_listed() {
    let mut target = Target::start();
    let most = u64::MAX;
    let noise = format!("\u{1b}[31m\u{9b}\u{202e}{}", "v".repeat(200_000));
    for clock in [i64::MIN, -1, 0, i64::MAX] {
        let counts = json!({ "version": "", "clock": clock, "waiting": most, "disk_free": most, "damaged": most });
        assert_listed_with(&mut target, &counts);
        let noisy = json!({ "version": noise, "clock": clock, "waiting": 1, "oldest_waiting": clock / 100_000, "newer": [1] });
        assert_listed_with(&mut target, &noisy);
    }
}

#[test]
fn times_beyond_time_can_be_listed() {
    let mut target = Target::start();
    for oldest in [i64::MAX, i64::MIN, 253_402_300_800_000] {
        let health = json!({ "version": "x", "clock": 0, "waiting": 1, "oldest_waiting": oldest });
        assert_listed_with(&mut target, &health);
    }
}

#[test]
fn absurd_cursors_and_waits_are_bounded() {
    let mut target = Target::start();
    let feed = |target: &Target, query: &str| {
        target
            .evil
            .ask(&target.evil.request("GET", &format!("/v1/feed?{query}")))
    };
    for query in [
        "wait=-1",
        "wait=1.5",
        "wait=x",
        "wait=18446744073709551616",
        "wait=",
        "after=a&after=b",
    ] {
        assert_problem(&feed(&target, query), 400, "malformed", query);
    }
    let long = "9".repeat(20_000);
    for after in [
        "",
        "0",
        "-",
        "x",
        "18446744073709551615-0123456789abcdef",
        "99999999999999999999-x",
        "1-",
        "%00",
        "%ff",
        "1-%F0%9F%96%A8",
        "%0d%0aX:y",
        "' OR 1=1 --",
        &long,
    ] {
        let after = after.replace(' ', "%20");
        let answer = feed(&target, &format!("after={after}"));
        assert_eq!(answer.status, 200, "{after:.60}: {}", answer.text());
        let cursor = answer.json()["cursor"]
            .as_str()
            .expect("a cursor")
            .to_owned();
        assert!(
            cursor.len() <= limits::CURSOR_BYTES,
            "{after:.60}: {cursor:.80}"
        );
    }
    target.assert_unharmed("absurd cursors");
}

/// Whatever bit of it was bent: as it is read it may still look like something that somebody said.
#[test]
fn a_body_that_was_bent_on_the_way_is_not_taken_for_what_was_said() {
    let mut target = Target::start();
    let ticket = target.evil.ticket().to_string();
    let body = target.evil.body(&[ticket.as_bytes()]);
    let digest = body_digest(&body);
    let post = |body: &[u8], digest: &str| {
        let request = target.evil.request("POST", OPERATIONS);
        target
            .evil
            .ask(&request.header(DIGEST_HEADER, digest).json(body))
    };
    for at in (0..body.len()).step_by(7) {
        let mut bent = body.clone();
        bent[at] ^= 1 << fastrand::u8(..8);
        let what = format!("bent at {at}");
        assert_problem(&post(&bent, &digest), 400, "damaged", &what);
    }
    for none in ["", "0", &digest[1..], &digest.to_uppercase()] {
        assert_problem(&post(&body, none), 400, "damaged", none);
    }
    target.assert_holds(0);
    assert_eq!(post(&body, &digest).status, 200);
    target.assert_unharmed("bent bodies");
    target.assert_holds(1);
}
