//! Copying what can be read of a damaged database, row by row.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row, params_from_iter};
use tracing::error;

/// Tables by what a damaged page costs: rows are read by their numbers, so that the rest is found behind a damaged
/// place.
const NUMBERED: [(&str, &str); 6] = [
    ("queues", "no"),
    ("messages", "no"),
    ("entries", "seq"),
    ("dead_letters", "no"),
    ("bodies", "no"),
    ("body_pieces", "no"),
];
/// Tables without numbers, which are read from both ends.
const OTHERS: [&str; 5] = ["store", "attempts", "moves", "sequences", "pauses"];
/// Tables whose rows have a checksum: text that is none any more is copied as it is, for that to tell.
const SUMMED: [&str; 5] = ["entries", "messages", "dead_letters", "attempts", "bodies"];

/// What was copied.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Rows.
    pub(crate) rows: u64,
    /// Places that could not be read.
    pub(crate) places: u64,
}

/// Copies every table.
pub(super) fn copy_all(source: &Connection, target: &Connection) -> rusqlite::Result<Copied> {
    let mut copied = Copied::default();
    target.execute_batch("BEGIN")?;
    for (table, key) in NUMBERED {
        let mut copy = Copy::new(target, table, &mut copied)?;
        copy.numbered(source, key)?;
    }
    for table in OTHERS {
        let mut copy = Copy::new(target, table, &mut copied)?;
        for order in ["", "ORDER BY 1 DESC"] {
            if copy.rows(source, &format!("SELECT * FROM {table} NOT INDEXED {order}"))?.1 {
                break;
            }
            copy.lose("from one of its ends");
        }
    }
    target.execute_batch("COMMIT")?;
    Ok(copied)
}

/// Numbers that a store can have given.
const NUMBERS: std::ops::Range<i64> = 0..1 << 53;
/// A row so far behind the one before has a damaged number, by which no place is found.
const FAR: i64 = 1 << 20;

struct Copy<'a> {
    target: &'a Connection,
    table: &'static str,
    insert: String,
    summed: bool,
    copied: &'a mut Copied,
}

impl<'a> Copy<'a> {
    fn new(target: &'a Connection, table: &'static str, copied: &'a mut Copied) -> rusqlite::Result<Self> {
        let columns: Vec<String> = target
            .prepare(&format!("SELECT type FROM pragma_table_info('{table}')"))?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        // Text that is no UTF-8 is bound as bytes, and is text again here.
        let mark = |(n, kind): (usize, &String)| match kind.as_str() {
            "TEXT" => format!("CAST(?{} AS TEXT)", n + 1),
            _ => format!("?{}", n + 1),
        };
        let marks = columns.iter().enumerate().map(mark).collect::<Vec<_>>().join(", ");
        let insert = format!("INSERT OR IGNORE INTO {table} VALUES ({marks})");
        Ok(Self { target, table, insert, summed: SUMMED.contains(&table), copied })
    }

    fn lose(&mut self, place: &str) {
        self.copied.places += 1;
        error!(event.action = "salvage", "the table {} can't be read {place}", self.table);
    }

    /// Copies by the numbers of the rows: behind a place that can't be read the next row that can is looked for. Ends,
    /// as every turn begins behind the one before.
    fn numbered(&mut self, source: &Connection, key: &str) -> rusqlite::Result<()> {
        let table = self.table;
        let mut from = i64::MIN;
        loop {
            let sql = format!("SELECT * FROM {table} NOT INDEXED WHERE {key} >= {from} ORDER BY {key}");
            let (last, whole) = self.rows(source, &sql)?;
            if whole {
                return Ok(());
            }
            // A damaged page may say any number: none is gone back to.
            let bad = last.filter(|last| *last >= from).map_or(from, |last| last.saturating_add(1));
            self.lose(&format!("from number {bad} on"));
            let Some(good) = next_good(source, table, key, bad.max(0)) else { return Ok(()) };
            from = good.max(from.saturating_add(1));
        }
    }

    /// Copies rows until one can't be read: the first value of the last one, and whether all were.
    fn rows(&mut self, source: &Connection, sql: &str) -> rusqlite::Result<(Option<i64>, bool)> {
        let mut last = None;
        let Ok(mut select) = source.prepare(sql) else { return Ok((None, false)) };
        let columns = select.column_count();
        let mut insert = self.target.prepare_cached(&self.insert)?;
        let Ok(mut rows) = select.query([]) else { return Ok((None, false)) };
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok((last, true)),
                Err(_) => return Ok((last, false)),
            };
            let number: Option<i64> = row.get(0).ok();
            if number.is_some_and(|number| !NUMBERS.contains(&number)) {
                continue;
            }
            // A row out of its order is one whose number is damaged, or that was reached twice; the others go on.
            if let Some(number) = number.filter(|number| last.is_none_or(|last| number - last < FAR)) {
                last = Some(number);
            }
            if let Some(values) = values(row, columns, self.summed) {
                // A value of another kind than its column's is refused: that row is damaged beyond use.
                let inserted = insert.execute(params_from_iter(values));
                self.copied.rows += u64::try_from(inserted.unwrap_or(0)).unwrap_or(0);
            }
        }
    }
}

fn values(row: &Row<'_>, columns: usize, raw: bool) -> Option<Vec<Value>> {
    (0..columns).map(|column| value(row.get_ref(column).ok()?, raw)).collect()
}

fn value(value: ValueRef<'_>, raw: bool) -> Option<Value> {
    Some(match value {
        ValueRef::Text(bytes) => match str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) if raw => Value::Blob(bytes.to_owned()),
            Err(_) => return None,
        },
        value => value.into(),
    })
}

/// The first number behind `bad` from which on rows can be read again: the distance is doubled until there is one,
/// and then halved to come close to the damaged place.
fn next_good(source: &Connection, table: &str, key: &str, bad: i64) -> Option<i64> {
    let sql = format!("SELECT {key} FROM {table} NOT INDEXED WHERE {key} >= ?1 ORDER BY {key} LIMIT 1");
    let reads = |from: i64| -> bool {
        let read = source.prepare(&sql).and_then(|mut query| query.query([from])?.next().map(|_| ()));
        read.is_ok()
    };
    let (mut low, mut step) = (bad, 1_i64);
    let mut high = loop {
        let at = low.checked_add(step)?;
        if reads(at) {
            break at;
        }
        low = at;
        step = step.checked_mul(2)?;
    };
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if reads(middle) { high = middle } else { low = middle }
    }
    Some(high)
}
