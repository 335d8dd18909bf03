//! `[retry.…]`: one table an error class or a status, over a preset.

use toml::Value;

use super::reader::Reader;
use crate::outcome::ErrorClass;
use crate::queue::Tier;
use crate::retry::{Policy, RetryDictionary};

pub(super) fn read(reader: &mut Reader<'_>) -> RetryDictionary {
    let mut dictionary = match reader.text("retry.preset", "default").as_str() {
        "default" => RetryDictionary::default(),
        "patient" => RetryDictionary::patient(),
        _ => {
            reader.wrong("retry.preset", "must be default or patient");
            RetryDictionary::default()
        }
    };
    let Some(Value::Table(tables)) = reader.value("retry") else { return dictionary };
    for name in tables.keys().filter(|name| *name != "preset") {
        let setting = format!("retry.{name}");
        let Some(key) = Key::parse(name) else {
            reader.wrong(&setting, "is neither a class that is retried (http_4xx, http_5xx, timeout, connection, throttled) nor http_ and a status");
            continue;
        };
        let Some(policy) = read_policy(reader, &setting) else { continue };
        match key {
            Key::Class(class) => dictionary.set_class(class, policy),
            Key::Status(status) => dictionary.set_status(status, policy),
        }
    }
    dictionary
}

enum Key {
    Class(ErrorClass),
    Status(u16),
}

impl Key {
    fn parse(name: &str) -> Option<Self> {
        if let Some(class) = ErrorClass::parse(name) {
            return class.retryable().then_some(Self::Class(class));
        }
        let status = name.strip_prefix("http_")?.parse().ok()?;
        (100..=999).contains(&status).then_some(Self::Status(status))
    }
}

fn read_policy(reader: &mut Reader<'_>, setting: &str) -> Option<Policy> {
    let name = format!("{setting}.queues");
    let mut tiers = Vec::new();
    for queue in reader.texts(&name) {
        match Tier::parse(&queue) {
            Some(tier) => tiers.push(tier),
            None => reader.wrong(&name, format!("`{queue}` is not a tier; they are fast, medium and slow")),
        }
    }
    let name = format!("{setting}.per_queue");
    let counts = match reader.value(&name) {
        None => Some(vec![1; tiers.len()]),
        Some(Value::Integer(n)) => u32::try_from(n).ok().map(|n| vec![n; tiers.len()]),
        Some(Value::Array(list)) if list.len() == tiers.len() => {
            list.iter().map(|n| n.as_integer().and_then(|n| u32::try_from(n).ok())).collect()
        }
        Some(_) => None,
    };
    let Some(counts) = counts else {
        reader.wrong(&name, "must be a number of retries, or a list with one for each of the queues");
        return None;
    };
    match Policy::new(tiers.into_iter().zip(counts).collect()) {
        Ok(policy) => Some(policy),
        Err(detail) => {
            reader.wrong(setting, detail);
            None
        }
    }
}
