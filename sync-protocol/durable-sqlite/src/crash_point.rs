//! Named points at which a test kills the process, to see that a kill there loses nothing.
//!
//! With `BRANCHLINE_HOLD_AT=NAME=FILE` in the environment, the first thread that reaches the point
//! makes the file and stops for ever; the test waits for the file and sends SIGKILL. Release builds
//! have none of this.

/// Reaches a named point.
#[inline]
pub fn reach(name: &str) {
    #[cfg(debug_assertions)]
    hold(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
fn hold(name: &str) {
    use std::sync::OnceLock;
    static HOLD_AT: OnceLock<Option<(String, String)>> = OnceLock::new();
    let hold_at = HOLD_AT.get_or_init(|| {
        let value = std::env::var("BRANCHLINE_HOLD_AT").ok()?;
        let (name, file) = value.split_once('=')?;
        Some((name.to_owned(), file.to_owned()))
    });
    if let Some((held, file)) = hold_at
        && held == name
        && std::fs::write(file, name).is_ok()
    {
        loop {
            std::thread::park();
        }
    }
}
