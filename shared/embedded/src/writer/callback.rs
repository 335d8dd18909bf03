//! Telling of ends that the store makes itself.

use chaski_core::app::callback_of_text;
use chaski_core::ledger::MessageState;
use chaski_core::time::Timestamp;

use super::Transaction;
use super::enqueue::take_one;
use crate::row::EntryRow;

/// The field of an envelope that asks for it, as every wire text spells it.
const ASKED: &str = "failure_callback";

/// Writes the message that tells of this end, where the text of the one that ended asks for it.
pub(super) fn tell_of(
    transaction: &mut Transaction<'_>,
    text: &str,
    end: MessageState,
) -> rusqlite::Result<Option<EntryRow>> {
    if !text.contains(ASKED) {
        return Ok(None);
    }
    let now = Timestamp::from_millis(transaction.now);
    match callback_of_text(text, end, &transaction.shared.routes, now) {
        Some(entry) => take_one(transaction, &entry),
        None => Ok(None),
    }
}
