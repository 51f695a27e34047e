//! `cert …` on the real program: what it shows, what it refuses, and that each step of a rollover is said.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::Central;

fn status(central: &Central) -> Value {
    serde_json::from_str(&central.ok(&["cert", "status", "--json"])).unwrap()
}

fn attention(central: &Central) -> String {
    let status = status(central);
    status.get("attention").unwrap().to_string()
}

fn parts(central: &Central) -> Vec<String> {
    let status = status(central);
    let certificates = status.get("certificates").unwrap().as_array().unwrap();
    let word = |one: &Value, key: &str| one.get(key).unwrap().as_str().unwrap().to_owned();
    let each = certificates.iter();
    each.map(|one| format!("{} {}", word(one, "part"), word(one, "certificate")))
        .collect()
}

#[test]
fn everything_that_ends_is_shown_with_what_needs_attention_first() {
    let central = Central::new();
    central.ok(&["init", "--name", "central.example.org"]);
    let shown = status(&central);
    assert_eq!(shown["trust"], 1);
    assert_eq!(shown["names"][0], "central.example.org");
    assert_eq!(
        parts(&central),
        ["current server", "current root", "current issuing CA"]
    );
    assert_eq!(shown["certificates"][0]["days_left"], 396);
    assert!(attention(&central).contains("root's key lies on this machine"));
    std::fs::remove_file(central.path("central/authority/root-1.key")).unwrap();
    assert_eq!(attention(&central), "[]");
    let text = central.ok(&["cert", "status"]);
    assert!(text.starts_with("nothing needs attention"), "{text}");
    // As on a day when it should have been renewed long since.
    let mut later = central.command(&["cert", "status"]);
    let output = later
        .env("BRANCHLINE_CLOCK_OFFSET", (380 * 24 * 3_600).to_string())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("1. the server's certificate ends in"),
        "{text}"
    );
}

#[test]
fn a_rollover_goes_step_by_step_with_the_root_keys_kept_elsewhere() {
    let central = Central::initialised();
    central.fails(&["cert", "switch"], 2, &["cert next-root"]);
    central.fails(&["cert", "retire-old"], 2, &["no old root"]);
    let safe = |number: u32| {
        let name = format!("safe-{number}.key");
        let key = central.path(&format!("central/authority/root-{number}.key"));
        std::fs::rename(key, central.path(&name)).unwrap();
        name
    };
    let first = safe(1);
    central.fails(&["cert", "next-root"], 2, &["--root-key"]);
    central.fails(&["cert", "next-root", "--root-key", "none"], 70, &["none"]);
    central.ok(&["cert", "next-root", "--root-key", &first]);
    assert_eq!(
        parts(&central)[3..],
        ["next root".to_owned(), "next issuing CA".to_owned()]
    );
    assert_eq!(status(&central)["trust"], 2);
    let second = safe(2);
    // A repeat needs no key: it tells the agents again what was signed.
    central.ok(&["cert", "next-root"]);
    assert_eq!(status(&central)["trust"], 2);
    central.ok(&["cert", "switch"]);
    assert_eq!(
        parts(&central)[3..],
        ["old root".to_owned(), "old issuing CA".to_owned()]
    );
    central.fails(&["cert", "next-root"], 2, &["cert retire-old"]);
    central.fails(&["cert", "retire-old"], 2, &["--root-key"]);
    central.fails(
        &["cert", "retire-old", "--root-key", &first],
        70,
        &["not the key of root 2"],
    );
    central.ok(&["cert", "retire-old", "--root-key", &second]);
    let after = status(&central);
    assert_eq!(after["trust"], 3);
    assert_eq!(after["trusted"].as_array().unwrap().len(), 1);
    assert_eq!(after["certificates"].as_array().unwrap().len(), 3);
}

#[test]
fn a_proxys_certificate_is_written_once_and_for_its_owner_alone() {
    let central = Central::initialised();
    let issue = ["cert", "issue-proxy", "dmz1", "--name", "gate.example.org"];
    central.fails(&issue[..3], 2, &["--name"]);
    central.fails(
        &["cert", "issue-proxy", "DMZ 1", "--name", "a"],
        2,
        &["small letters"],
    );
    central.fails(
        &["cert", "issue-proxy", "dmz1", "--name", "a b"],
        2,
        &["a b"],
    );
    assert!(central.ok(&issue).contains("proxies = [\"dmz1\"]"));
    for name in ["dmz1.pem", "dmz1.key"] {
        let about = std::fs::metadata(central.path(name)).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o600, "{name}");
    }
    central.fails(&issue, 2, &["dmz1.key", "--out"]);
}

#[test]
fn the_server_gets_other_names() {
    let central = Central::initialised();
    assert_eq!(status(&central)["names"][0], "localhost");
    central.fails(&["cert", "names"], 2, &["HOST"]);
    central.fails(
        &["cert", "names", "https://central"],
        2,
        &["https://central"],
    );
    central.ok(&["cert", "names", "central.example.org"]);
    assert_eq!(status(&central)["names"][0], "central.example.org");
}

#[test]
fn serve_does_not_start_without_its_authority_or_with_keys_open_to_others() {
    let central = Central::initialised();
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    for name in ["issuing-1.key", "server.pem"] {
        let key = central.path(&format!("central/authority/{name}"));
        let allow = |mode| std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
        allow(0o640);
        central.fails(&serve, 70, &[name, "640", "chmod 600", "(call IT)"]);
        allow(0o600);
        let content = std::fs::read(&key).unwrap();
        std::fs::write(&key, "nonsense").unwrap();
        central.fails(&serve, 70, &[name, "(call IT)"]);
        std::fs::write(&key, content).unwrap();
    }
    std::fs::remove_dir_all(central.path("central/authority")).unwrap();
    central.fails(&serve, 2, &["branchline-server init", "(fix the input)"]);
}
