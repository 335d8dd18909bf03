//! Messages and their attempts.

use std::collections::HashSet;

use chaski_core::envelope::Envelope;
use chaski_core::filter::{Listed, MessageFilter, Page, TargetFilter, Whose};
use chaski_core::history::AttemptRecord;
use chaski_core::ledger::{KeptAnswer, MessageRecord, MessageState};
use chaski_core::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::clause::Clause;
use super::{Look, LookError, body_of};
use crate::finds::{Find, found_up_to};
use crate::row::{
    ATTEMPT_COLUMNS, AttemptRow, IdValue, LISTING_COLUMNS, ListingRow, read_error, readable, state_number, state_of,
    text_if,
};

/// What a message's row holds beside its listing, with its place in a queue.
const STANDING: &str = "messages.state, messages.cancelling, messages.ended_at, messages.error, messages.answer_status,
    messages.answer, messages.answer_truncated, entries.due, queues.name";
const JOINS: &str = "LEFT JOIN entries ON entries.seq = messages.entry LEFT JOIN queues ON queues.no = entries.queue";

/// One message with its place.
pub(crate) fn message(
    connection: &Connection,
    id: &str,
    whose: &Whose,
    busy: &HashSet<i64>,
) -> Look<Option<(i64, MessageRecord)>> {
    let columns = qualified();
    let found = connection
        .prepare_cached(&format!("SELECT {columns}, {STANDING} FROM messages {JOINS} WHERE id = ?1"))?
        .query_row([IdValue(id.to_owned())], |row| read(row, busy))
        .optional()?;
    let Some((no, mut record)) =
        found.filter(|(_, record)| whose.has(&record.listing.tenant, &record.listing.producer))
    else {
        return Ok(None);
    };
    record.attempts = attempts(connection, no, record.listing.generation)?;
    record.listing.body = body_of(connection, no)?;
    if let Some(envelope) = waiting(connection, no)? {
        record.ordering = envelope.options.ordering;
        record.expires_at = envelope.meta.and_then(|meta| meta.expires_at);
    }
    Ok(Some((no, record)))
}

/// A page of messages, the newest first.
pub(crate) fn messages(
    connection: &Connection,
    filter: &MessageFilter,
    page: &Page,
    busy: &HashSet<i64>,
) -> Look<Listed<MessageRecord>> {
    let below = match &page.cursor {
        None => i64::MAX,
        Some(cursor) => cursor.parse().map_err(|_| LookError::Cursor)?,
    };
    let columns = format!("{}, {STANDING}", qualified());
    let limit = page.limit.saturating_add(1);
    // One that is damaged beyond reading stands in nobody's way; the doctor names it.
    let mut found: Vec<(i64, Option<MessageRecord>)> =
        search(connection, &columns, JOINS, &clause(filter, busy), filter, (below, limit), |row| {
            Ok((row.get(0)?, readable(read(row, busy))?.map(|(_, record)| record)))
        })?;
    let more = found.len() > page.limit;
    found.truncate(page.limit);
    let next_cursor = found.last().filter(|_| more).map(|(no, _)| no.to_string());
    for (no, record) in found.iter_mut().filter_map(|(no, record)| Some((no, record.as_mut()?))) {
        record.attempts = attempts(connection, *no, record.listing.generation)?;
        record.answer = None;
    }
    Ok(Listed { items: found.into_iter().filter_map(|(_, record)| record).collect(), next_cursor })
}

/// Places of messages that fit and are not at their end, the newest first, below a place.
pub(crate) fn open_messages(
    connection: &Connection,
    filter: &MessageFilter,
    busy: &HashSet<i64>,
    below: i64,
    limit: usize,
) -> Look<Vec<i64>> {
    let mut clause = clause(filter, busy);
    clause.and_always("messages.state IN (0, 1, 2)".to_owned());
    search(connection, "messages.no", "", &clause, filter, (below, limit), |row| row.get(0))
}

/// Searches the newest first, below a place and up to a limit: in the tail row by row, and behind it by the
/// look-up, where the filter names something that has one.
fn search<T>(
    connection: &Connection,
    columns: &str,
    joins: &str,
    clause: &Clause,
    filter: &MessageFilter,
    (below, limit): (i64, usize),
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Look<Vec<T>> {
    let key = key(filter);
    let up_to = if key.is_some() { found_up_to(connection)? } else { i64::MIN };
    let mut sources = vec![("messages", clause.with("messages.no > ? AND messages.no < ?", [up_to, below]))];
    if let Some(key) = key {
        let by_key = clause.with("finds.key = ? AND finds.message <= ? AND finds.message < ?", [key, up_to, below]);
        sources.push(("finds CROSS JOIN messages ON messages.no = finds.message", by_key));
    }
    let mut found = Vec::new();
    for (source, mut clause) in sources {
        let left = i64::try_from(limit - found.len()).unwrap_or(i64::MAX);
        let order = if source == "messages" { "messages.no" } else { "finds.message" };
        clause.values.push(Value::from(left));
        let sql = format!("SELECT {columns} FROM {source} {joins} {} ORDER BY {order} DESC LIMIT ?", clause.text());
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(clause.values))?;
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

/// What the filter names that messages are found by; the likely rarest.
fn key(filter: &MessageFilter) -> Option<i64> {
    let host = filter.target.as_ref().map(|target| match target {
        TargetFilter::Host(host) | TargetFilter::Prefix { host, .. } => host,
    });
    let label = filter.label.as_ref().map(|label| Find::Label.key(label));
    let subject = || filter.subject.as_ref().map(|subject| Find::Subject.key(subject));
    let client = || filter.client.as_ref().map(|client| Find::Client.key(client));
    label.or_else(subject).or_else(client).or_else(|| host.map(|host| Find::Host.key(host)))
}

/// The listing's columns, each with its table.
fn qualified() -> String {
    let names = LISTING_COLUMNS.split(", ").map(|name| match name.split_once('.') {
        Some(_) => name.to_owned(),
        None => format!("messages.{}", name.trim()),
    });
    names.collect::<Vec<_>>().join(", ")
}

fn clause(filter: &MessageFilter, busy: &HashSet<i64>) -> Clause {
    let mut clause = Clause::default();
    clause.and("EXISTS (SELECT 1 FROM json_each(messages.labels) WHERE value = ?)", filter.label.clone());
    clause.and("messages.subject = ?", filter.subject.clone());
    clause.and("messages.client = ?", filter.client.clone());
    clause.and("messages.tenant = ?", filter.whose.tenant.clone());
    clause.and("messages.producer = ?", filter.whose.producer.clone());
    clause.target("messages", filter.target.as_ref());
    clause.between("messages.received_at", filter.from, filter.to);
    if let Some(state) = filter.state {
        let numbers = busy.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        clause.and_always(match state {
            MessageState::Delivering => format!("messages.no IN ({numbers})"),
            MessageState::Pending | MessageState::Retrying => {
                format!("messages.state = {} AND messages.no NOT IN ({numbers})", state_number(state))
            }
            _ => format!("messages.state = {}", state_number(state)),
        });
        if matches!(
            state,
            MessageState::Retrying | MessageState::Dead | MessageState::Cancelled | MessageState::Expired
        ) {
            // In the look-up's own words, or SQLite does not see that it has them.
            clause.and_always("messages.state IN (2, 4, 5, 6)".to_owned());
        }
    }
    clause
}

fn read(row: &Row<'_>, busy: &HashSet<i64>) -> rusqlite::Result<(i64, MessageRecord)> {
    let (ListingRow { no, listing }, _) = ListingRow::read(row)?;
    let stored = state_of(row.get(13)?).unwrap_or(MessageState::Pending);
    let state = if !stored.is_end() && busy.contains(&no) { MessageState::Delivering } else { stored };
    let status: Option<u16> = row.get(17)?;
    let record = MessageRecord {
        listing,
        state,
        cancelling: row.get(14)?,
        queue: text_if(row, 21)?,
        next_due: row.get::<_, Option<i64>>(20)?.map(Timestamp::from_millis),
        ordering: None,
        expires_at: None,
        ended_at: row.get::<_, Option<i64>>(15)?.map(Timestamp::from_millis),
        attempts: Vec::new(),
        answer: match status {
            None => None,
            Some(status) => Some(KeptAnswer {
                status,
                body: row.get::<_, Option<Vec<u8>>>(18)?.unwrap_or_default(),
                truncated: row.get::<_, Option<bool>>(19)?.unwrap_or(false),
            }),
        },
        error: text_if(row, 16)?.as_deref().and_then(read_error),
    };
    Ok((no, record))
}

/// The envelope of a message that is not at its end.
fn waiting(connection: &Connection, message: i64) -> Look<Option<Envelope>> {
    let sql = "SELECT entries.body FROM messages JOIN entries ON entries.seq = messages.entry WHERE messages.no = ?1";
    let text: Option<String> = connection.prepare_cached(sql)?.query_row([message], |row| row.get(0)).optional()?;
    Ok(text.and_then(|text| Envelope::read(&text).ok()))
}

fn attempts(connection: &Connection, message: i64, generation: u32) -> rusqlite::Result<Vec<(AttemptRecord, String)>> {
    let sql = format!("SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE message = ?1 AND generation = ?2 ORDER BY n");
    let mut query = connection.prepare_cached(&sql)?;
    let rows = query.query_map([message, i64::from(generation)], |row| readable(AttemptRow::read(row)))?;
    let rows: Vec<Option<(AttemptRow, bool)>> = rows.collect::<rusqlite::Result<_>>()?;
    Ok(rows.into_iter().flatten().map(|(row, _)| (row.record, row.version)).collect())
}
