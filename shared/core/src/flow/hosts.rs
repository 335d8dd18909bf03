//! Limits of target hosts, as a deployment sets them.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use url::Host;

use super::limits::FlowLimits;

/// What single hosts may be called with, by all messages whatever their flows. What exceeds it waits, as in a flow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostLimits(BTreeMap<String, FlowLimits>);

impl HostLimits {
    /// Of hosts that [`HostLimits::name`] has spelled.
    #[must_use]
    pub fn new(hosts: BTreeMap<String, FlowLimits>) -> Self {
        Self(hosts)
    }

    /// A host of the settings (a name or an address, without a port) in the spelling of a message's target host;
    /// `None` for anything else.
    #[must_use]
    pub fn name(text: &str) -> Option<String> {
        if let Ok(ip) = text.parse::<Ipv6Addr>() {
            return Some(Host::<&str>::Ipv6(ip).to_string());
        }
        let host = Host::parse(text).ok()?.to_string();
        let host = host.strip_suffix('.').unwrap_or(&host);
        (!host.is_empty()).then(|| host.to_owned())
    }

    /// Those of a message's target host, if it has some.
    #[must_use]
    pub fn of(&self, host: &str) -> Option<FlowLimits> {
        self.0.get(host).copied()
    }

    /// What the messages to a host share. No flow has that scope: a key holds no control character.
    #[must_use]
    pub fn scope(host: &str) -> String {
        format!("\t\t{host}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Flow;
    use crate::shown_target::shown_target_of;

    #[test]
    fn a_host_is_found_however_it_is_spelled() {
        let spellings = [
            ("CRM.example", "https://crm.Example/hook"),
            ("crm.example.", "https://crm.example.:8443/hook"),
            ("bücher.example", "https://xn--bcher-kva.example/"),
            ("127.0.0.1", "http://127.1/"),
            ("::1", "http://[::1]:80/"),
            ("[::1]", "http://[0:0::1]/"),
        ];
        for (set, url) in spellings {
            let (_, host) = shown_target_of(url).unwrap();
            assert_eq!(HostLimits::name(set).as_deref(), Some(host.as_str()), "{set}");
        }
        for wrong in ["", ".", "crm.example:443", "https://crm.example", "a b"] {
            assert_eq!(HostLimits::name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_flow_shares_a_host_s_limits() {
        let host = HostLimits::scope("e.org");
        assert!(Flow::new("\te.org", Some(1), None, None).is_err(), "no key holds what tells them apart");
        assert_ne!(host, Flow::new("e.org", Some(1), None, None).unwrap().scope(""));
    }
}
