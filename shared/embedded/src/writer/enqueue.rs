//! Taking entries in.

use chaski_core::envelope::Envelope;
use chaski_core::ledger::Listing;
use chaski_core::ports::{EnqueueError, Entry, Taken};
use chaski_core::route;
use chaski_core::time::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::bodies::{self, Claim};
use super::{Job, Transaction};
use crate::queues::Move;
use crate::row::{EntryRow, FlowRow};
use crate::store::Shared;

/// The fate of each entry, in their order.
pub(crate) type Fates = Vec<Result<Taken, EnqueueError>>;

/// Entries of one call.
pub(crate) struct Enqueued {
    pub(crate) entries: Vec<Entry>,
    fates: Fates,
    written: Vec<EntryRow>,
    reply: oneshot::Sender<Fates>,
}

impl Enqueued {
    pub(crate) fn new(entries: Vec<Entry>) -> (Box<Self>, oneshot::Receiver<Fates>) {
        let (reply, told) = oneshot::channel();
        (Box::new(Self { entries, fates: Vec::new(), written: Vec::new(), reply }), told)
    }
}

impl Job for Enqueued {
    fn takes(&self) -> bool {
        true
    }

    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.fates.clear();
        self.written.clear();
        for entry in &self.entries {
            self.fates.push(match transaction.queues().number(&entry.queue) {
                None => Err(EnqueueError::Refused(format!("there is no queue {}", entry.queue))),
                Some(queue) => match take_with_body(transaction, entry, queue)? {
                    Ok(None) => Ok(Taken::Duplicate),
                    Err(error) => Err(error),
                    Ok(Some(row)) => {
                        self.written.push(row);
                        Ok(Taken::New)
                    }
                },
            });
        }
        Ok(())
    }

    fn done(self: Box<Self>, shared: &Shared, connection: &Connection) {
        self.written.into_iter().for_each(|row| publish(shared, connection, row));
        // Who does not wait any more has lost the answer, and nothing else.
        let _ = self.reply.send(self.fates);
    }

    fn failed(self: Box<Self>, _: &Shared, why: &str) {
        let fates = self.entries.iter().map(|_| Err(EnqueueError::Unavailable(why.to_owned()))).collect();
        let _ = self.reply.send(fates);
    }
}

/// A row was written: its line may have its turn.
pub(crate) fn publish(shared: &Shared, connection: &Connection, row: EntryRow) {
    shared.rates.count(row.queue, Move::In, shared.clock.now());
    if let Some(due) = row.due {
        shared.note_due(due);
    }
    let now = shared.clock.now();
    let mut schedule = shared.schedule();
    // What waits for its time comes in from the file, whatever it stands behind.
    if row.due.is_some_and(|due| due > now) || schedule.knows(row.line) {
        schedule.add(row, false, now);
    } else {
        let may_be_held = schedule.may_be_held(row.line);
        drop(schedule);
        // A line that is not in memory may stand in the file; what is behind its older entries must not pass them.
        let behind = stands_behind(connection, &row).unwrap_or(true);
        let held = behind && may_be_held && stands_behind_held(connection, &row).unwrap_or(false);
        schedule = shared.schedule();
        if held {
            schedule.add_behind_held(row, now);
        } else {
            schedule.add(row, behind, now);
        }
    }
    drop(schedule);
    shared.wake_loader_if_wanted();
}

fn stands_behind(connection: &Connection, row: &EntryRow) -> rusqlite::Result<bool> {
    let mut earlier = connection.prepare_cached("SELECT 1 FROM entries WHERE line = ?1 AND seq < ?2 LIMIT 1")?;
    earlier.exists([row.line, row.seq])
}

/// Whether the line's head has its time, at which its line comes in.
fn stands_behind_held(connection: &Connection, row: &EntryRow) -> rusqlite::Result<bool> {
    let sql = "SELECT due IS NOT NULL FROM entries WHERE line = ?1 ORDER BY seq LIMIT 1";
    connection.prepare_cached(sql)?.query_row([row.line], |row| row.get(0))
}

/// Writes an entry into its queue, where the store has that; `None` when it was taken before.
pub(super) fn take_one(transaction: &mut Transaction<'_>, entry: &Entry) -> rusqlite::Result<Option<EntryRow>> {
    match transaction.queues().number(&entry.queue) {
        Some(queue) => take(transaction, entry, queue),
        None => Ok(None),
    }
}

/// Writes an entry, and gives its message the body that is kept beside it, if it has one there.
fn take_with_body(
    transaction: &mut Transaction<'_>,
    entry: &Entry,
    queue: i64,
) -> rusqlite::Result<Result<Option<EntryRow>, EnqueueError>> {
    let named = entry.listing.as_ref().and_then(|listing| Some((listing.body.as_ref()?, &listing.id)));
    let Some((body, id)) = named else { return take(transaction, entry, queue).map(Ok) };
    match bodies::claim(transaction, &body.reference, id)? {
        Claim::Granted => {}
        Claim::Taken => return Ok(Err(EnqueueError::BodyTaken)),
        // It was there when it was looked for; the same post sets it aside again, or says that it is gone.
        Claim::Missing => return Ok(Err(EnqueueError::Unavailable("its body is not there any more".to_owned()))),
    }
    let taken = take(transaction, entry, queue)?;
    bodies::give(transaction, &body.reference, id)?;
    Ok(Ok(taken))
}

/// Writes an entry; `None` when it was taken before.
fn take(transaction: &mut Transaction<'_>, entry: &Entry, queue: i64) -> rusqlite::Result<Option<EntryRow>> {
    match &entry.listing {
        Some(listing) => take_listed(transaction, entry, listing, queue),
        None => take_foreign(transaction, entry, queue),
    }
}

/// A message as the ingress accepted it: its id says whether it is known.
fn take_listed(
    transaction: &mut Transaction<'_>,
    entry: &Entry,
    listing: &Listing,
    queue: i64,
) -> rusqlite::Result<Option<EntryRow>> {
    let id = &listing.id;
    if transaction.shared.remembers && transaction.standing(id)?.is_none() && transaction.remembers(id)? {
        return Ok(None);
    }
    let no = transaction.number();
    if !transaction.insert_message(no, listing, no)? {
        let Some(known) = transaction.standing(id)? else { return Ok(None) };
        let forgotten = transaction.now - transaction.shared.keys_ms > known.received_at;
        if !known.state.is_end() || !forgotten {
            return Ok(None);
        }
        // Its key's time is over: the same id is a message of its own now.
        transaction.delete_message(known.no)?;
        transaction.insert_message(no, listing, no)?;
    }
    let row = row_of(transaction, entry, queue, no, Some((no, listing)));
    transaction.insert_entry(&row)?;
    Ok(Some(row))
}

/// What another hand wrote: another version, an operator, a test. Its deduplication id says whether it is known.
fn take_foreign(transaction: &mut Transaction<'_>, entry: &Entry, queue: i64) -> rusqlite::Result<Option<EntryRow>> {
    if transaction.remembers(&entry.dedup)? {
        return Ok(None);
    }
    transaction.remember(&entry.dedup, transaction.now)?;
    let seq = transaction.number();
    let listing = Envelope::read(&entry.body).ok().map(|envelope| list(transaction, &envelope, seq));
    let message = match &listing {
        None => None,
        Some(listing) => Some((place(transaction, listing, seq)?, listing)),
    };
    let row = row_of(transaction, entry, queue, seq, message);
    transaction.insert_entry(&row)?;
    Ok(Some(row))
}

/// The message's place in the ledger: its own, or a new one where it has none any more.
pub(super) fn place(transaction: &mut Transaction<'_>, listing: &Listing, seq: i64) -> rusqlite::Result<i64> {
    match transaction.standing(&listing.id)? {
        Some(known) => {
            transaction.renew_message(known.no, listing, seq)?;
            Ok(known.no)
        }
        None => {
            transaction.insert_message(seq, listing, seq)?;
            Ok(seq)
        }
    }
}

fn list(transaction: &Transaction<'_>, envelope: &Envelope, seq: i64) -> Listing {
    let mut meta = envelope.meta.clone().unwrap_or_default();
    if meta.id.is_empty() {
        meta.id = transaction.shared.entry_id(seq);
    }
    let found = route::find(&transaction.shared.routes, &envelope.subject);
    let client = envelope.client.clone().or_else(|| found?.client.as_ref()?.client(&envelope.subject));
    meta.route = meta.route.or_else(|| found.map(|route| route.name.clone()));
    Listing::of(envelope, &meta, client, Timestamp::from_millis(transaction.now))
}

/// An entry's row. `message` is its place in the ledger, with what is listed there.
pub(crate) fn row_of(
    transaction: &Transaction<'_>,
    entry: &Entry,
    queue: i64,
    seq: i64,
    message: Option<(i64, &Listing)>,
) -> EntryRow {
    let due = transaction.shared.due_of(entry, transaction.now, seq);
    EntryRow {
        seq,
        line: EntryRow::line_of(queue, &entry.group),
        queue,
        message: message.map(|(no, _)| no),
        due,
        sent_at: transaction.now,
        group: entry.group.clone(),
        host: message.and_then(|(_, listing)| listing.target_host.as_deref().map(Into::into)),
        route: message.map(|(_, listing)| listing.route.as_str().into()),
        flow: message.and_then(|(_, listing)| Some(FlowRow::of(listing.flow.as_ref()?, &listing.tenant).into())),
        body: entry.body.clone(),
    }
}
