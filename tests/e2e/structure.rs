//! The shape that ARCHITECTURE.md promises: the protocol is pure, and dependency runs one way.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::processes::succeeded;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn dependencies_of(package: &str) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--locked",
            "--offline",
            "--edges=normal",
            "--prefix=none",
            "--format={lib}",
        ])
        .args(["--package", package])
        .current_dir(root())
        .output()
        .expect("run cargo tree");
    succeeded(&output)
        .lines()
        .map(|line| line.trim().replace('-', "_"))
        .collect()
}

#[test]
fn the_protocol_is_pure() {
    let tree = dependencies_of("branchline-protocol");
    assert!(tree.iter().any(|name| name == "blake3"), "{tree:?}");
    for impure in [
        "tokio",
        "mio",
        "async_std",
        "rusqlite",
        "libsqlite3_sys",
        "reqwest",
        "hyper",
        "http",
        "axum",
        "rand",
        "getrandom",
        "fastrand",
        "tracing",
        "notify",
        "rustix",
        "nix",
        "socket2",
    ] {
        assert!(
            !tree.iter().any(|name| name == impure),
            "sync-protocol depends on {impure}"
        );
    }
    let sources = sources_below(&root().join("sync-protocol/src"));
    assert!(sources.len() > 5);
    for path in sources {
        let text = std::fs::read_to_string(&path).unwrap();
        for impure in [
            "std::fs",
            "std::net",
            "std::io",
            "std::process",
            "std::env",
            "SystemTime",
            "Instant",
        ] {
            assert!(!text.contains(impure), "{} uses {impure}", path.display());
        }
    }
}

#[test]
fn agent_and_server_never_see_each_other() {
    let agent = dependencies_of("branchline-agent");
    assert!(!agent.iter().any(|name| name == "branchline_server"));
    let server = dependencies_of("branchline-server");
    assert!(
        !server
            .iter()
            .any(|name| name.starts_with("branchline_agent"))
    );
    let api = dependencies_of("branchline-agent-api");
    assert!(
        !api.iter()
            .any(|name| name == "rusqlite" || name == "branchline_agent")
    );
}

#[test]
fn the_client_knows_the_agents_api_and_its_controller_no_window() {
    let controller = dependencies_of("branchline-desktop-controller");
    assert!(controller.iter().any(|name| name == "branchline_agent_api"));
    for foreign in [
        "tauri",
        "wry",
        "gtk",
        "rusqlite",
        "branchline_agent",
        "branchline_server",
    ] {
        assert!(
            !controller.iter().any(|name| name == foreign),
            "the controller depends on {foreign}"
        );
    }
    let shell = dependencies_of("branchline-desktop");
    for foreign in ["rusqlite", "branchline_agent", "branchline_server"] {
        assert!(
            !shell.iter().any(|name| name == foreign),
            "the desktop client depends on {foreign}"
        );
    }
    let sources = sources_below(&root().join("desktop/shell"));
    assert!(sources.len() > 5);
    // The window names no path and runs nothing.
    let capabilities = root().join("desktop/shell/capabilities/main.json");
    let capabilities = std::fs::read_to_string(capabilities).unwrap();
    for foreign in [
        "core:",
        "fs:",
        "shell:",
        "dialog:",
        "notification:",
        "autostart:",
        "http:",
    ] {
        assert!(
            !capabilities.contains(foreign),
            "the window may use {foreign}"
        );
    }
}

/// What each module of a crate may not mention.
const AGENT: &[(&str, &[&str])] = &[
    (
        "chunker",
        &[
            "crate::store",
            "crate::sync",
            "crate::link",
            "crate::intake",
            "crate::cli",
            "crate::agent",
            "rusqlite",
        ],
    ),
    (
        "store",
        &[
            "crate::sync",
            "crate::link",
            "crate::intake",
            "crate::cli",
            "crate::agent",
        ],
    ),
    (
        "link",
        &[
            "crate::sync",
            "crate::store",
            "crate::intake",
            "crate::cli",
            "crate::agent",
        ],
    ),
    (
        "sync",
        &["crate::intake", "crate::cli", "crate::agent", "rusqlite"],
    ),
    (
        "intake",
        &["crate::link", "crate::cli", "crate::agent", "rusqlite"],
    ),
    ("platform", &["crate::"]),
    (
        "config",
        &[
            "crate::store",
            "crate::sync",
            "crate::link",
            "crate::intake",
            "crate::cli",
        ],
    ),
];
const SERVER: &[(&str, &[&str])] = &[
    (
        "ledger",
        &[
            "crate::ingress",
            "crate::vault",
            "crate::inspection",
            "crate::cli",
            "crate::server",
            "axum",
            "hyper",
        ],
    ),
    // Of the ledger it knows names of objects, and no verb.
    (
        "vault",
        &[
            "crate::ledger::Ledger",
            "crate::ledger::sqlite",
            "FileLedger",
            "crate::ingress",
            "crate::cli",
            "crate::server",
            "crate::inspection",
            "rusqlite",
            "axum",
        ],
    ),
    (
        "inspection",
        &[
            "crate::ingress",
            "crate::cli",
            "crate::server",
            "rusqlite",
            "axum",
            "hyper",
        ],
    ),
    // Of inspection it knows the one way to read what was judged, for files on their way back.
    (
        "ingress",
        &[
            "Inspector",
            "crate::inspection::Steps",
            "crate::inspection::release(",
            "sniff",
            "crate::cli",
            "crate::server",
            "rusqlite",
        ],
    ),
    ("desk", &["crate::ingress", "crate::cli", "crate::server"]),
    (
        "authority",
        &[
            "crate::ingress",
            "crate::vault",
            "crate::inspection",
            "crate::cli",
            "crate::server",
            "rusqlite",
            "axum",
            "hyper",
        ],
    ),
    (
        "config",
        &[
            "crate::ledger",
            "crate::vault",
            "crate::inspection",
            "crate::ingress",
            "crate::cli",
        ],
    ),
];

#[test]
fn modules_depend_one_way() {
    for (folder, rules) in [("agent/src", AGENT), ("server-endpoint/src", SERVER)] {
        for (module, forbidden) in rules {
            let mut sources = sources_below(&root().join(folder).join(module));
            sources.push(root().join(folder).join(format!("{module}.rs")));
            // A module's own tests may put it into its surroundings.
            for path in sources.iter().filter(|path| !path.ends_with("tests.rs")) {
                let text = std::fs::read_to_string(path).unwrap();
                for line in text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"))
                {
                    for name in *forbidden {
                        assert!(!line.contains(name), "{}: {line}", path.display());
                    }
                }
            }
        }
    }
}

#[test]
fn files_open_with_what_they_are_for_and_stay_readable() {
    for folder in [
        "sync-protocol",
        "agent",
        "server-endpoint",
        "desktop",
        "tests",
    ] {
        for path in sources_below(&root().join(folder)) {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(
                text.starts_with("//! "),
                "{} does not open with its purpose",
                path.display()
            );
            let lines = text.lines().count();
            assert!(lines <= 700, "{} has {lines} lines", path.display());
        }
    }
}

fn sources_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with("node_modules") {
                found.extend(sources_below(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
