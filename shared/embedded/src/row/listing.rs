//! What a message's row says from its acceptance on.

use chaski_core::ledger::Listing;
use chaski_core::time::Timestamp;
use rusqlite::{Row, Statement, named_params};

use super::{IdValue, Sum, text, text_if};

/// A message's place and listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListingRow {
    /// The order of acceptance.
    pub(crate) no: i64,
    /// What is listed of it.
    pub(crate) listing: Listing,
}

/// The columns, in the order in which [`ListingRow::read`] takes them.
pub(crate) const COLUMNS: &str =
    "no, id, generation, tenant, producer, subject, client, labels, route, target, host, received_at, messages.sum";

/// Writes a row, pending.
pub(crate) const INSERT: &str = "INSERT INTO messages
    (no, id, generation, tenant, producer, subject, client, labels, route, target, host, received_at, sum, state, entry)
    VALUES (:no, :id, :generation, :tenant, :producer, :subject, :client, :labels, :route, :target, :host, :received_at,
        :sum, 0, :entry)
    ON CONFLICT (id) DO NOTHING";

/// Begins the next generation of a message in its place, pending.
pub(crate) const RENEW: &str = "UPDATE messages SET id = :id, generation = :generation, tenant = :tenant,
    producer = :producer, subject = :subject, client = :client, labels = :labels, route = :route, target = :target,
    host = :host, received_at = :received_at, sum = :sum, state = 0, entry = :entry, letter = NULL, cancelling = 0,
    ended_at = NULL, error = NULL, answer_status = NULL, answer = NULL, answer_truncated = NULL WHERE no = :no";

/// Runs [`INSERT`] or [`RENEW`]; `false` when a new row's id has one already.
pub(crate) fn write(statement: &mut Statement<'_>, no: i64, listing: &Listing, entry: i64) -> rusqlite::Result<bool> {
    let Listing { id, generation, tenant, producer, subject, client, route, target, target_host, .. } = listing;
    let written = statement.execute(named_params! {
        ":no": no, ":id": IdValue(id.clone()), ":generation": generation, ":tenant": tenant, ":producer": producer,
        ":subject": subject, ":client": client, ":labels": labels(listing), ":route": route, ":target": target,
        ":host": target_host, ":received_at": listing.received_at.millis(), ":sum": sum(no, listing), ":entry": entry,
    })?;
    Ok(written > 0)
}

/// The checksum over a message's place and listing.
fn sum(no: i64, listing: &Listing) -> i64 {
    let Listing { id, tenant, producer, subject, client, route, target, target_host, .. } = listing;
    Sum::default()
        .number(no)
        .text(id)
        .number(i64::from(listing.generation))
        .text(tenant)
        .text(producer)
        .text(subject)
        .text_if(client.as_deref())
        .text_if(labels(listing).as_deref())
        .text(route)
        .text_if(target.as_deref())
        .text_if(target_host.as_deref())
        .number(listing.received_at.millis())
        .finish()
}

/// The labels as a JSON array; none for none.
fn labels(listing: &Listing) -> Option<String> {
    (!listing.labels.is_empty()).then(|| serde_json::json!(listing.labels).to_string())
}

impl ListingRow {
    /// Reads a row; the second value tells whether it says what was written.
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<(Self, bool)> {
        let labels: Option<String> = text_if(row, 7)?;
        let listing = Listing {
            id: row.get::<_, IdValue>(1)?.0,
            generation: row.get(2)?,
            tenant: text(row, 3)?,
            producer: text(row, 4)?,
            subject: text(row, 5)?,
            client: text_if(row, 6)?,
            labels: labels.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
            route: text(row, 8)?,
            target: text_if(row, 9)?,
            target_host: text_if(row, 10)?,
            received_at: Timestamp::from_millis(row.get(11)?),
            // The entry's row has it.
            flow: None,
            // Stands in a table of its own.
            body: None,
        };
        let read = Self { no: row.get(0)?, listing };
        let whole = row.get::<_, i64>(12)? == sum(read.no, &read.listing);
        Ok((read, whole))
    }
}
