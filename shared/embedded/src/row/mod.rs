//! The rows of the store, each with a checksum over what it says.

mod entry;
mod id;
mod letter;
pub(crate) mod listing;
mod sum;

pub(crate) use entry::{COLUMNS as ENTRY_COLUMNS, EntryRow, INSERT as ENTRY_INSERT};
pub(crate) use id::IdValue;
pub(crate) use letter::{
    COLUMNS as LETTER_COLUMNS, INSERT as LETTER_INSERT, LetterRow, SHORT_COLUMNS as LETTER_SHORT_COLUMNS, read_error,
};
pub(crate) use listing::{COLUMNS as LISTING_COLUMNS, ListingRow};
pub(crate) use sum::Sum;

use chaski_core::ledger::MessageState;

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
