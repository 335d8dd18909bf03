//! Which addresses belong to the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 that no public host has: address and prefix length.
const NOT_PUBLIC_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),       // this network; Linux connects 0.0.0.0 to itself
    ([10, 0, 0, 0], 8),      // private
    ([100, 64, 0, 0], 10),   // shared between a carrier and its customers
    ([127, 0, 0, 0], 8),     // loopback
    ([169, 254, 0, 0], 16),  // link-local, the clouds' metadata
    ([172, 16, 0, 0], 12),   // private
    ([192, 0, 0, 0], 24),    // protocol assignments
    ([192, 0, 2, 0], 24),    // documentation
    ([192, 88, 99, 0], 24),  // 6to4 relays
    ([192, 168, 0, 0], 16),  // private
    ([198, 18, 0, 0], 15),   // benchmarks
    ([198, 51, 100, 0], 24), // documentation
    ([203, 0, 113, 0], 24),  // documentation
    ([224, 0, 0, 0], 4),     // multicast
    ([240, 0, 0, 0], 4),     // reserved, broadcast
];

/// What of 2000::/3, where all public IPv6 is, no public host has: the first 48 bits and their prefix length.
const NOT_PUBLIC_V6: [([u16; 3], u32); 4] = [
    ([0x2001, 0, 0], 23),     // protocol assignments: Teredo, benchmarks, ORCHID
    ([0x2001, 0xdb8, 0], 32), // documentation
    ([0x2002, 0, 0], 16),     // 6to4
    ([0x3fff, 0, 0], 20),     // documentation
];

/// Whether the address, [`plain`] or not, belongs to the public internet.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match plain(ip) {
        IpAddr::V4(ip) => !NOT_PUBLIC_V4.iter().any(|(net, bits)| starts_v4(ip, Ipv4Addr::from(*net), *bits)),
        IpAddr::V6(ip) => {
            starts_v6(ip, [0x2000, 0, 0], 3) && !NOT_PUBLIC_V6.iter().any(|(net, bits)| starts_v6(ip, *net, *bits))
        }
    }
}

/// The IPv4 address where the IPv6 one is only another way to write it: v4-mapped, v4-compatible, and the
/// well-known prefix of NAT64. All rules speak of the plain form.
pub(super) fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    if v6.is_loopback() || v6.is_unspecified() {
        return ip;
    }
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => IpAddr::V4(last_v4(v6)),
        _ => ip,
    }
}

/// Every address that a connection to this one may end at. NAT64's prefix for local use, 64:ff9b:1::/48, says
/// nothing of where within it the IPv4 address stands, so each place that RFC 6052 knows is looked at. Such an
/// address is never public itself.
pub(super) fn readings(ip: IpAddr) -> Vec<IpAddr> {
    let ip = plain(ip);
    let mut found = vec![ip];
    if let IpAddr::V6(v6) = ip
        && starts_v6(v6, [0x64, 0xff9b, 1], 48)
    {
        // Prefixes of 48, 56 and 64 bits, whose ninth octet is kept free; then 96 bits.
        let [_, _, _, _, _, _, a, b, _, d, e, f, g, ..] = v6.octets();
        found.extend([[a, b, d, e], [b, d, e, f], [d, e, f, g]].map(|four| IpAddr::from(Ipv4Addr::from(four))));
        found.push(IpAddr::V4(last_v4(v6)));
    }
    found
}

/// Whether a connection to the address ends on this machine.
pub(super) fn is_this_machine(ip: IpAddr) -> bool {
    match plain(ip) {
        IpAddr::V4(ip) => ip.is_loopback() || starts_v4(ip, Ipv4Addr::UNSPECIFIED, 8),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified(),
    }
}

/// Where a cloud tells its machines who they are: 169.254/16, and AWS's prefix for the same over IPv6.
pub(super) fn is_metadata(ip: IpAddr) -> bool {
    match plain(ip) {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => starts_v6(ip, [0xfd00, 0xec2, 0], 32),
    }
}

fn last_v4(ip: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = ip.octets();
    Ipv4Addr::new(a, b, c, d)
}

fn starts_v4(ip: Ipv4Addr, net: Ipv4Addr, bits: u32) -> bool {
    (ip.to_bits() ^ net.to_bits()).leading_zeros() >= bits
}

fn starts_v6(ip: Ipv6Addr, [a, b, c]: [u16; 3], bits: u32) -> bool {
    let net = Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0);
    (ip.to_bits() ^ net.to_bits()).leading_zeros() >= bits
}
