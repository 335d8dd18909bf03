//! Bodies that are kept beside their entries.

use chaski_core::ports::{BodyError, KeptBody};
use rusqlite::{Connection, OptionalExtension};

use super::Look;
use crate::row::{BODY_COLUMNS, BodyRow, BodyState, PIECE_COLUMNS, PieceRow, readable};

/// What is known of a reference.
pub(crate) type Found = Option<(BodyRow, BodyState)>;

/// A body that was promised or is whole.
pub(crate) fn body(connection: &Connection, reference: &str) -> Look<Result<Found, BodyError>> {
    let sql = format!("SELECT {BODY_COLUMNS}, state FROM bodies WHERE reference = ?1 AND state IN (0, 2)");
    let found = connection
        .prepare_cached(&sql)?
        .query_row([reference], |row| Ok((readable(BodyRow::read(row))?, row.get::<_, i64>(5)?)))
        .optional()?;
    Ok(Ok(match found {
        None => None,
        Some((Some((row, true)), state)) if state == BodyState::Whole as i64 => Some((row, BodyState::Whole)),
        Some((_, state)) if state == BodyState::Whole as i64 => return Ok(Err(damaged())),
        Some((Some((row, _)), _)) => Some((row, BodyState::Promised)),
        Some((None, _)) => None,
    }))
}

/// One piece of a body, as it was written.
pub(crate) fn piece(connection: &Connection, number: i64) -> Look<Result<Vec<u8>, BodyError>> {
    let sql = format!("SELECT {PIECE_COLUMNS} FROM body_pieces WHERE no = ?1");
    let found = connection.prepare_cached(&sql)?.query_row([number], |row| readable(PieceRow::read(row))).optional()?;
    let bytes = found.flatten().filter(|(_, whole)| *whole).and_then(|(piece, _)| piece.unpack());
    Ok(bytes.ok_or_else(damaged))
}

fn damaged() -> BodyError {
    BodyError::Gone("what is kept of it does not match its checksum".to_owned())
}

/// A message's body, where it is kept beside its entry.
pub(crate) fn body_of(connection: &Connection, message: i64) -> rusqlite::Result<Option<KeptBody>> {
    let sql = format!("SELECT {BODY_COLUMNS} FROM bodies WHERE message = ?1");
    let found = connection.prepare_cached(&sql)?.query_row([message], |row| readable(BodyRow::read(row))).optional()?;
    let kept = |row: BodyRow| KeptBody { reference: row.reference, bytes: u64::try_from(row.bytes).unwrap_or(0) };
    Ok(found.flatten().map(|(row, _)| kept(row)))
}
