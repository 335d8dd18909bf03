//! `signing.secret`, `signing.previous` and `[[signing.hosts]]`: what requests are signed with. A mistake names the
//! setting and never shows its value.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::reader::Reader;
use crate::signing::{SignedHost, Signing, SigningKeys, SigningSecret};

pub(super) fn read(reader: &mut Reader<'_>) -> Signing {
    // An empty text is none: a parameter of a template is empty where it is not given.
    let [secret, previous] = ["secret", "previous"].map(|name| {
        let text = reader.text(&format!("signing.{name}"), "");
        (!text.is_empty()).then_some(Value::String(text))
    });
    let deployment = read_keys(reader, "signing", secret, previous);
    let mut hosts = BTreeMap::new();
    for (at, table) in reader.tables("signing.hosts").unwrap_or_default() {
        if let Some((host, keys)) = read_host(reader, &at, table)
            && hosts.insert(host, keys).is_some()
        {
            reader.wrong(&format!("{at}.host"), "stands more than once");
        }
    }
    Signing::new(deployment, hosts)
}

fn read_host(reader: &mut Reader<'_>, at: &str, mut table: Table) -> Option<(SignedHost, SigningKeys)> {
    let host = table.remove("host").and_then(|host| SignedHost::parse(host.as_str()?));
    if host.is_none() {
        reader.wrong(&format!("{at}.host"), "must be a target's host, a name or an address, without a port");
    }
    let (secret, previous) = (table.remove("secret"), table.remove("previous"));
    if secret.is_none() && previous.is_none() {
        reader.wrong(&format!("{at}.secret"), "is missing");
    }
    let keys = read_keys(reader, at, secret, previous);
    for name in table.keys() {
        reader.wrong(&format!("{at}.{name}"), "is not a setting");
    }
    host.zip(keys)
}

fn read_keys(reader: &mut Reader<'_>, at: &str, secret: Option<Value>, previous: Option<Value>) -> Option<SigningKeys> {
    if secret.is_none() && previous.is_some() {
        reader.wrong(&format!("{at}.secret"), format!("is missing beside {at}.previous"));
    }
    let secret = read_secret(reader, &format!("{at}.secret"), secret);
    let previous = read_secret(reader, &format!("{at}.previous"), previous);
    secret.map(|secret| SigningKeys::new(secret, previous))
}

fn read_secret(reader: &mut Reader<'_>, setting: &str, value: Option<Value>) -> Option<SigningSecret> {
    match SigningSecret::parse(value?.as_str().unwrap_or_default()) {
        Ok(secret) => Some(secret),
        Err(error) => {
            reader.wrong(setting, error.to_string());
            None
        }
    }
}
