//! Bodies that are kept beside their entries: each whole, each with its message, and each message with its own.

use chaski_core::envelope::{Body, Envelope};
use rusqlite::Connection;

use super::{Report, rows};
use crate::row::{BODY_COLUMNS, BodyRow, LETTER_COLUMNS, LetterRow, PIECE_COLUMNS, PieceRow, readable};

/// Checks the rows of bodies and of their pieces, and how they fit to what names them.
pub(super) fn examine(connection: &Connection, report: &mut Report) {
    // What is not whole yet, or goes, has no checksum that counts.
    rows(connection, report, "bodies", &format!("{BODY_COLUMNS}, state"), 0, &|row| {
        Ok(row.get::<_, i64>(5)? != 2 || BodyRow::read(row)?.1)
    });
    rows(connection, report, "body_pieces", PIECE_COLUMNS, 0, &|row| {
        Ok(PieceRow::read(row).is_ok_and(|(piece, whole)| whole && piece.unpack().is_some()))
    });
    let checks = [
        (
            "has other pieces than it was written with",
            "SELECT no FROM bodies WHERE state = 2 AND (pieces, bytes) IS NOT (
                 SELECT count(*), coalesce(sum(size), 0) FROM body_pieces
                 WHERE body_pieces.no >= bodies.no * 256 AND body_pieces.no < (bodies.no + 1) * 256)",
        ),
        (
            "belongs to a message that is not there",
            "SELECT no FROM bodies WHERE message IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.no = bodies.message)
                 AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE accepted_no = bodies.message)",
        ),
        (
            "of body_pieces belongs to no body",
            "SELECT no FROM body_pieces WHERE NOT EXISTS (SELECT 1 FROM bodies WHERE bodies.no = body_pieces.no / 256)",
        ),
    ];
    for (detail, sql) in checks {
        let find = |report: &mut Report| -> rusqlite::Result<()> {
            let mut statement = connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                report.find(format!("bodies {}", row.get::<_, i64>(0)?), detail);
            }
            Ok(())
        };
        if let Err(error) = find(report) {
            report.find("bodies", format!("can't be balanced: {error}"));
        }
    }
    if let Err(error) = entries(connection, report).and_then(|()| letters(connection, report)) {
        report.find("bodies", format!("can't be compared: {error}"));
    }
}

const MISSING: &str = "names a body that is not there";

/// Entries that wait for a body which is not there.
fn entries(connection: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    // Most entries have none: those are told without being read as envelopes.
    let mut statement = connection.prepare("SELECT seq, body FROM entries WHERE instr(body, '\"body_ref\"') > 0")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let text = readable(row.get::<_, String>(1))?.unwrap_or_default();
        if is_missing(connection, &text)? {
            report.find(format!("entries {seq}"), MISSING);
        }
    }
    Ok(())
}

/// Dead letters that could be sent again, and whose body is not there.
fn letters(connection: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let sql = format!("SELECT {LETTER_COLUMNS}, no FROM dead_letters WHERE replayed_at IS NULL");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let no: i64 = row.get(21)?;
        let Some((letter, _)) = readable(LetterRow::read(row))? else { continue };
        let text = std::str::from_utf8(&letter.letter.message).unwrap_or_default();
        if text.contains("\"body_ref\"") && is_missing(connection, text)? {
            report.find(format!("dead_letters {no}"), MISSING);
        }
    }
    Ok(())
}

fn is_missing(connection: &Connection, text: &str) -> rusqlite::Result<bool> {
    let Ok(envelope) = Envelope::read(text) else { return Ok(false) };
    let Body::Aside(aside) = &envelope.message.body else { return Ok(false) };
    let sql = "SELECT 1 FROM bodies WHERE reference = ?1 AND state IN (0, 2) AND state = 2";
    Ok(!connection.prepare_cached(sql)?.exists([&aside.reference])?)
}
