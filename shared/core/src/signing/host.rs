//! The host that secrets are found by.

use std::net::IpAddr;

use url::Host;

use crate::guard::normal;

/// A target's host as secrets are found by it, in one spelling: a name in lower case without the root's dot, or an
/// address, IPv4 never as IPv6. The port does not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedHost(String);

impl SignedHost {
    /// Of a URL.
    #[must_use]
    pub fn of(host: Host<&str>) -> Self {
        match host {
            Host::Domain(name) => Self(normal(name)),
            Host::Ipv4(ip) => Self(ip.to_string()),
            Host::Ipv6(ip) => Self::address(ip.into()),
        }
    }

    /// Reads a host of the settings: a name or an address, without a port. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(ip) = text.parse() {
            return Some(Self::address(ip));
        }
        let host = Host::parse(text).ok()?;
        let host = Self::of(match &host {
            Host::Domain(name) => Host::Domain(name.as_str()),
            Host::Ipv4(ip) => Host::Ipv4(*ip),
            Host::Ipv6(ip) => Host::Ipv6(*ip),
        });
        (!host.0.is_empty()).then_some(host)
    }

    fn address(ip: IpAddr) -> Self {
        Self(ip.to_canonical().to_string())
    }
}
