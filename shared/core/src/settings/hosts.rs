//! `[[targets.hosts]]`: what single hosts may be called with.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::{Table, Value};

use super::reader::Reader;
use crate::flow::{Flow, FlowLimits, HostLimits};
use crate::time::parse_span;

/// What the limits are checked by, which a host's name can't fail.
const ANY_KEY: &str = "-";

pub(super) fn read(reader: &mut Reader<'_>) -> HostLimits {
    let mut hosts = BTreeMap::new();
    for (at, table) in reader.tables("targets.hosts").unwrap_or_default() {
        if let Some((host, limits)) = read_host(reader, &at, table)
            && hosts.insert(host, limits).is_some()
        {
            reader.wrong(&format!("{at}.host"), "stands more than once");
        }
    }
    HostLimits::new(hosts)
}

fn read_host(reader: &mut Reader<'_>, at: &str, mut table: Table) -> Option<(String, FlowLimits)> {
    let host = table.remove("host").and_then(|host| HostLimits::name(host.as_str()?));
    if host.is_none() {
        reader.wrong(&format!("{at}.host"), "must be a target's host, a name or an address, without a port");
    }
    let [rate, per, parallelism] = ["rate", "per", "parallelism"].map(|name| table.remove(name));
    for name in table.keys() {
        reader.wrong(&format!("{at}.{name}"), "is not a setting");
    }
    // What is no number, or no span, is out of every bound.
    let number = |value: Value| value.as_integer().and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    let span = |value: Value| value.as_str().and_then(|text| parse_span(text).ok()).unwrap_or(Duration::ZERO);
    match Flow::new(ANY_KEY, rate.map(number), per.map(span), parallelism.map(number)) {
        Ok(flow) => host.map(|host| (host, flow.limits())),
        Err(wrong) => {
            for error in wrong {
                let setting = if error.field.is_empty() { at.to_owned() } else { format!("{at}.{}", error.field) };
                reader.wrong(&setting, error.detail);
            }
            None
        }
    }
}
