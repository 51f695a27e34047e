//! What a failure means here and now, in one sentence that names whom IT must look at.

use branchline_protocol::outcome::Failure;

use super::tls::Sighting;
use super::way::Way;

/// More than the failure alone says, where more is known.
pub(super) fn words(failure: Failure, way: &Way, seen: Option<&Sighting>) -> Option<String> {
    match failure {
        Failure::Proxy | Failure::ProxyLogin => {
            let proxy = way.route.proxy()?.url();
            Some(match failure {
                Failure::ProxyLogin => format!(
                    "The proxy {proxy} asks for a user name and password, or does not accept ours."
                ),
                _ => format!("The proxy {proxy} cannot be reached, or does not reach central."),
            })
        }
        Failure::NotCentral => {
            let issuer = &seen?.issuer;
            Some(format!(
                "Whoever answered in central's place is not central: its certificate comes from \
                 \"{issuer}\". Something on the way opens TLS, such as a firewall; it must let {} pass \
                 as it is.",
                way.origin.host()
            ))
        }
        Failure::WrongName => {
            let names = seen?.names.join(", ");
            let host = way.origin.host();
            Some(format!(
                "Central's certificate is for {names} and not for {host}, by which it is called here."
            ))
        }
        _ => None,
    }
}
