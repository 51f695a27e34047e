//! Tells Tauri which commands there are, so that each needs a permission of its own, and that the window's
//! pages are embedded.
//!
//! Without built pages there is a page that says so, so that Rust alone builds and tests everything else.

use std::path::Path;
use std::{fs, io};

const PAGES: &str = "../ui/dist";

fn main() -> io::Result<()> {
    let start = Path::new(PAGES).join("index.html");
    if !start.exists() {
        fs::create_dir_all(PAGES)?;
        fs::write(
            &start,
            "<!doctype html><title>Branchline</title><p>Built without its pages: make desktop-ui",
        )?;
    }
    #[allow(clippy::print_stdout, reason = "this is how a build script speaks")]
    {
        println!("cargo::rerun-if-changed={PAGES}");
    }
    let commands = tauri_build::AppManifest::new().commands(&[
        "attend",
        "discard",
        "draft",
        "follow",
        "form",
        "hand_in",
        "paste",
        "paste_picture",
        "pick_files",
        "remove_file",
        "save_given",
        "set_settings",
        "start",
        "ticket",
        "tickets",
        "withdraw",
        "write",
    ]);
    let attributes = tauri_build::Attributes::new().app_manifest(commands);
    tauri_build::try_build(attributes).map_err(|fault| io::Error::other(format!("{fault:#}")))
}
