//! What the head of a strict line remembers beside its queue, where its entry can't be changed: one row a message that
//! failed, written once a failed attempt and deleted when the line moves on.

use std::time::Duration;

use chaski_core::envelope::Meta;
use chaski_core::ports::{DeskError, Hold, Leased};

use super::keys::{EXPIRES, PK, SK, WHOLE, line};
use super::row::{read_text, seconds, text};
use super::table::ControlTable;
use crate::item::Item;

/// A row stays so long after its attempt was due, should nobody delete it: a queue keeps no entry longer.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3_600);

const META: &str = "meta";
const QUEUE: &str = "queue";
const HANDLE: &str = "handle";
const UNTIL: &str = "until";

impl ControlTable {
    /// Remembers a message that holds up its line, in the place of what was remembered of it.
    ///
    /// # Errors
    /// It is not known to be remembered.
    pub async fn put_line(&self, leased: &Leased, hold: &Hold) -> Result<(), DeskError> {
        let Some(meta) = &hold.envelope.meta else { return Ok(()) };
        self.put(item(leased, meta, hold)).await
    }

    /// What is remembered of a message.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn line(&self, id: &str, generation: u32) -> Result<Option<Meta>, DeskError> {
        let row = self.row(&line(id, generation), WHOLE).await?;
        Ok(row.and_then(|row| Meta::parse(&read_text(&row, META)?)))
    }

    /// Forgets a message whose line moved on.
    ///
    /// # Errors
    /// It may be remembered still, and is deleted by its time.
    pub async fn delete_line(&self, id: &str, generation: u32) -> Result<(), DeskError> {
        self.take_row(&line(id, generation), WHOLE).await.map(drop)
    }
}

fn item(leased: &Leased, meta: &Meta, hold: &Hold) -> Item {
    [
        (PK, text(line(&meta.id, meta.generation))),
        (SK, text(WHOLE)),
        (META, text(meta.to_json())),
        (QUEUE, text(leased.queue.to_string())),
        (HANDLE, text(&leased.handle)),
        (UNTIL, text(hold.due.to_string())),
        (EXPIRES, seconds(hold.due.plus(KEPT))),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
