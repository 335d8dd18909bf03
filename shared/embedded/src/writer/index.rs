//! Writing the look-ups of messages, sorted, some at a time.

use std::sync::mpsc::Sender;

use rusqlite::{Connection, params};

use super::{Job, Transaction};
use crate::store::Shared;

/// Keys with their messages, and how far the look-ups reach when they are written.
pub(crate) struct Index {
    pub(crate) keys: Vec<(i64, i64)>,
    pub(crate) up_to: Option<i64>,
    pub(crate) reply: Sender<()>,
}

impl Job for Index {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        let mut insert = transaction.prepare("INSERT OR IGNORE INTO finds (key, message) VALUES (?1, ?2)")?;
        for (key, message) in &self.keys {
            insert.execute([key, message])?;
        }
        if let Some(up_to) = self.up_to {
            transaction
                .prepare("INSERT OR REPLACE INTO store (key, value) VALUES ('found_up_to', ?1)")?
                .execute(params![up_to.to_string()])?;
        }
        Ok(())
    }

    fn done(self: Box<Self>, _: &Shared, _: &Connection) {
        let _ = self.reply.send(());
    }

    fn failed(self: Box<Self>, _: &Shared, _: &str) {}
}
