//! Packages around the programs that tests and benchmarks were built with, and MSIs, made by the scripts that
//! make the real ones.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::debian::cargo_program;
use crate::processes::succeeded;
use crate::programs::binary;

/// What kind of package.
#[derive(Debug, Clone, Copy)]
pub enum Format {
    /// For Debian.
    Deb,
    /// For what descends from Red Hat.
    Rpm,
}

/// Makes packages of these programs (`agent`, `server`, `desktop`) in the folder; without a version they have
/// the sources'.
pub fn build(format: Format, folder: &Path, version: Option<&str>, names: &[&str]) {
    // The scripts have a folder in common.
    static MAKING: Mutex<()> = Mutex::new(());
    let _turn = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let programs = binary("").canonicalize().expect("programs are built");
    let profile = match programs.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        _ => "release",
    };
    let (tool, script) = match format {
        Format::Deb => (("cargo-deb", "3.8.0"), "packaging/deb/build.sh"),
        Format::Rpm => (("cargo-generate-rpm", "0.21.1"), "packaging/rpm/build.sh"),
    };
    cargo_program(tool.0, tool.1);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(root.join(script));
    command.arg(folder).args(["--profile", profile]);
    if let Some(version) = version {
        command.args(["--version", version]);
    }
    let target = programs.parent().expect("a target folder");
    command.args(names).env("CARGO_TARGET_DIR", target);
    succeeded(&command.output().expect("run the script"));
}

/// Makes an MSI with these options of `packaging/windows/build.sh`, and says where it is.
pub fn build_msi(folder: &Path, options: &[&str]) -> PathBuf {
    let programs = binary("").canonicalize().expect("programs are built");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let said = Command::new(root.join("packaging/windows/build.sh"))
        .arg(folder)
        .args(options)
        .env(
            "CARGO_TARGET_DIR",
            programs.parent().expect("a target folder"),
        )
        .output();
    PathBuf::from(succeeded(&said.expect("run build.sh")).trim())
}
