//! The figures, what they are to reach, and the values that runs gave them.

use serde::{Deserialize, Serialize};

/// What is to be reached.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reach {
    AtLeast(f64),
    AtMost(f64),
    /// Only told.
    Told,
}

/// One line of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) key: &'static str,
    pub(crate) text: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) reach: Reach,
}

/// One value of a figure, from one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Value {
    /// Whose.
    pub(crate) of: String,
    pub(crate) figure: String,
    pub(crate) value: f64,
}

/// Figures of one run, by their keys.
pub(crate) type Values = Vec<(&'static str, f64)>;

const fn figure(key: &'static str, text: &'static str, unit: &'static str, reach: Reach) -> Figure {
    Figure { key, text, unit, reach }
}

use Reach::{AtLeast, AtMost, Told};

/// In the order of the table.
pub(crate) const FIGURES: &[Figure] = &[
    figure("accept.rate", "accepted and durable, a second, deliveries paused", "", AtLeast(20_000.0)),
    figure("accept.p50", "  one POST, p50", "ms", AtMost(1.6)),
    figure("accept.p99", "  one POST, p99", "ms", AtMost(8.0)),
    figure("accept.cpu", "  CPU seconds for 1,000 messages, server processes", "s", Told),
    figure("deliver.rate", "accepted and delivered, a second", "", AtLeast(15_000.0)),
    figure("deliver.accepted", "  accepted meanwhile, a second", "", Told),
    figure("deliver.p50", "  one POST, p50", "ms", Told),
    figure("deliver.p99", "  one POST, p99", "ms", Told),
    figure("deliver.cpu", "  CPU seconds for 1,000 messages, server processes", "s", AtMost(0.09)),
    figure("deliver.most", "  memory of the server processes, the most", "MiB", AtMost(60.0)),
    figure("deliver.now", "  memory, at the end, shared pages once", "MiB", Told),
    figure("deliver.disorder", "  messages out of their subject's order", "", AtMost(0.0)),
    figure("batch.50", "one call with 50 messages, answered durable", "ms", Told),
    figure("batch.100", "  100 messages", "ms", Told),
    figure("batch.300", "  300 messages", "ms", Told),
    figure("batch.500", "  500 messages", "ms", Told),
    figure("batch.1000", "  1,000 messages", "ms", Told),
    figure("batch.2000", "  2,000 messages", "ms", Told),
    figure("batch.3000", "  3,000 messages", "ms", AtMost(60.0)),
    figure("waiting.most", "memory with 1,000,000 waiting, the most", "MiB", AtMost(60.0)),
    figure("waiting.now", "  resident at the end", "MiB", Told),
    figure("waiting.rate", "  put in by batches, messages a second", "", Told),
    figure("storm.idle", "retry storm: accepted before it, a second", "", Told),
    figure("storm.dead", "  accepted for the dead target, a second", "", Told),
    figure("storm.accepted", "  accepted for another target during it, a second", "", Told),
    figure("storm.share", "  the part of the rate before it", "", AtLeast(0.5)),
    figure("storm.drained", "  all delivered after the target came alive, in", "s", Told),
    figure("storm.most", "  memory, the most", "MiB", Told),
    figure("kill.first", "first delivery after a kill with 100,000 waiting, from the start on", "s", AtMost(2.0)),
    figure("kill.listens", "  until it listens", "ms", Told),
    figure("fair.p50", "a quiet subject, from the POST to the target, p50", "ms", Told),
    figure("fair.p99", "  p99", "ms", Told),
    figure("fair.beside.p50", "  beside a hanging target and a subject with 50,000, p50", "ms", Told),
    figure("fair.beside.p99", "  beside them, p99", "ms", Told),
    figure("fair.times", "  beside them, times the p99 alone", "", AtMost(2.0)),
    figure("links.took", "link checks: all ended, in", "s", Told),
    figure("links.arrived", "  requests that reached a living target", "", Told),
    figure("links.failed", "  failed executions, the dead links included", "", Told),
    figure("links.cpu", "  CPU seconds, server processes", "s", Told),
    figure("links.most", "  memory of the server processes, the most", "MiB", Told),
    figure("links.now", "  memory, at the end, shared pages once", "MiB", Told),
    figure(
        "bodies.growth",
        "ten bodies of 25 MB uploaded at once, then delivered at once: memory grows by",
        "MiB",
        AtMost(40.0),
    ),
    figure("bodies.uploads", "  by the uploads alone", "MiB", Told),
    figure("bodies.idle", "  memory before", "MiB", Told),
    figure("bodies.uploaded", "  uploaded and accepted, in", "s", Told),
    figure("bodies.took", "  all delivered, in", "s", Told),
];

/// What the load and the target took, for the footnote: microseconds of processor time a message.
pub(crate) const LOAD_CPU: &str = "load.cpu";
pub(crate) const TARGET_CPU: &str = "target.cpu";
/// What processes that have no part in it took meanwhile: percent of all processors.
pub(crate) const OTHERS: &str = "others";

/// Beside which peer, in which figure, Chaski is to be how many times as good.
pub(crate) const BESIDE: (&str, &str, f64) = ("BullMQ", "deliver.rate", 1.5);

impl Reach {
    pub(crate) fn met(self, value: f64) -> Option<bool> {
        match self {
            AtLeast(least) => Some(value >= least),
            AtMost(most) => Some(value <= most),
            Told => None,
        }
    }
}

/// The values of one figure of one server.
pub(crate) fn values_of(all: &[Value], of: &str, figure: &str) -> Vec<f64> {
    all.iter().filter(|value| value.of == of && value.figure == figure).map(|value| value.value).collect()
}
