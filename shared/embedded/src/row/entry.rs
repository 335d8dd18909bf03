//! A queue entry's row.

use std::sync::Arc;

use chaski_core::flow::{Flow, FlowLimits};
use rusqlite::types::Type;
use rusqlite::{Row, Statement, named_params};
use sha2::{Digest, Sha256};

use super::Sum;

/// One entry that waits in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryRow {
    /// Its place: rises in the order of writing.
    pub(crate) seq: i64,
    /// The line that it stands in: one group of one queue.
    pub(crate) line: i64,
    /// Its queue's number.
    pub(crate) queue: i64,
    /// The message that it belongs to; none for what can't be read.
    pub(crate) message: Option<i64>,
    /// When it is due, in milliseconds since 1970; at once where it says nothing.
    pub(crate) due: Option<i64>,
    /// When it was written, in milliseconds since 1970.
    pub(crate) sent_at: i64,
    /// The group, as the port names it.
    pub(crate) group: String,
    /// The target's host, where the envelope can be read.
    pub(crate) host: Option<Arc<str>>,
    /// The message's route, where the envelope can be read.
    pub(crate) route: Option<Arc<str>>,
    /// The flow that it shares limits with, where the envelope names one.
    pub(crate) flow: Option<Arc<FlowRow>>,
    /// The envelope's wire text.
    pub(crate) body: String,
}

/// An entry's flow: what it shares, and by which limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlowRow {
    /// The key in its tenant.
    pub(crate) scope: Arc<str>,
    /// What its message asks for.
    pub(crate) limits: FlowLimits,
}

impl FlowRow {
    pub(crate) fn of(flow: &Flow, tenant: &str) -> Self {
        Self { scope: flow.scope(tenant).into(), limits: flow.limits() }
    }

    /// As it stands in the file.
    fn text(&self) -> String {
        format!("{} {}", self.limits, self.scope)
    }

    fn parse(text: &str) -> Option<Self> {
        // Two words are the limits; what the rest holds is free.
        let (end, _) = text.match_indices(' ').nth(1)?;
        let (limits, scope) = text.split_at_checked(end)?;
        Some(Self { scope: scope.get(1..)?.into(), limits: FlowLimits::parse(limits)? })
    }
}

/// Bits of a line that are the group's.
const LINE_BITS: u32 = 48;

/// The columns, in the order in which [`EntryRow::read`] takes them.
pub(crate) const COLUMNS: &str = "seq, line, queue, message, due, sent_at, grp, host, route, flow, body, sum";

/// Writes a row.
pub(crate) const INSERT: &str =
    "INSERT INTO entries (seq, line, queue, message, due, sent_at, grp, host, route, flow, body, sum)
    VALUES (:seq, :line, :queue, :message, :due, :sent_at, :grp, :host, :route, :flow, :body, :sum)";

impl EntryRow {
    /// The line of a group in a queue: the queue's number, and 48 bits of the group's digest behind it, so that a
    /// queue's lines stand together. Two groups that share one (2^-48 for each pair) wait for each other, and
    /// nothing more.
    pub(crate) fn line_of(queue: i64, group: &str) -> i64 {
        let digest = Sha256::digest(group);
        let bits = digest.first_chunk().map_or(0, |first| u64::from_le_bytes(*first)) >> (64 - LINE_BITS);
        (queue << LINE_BITS) | bits.cast_signed()
    }

    /// The least line of a queue; the next queue's is the first behind its greatest.
    pub(crate) fn first_line(queue: i64) -> i64 {
        queue << LINE_BITS
    }

    pub(crate) fn sum(&self) -> i64 {
        Sum::default()
            .number(self.seq)
            .number(self.line)
            .number(self.queue)
            .number_if(self.message)
            .number_if(self.due)
            .number(self.sent_at)
            .text(&self.group)
            .text_if(self.host.as_deref())
            .text_if(self.route.as_deref())
            .text_if(self.flow.as_ref().map(|flow| flow.text()).as_deref())
            .text(&self.body)
            .finish()
    }

    pub(crate) fn insert(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        statement.execute(named_params! {
            ":seq": self.seq, ":line": self.line, ":queue": self.queue, ":message": self.message, ":due": self.due,
            ":sent_at": self.sent_at, ":grp": self.group, ":host": self.host.as_deref(),
            ":route": self.route.as_deref(), ":flow": self.flow.as_ref().map(|flow| flow.text()), ":body": self.body, ":sum": self.sum(),
        })?;
        Ok(())
    }

    /// Reads a row; the second value tells whether it says what was written.
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<(Self, bool)> {
        let entry = Self {
            seq: row.get(0)?,
            line: row.get(1)?,
            queue: row.get(2)?,
            message: row.get(3)?,
            due: row.get(4)?,
            sent_at: row.get(5)?,
            group: row.get(6)?,
            host: row.get::<_, Option<String>>(7)?.map(Into::into),
            route: row.get::<_, Option<String>>(8)?.map(Into::into),
            flow: row.get::<_, Option<String>>(9)?.map(|text| read_flow(&text)).transpose()?,
            body: row.get(10)?,
        };
        let whole = row.get::<_, i64>(11)? == entry.sum();
        Ok((entry, whole))
    }
}

/// What reads as no flow is as damaged as a value of another kind.
fn read_flow(text: &str) -> rusqlite::Result<Arc<FlowRow>> {
    let wrong = || rusqlite::Error::FromSqlConversionFailure(9, Type::Text, "it is no flow".into());
    FlowRow::parse(text).map(Arc::new).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_reads_what_it_writes() {
        for (key, tenant) in [("crm", ""), (" a key of  words ", "a tenant"), ("k", "t/u")] {
            let flow = FlowRow::of(&Flow::new(key, Some(10), None, Some(2)).unwrap(), tenant);
            assert_eq!(FlowRow::parse(&flow.text()), Some(flow));
        }
        for wrong in ["", "10/1s 2", "x 2 k", "- - k"] {
            assert_eq!(FlowRow::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_line_is_one_group_of_one_queue() {
        let line = EntryRow::line_of(1, "a");
        assert_eq!(line, EntryRow::line_of(1, "a"));
        assert_ne!(line, EntryRow::line_of(2, "a"));
        assert_ne!(line, EntryRow::line_of(1, "b"));
    }
}
