//! The rows of the store, each with a checksum over what it says.

mod attempt;
mod body;
mod entry;
mod id;
mod letter;
pub(crate) mod listing;
mod sum;

pub(crate) use attempt::{AttemptRow, COLUMNS as ATTEMPT_COLUMNS};
pub(crate) use body::{BodyRow, BodyState, COLUMNS as BODY_COLUMNS, PIECE_BYTES, PIECE_COLUMNS, PieceRow};
pub(crate) use entry::{COLUMNS as ENTRY_COLUMNS, EntryRow, FlowRow, INSERT as ENTRY_INSERT};
pub(crate) use id::IdValue;
pub(crate) use letter::{
    COLUMNS as LETTER_COLUMNS, INSERT as LETTER_INSERT, LetterRow, SHORT_COLUMNS as LETTER_SHORT_COLUMNS, read_error,
};
pub(crate) use listing::{COLUMNS as LISTING_COLUMNS, ListingRow};
pub(crate) use sum::Sum;

use chaski_core::ledger::MessageState;
use rusqlite::Row;
use rusqlite::types::{Type, ValueRef};

/// A state's number in the file. Never changed: it stands in stores.
pub(crate) const fn state_number(state: MessageState) -> i64 {
    match state {
        MessageState::Pending => 0,
        MessageState::Delivering => 1,
        MessageState::Retrying => 2,
        MessageState::Delivered => 3,
        MessageState::Dead => 4,
        MessageState::Cancelled => 5,
        MessageState::Expired => 6,
    }
}

/// The state of that number.
pub(crate) fn state_of(number: i64) -> Option<MessageState> {
    MessageState::ALL.into_iter().find(|state| state_number(*state) == number)
}

/// Whether a value was of another kind than its column's: the row is damaged.
pub(crate) fn is_unreadable(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    matches!(error, FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..))
}

/// What can be read of a row; none of one that is damaged beyond that.
pub(crate) fn readable<T>(read: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if is_unreadable(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A text, also where bytes of it are none any more: its row's checksum tells.
pub(crate) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    text_if(row, column)?.ok_or_else(|| rusqlite::Error::InvalidColumnType(column, String::new(), Type::Null))
}

/// The same, or nothing.
pub(crate) fn text_if(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Text(bytes) => Ok(Some(String::from_utf8_lossy(bytes).into_owned())),
        other => Err(rusqlite::Error::InvalidColumnType(column, String::new(), other.data_type())),
    }
}
