//! Holding back, and going on.

use chaski_core::pause::{Pause, PauseScope};
use chaski_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::{Job, Told, Transaction};
use crate::look::read_pauses;
use crate::store::Shared;

/// A scope to hold back.
pub(crate) struct Hold {
    pause: Pause,
    is_new: bool,
    reply: oneshot::Sender<Result<(Pause, bool), String>>,
}

impl Hold {
    pub(crate) fn new(id: String, scope: PauseScope) -> (Box<Self>, Told<(Pause, bool)>) {
        let (reply, told) = oneshot::channel();
        let pause = Pause { id, scope, created_at: Timestamp::default() };
        (Box::new(Self { pause, is_new: false, reply }), told)
    }
}

impl Job for Hold {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        let (kind, value, tenant) = self.pause.scope.parts();
        let known: Option<(String, i64)> = transaction
            .prepare("SELECT id, created_at FROM pauses WHERE kind = ?1 AND value = ?2 AND tenant = ?3")?
            .query_row([kind, value, tenant], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        self.is_new = known.is_none();
        match known {
            Some((id, at)) => {
                self.pause.id = id;
                self.pause.created_at = Timestamp::from_millis(at);
            }
            None => {
                self.pause.created_at = Timestamp::from_millis(transaction.now);
                transaction
                    .prepare("INSERT INTO pauses (id, kind, value, tenant, created_at) VALUES (?1, ?2, ?3, ?4, ?5)")?
                    .execute(params![self.pause.id, kind, value, tenant, transaction.now])?;
            }
        }
        Ok(())
    }

    fn done(self: Box<Self>, shared: &Shared, connection: &Connection) {
        put_in_force(shared, connection);
        let _ = self.reply.send(Ok((self.pause, self.is_new)));
    }

    fn failed(self: Box<Self>, _: &Shared, why: &str) {
        let _ = self.reply.send(Err(why.to_owned()));
    }
}

/// A pause to end.
pub(crate) struct Release {
    id: String,
    found: bool,
    reply: oneshot::Sender<Result<bool, String>>,
}

impl Release {
    pub(crate) fn new(id: String) -> (Box<Self>, Told<bool>) {
        let (reply, told) = oneshot::channel();
        (Box::new(Self { id, found: false, reply }), told)
    }
}

impl Job for Release {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.found = transaction.prepare("DELETE FROM pauses WHERE id = ?1")?.execute([&self.id])? > 0;
        Ok(())
    }

    fn done(self: Box<Self>, shared: &Shared, connection: &Connection) {
        put_in_force(shared, connection);
        let _ = self.reply.send(Ok(self.found));
    }

    fn failed(self: Box<Self>, _: &Shared, why: &str) {
        let _ = self.reply.send(Err(why.to_owned()));
    }
}

/// What the table says is what holds.
fn put_in_force(shared: &Shared, connection: &Connection) {
    match read_pauses(connection) {
        Ok(pauses) => shared.schedule().set_pauses(shared.pause_set(&pauses)),
        Err(error) => shared.fail(&format!("the pauses can't be read: {error}"), super::is_damage(&error)),
    }
    shared.wake_loader();
}
