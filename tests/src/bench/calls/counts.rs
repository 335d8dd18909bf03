//! Calls, in the units that AWS counts.

use std::ops::{AddAssign, Sub};

/// Calls to queues of one kind, each as often as it is 64 KB of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Queues {
    /// Calls that put messages in.
    pub(crate) sends: u64,
    /// Calls that brought messages. Those that brought none are Lambda's pollers, and are not counted.
    pub(crate) receives: u64,
    /// Calls that delete.
    pub(crate) deletes: u64,
    /// Calls that hide or show.
    pub(crate) visibilities: u64,
}

/// What was asked of AWS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// FIFO queues.
    pub(crate) fifo: Queues,
    /// Standard queues.
    pub(crate) standard: Queues,
    /// DynamoDB's read units of 4 KB, in halves: a read that need not be consistent is one half.
    pub(crate) half_reads: u64,
    /// DynamoDB's write units of 1 KB.
    pub(crate) writes: u64,
    /// Schedules made, each of which invokes its target once.
    pub(crate) schedules: u64,
    /// S3's PUT and COPY.
    pub(crate) s3_puts: u64,
    /// S3's GET and HEAD.
    pub(crate) s3_gets: u64,
    /// Reads of the operator's orders, at most one a second in each process: in no other figure.
    pub(crate) orders: u64,
}

impl Queues {
    /// All calls.
    pub(crate) fn all(self) -> u64 {
        self.sends + self.receives + self.deletes + self.visibilities
    }

    fn with(self, other: Self, by: fn(u64, u64) -> u64) -> Self {
        Self {
            sends: by(self.sends, other.sends),
            receives: by(self.receives, other.receives),
            deletes: by(self.deletes, other.deletes),
            visibilities: by(self.visibilities, other.visibilities),
        }
    }
}

impl Counts {
    /// So many times as much.
    pub(crate) fn times(self, times: u64) -> Self {
        (0..times).fold(Self::default(), |sum, _| sum.with(self, u64::saturating_add))
    }

    fn with(self, other: Self, by: fn(u64, u64) -> u64) -> Self {
        Self {
            fifo: self.fifo.with(other.fifo, by),
            standard: self.standard.with(other.standard, by),
            half_reads: by(self.half_reads, other.half_reads),
            writes: by(self.writes, other.writes),
            schedules: by(self.schedules, other.schedules),
            s3_puts: by(self.s3_puts, other.s3_puts),
            s3_gets: by(self.s3_gets, other.s3_gets),
            orders: by(self.orders, other.orders),
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = self.with(other, u64::saturating_add);
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }
}
