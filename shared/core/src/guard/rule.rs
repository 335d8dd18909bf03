//! One entry of `targets.allow` or `targets.deny`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use url::Host;

use super::public::{is_this_machine, plain};

/// An entry of `targets.allow` or `targets.deny`: a subnet (`10.0.0.0/8`), an address, a host
/// (`internal.example`, exactly that one), each of the last two with a port or for all ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRule {
    place: Place,
    /// `None` is every port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Net(IpNet),
    /// In lower case, without the dot at the end.
    Host(String),
}

impl AddressRule {
    /// Reads an entry.
    ///
    /// # Errors
    /// Says what is wrong with it, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains('/') {
            let net = IpNet::from_str(text).map_err(|_| FORMS.to_owned())?.trunc();
            // Addresses are compared in their plain form, so such a subnet would hold nothing.
            if net.prefix_len() >= 96 && plain(net.addr()) != net.addr() {
                return Err("is IPv4 written as IPv6: write the IPv4 subnet".to_owned());
            }
            return Ok(Self { place: Place::Net(net), port: None });
        }
        if let Ok(ip) = IpAddr::from_str(text) {
            return Ok(Self { place: Place::Net(plain(ip).into()), port: None });
        }
        let (host, port) = match text.rsplit_once(':').filter(|_| !text.ends_with(']')) {
            Some((host, port)) => (host, Some(read_port(port)?)),
            None => (text, None),
        };
        let place = match Host::parse(host).map_err(|_| FORMS.to_owned())? {
            Host::Ipv4(ip) => Place::Net(IpAddr::V4(ip).into()),
            Host::Ipv6(ip) => Place::Net(plain(IpAddr::V6(ip)).into()),
            Host::Domain(name) if is_name(&name) => Place::Host(normal(&name)),
            Host::Domain(_) => return Err(FORMS.to_owned()),
        };
        Ok(Self { place, port })
    }

    /// Whether the entry names this host, at this port. `host` as [`normal`] makes it.
    pub(super) fn names(&self, host: &str, port: u16) -> bool {
        matches!(&self.place, Place::Host(name) if name == host) && self.takes(port)
    }

    /// Whether the address, in its plain form, is in the entry, at this port.
    pub(super) fn contains(&self, ip: IpAddr, port: u16) -> bool {
        matches!(&self.place, Place::Net(net) if net.contains(&ip)) && self.takes(port)
    }

    /// Whether the entry is one address, at one port.
    pub(super) fn is_exact(&self) -> bool {
        matches!(&self.place, Place::Net(net) if net.prefix_len() == net.max_prefix_len()) && self.port.is_some()
    }

    /// Whether the entry speaks of this machine, even if among others.
    pub(super) fn touches_this_machine(&self) -> bool {
        match &self.place {
            Place::Net(net) => {
                let own = ["127.0.0.0/8", "0.0.0.0/8", "::/127"].map(IpNet::from_str);
                let overlap = |own: &IpNet| own.contains(net) || net.contains(own);
                is_this_machine(net.addr()) || own.iter().flatten().any(overlap)
            }
            Place::Host(name) => is_localhost(name),
        }
    }

    fn takes(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

/// As it may be written in the settings again.
impl fmt::Display for AddressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, self.port) {
            (Place::Net(net), None) if net.prefix_len() == net.max_prefix_len() => net.addr().fmt(f),
            (Place::Net(net), None) => net.fmt(f),
            (Place::Net(net), Some(port)) => std::net::SocketAddr::new(net.addr(), port).fmt(f),
            (Place::Host(name), None) => f.write_str(name),
            (Place::Host(name), Some(port)) => write!(f, "{name}:{port}"),
        }
    }
}

const FORMS: &str = "takes a subnet (10.0.0.0/8), an address or a host (internal.example), \
                     the last two with a port or without (10.0.0.1:8080, [fd00::1]:8080, internal.example:8080)";

fn read_port(text: &str) -> Result<u16, String> {
    // `u16` would take a plus sign too.
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err("its port must be from 1 to 65535".to_owned()),
    }
}

/// Letters, digits, hyphens and underscores between dots: what a resolver may find.
pub(super) fn is_name(host: &str) -> bool {
    host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) && !normal(host).is_empty()
}

/// A host's name as it is compared: in lower case, without the root's dot.
pub(crate) fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether the name, as [`normal`] makes it, is this machine's by definition (RFC 6761).
pub(super) fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}
