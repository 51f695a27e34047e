//! Where letters may go: public addresses, or the networks that the settings name, so that nobody who has a
//! say in names makes central talk to what is beside it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The addresses of a name may not be spoken to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} is at {address}, which is no public address and in none of the target's networks; if that is \
     meant, add its network to networks in server.toml"
)]
pub struct AddressFault {
    /// The name, or the address itself.
    pub host: String,
    /// The first of its addresses.
    pub address: IpAddr,
}

/// Whether letters to a target of these networks may go there.
pub(super) fn is_allowed(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address)) || is_public(address)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Outside of what RFC 6890 and its successors keep for special use.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special
}

/// Global unicast, without what carries an IPv4 address that is none.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, ..] = address.segments();
    let [.., high, low] = address.segments();
    let carried = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (first, second) {
        // Translated (RFC 6052), 6to4 (RFC 3056).
        (0x64, 0xff9b) => carried(high, low),
        (0x2002, _) => carried(second, third),
        // Teredo, benchmarking, ORCHID, documentation.
        (0x2001, 0..=0x1ff | 0xdb8) => false,
        _ => first & 0xe000 == 0x2000,
    }
}

/// The system's names, without the addresses that may not be spoken to.
#[derive(Debug, Clone)]
pub(super) struct Allowed {
    pub(super) networks: Vec<IpNet>,
}

impl Resolve for Allowed {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = self.networks.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let first = found.first().copied();
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| is_allowed(address.ip(), &networks))
                .collect();
            match first {
                Some(address) if allowed.is_empty() => Err(AddressFault {
                    host: name.as_str().to_owned(),
                    address: address.ip(),
                }
                .into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_spoken_to_unless_a_network_is_named() {
        for inside in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "64:ff9b::10.0.0.1",
            "2002:0a00:0001::1",
            "2001:0:1::1",
            "2001:db8::1",
        ] {
            assert!(!is_allowed(inside.parse().unwrap(), &[]), "{inside}");
        }
        for outside in ["9.9.9.9", "172.32.0.1", "2620:fe::fe", "64:ff9b::9.9.9.9"] {
            assert!(is_allowed(outside.parse().unwrap(), &[]), "{outside}");
        }
        let own = ["10.1.0.0/16".parse().unwrap()];
        assert!(is_allowed("10.1.2.3".parse().unwrap(), &own));
        assert!(is_allowed("::ffff:10.1.2.3".parse().unwrap(), &own));
        assert!(!is_allowed("10.2.0.1".parse().unwrap(), &own));
        assert!(!is_allowed("127.0.0.1".parse().unwrap(), &own));
    }
}
