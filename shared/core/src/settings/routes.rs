//! `[[routes]]`: classes of subjects, in the order in which they are tried.

use toml::{Table, Value};

use super::reader::Reader;
use crate::route::{Ordering, Pattern, Route, default_routes};

/// Queues of one route, at most: with four routes that is more than an account needs.
const SHARDS: u32 = 64;
/// A pattern's length, which bounds the search for a match.
const PATTERN_BYTES: usize = 512;
/// A route's name is part of a queue's name, which ends at 80 characters on AWS.
const NAME_CHARS: usize = 24;
/// Names of queues that are not a route's.
const RESERVED: [&str; 2] = ["retry", "last"];

pub(super) fn read(reader: &mut Reader<'_>) -> Vec<Route> {
    let Some(tables) = reader.tables("routes") else { return default_routes() };
    let routes: Vec<Route> = tables.into_iter().map(|(name, table)| read_route(reader, &name, table)).collect();
    if !routes.last().is_some_and(|route| route.pattern.is_catch_all()) {
        reader.wrong("routes", "must end with a route whose pattern is `*`, or some subjects would have none");
    }
    for (n, route) in routes.iter().enumerate() {
        if routes.iter().take(n).any(|other| other.name == route.name) {
            reader.wrong(&format!("routes[{n}].name"), format!("`{}` stands more than once", route.name));
        }
    }
    routes
}

fn read_route(reader: &mut Reader<'_>, at: &str, mut table: Table) -> Route {
    let name = text(reader, at, "name", table.remove("name")).unwrap_or_default();
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > NAME_CHARS || !name.chars().all(legal) || RESERVED.contains(&name.as_str()) {
        reader.wrong(
            &format!("{at}.name"),
            format!("must be 1 to {NAME_CHARS} of a-z, 0-9 and -, and not {}", RESERVED.join(" or ")),
        );
    }
    let pattern = text(reader, at, "pattern", table.remove("pattern")).unwrap_or_else(|| "*".to_owned());
    if pattern.is_empty() || pattern.len() > PATTERN_BYTES {
        reader.wrong(&format!("{at}.pattern"), format!("must be 1 to {PATTERN_BYTES} bytes"));
    }
    let client = table.remove("client").and_then(|value| text(reader, at, "client", Some(value)));
    let client = client.map(|text| Pattern::parse(&text));
    if client.as_ref().is_some_and(|pattern| !pattern.takes_client() || pattern.text().len() > PATTERN_BYTES) {
        reader.wrong(&format!("{at}.client"), "must hold {client} once");
    }
    let shards = match table.remove("shards") {
        None => 1,
        Some(value) => value.as_integer().and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
    };
    if shards == 0 || shards > SHARDS {
        reader.wrong(&format!("{at}.shards"), format!("must be 1 to {SHARDS}"));
    }
    let ordering = read_ordering(reader, at, table.remove("ordering"));
    let concurrency = match table.remove("concurrency") {
        None => Some(0),
        Some(value) => value.as_integer().and_then(|n| u32::try_from(n).ok()),
    };
    if concurrency.is_none() {
        reader.wrong(&format!("{at}.concurrency"), "must be a number of attempts, 0 for no limit of its own");
    }
    for name in table.keys() {
        reader.wrong(&format!("{at}.{name}"), "is not a setting");
    }
    Route { name, pattern: Pattern::parse(&pattern), client, shards, ordering, concurrency: concurrency.unwrap_or(0) }
}

fn read_ordering(reader: &mut Reader<'_>, at: &str, value: Option<Value>) -> Ordering {
    let Some(value) = value else { return Ordering::default() };
    value.as_str().and_then(Ordering::parse).unwrap_or_else(|| {
        reader.wrong(&format!("{at}.ordering"), "must be relaxed or strict");
        Ordering::default()
    })
}

fn text(reader: &mut Reader<'_>, at: &str, name: &str, value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) => Some(text),
        Some(_) => {
            reader.wrong(&format!("{at}.{name}"), "must be a text");
            None
        }
        None => {
            reader.wrong(&format!("{at}.{name}"), "is missing");
            None
        }
    }
}
