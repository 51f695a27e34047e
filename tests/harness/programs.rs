//! The programs under test, built when they are asked for.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The folder of a built program, built first if the sources are newer.
pub fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build).join(name)
}

fn build() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own path");
    let profile = own
        .ancestors()
        .find(|folder| folder.ends_with("debug") || folder.ends_with("release"))
        .expect("a test runs from cargo's target folder")
        .to_owned();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "build",
        "--quiet",
        "--package=branchline-agent",
        "--package=branchline-server",
        "--package=branchline-desktop",
        "--package=branchline-manual",
        // With it the dependencies have the features that this very build has, and are not built again.
        "--package=branchline-tests",
        "--bins",
    ]);
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    cargo
        .arg("--target-dir")
        .arg(profile.parent().expect("a profile lies in a target folder"));
    // What cargo tells a test of its own package would make some build scripts run again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(
        cargo.status().expect("run cargo").success(),
        "the programs do not build"
    );
    profile
}
