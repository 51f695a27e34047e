//! Whether the virus scanner answers, for those who watch over central.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const NONE: u8 = 0;
const AWAY: u8 = 1;
const THERE: u8 = 2;

/// How the scanner does, as inspection last saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanning {
    /// None is configured: files are held.
    NotConfigured,
    /// It does not answer: files wait.
    Away,
    /// It answers.
    There,
}

/// What inspection says of the scanner, to whoever holds a copy.
#[derive(Debug, Clone, Default)]
pub struct ScannerWatch(Arc<AtomicU8>);

impl ScannerWatch {
    /// How it does now.
    pub fn now(&self) -> Scanning {
        match self.0.load(Ordering::Relaxed) {
            THERE => Scanning::There,
            AWAY => Scanning::Away,
            _ => Scanning::NotConfigured,
        }
    }

    pub(super) fn say(&self, scanning: Scanning) {
        let word = match scanning {
            Scanning::NotConfigured => NONE,
            Scanning::Away => AWAY,
            Scanning::There => THERE,
        };
        self.0.store(word, Ordering::Relaxed);
    }
}
