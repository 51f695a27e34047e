//! Puts the built console into the server: every file of `console/dist`, where it is there.
//!
//! A server without it says so on its page, so that Rust alone builds and tests everything else.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let built = here.join("console").join("dist");
    // A folder that is not there yet is looked for by its parent's change.
    let watched = if built.exists() {
        "console/dist"
    } else {
        "console"
    };
    #[allow(clippy::print_stdout, reason = "this is how a build script speaks")]
    {
        println!("cargo::rerun-if-changed={watched}");
        println!("cargo::rerun-if-changed=build.rs");
    }
    let mut files = Vec::new();
    collect(&built, &mut files)?;
    files.sort();
    let mut source = String::from("&[\n");
    for file in files {
        let path = file.strip_prefix(&built).unwrap_or(&file);
        // Taken over, so that what is built holds no path of this copy of the sources: clones may share a
        // target folder.
        let own = out.join("console").join(path);
        fs::create_dir_all(own.parent().unwrap_or(&out))?;
        fs::copy(&file, &own)?;
        let path = path.to_string_lossy().replace('\\', "/");
        // Their names hold their digests: other content, in this clone or another, is a file that is gone.
        #[allow(clippy::print_stdout, reason = "this is how a build script speaks")]
        {
            println!("cargo::rerun-if-changed=console/dist/{path}");
        }
        // Writing into memory does not fail.
        let _ = writeln!(
            source,
            "    ({path:?}, include_bytes!(concat!(env!(\"OUT_DIR\"), \"/console/{path}\"))),"
        );
    }
    source.push(']');
    fs::write(out.join("console.rs"), source)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
