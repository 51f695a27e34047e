//! Programs of Debian's packages, and of crates.io, that tests run as they are: installed when the machine lacks
//! them (and may install them), which is said.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// One installation at a time: apt allows no more.
static INSTALLING: Mutex<()> = Mutex::new(());

/// The first of these places at which the program is, after its package was installed where it is at none.
pub fn program(places: &[&str], package: &str) -> PathBuf {
    if let Some(found) = found(places) {
        return found;
    }
    let _turn = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = found(places) {
        return found;
    }
    let _ = writeln!(
        std::io::stderr(),
        "{} is missing: installing Debian's {package}",
        places[0]
    );
    // A fresh machine has no lists of packages yet.
    let _ = apt_get(&["update"]);
    let output = apt_get(&["install", "--yes", "--no-install-recommends", package]);
    found(places).unwrap_or_else(|| {
        panic!(
            "install {package} by hand; apt-get said: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// A program of crates.io at this version, or another that is here already; cargo installs it where it is not.
pub fn cargo_program(name: &str, version: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&folders);
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let own = home.map(|home| home.join("bin"));
    let places: Vec<PathBuf> = folders.chain(own).map(|folder| folder.join(name)).collect();
    let here = || places.iter().find(|place| place.exists()).cloned();
    let _turn = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = here() {
        return found;
    }
    let _ = writeln!(
        std::io::stderr(),
        "{name} is missing: cargo installs it (a minute)"
    );
    let output = Command::new("cargo")
        .args(["install", "--locked", "--quiet", name, "--version", version])
        .output()
        .expect("run cargo");
    here().unwrap_or_else(|| {
        panic!(
            "install {name} by hand; cargo said: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

fn found(places: &[&str]) -> Option<PathBuf> {
    let mut places = places.iter().map(PathBuf::from);
    places.find(|path| path.exists())
}

/// As root, or as who may become root without being asked.
pub fn as_root(program: &str) -> Command {
    // SAFETY: asks for a number and changes nothing.
    if unsafe { libc::geteuid() } == 0 {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", program]);
    sudo
}

fn apt_get(words: &[&str]) -> Output {
    let mut command = as_root("env");
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    command.args(["-q", "-o", "DPkg::Lock::Timeout=300"]);
    command.args(words).output().expect("run apt-get")
}
