//! Operators, API tokens and the trail on the real program.

use serde_json::Value;

use super::Central;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

impl Central {
    /// The actions in the trail, oldest first.
    fn trail(&self) -> Vec<String> {
        let entries = json(&self.ok(&["trail", "list", "--json"]));
        let entries = entries.as_array().unwrap().iter();
        let actions = entries.map(|entry| entry["action"].as_str().unwrap().to_owned());
        actions.collect()
    }
}

#[test]
fn the_first_administrators_password_is_shown_once() {
    let central = Central::new();
    let said = central.ok(&["init"]);
    let line = said
        .lines()
        .find(|line| line.starts_with("password of admin"));
    let password = line.unwrap().rsplit(' ').next().unwrap();
    assert_eq!(password.len(), 23, "{said}");
    let again = central.ok(&["init"]);
    assert!(!again.contains("password"), "{again}");
    let operators = json(&central.ok(&["operator", "list", "--json"]));
    assert_eq!(operators.as_array().unwrap().len(), 1);
    assert_eq!(operators[0]["role"], "administrator");
    assert_eq!(operators[0]["must_change_password"], true);
    assert!(!operators.to_string().contains(password));
    assert!(central.trail().contains(&"operator-added".to_owned()));
}

#[test]
fn operators_are_added_changed_and_removed_on_record() {
    let central = Central::initialised();
    let said = central.ok(&["operator", "add", "anna", "--role", "support"]);
    assert!(said.contains("shown this once"), "{said}");
    let add = ["operator", "add", "anna", "--role", "viewer"];
    central.fails(&add, 2, &["already"]);
    central.fails(
        &["operator", "add", "Anna", "--role", "viewer"],
        2,
        &["small letters"],
    );
    central.fails(
        &["operator", "add", "ben", "--role", "king"],
        2,
        &["administrator"],
    );
    // Never as an argument.
    central.fails(
        &["operator", "password", "anna", "secret words"],
        2,
        &["unexpected"],
    );

    let ask = [
        "operator",
        "add",
        "ben",
        "--role",
        "viewer",
        "--ask-password",
    ];
    let short = central.told(&ask, "short\n");
    let stderr = String::from_utf8_lossy(&short.stderr);
    assert!(stderr.contains("at least 12"), "{stderr}");
    assert_eq!(short.status.code(), Some(2));
    let added = central.told(&ask, "correct horse battery\nand what comes after it\n");
    assert!(added.status.success());
    let shown = String::from_utf8(added.stdout).unwrap();
    assert!(!shown.contains("password of"), "{shown}");
    let set = central.told(&["operator", "password", "ben"], "another horse battery\n");
    assert!(set.status.success());
    let said = central.ok(&["operator", "password", "ben", "--one-time"]);
    assert!(said.contains("password of ben"), "{said}");
    central.fails(
        &["operator", "password", "nobody"],
        2,
        &["no operator nobody"],
    );

    central.ok(&["operator", "role", "anna", "administrator"]);
    central.ok(&["operator", "remove", "admin"]);
    central.fails(&["operator", "remove", "anna"], 2, &["only administrator"]);
    central.fails(
        &["operator", "role", "anna", "viewer"],
        2,
        &["only administrator"],
    );
    central.fails(&["operator", "remove", "admin"], 2, &["no operator"]);
    let table = central.ok(&["operator", "list"]);
    assert!(
        table.contains("anna") && table.contains("to be changed"),
        "{table}"
    );
    let told = [
        "operator-added",
        "operator-added",
        "operator-added",
        "operator-password-set",
        "operator-password-set",
        "operator-role-set",
        "operator-removed",
    ];
    assert_eq!(central.trail(), told);
}

#[test]
fn api_tokens_are_shown_once_and_revoked() {
    let central = Central::initialised();
    let create = [
        "api-token",
        "create",
        "night report",
        "--right",
        "read",
        "--right",
        "reply",
    ];
    let token = central.ok(&create);
    let token = token.trim();
    assert!(token.starts_with("bla1_") && token.len() == 48, "{token}");
    let made = [
        "api-token",
        "create",
        "short",
        "--right",
        "read",
        "--ttl",
        "72h",
        "--json",
    ];
    assert_eq!(json(&central.ok(&made))["number"], 2);
    central.fails(&["api-token", "create", "none"], 2, &["--right"]);
    central.fails(
        &["api-token", "create", "x", "--right", "all"],
        2,
        &["administer"],
    );
    central.fails(
        &["api-token", "create", "a\nb", "--right", "read"],
        2,
        &["U+000A"],
    );

    central.ok(&["api-token", "revoke", "1"]);
    central.fails(&["api-token", "revoke", "7"], 2, &["no API token 7"]);
    let listed = json(&central.ok(&["api-token", "list", "--json"]));
    assert_eq!(listed[0]["state"], "good");
    assert_eq!(listed[1]["state"], "revoked");
    assert_eq!(listed[1]["rights"], serde_json::json!(["read", "reply"]));
    let everything = central.ok(&["api-token", "list"]) + &central.ok(&["trail", "list"]);
    assert!(!everything.contains(token), "{everything}");
}

#[test]
fn a_trail_that_was_changed_says_so() {
    let central = Central::initialised();
    for name in ["anna", "ben", "cleo"] {
        central.ok(&["operator", "add", name, "--role", "viewer"]);
    }
    let since = central.ok(&["trail", "list", "--since", "2099-01-01", "--json"]);
    assert_eq!(json(&since).as_array().unwrap().len(), 0);
    let about = central.ok(&["trail", "list", "--subject", "ben", "--json"]);
    let about = json(&about);
    assert_eq!(about.as_array().unwrap().len(), 1);
    let actor = about[0]["actor"].as_str().unwrap();
    assert!(actor.starts_with("command-line:"), "{actor}");
    let by = central.ok(&[
        "trail",
        "list",
        "--actor",
        actor,
        "--action",
        "operator-added",
        "--json",
    ]);
    assert_eq!(json(&by).as_array().unwrap().len(), 4);

    let whole = json(&central.ok(&["trail", "verify", "--json"]));
    assert_eq!(whole["whole"], true);
    let head = whole["head"].as_str().unwrap().to_owned();
    central.ok(&["operator", "remove", "ben"]);
    central.ok(&["trail", "verify", "--held", &head]);
    let other = format!("4:{}", "0".repeat(64));
    let found = central.run(&["trail", "verify", "--held", &other]);
    assert_eq!(found.status.code(), Some(3));
    central.fails(&["trail", "verify", "--held", "4"], 2, &["a colon"]);

    // Whoever has the file can do away with what forbids it; then it shows.
    let path = central.path("central").join("ledger.db");
    let settings = branchline_durable_sqlite::Settings::default();
    let connection = branchline_durable_sqlite::open_writer(&path, &settings).unwrap();
    let change = "UPDATE trail SET subject = 'dora' WHERE subject = 'ben'";
    assert!(connection.execute_batch(change).is_err());
    connection
        .execute_batch(&format!("DROP TRIGGER trail_is_not_changed; {change}"))
        .unwrap();
    drop(connection);
    let found = central.run(&["trail", "verify"]);
    assert_eq!(found.status.code(), Some(3));
    let said = String::from_utf8(found.stdout).unwrap();
    assert!(said.contains("entry 3 is not what was recorded"), "{said}");
}
