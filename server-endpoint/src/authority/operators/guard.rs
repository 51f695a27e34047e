//! Who may try to sign in: by name and by address.
//!
//! Whoever knows a name can make its owner wait, by failing with it; a minute at most, and nobody who is
//! signed in already, nor the command line.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::authority::patience::{Failures, Network, Patience, Records};

/// Of one address: a whole office may be behind it.
const BY_ADDRESS: Patience = Patience {
    free: 10,
    first: Duration::from_secs(1),
    most: Duration::from_secs(300),
    forget: Duration::from_secs(300),
    keys: 10_000,
};
/// Of one name, from wherever.
const BY_NAME: Patience = Patience {
    free: 5,
    first: Duration::from_secs(1),
    most: Duration::from_secs(60),
    forget: Duration::from_secs(300),
    keys: 10_000,
};
/// Failures written into the trail in an hour.
const RECORDS: u32 = 200;
const HOUR: Duration = Duration::from_secs(3_600);

pub(super) struct Guard(Mutex<Watched>);

struct Watched {
    addresses: Failures<Network>,
    /// By a hash, because what is typed has any length.
    names: Failures<[u8; 32]>,
    records: Records,
}

impl Default for Guard {
    fn default() -> Self {
        Self(Mutex::new(Watched {
            addresses: Failures::new(BY_ADDRESS),
            names: Failures::new(BY_NAME),
            records: Records::new(RECORDS, HOUR),
        }))
    }
}

impl Guard {
    /// Counts an attempt as one that fails, or says after what time to come back.
    pub(super) fn begin(
        &self,
        (name, address): (&str, IpAddr),
        now: Instant,
    ) -> Result<(), Duration> {
        let (name, address) = (key_of(name), Network::of(address));
        let mut watched = self.lock();
        watched.addresses.may_begin(address, now)?;
        watched.names.may_begin(name, now)?;
        watched.addresses.begin(address, now);
        watched.names.begin(name, now);
        Ok(())
    }

    /// It did not fail.
    pub(super) fn succeeded(&self, (name, address): (&str, IpAddr), now: Instant) {
        let mut watched = self.lock();
        watched.addresses.succeeded(Network::of(address), now);
        watched.names.succeeded(key_of(name), now);
    }

    /// Whether a failure is to be recorded, and how many before it were not.
    pub(super) fn to_record(&self, now: Instant) -> Option<u64> {
        self.lock().records.take(now)
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        // Nothing in here can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key_of(name: &str) -> [u8; 32] {
    *blake3::hash(name.as_bytes()).as_bytes()
}
