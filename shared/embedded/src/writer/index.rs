//! Writing the look-ups of messages, sorted, some at a time.

use std::sync::mpsc::Sender;
use std::time::Instant;

use rusqlite::{Connection, params};

use super::{Job, Transaction};
use crate::store::Shared;

/// Keys with their messages, and how far the look-ups reach when all are written. As many are as the transaction has
/// time for; the reply is how many.
pub(crate) struct Index {
    pub(crate) keys: Vec<(i64, i64)>,
    pub(crate) up_to: Option<i64>,
    pub(crate) written: usize,
    pub(crate) reply: Sender<usize>,
}

/// Keys that are written between two looks at the time.
const STRIDE: usize = 16;

impl Job for Index {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        let began = Instant::now();
        let mut insert = transaction.prepare("INSERT OR IGNORE INTO finds (key, message) VALUES (?1, ?2)")?;
        self.written = 0;
        for stride in self.keys.chunks(STRIDE) {
            for (key, message) in stride {
                insert.execute([key, message])?;
            }
            self.written += stride.len();
            if began.elapsed() > transaction.spare {
                break;
            }
        }
        if let Some(up_to) = self.up_to.filter(|_| self.written == self.keys.len()) {
            transaction
                .prepare("INSERT OR REPLACE INTO store (key, value) VALUES ('found_up_to', ?1)")?
                .execute(params![up_to.to_string()])?;
        }
        Ok(())
    }

    fn done(self: Box<Self>, _: &Shared, _: &Connection) {
        let _ = self.reply.send(self.written);
    }

    fn failed(self: Box<Self>, _: &Shared, _: &str) {}
}
