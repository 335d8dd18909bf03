//! Filters and pages, as queries and bodies name them.

use std::time::Duration;

use url::{Host, Url};

use super::params::Params;
use crate::filter::{DeadLetterFilter, ErrorFilter, MessageFilter, Page, TargetFilter, Whose};
use crate::ledger::MessageState;
use crate::limits;
use crate::outcome::ErrorClass;
use crate::time::{Timestamp, parse_span};

/// Which messages are asked for.
pub(super) fn messages(params: &mut Params, whose: Whose) -> MessageFilter {
    MessageFilter {
        whose,
        subject: params.text("subject"),
        client: params.text("client"),
        label: params.text("label"),
        state: params.read("state", state),
        target: params.read("target", target),
        from: params.read("from", time),
        to: params.read("to", time),
    }
}

/// Which dead letters are asked for, of those that were not replayed.
pub(super) fn dead_letters(params: &mut Params, whose: Whose) -> DeadLetterFilter {
    let error = params.text_or_number("error").map(|text| error(&text));
    let error = error.and_then(|error| error.map_err(|detail| params.wrong("error", detail)).ok());
    DeadLetterFilter {
        whose,
        subject: params.text("subject"),
        client: params.text("client"),
        target: params.read("target", target),
        error,
        from: params.read("from", time),
        to: params.read("to", time),
        replayed: false,
    }
}

/// What a batch action says besides its filter: nothing is done where no filter narrows it and `all` is not said.
pub(super) fn dry_run(params: &mut Params, narrowed: bool) -> bool {
    if !params.flag("all") && !narrowed {
        params.wrong_whole("names no filter; to mean all of them, say \"all\": true");
    }
    params.flag("dry_run")
}

/// Which page of a list.
pub(super) fn page(params: &mut Params) -> Page {
    let limit = params.read("limit", |text| {
        let limit = text.parse().ok().filter(|limit| (1..=limits::PAGE_ITEMS).contains(limit));
        limit.ok_or_else(|| format!("must be from 1 to {}", limits::PAGE_ITEMS))
    });
    Page { limit: limit.unwrap_or(limits::PAGE_ITEMS_DEFAULT), cursor: params.text("cursor") }
}

/// How long to wait for a message's end.
pub(super) fn wait(params: &mut Params) -> Duration {
    let wait = params.read("wait", |text| {
        let span = parse_span(text)?;
        if span <= limits::WAIT { Ok(span) } else { Err(format!("must be at most {} s", limits::WAIT.as_secs())) }
    });
    wait.unwrap_or_default()
}

/// Which generation; `None` is the newest.
pub(super) fn generation(params: &mut Params) -> Option<u32> {
    params.read("generation", |text| {
        text.parse().ok().filter(|generation| *generation > 0).ok_or_else(|| "must be a number from 1".to_owned())
    })
}

fn state(text: &str) -> Result<MessageState, String> {
    MessageState::parse(text).ok_or_else(|| {
        let names: Vec<&str> = MessageState::ALL.iter().map(|state| state.name()).collect();
        format!("must be one of {}", names.join(", "))
    })
}

/// A point in time, or a day's beginning in UTC. A query's `+` is a space by then, and is put back.
fn time(text: &str) -> Result<Timestamp, String> {
    let whole = match text.rsplit_once(' ') {
        Some((time, offset)) if time.contains(['T', 't']) => format!("{time}+{offset}"),
        _ if text.len() == "2026-12-01".len() => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    Timestamp::parse(&whole)
        .ok_or_else(|| "must be a date, 2026-12-01, or a time of RFC 3339, 2026-12-01T09:00:00Z".to_owned())
}

fn error(text: &str) -> Result<ErrorFilter, String> {
    if let Some(status) = text.parse().ok().filter(|status| (100..=999).contains(status)) {
        return Ok(ErrorFilter::Status(status));
    }
    if ErrorClass::parse(text).is_some() {
        return Ok(ErrorFilter::Class(text.to_owned()));
    }
    let names: Vec<&str> = ErrorClass::ALL.iter().map(|class| class.name()).collect();
    Err(format!("must be a status from 100 to 999, or one of {}", names.join(", ")))
}

/// A host as messages are listed with it: in lower case, international names in ASCII.
pub(super) fn host(text: &str) -> Result<String, String> {
    Host::parse(text).map(|host| host.to_string()).map_err(|_| "must be a host, without a port".to_owned())
}

fn target(text: &str) -> Result<TargetFilter, String> {
    if !text.contains("://") {
        let wrong = |_| "must be a host without a port, or the beginning of a URL".to_owned();
        return host(text).map(TargetFilter::Host).map_err(wrong);
    }
    let url = Url::parse(text).map_err(|error| format!("is no beginning of a URL: {error}"))?;
    let hidden = url.query().or(url.fragment()).or(url.password()).is_some() || !url.username().is_empty();
    match url.host_str() {
        _ if hidden => {
            Err("must end with the path: targets are listed without user info, query and fragment".to_owned())
        }
        Some(host) if matches!(url.scheme(), "http" | "https") => {
            Ok(TargetFilter::Prefix { prefix: url.to_string(), host: host.to_owned() })
        }
        _ => Err("must begin with http:// or https:// and a host".to_owned()),
    }
}
