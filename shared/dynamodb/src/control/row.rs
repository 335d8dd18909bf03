//! Orders as items, and back.

use aws_sdk_dynamodb::types::AttributeValue;
use chaski_core::breaker::Breaker;
use chaski_core::filter::{MessageFilter, TargetFilter, Whose};
use chaski_core::orders::{CancelMark, CancelWhat};
use chaski_core::pause::{Pause, PauseScope};
use chaski_core::time::Timestamp;

use super::cell::Cell;
use super::keys::{CANCEL, EXPIRES, HOST, ORDERS, PAUSE, PK, SK};
use crate::item::Item;

/// What rows of this version say. One of a higher version may narrow its order by what is not known here, and is
/// left alone.
const VERSION: &str = "1";

/// What a row of the orders' partition is.
#[derive(Debug, PartialEq)]
pub(super) enum Row {
    Pause(Pause),
    Mark(CancelMark),
    /// What is known of a host that fails, by its name.
    Host(String, Cell<Breaker>),
    /// Something else that is kept beside them.
    Other,
    /// An order that can't be read: its sort key.
    Unreadable(String),
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A time as TTL reads it.
pub(crate) fn seconds(at: Timestamp) -> AttributeValue {
    AttributeValue::N((at.millis() / 1_000).to_string())
}

pub(crate) fn read_text(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

fn read_time(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::parse(item.get(name)?.as_s().ok()?)
}

/// An item of the orders' partition.
fn order(sort_key: String) -> Item {
    [(PK, text(ORDERS)), (SK, text(sort_key)), ("v", AttributeValue::N(VERSION.to_owned()))]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// A pause's key.
pub(crate) fn pause_key(id: &str) -> String {
    format!("{PAUSE}{id}")
}

pub(crate) fn of_pause(pause: &Pause) -> Item {
    let mut item = order(pause_key(&pause.id));
    let (kind, value, tenant) = pause.scope.parts();
    for (name, value) in [("kind", kind), ("value", value), ("tenant", tenant)] {
        item.insert(name.to_owned(), text(value));
    }
    item.insert("created_at".to_owned(), text(pause.created_at.to_string()));
    item
}

pub(crate) fn of_mark(mark: &CancelMark) -> Item {
    let mut item = order(format!("{CANCEL}{}", mark.id));
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            item.insert(name.to_owned(), text(value));
        }
    };
    put("cut_off", Some(mark.cut_off.to_string()));
    put("until", Some(mark.until.to_string()));
    match &mark.what {
        CancelWhat::Message(id) => put("message", Some(id.clone())),
        CancelWhat::Fitting(filter) => {
            // A state is not known where marks are read.
            let MessageFilter { whose, subject, client, label, state: _, target, from, to } = filter.clone();
            for (name, value) in [
                ("tenant", whose.tenant),
                ("producer", whose.producer),
                ("subject", subject),
                ("client", client),
                ("label", label),
                ("from", from.map(|at| at.to_string())),
                ("to", to.map(|at| at.to_string())),
            ] {
                put(name, value);
            }
            match target {
                None => {}
                Some(TargetFilter::Host(host)) => put("host", Some(host)),
                Some(TargetFilter::Prefix { prefix, host }) => {
                    put("host", Some(host));
                    put("prefix", Some(prefix));
                }
            }
        }
    }
    item.insert(EXPIRES.to_owned(), seconds(mark.until));
    item
}

pub(super) fn read(item: &Item) -> Row {
    let key = read_text(item, SK).unwrap_or_default();
    let known = item.get("v").and_then(|v| v.as_n().ok()).is_some_and(|v| v == VERSION);
    let row = if let Some(id) = key.strip_prefix(PAUSE) {
        read_pause(item, id).map(Row::Pause)
    } else if let Some(id) = key.strip_prefix(CANCEL) {
        read_mark(item, id).map(Row::Mark)
    } else if let Some(host) = key.strip_prefix(HOST) {
        return Row::Host(host.to_owned(), Cell::read(item));
    } else {
        return Row::Other;
    };
    row.filter(|_| known).unwrap_or(Row::Unreadable(key))
}

pub(crate) fn read_pause(item: &Item, id: &str) -> Option<Pause> {
    let [kind, value, tenant] = ["kind", "value", "tenant"].map(|name| read_text(item, name));
    let scope = PauseScope::of_parts(&kind?, value?, tenant?)?;
    Some(Pause { id: id.to_owned(), scope, created_at: read_time(item, "created_at")? })
}

fn read_mark(item: &Item, id: &str) -> Option<CancelMark> {
    let optional_time = |name: &str| match item.get(name) {
        None => Some(None),
        Some(_) => read_time(item, name).map(Some),
    };
    let what = match read_text(item, "message") {
        Some(message) => CancelWhat::Message(message),
        None => CancelWhat::Fitting(MessageFilter {
            whose: Whose { tenant: read_text(item, "tenant"), producer: read_text(item, "producer") },
            subject: read_text(item, "subject"),
            client: read_text(item, "client"),
            label: read_text(item, "label"),
            state: None,
            target: match (read_text(item, "prefix"), read_text(item, "host")) {
                (None, None) => None,
                (None, Some(host)) => Some(TargetFilter::Host(host)),
                (Some(prefix), host) => Some(TargetFilter::Prefix { prefix, host: host? }),
            },
            from: optional_time("from")?,
            to: optional_time("to")?,
        }),
    };
    let mark = CancelMark::new(what, read_time(item, "cut_off")?, read_time(item, "until")?);
    // The id is what is cancelled: a row that lost a part of it would cancel more than was meant.
    (mark.id == id).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_796_115_600_000 + second * 1_000)
    }

    fn mark(filter: MessageFilter) -> CancelMark {
        CancelMark::new(CancelWhat::Fitting(filter), at(1), at(2))
    }

    fn full() -> MessageFilter {
        MessageFilter {
            whose: Whose { tenant: Some(String::new()), producer: Some("crm".to_owned()) },
            subject: Some("s".to_owned()),
            client: Some("c".to_owned()),
            label: Some("l".to_owned()),
            state: None,
            target: Some(TargetFilter::Prefix { prefix: "https://e.org/a".to_owned(), host: "e.org".to_owned() }),
            from: Some(at(-5)),
            to: Some(at(0)),
        }
    }

    #[test]
    fn rows_read_what_they_write() {
        let subject = PauseScope::Subject { tenant: "acme".into(), subject: "s".into() };
        for scope in [PauseScope::All, PauseScope::Queue("messages-0".into()), subject] {
            let pause = Pause { id: scope.id(), scope, created_at: at(0) };
            assert_eq!(read(&of_pause(&pause)), Row::Pause(pause));
        }
        let host = MessageFilter { target: Some(TargetFilter::Host("e.org".into())), ..MessageFilter::default() };
        for filter in [MessageFilter::default(), host, full()] {
            let mark = mark(filter);
            assert_eq!(read(&of_mark(&mark)), Row::Mark(mark));
        }
        let one = CancelMark::new(CancelWhat::Message("m-1".to_owned()), at(1), at(2));
        let item = of_mark(&one);
        assert_eq!(item.get(EXPIRES), Some(&seconds(at(2))));
        assert_eq!(read(&item), Row::Mark(one));
    }

    #[test]
    fn what_is_not_understood_orders_nothing() {
        let item = of_mark(&mark(full()));
        for name in item.keys() {
            let mut less = item.clone();
            less.remove(name);
            match name.as_str() {
                PK | EXPIRES => {}
                SK => assert_eq!(read(&less), Row::Other),
                _ => assert!(matches!(read(&less), Row::Unreadable(_)), "without {name}"),
            }
        }
        let mut later = item.clone();
        later.insert("v".to_owned(), AttributeValue::N("2".to_owned()));
        assert!(matches!(read(&later), Row::Unreadable(_)));
        let mut damaged = item;
        damaged.insert("from".to_owned(), text("yesterday"));
        assert!(matches!(read(&damaged), Row::Unreadable(_)));
        let pause = Pause { id: "p".to_owned(), scope: PauseScope::All, created_at: at(0) };
        let mut unknown = of_pause(&pause);
        unknown.insert("kind".to_owned(), text("galaxy"));
        assert!(matches!(read(&unknown), Row::Unreadable(_)));
        assert_eq!(read(&order("weather#e.org".to_owned())), Row::Other);
    }
}
