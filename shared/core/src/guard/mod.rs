//! The address guard: which targets may be called. Pure; whoever resolves and connects asks it about every host
//! and every address, and connects to nothing else.

mod public;
mod rule;
mod url_text;

use std::net::IpAddr;

use url::{Host, Url};

pub use rule::AddressRule;
pub use url_text::{UrlError, check_url, check_url_text};

use public::{is_metadata, is_public, is_this_machine, plain, readings};
use rule::is_localhost;
pub(crate) use rule::normal;

/// `[targets]` of the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetRules {
    /// `targets.allow_private`: private addresses may be called. Not on Lambda.
    pub allow_private: bool,
    /// `targets.allow`: what may be called although it is private.
    pub allow: Vec<AddressRule>,
    /// `targets.deny`: what may not be called; wins over `allow`.
    pub deny: Vec<AddressRule>,
}

/// Settings that a guard can't be made of. The text names the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// `targets.allow_private` on Lambda.
    #[error(
        "targets.allow_private can't be set on Lambda, whose Runtime API is a private target: \
         name each private target in targets.allow"
    )]
    PrivateOnLambda,
    /// An entry that opens loopback on Lambda, and not one address at one port.
    #[error("`{0}` in targets.allow opens loopback, which on Lambda passes only as address:port (127.0.0.1:8080)")]
    LoopbackOnLambda(AddressRule),
}

/// Why a target is not called. The text is for a person; it never says what a name resolved to, for a
/// producer may read it and shall not learn the addresses of a private network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// Decides which targets may be called. The default lets public addresses pass and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    rules: TargetRules,
    lambda: Option<RuntimeApi>,
}

/// Where a function of AWS Lambda takes its events: whoever calls it takes the next event or fakes a result.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RuntimeApi {
    host: String,
    port: u16,
}

impl Guard {
    /// A guard with these rules. `runtime_api` is the value of `AWS_LAMBDA_RUNTIME_API`, there only on Lambda.
    ///
    /// # Errors
    /// On Lambda: private targets allowed as a whole, or loopback other than one address at one port.
    pub fn new(rules: TargetRules, runtime_api: Option<&str>) -> Result<Self, GuardError> {
        let lambda = runtime_api.map(RuntimeApi::read);
        if lambda.is_some() {
            if rules.allow_private {
                return Err(GuardError::PrivateOnLambda);
            }
            if let Some(rule) = rules.allow.iter().find(|rule| rule.touches_this_machine() && !rule.is_exact()) {
                return Err(GuardError::LoopbackOnLambda(rule.clone()));
            }
        }
        Ok(Self { rules, lambda })
    }

    /// Checks what the URL itself says: a literal address, or a name that is this machine's by definition. Other
    /// names pass unless they are denied; what they lead to is for [`Guard::check_resolved`].
    ///
    /// # Errors
    /// The target is not allowed.
    pub fn check_literal(&self, url: &Url) -> Result<(), Refusal> {
        let port = url.port_or_known_default().unwrap_or_default();
        match url.host() {
            Some(Host::Ipv4(ip)) => self.check_address(ip.into(), port, None),
            Some(Host::Ipv6(ip)) => self.check_address(ip.into(), port, None),
            Some(Host::Domain(name)) => {
                self.check_name(name, port)?;
                let host = normal(name);
                let own = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0u16, 0, 0, 0, 0, 0, 0, 1])];
                let open = || own.iter().any(|ip| self.check_address(*ip, port, Some(&host)).is_ok());
                if is_localhost(&host) && !open() { Err(private(name)) } else { Ok(()) }
            }
            None => Err(Refusal("the url names no host".to_owned())),
        }
    }

    /// Checks all that the host resolved to: one address that is not allowed and the answer is refused whole, or
    /// a name with a public and a private address would be a way in. An empty answer passes.
    ///
    /// # Errors
    /// The target is not allowed.
    pub fn check_resolved(&self, host: &str, port: u16, addresses: &[IpAddr]) -> Result<(), Refusal> {
        self.check_name(host, port)?;
        let name = normal(host);
        let refused = |ip: &IpAddr| self.check_address(*ip, port, Some(&name)).is_err();
        if addresses.iter().any(refused) {
            return Err(Refusal(format!(
                "`{host}` leads to an address that may not be called: it is private and not allowed, or it is denied"
            )));
        }
        Ok(())
    }

    fn check_name(&self, host: &str, port: u16) -> Result<(), Refusal> {
        let name = normal(host);
        if self.lambda.as_ref().is_some_and(|api| api.host == name && api.port == port) {
            return Err(Refusal(format!("`{host}` is the function's own Runtime API")));
        }
        if self.rules.deny.iter().any(|rule| rule.names(&name, port)) { Err(denied(host)) } else { Ok(()) }
    }

    /// `host` is the name that led to the address; none where the URL has the address itself.
    fn check_address(&self, ip: IpAddr, port: u16, host: Option<&str>) -> Result<(), Refusal> {
        let readings = readings(ip);
        if let Some(api) = &self.lambda
            && readings.iter().any(|ip| is_metadata(*ip) || api.may_be(*ip, port))
        {
            return Err(Refusal(format!("`{ip}` is the platform's own and may never be called")));
        }
        if readings.iter().any(|ip| self.rules.deny.iter().any(|rule| rule.contains(*ip, port))) {
            return Err(denied(&ip.to_string()));
        }
        if is_public(ip) || self.rules.allow_private || self.is_allowed(plain(ip), port, host) {
            return Ok(());
        }
        Err(private(&ip.to_string()))
    }

    fn is_allowed(&self, ip: IpAddr, port: u16, host: Option<&str>) -> bool {
        // On Lambda no name and no subnet opens loopback: the name's owner would choose what is called.
        let exact_only = self.lambda.is_some() && readings(ip).into_iter().any(is_this_machine);
        self.rules
            .allow
            .iter()
            .filter(|rule| !exact_only || rule.is_exact())
            .any(|rule| rule.contains(ip, port) || host.is_some_and(|host| rule.names(host, port)))
    }
}

impl RuntimeApi {
    fn read(text: &str) -> Self {
        // It is put into a URL as it is, where no port means 80.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().unwrap_or(80)),
            None => (text, 80),
        };
        Self { host: normal(host), port }
    }

    /// Whether a call to that address and port may reach it. It may listen on more of this machine's addresses than
    /// the one it gives away, and where it gives away a name, only a public address is surely another.
    fn may_be(&self, ip: IpAddr, port: u16) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        port == self.port
            && match bare.parse::<IpAddr>() {
                Ok(own) => plain(own) == plain(ip) || is_this_machine(ip),
                Err(_) => !is_public(ip),
            }
    }
}

fn private(host: &str) -> Refusal {
    Refusal(format!("`{host}` is not public, and private targets are not allowed here"))
}

fn denied(host: &str) -> Refusal {
    Refusal(format!("`{host}` is denied here"))
}

#[cfg(test)]
mod tests;
