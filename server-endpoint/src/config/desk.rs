//! `[desk]`: where central support's browsers and programs reach central.

use std::net::SocketAddr;

use serde::Deserialize;

/// The desk's port where nothing else is said.
const PORT: u16 = 8471;

/// `[desk]` in `server.toml`. Every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Desk {
    /// Where it listens: never where agents connect.
    pub listen: SocketAddr,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], PORT)),
        }
    }
}

impl Desk {
    /// Where it listens when only this machine may be answered: on the same port.
    #[must_use]
    pub fn loopback_only(&self) -> SocketAddr {
        if self.listen.ip().to_canonical().is_loopback() {
            self.listen
        } else {
            SocketAddr::from(([127, 0, 0, 1], self.listen.port()))
        }
    }
}
