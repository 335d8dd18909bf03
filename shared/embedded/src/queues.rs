//! The queues of a store: their names and numbers, and how they move.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chaski_core::queue::{QueueName, Tier};
use chaski_core::route::Route;
use rusqlite::{Connection, OptionalExtension, params};

use crate::schedule::Millis;

/// Every queue by name and number. Fixed while the store is open.
#[derive(Debug, Default)]
pub(crate) struct QueueTable {
    numbers: HashMap<QueueName, i64>,
    names: HashMap<i64, QueueName>,
    /// As they are listed: shards first, then tiers, `wake` and the last net.
    order: Vec<i64>,
}

impl QueueTable {
    /// Reads the queues of the file, and adds those of the routes that are missing. A queue of a route that is
    /// gone stays: its entries are delivered.
    pub(crate) fn open(connection: &Connection, routes: &[Route]) -> rusqlite::Result<Self> {
        let shards = routes
            .iter()
            .flat_map(|route| (0..route.shards).map(|shard| QueueName::Shard { route: route.name.clone(), shard }));
        let own: Vec<QueueName> =
            shards.chain(Tier::ALL.map(QueueName::Tier)).chain([QueueName::Wake, QueueName::LastNet]).collect();
        let change = connection.unchecked_transaction()?;
        restore(connection, &own)?;
        for queue in &own {
            connection
                .prepare_cached("INSERT INTO queues (name) VALUES (?1) ON CONFLICT DO NOTHING")?
                .execute([queue.to_string()])?;
        }
        connection.execute("INSERT OR IGNORE INTO store (key, value) SELECT 'queue ' || no, name FROM queues", [])?;
        change.commit()?;
        let mut table = Self::default();
        let mut query = connection.prepare("SELECT no, name FROM queues")?;
        for row in query.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))? {
            let (no, name) = row?;
            if let Some(name) = QueueName::parse(&name) {
                table.numbers.insert(name.clone(), no);
                table.names.insert(no, name);
            }
        }
        table.order = own.iter().filter_map(|name| table.numbers.get(name).copied()).collect();
        let mut gone: Vec<(&QueueName, i64)> =
            table.numbers.iter().map(|(name, no)| (name, *no)).filter(|(_, no)| !table.order.contains(no)).collect();
        gone.sort();
        let gone: Vec<i64> = gone.into_iter().map(|(_, no)| no).collect();
        table.order.extend(gone);
        Ok(table)
    }

    pub(crate) fn number(&self, name: &QueueName) -> Option<i64> {
        self.numbers.get(name).copied()
    }

    pub(crate) fn name(&self, number: i64) -> Option<&QueueName> {
        self.names.get(&number)
    }

    /// All numbers, in the order of lists.
    pub(crate) fn all(&self) -> &[i64] {
        &self.order
    }
}

/// Puts queues back that damage has taken away or renamed: the number is all that an entry has of its queue. Each
/// stands in two tables, and the one of the two names that a route has is the right one.
fn restore(connection: &Connection, own: &[QueueName]) -> rusqlite::Result<()> {
    let kept: Vec<(i64, String)> = connection
        .prepare(
            "SELECT CAST(substr(key, 7) AS INTEGER), value FROM store
             WHERE key GLOB 'queue [0-9]*' AND NOT EXISTS (SELECT 1 FROM queues WHERE 'queue ' || no = key AND name = value)",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (no, name) in kept {
        let is_own = |name: &str| QueueName::parse(name).is_some_and(|name| own.contains(&name));
        let now: Option<String> =
            connection.query_row("SELECT name FROM queues WHERE no = ?1", [no], |row| row.get(0)).optional()?;
        if now.is_some_and(|now| is_own(&now) && !is_own(&name)) {
            connection.execute(
                "UPDATE store SET value = (SELECT name FROM queues WHERE no = ?1) WHERE key = 'queue ' || ?1",
                [no],
            )?;
        } else {
            connection.execute("DELETE FROM queues WHERE no = ?1 OR name = ?2", params![no, name])?;
            connection.execute(
                "INSERT INTO queues (no, name, depth) VALUES (?1, ?2, (SELECT count(*) FROM entries WHERE queue = ?1))",
                params![no, name],
            )?;
        }
    }
    Ok(())
}

/// What a queue did.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Move {
    /// An entry came in.
    In,
    /// One left.
    Out,
    /// One left after an attempt that failed.
    Failed,
}

/// The span of the rates, in seconds.
const SPAN_S: i64 = 60;

/// Counts moves by second, over the last minute.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<i64, Ring>>);

#[derive(Debug, Clone)]
struct Ring {
    slots: [[u32; 3]; SPAN_S as usize],
    last: i64,
}

impl Ring {
    fn at(&mut self, second: i64) -> Option<&mut [u32; 3]> {
        let from = self.last.max(second - SPAN_S);
        for passed in from + 1..=second {
            *self.slot(passed)? = [0; 3];
        }
        self.last = self.last.max(second);
        self.slot(second)
    }

    fn slot(&mut self, second: i64) -> Option<&mut [u32; 3]> {
        self.slots.get_mut(usize::try_from(second.rem_euclid(SPAN_S)).ok()?)
    }
}

impl Rates {
    /// Counts a move.
    pub(crate) fn count(&self, queue: i64, what: Move, now: Millis) {
        let second = now / 1_000;
        let mut rings = self.rings();
        let ring =
            rings.entry(queue).or_insert_with(|| Ring { slots: [[0; 3]; SPAN_S as usize], last: second - SPAN_S });
        if let Some(count) = ring.at(second).and_then(|slot| slot.get_mut(what as usize)) {
            *count = count.saturating_add(1);
        }
    }

    /// In, out and failed a second, over the last minute.
    pub(crate) fn of(&self, queue: i64, now: Millis) -> [f64; 3] {
        let mut rings = self.rings();
        let Some(ring) = rings.get_mut(&queue) else { return [0.0; 3] };
        ring.at(now / 1_000);
        let sums = ring.slots.iter().fold([0_u32; 3], |sums, slot| {
            let [a, b, c] = sums;
            let [x, y, z] = *slot;
            [a + x, b + y, c + z]
        });
        #[expect(clippy::cast_precision_loss, reason = "60, exactly")]
        let span = SPAN_S as f64;
        sums.map(|sum| f64::from(sum) / span)
    }

    fn rings(&self) -> MutexGuard<'_, HashMap<i64, Ring>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_minute() {
        let rates = Rates::default();
        for n in 0..120 {
            rates.count(1, Move::In, n * 1_000);
        }
        rates.count(1, Move::Failed, 119_000);
        let [came, left, failed] = rates.of(1, 119_000);
        assert!((came - 1.0).abs() < 1e-9 && left == 0.0 && (failed - 1.0 / 60.0).abs() < 1e-9);
        assert_eq!(rates.of(1, 300_000), [0.0; 3]);
        assert_eq!(rates.of(2, 0), [0.0; 3]);
    }
}
