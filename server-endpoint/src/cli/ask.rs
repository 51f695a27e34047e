//! Asks for a password: at the terminal without showing it, or one line of standard input.
//!
//! Never an argument, which everybody on the machine can see, nor the environment.

use std::io::{BufRead, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::{Failure, output};
use crate::authority::operators::passwords;

/// Bytes read of a line: more than any password has.
const LINE_BYTES: u64 = passwords::MOST_BYTES as u64 + 16;

/// A new password: typed twice, or read once.
pub(super) fn new_password() -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return line();
    }
    let _unseen = Unseen::begin()?;
    output::prompt("new password: ");
    let first = line()?;
    output::prompt("\nthe same again: ");
    let second = line()?;
    output::prompt("\n");
    if first == second {
        Ok(first)
    } else {
        Err(Failure::fix_input("the two are not the same"))
    }
}

fn line() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    // One byte at a time, so that what comes after the line is left to whoever reads it.
    let mut input = std::io::BufReader::with_capacity(1, std::io::stdin().lock().take(LINE_BYTES));
    input
        .read_until(b'\n', &mut bytes)
        .map_err(|fault| Failure::call_it(format!("read the password: {fault}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::fix_input("the password is not UTF-8 text"))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// What is typed is not shown, until dropped.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> Result<Self, Failure> {
        let fault = |fault| Failure::call_it(format!("hide what is typed: {fault}"));
        let before = tcgetattr(std::io::stdin()).map_err(fault)?;
        let mut unseen = before.clone();
        unseen.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &unseen).map_err(fault)?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // Where the terminal has gone there is nothing to be shown on it.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}
