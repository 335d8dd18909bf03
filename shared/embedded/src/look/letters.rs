//! Dead letters.

use chaski_core::filter::{DeadLetterFilter, ErrorFilter, Listed, Page, Whose};
use chaski_core::ports::Buried;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::clause::Clause;
use super::{Look, LookError};
use crate::row::{LETTER_COLUMNS, LETTER_SHORT_COLUMNS, LetterRow, readable};

/// One record; the newest generation, unless one is named.
pub(crate) fn letter(
    connection: &Connection,
    id: &str,
    generation: Option<u32>,
    whose: &Whose,
) -> Look<Option<Buried>> {
    let sql = format!(
        "SELECT {LETTER_COLUMNS} FROM dead_letters WHERE id = ?1 AND (?2 IS NULL OR generation = ?2)
         ORDER BY generation DESC, entry_sent_at DESC LIMIT 1"
    );
    let found = connection.prepare_cached(&sql)?.query_row(params![id, generation], LetterRow::read).optional()?;
    let has = |row: &LetterRow| whose.has(&row.letter.tenant, row.letter.producer.as_deref().unwrap_or_default());
    Ok(found.map(|(row, _)| row).filter(has).map(buried))
}

/// A page of records, the newest first, without their messages and responses.
pub(crate) fn letters(connection: &Connection, filter: &DeadLetterFilter, page: &Page) -> Look<Listed<Buried>> {
    let mut clause = clause(filter);
    clause.and_always(format!("replayed_at IS {} NULL", if filter.replayed { "NOT" } else { "" }));
    if let Some(cursor) = &page.cursor {
        let (at, no) = read_cursor(cursor)?;
        clause.and_always("(entry_sent_at, no) < (?, ?)".to_owned());
        clause.values.extend([Value::from(at), Value::from(no)]);
    }
    let sql = format!(
        "SELECT {LETTER_SHORT_COLUMNS}, no, entry_sent_at FROM dead_letters {} ORDER BY entry_sent_at DESC, no DESC LIMIT ?",
        clause.text()
    );
    page_of(connection, &sql, clause, page, |_| true)
}

/// A page of whole records that were not replayed, in the order of acceptance.
pub(crate) fn letters_for_replay(
    connection: &Connection,
    filter: &DeadLetterFilter,
    page: &Page,
) -> Look<Listed<Buried>> {
    let mut page = page.clone();
    loop {
        let listed = replay_page(connection, filter, &page)?;
        // An empty page is the end of a list, for whoever reads one; here all of it may have been damaged.
        if !listed.items.is_empty() || listed.next_cursor.is_none() {
            return Ok(listed);
        }
        page.cursor = listed.next_cursor;
    }
}

fn replay_page(connection: &Connection, filter: &DeadLetterFilter, page: &Page) -> Look<Listed<Buried>> {
    let mut clause = clause(filter);
    clause.and_always("replayed_at IS NULL AND damaged = 0".to_owned());
    if let Some(cursor) = &page.cursor {
        let (accepted, no) = read_cursor(cursor)?;
        clause.and_always("(accepted_no, no) > (?, ?)".to_owned());
        clause.values.extend([Value::from(accepted), Value::from(no)]);
    }
    let sql = format!(
        "SELECT {LETTER_COLUMNS}, no, accepted_no FROM dead_letters {} ORDER BY accepted_no, no LIMIT ?",
        clause.text()
    );
    // What a flipped bit has changed is not sent to anybody.
    page_of(connection, &sql, clause, page, |whole| whole)
}

/// How many records fit.
pub(crate) fn count_letters(connection: &Connection, filter: &DeadLetterFilter) -> Look<u64> {
    let mut clause = clause(filter);
    clause.and_always(format!("replayed_at IS {} NULL", if filter.replayed { "NOT" } else { "" }));
    let sql = format!("SELECT count(*) FROM dead_letters {}", clause.text());
    let count: i64 = connection.prepare_cached(&sql)?.query_row(params_from_iter(clause.values), |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// A row, where it can be read and fits, and its place in the list.
type Found = (Option<(LetterRow, bool)>, (i64, i64));

fn page_of(
    connection: &Connection,
    sql: &str,
    mut clause: Clause,
    page: &Page,
    fits: impl Fn(bool) -> bool,
) -> Look<Listed<Buried>> {
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX).saturating_add(1);
    clause.values.push(Value::from(limit));
    let mut statement = connection.prepare_cached(sql)?;
    let read = |row: &Row<'_>| {
        let at: (i64, i64) = (row.get(22)?, row.get(21)?);
        // One that is damaged beyond reading stands in nobody's way; the doctor names it.
        Ok((readable(LetterRow::read(row))?.filter(|(_, whole)| fits(*whole)), at))
    };
    let mut found: Vec<Found> =
        statement.query_map(params_from_iter(clause.values), read)?.collect::<rusqlite::Result<_>>()?;
    let more = found.len() > page.limit;
    found.truncate(page.limit);
    let next_cursor = found.last().filter(|_| more).map(|(_, (key, no))| format!("{key}.{no}"));
    let items = found.into_iter().filter_map(|(read, _)| read).map(|(row, _)| buried(row)).collect();
    Ok(Listed { items, next_cursor })
}

fn clause(filter: &DeadLetterFilter) -> Clause {
    let mut clause = Clause::default();
    clause.whose(&filter.whose);
    clause.and("subject = ?", filter.subject.clone());
    clause.and("client = ?", filter.client.clone());
    clause.target("dead_letters", filter.target.as_ref());
    match &filter.error {
        None => {}
        Some(ErrorFilter::Class(class)) => clause.and("class = ?", Some(class.clone())),
        Some(ErrorFilter::Status(status)) => clause.and("status = ?", Some(i64::from(*status))),
    }
    clause.between("entry_sent_at", filter.from, filter.to);
    clause
}

fn read_cursor(cursor: &str) -> Look<(i64, i64)> {
    let (first, no) = cursor.split_once('.').ok_or(LookError::Cursor)?;
    let number = |text: &str| text.parse().map_err(|_| LookError::Cursor);
    Ok((number(first)?, number(no)?))
}

fn buried(row: LetterRow) -> Buried {
    Buried { letter: row.letter, replayed_at: row.replayed_at }
}
