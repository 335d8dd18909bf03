//! The door on this machine, which asks for no key: whoever is here is an admin, and a page in a browser that is
//! open here is not. A name that was bound anew to the loopback address is told by `Host`, a page of another
//! site by `Origin` and `Sec-Fetch-Site`, and a form by the content type, which `media` checks.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Request;
use crate::problem::Problem;

/// Refuses what did not come from a program on this machine, or from a page that it serves.
pub(super) fn check(request: &Request) -> Result<(), Problem> {
    let mut hosts = request.all("host").peekable();
    if hosts.peek().is_none() || !hosts.all(is_loopback) {
        return Err(refused("the Host must be a loopback one: localhost, 127.0.0.1 or [::1]"));
    }
    if !request.all("origin").all(is_own_origin) {
        return Err(refused("the Origin is a foreign one"));
    }
    if request.all("sec-fetch-site").any(|site| site.eq_ignore_ascii_case("cross-site")) {
        return Err(refused("it was asked for by another site's page"));
    }
    Ok(())
}

fn refused(what: &str) -> Problem {
    Problem::new(403, format!("{what}; without producers only programs on this machine may call"))
}

fn is_own_origin(origin: &str) -> bool {
    let host = origin.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
    host.is_some_and(|(_, host)| is_loopback(host))
}

/// Whether `host`, with a port or without, is loopback as it is written; no name but `localhost` is looked up.
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => {
                return is_port(port) && address.parse().is_ok_and(|at: Ipv6Addr| at.is_loopback());
            }
            None => return false,
        },
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let address = || name.parse().is_ok_and(|at: Ipv4Addr| at.is_loopback());
    is_port(port) && (name.eq_ignore_ascii_case("localhost") || address())
}

/// Nothing, or `:` and a number.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok())
}
