//! Sending dead letters again: each as the next generation of its message, at the end of its subject's line.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;

use super::trail;
use crate::dead_letter::DeadLetter;
use crate::envelope::{Envelope, Meta};
use crate::filter::{DeadLetterFilter, Page};
use crate::identity;
use crate::ledger::Listing;
use crate::limits;
use crate::ports::{Buried, DeadLetters, DeskError, Entry, Replayed};
use crate::route::{self, Route};
use crate::settings::Settings;
use crate::time::Timestamp;

/// Why a dead letter has no next generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CantReplay {
    /// It holds bytes that no queue takes.
    #[error("the dead letter is no text, and no queue takes it")]
    NotText,
    /// Settings without a catch-all, which stop a start.
    #[error("no route takes the dead letter")]
    NoRoute,
}

/// How many dead letters were met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayCount {
    /// Those that fit the filter.
    pub matched: u64,
    /// Of them, sent again.
    pub replayed: u64,
}

/// Replaying was given up on the way. What was sent again stays so; the rest is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct ReplayStopped {
    /// Until then.
    pub count: ReplayCount,
    /// Why.
    pub error: DeskError,
}

/// The entry that sends a dead letter again: attempts, errors and moves begin anew, the id and the place in the
/// order of acceptance stay. What can't be read as an envelope goes as it is to the catch-all route, in a
/// line of its own.
///
/// # Errors
/// No queue can take it.
pub fn next_generation(letter: &DeadLetter, settings: &Settings, now: Timestamp) -> Result<Entry, CantReplay> {
    let text = std::str::from_utf8(&letter.message).map_err(|_| CantReplay::NotText)?;
    let Ok(mut envelope) = Envelope::read(text) else {
        return raw(letter, text, settings, now);
    };
    let route = route::find(&settings.routes, &envelope.subject).ok_or(CantReplay::NoRoute)?;
    let meta = fresh(letter, envelope.meta.take().unwrap_or_default(), route, now);
    let found = || route.client.as_ref()?.client(&envelope.subject);
    let client = envelope.client.clone().or_else(|| letter.client.clone()).or_else(found);
    let mut entry = entry(letter, route, &envelope.subject, meta.line(&envelope.subject));
    entry.listing = Some(Arc::new(Listing::of(&envelope, &meta, client, now)));
    envelope.meta = Some(meta);
    entry.body = envelope.to_wire();
    Ok(entry)
}

/// `meta` as it was at acceptance, one generation later. What the record says goes before what the text
/// says: where the text says nothing, the queue's word stood in.
fn fresh(letter: &DeadLetter, before: Meta, route: &Route, now: Timestamp) -> Meta {
    Meta {
        id: letter.id.clone(),
        producer: letter.producer.clone().unwrap_or_default(),
        tenant: letter.tenant.clone(),
        received_at: letter.received_at.or(before.received_at),
        order: letter.order.clone().or(before.order),
        generation: letter.generation.saturating_add(1),
        attempts: 0,
        history: Vec::new(),
        hop: 0,
        first_error: None,
        last_error: None,
        next_due: None,
        not_before: None,
        expires_at: None,
        sequence: None,
        callback_of: before.callback_of,
        replayed_at: Some(now),
        route: Some(route.name.clone()),
        v: before.v,
        trace: before.trace,
        extra: before.extra,
    }
}

fn raw(letter: &DeadLetter, text: &str, settings: &Settings, now: Timestamp) -> Result<Entry, CantReplay> {
    let catch_all = settings.routes.iter().find(|route| route.pattern.is_catch_all());
    let route = catch_all.ok_or(CantReplay::NoRoute)?;
    let listing = Listing {
        id: letter.id.clone(),
        generation: letter.generation.saturating_add(1),
        tenant: letter.tenant.clone(),
        producer: letter.producer.clone().unwrap_or_default(),
        subject: letter.subject.clone().unwrap_or_default(),
        client: letter.client.clone(),
        labels: Vec::new(),
        route: route.name.clone(),
        target: letter.target.clone(),
        target_host: letter.target_host.clone(),
        received_at: letter.received_at.unwrap_or(now),
        flow: None,
        body: None,
    };
    let entry = entry(letter, route, &letter.id, identity::group_id(&letter.tenant, &letter.id));
    Ok(Entry { body: text.to_owned(), listing: Some(Arc::new(listing)), ..entry })
}

/// An entry without its text, for the line of a subject.
fn entry(letter: &DeadLetter, route: &Route, subject: &str, group: String) -> Entry {
    Entry {
        queue: route.queue(subject),
        group,
        dedup: identity::dedup_id(&letter.id, letter.generation.saturating_add(1), 1, 0),
        body: String::new(),
        due: None,
        listing: None,
    }
}

/// Sends one dead letter again, and tells of it.
///
/// # Errors
/// The store does not answer; the letter is as it was.
pub async fn replay_one(desk: &impl DeadLetters, letter: &DeadLetter, entry: &Entry) -> Result<Replayed, DeskError> {
    let replayed = desk.replay(letter, entry).await?;
    if replayed == Replayed::Sent {
        trail::replayed(letter, entry);
    }
    Ok(replayed)
}

/// Sends all dead letters again that fit and were not yet, in the order in which their messages were accepted
/// within each subject; subjects side by side, so that their writes share what a write costs.
///
/// # Errors
/// The store stopped answering. No later letter of a subject overtook an earlier one.
pub async fn replay_all(
    desk: &impl DeadLetters,
    settings: &Settings,
    now: Timestamp,
    filter: &DeadLetterFilter,
) -> Result<ReplayCount, ReplayStopped> {
    let mut count = ReplayCount::default();
    // What is sent again may be given up again before the end is reached, and stand there, and so without an end:
    // an entry that can't be read takes no time to die. No more are sent than there were at first.
    let most = desk.count(filter).await.map_err(|error| ReplayStopped { count, error })?;
    let mut page = Page { limit: limits::REPLAY_PAGE_ITEMS, cursor: None };
    let mut last: Option<String> = None;
    loop {
        let found = desk.for_replay(filter, &page).await.map_err(|error| ReplayStopped { count, error })?;
        // The next generation of the last one may have died already, and stands right behind it.
        let again = |buried: &&Buried| last.as_ref() != Some(&buried.letter.id);
        let left = usize::try_from(most.saturating_sub(count.matched)).unwrap_or(usize::MAX);
        let met: Vec<&Buried> = found.items.iter().filter(again).take(left).collect();
        count.matched += u64::try_from(met.len()).unwrap_or(u64::MAX);
        let lines = lines(&met, settings, now);
        let done = join_all(lines.iter().map(|line| replay_line(desk, line))).await;
        count.replayed += done.iter().map(|(sent, _)| sent).sum::<u64>();
        if let Some(error) = done.into_iter().find_map(|(_, stopped)| stopped) {
            return Err(ReplayStopped { count, error });
        }
        last = found.items.last().map(|buried| buried.letter.id.clone()).or(last);
        match found.next_cursor {
            Some(cursor) if count.matched < most => page.cursor = Some(cursor),
            _ => return Ok(count),
        }
    }
}

type Line<'a> = Vec<(&'a DeadLetter, Entry)>;

/// The letters of a page by the line that they go to, each in the page's order.
fn lines<'a>(page: &[&'a Buried], settings: &Settings, now: Timestamp) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for buried in page {
        let letter = &buried.letter;
        match next_generation(letter, settings, now) {
            Ok(entry) => {
                let place = *places.entry(entry.group.clone()).or_insert(lines.len());
                match lines.get_mut(place) {
                    Some(line) => line.push((letter, entry)),
                    None => lines.push(vec![(letter, entry)]),
                }
            }
            Err(error) => tracing::warn!(event.action = "not_replayed", chaski.id = letter.id, "{error}"),
        }
    }
    lines
}

/// How many of a line were sent again, and what stopped it.
async fn replay_line(desk: &impl DeadLetters, line: &Line<'_>) -> (u64, Option<DeskError>) {
    let mut sent = 0;
    for (letter, entry) in line {
        match replay_one(desk, letter, entry).await {
            Ok(Replayed::Sent) => sent += 1,
            Ok(Replayed::Already | Replayed::Unknown) => {}
            Err(error) => return (sent, Some(error)),
        }
    }
    (sent, None)
}

#[cfg(test)]
mod tests;
