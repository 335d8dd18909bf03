//! An attempt's row.

use chaski_core::history::AttemptRecord;
use chaski_core::time::Timestamp;
use rusqlite::{Row, Statement, named_params};

use super::{Sum, text};

/// One attempt of a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AttemptRow {
    /// The message's number.
    pub(crate) message: i64,
    /// What was done.
    pub(crate) record: AttemptRecord,
    /// The version of Chaski that did it.
    pub(crate) version: String,
}

/// The columns, in the order in which [`AttemptRow::read`] takes them.
pub(crate) const COLUMNS: &str = "message, n, at, tier, outcome, status, duration_ms, version, sum";

/// Writes a row into the generation that its message is in. An attempt whose settlement was lost is made again, under
/// the same number; a message whose row was lost has no attempts.
const INSERT: &str =
    "INSERT OR REPLACE INTO attempts (message, generation, n, at, tier, outcome, status, duration_ms, version, sum)
     SELECT no, generation, :n, :at, :tier, :outcome, :status, :duration_ms, :version, :sum
     FROM messages WHERE no = :message";

impl AttemptRow {
    /// The statement of [`AttemptRow::insert`].
    pub(crate) const INSERT: &str = INSERT;

    pub(crate) fn insert(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        let record = &self.record;
        statement.execute(named_params! {
            ":message": self.message, ":n": record.n, ":at": record.at.millis(), ":tier": record.tier,
            ":outcome": record.outcome, ":status": record.status, ":duration_ms": self.duration(),
            ":version": self.version, ":sum": self.sum(),
        })?;
        Ok(())
    }

    fn duration(&self) -> i64 {
        i64::try_from(self.record.duration_ms).unwrap_or(i64::MAX)
    }

    fn sum(&self) -> i64 {
        let record = &self.record;
        Sum::default()
            .number(self.message)
            .number(i64::from(record.n))
            .number(record.at.millis())
            .text(&record.tier)
            .text(&record.outcome)
            .number_if(record.status.map(i64::from))
            .number(self.duration())
            .text(&self.version)
            .finish()
    }

    /// Reads a row; the second value tells whether it says what was written.
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<(Self, bool)> {
        let record = AttemptRecord {
            n: row.get(1)?,
            at: Timestamp::from_millis(row.get(2)?),
            tier: text(row, 3)?,
            outcome: text(row, 4)?,
            status: row.get(5)?,
            duration_ms: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
            extra: Default::default(),
        };
        let read = Self { message: row.get(0)?, record, version: text(row, 7)? };
        let whole = row.get::<_, i64>(8)? == read.sum();
        Ok((read, whole))
    }
}
