//! The table, in Markdown that a person can read as it is.

use std::fmt::Write;

use super::counts::{Counts, Queues};
use super::price;

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What the messages asked for.
    pub(crate) feature: &'static str,
    /// How many there were.
    pub(crate) messages: u64,
    /// What all of them took.
    pub(crate) counts: Counts,
}

const HEAD: [&str; 12] = [
    "a message",
    "send",
    "receive",
    "delete",
    "hide, show",
    "read",
    "write",
    "schedule",
    "S3 put",
    "S3 get",
    "$ a million",
    "more",
];

/// The rows; the first is what the others are compared with.
pub(crate) fn table(rows: &[Row]) -> String {
    let plain = rows.first().map_or(0.0, |row| price::of_a_million(&row.counts, row.messages));
    let mut lines = vec![HEAD.map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(|row| cells(row, plain)));
    let width = |n: usize| lines.iter().filter_map(|line| line.get(n)).map(|cell| cell.chars().count()).max();
    let mut text = String::new();
    for (n, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let width = width(column).unwrap_or(0);
            let _ = match column {
                0 => write!(text, "| {cell:<width$} "),
                _ => write!(text, "| {cell:>width$} "),
            };
        }
        text.push_str("|\n");
        if n == 0 {
            text.push_str("| --- |");
            text.push_str(&" ---: |".repeat(HEAD.len() - 1));
            text.push('\n');
        }
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few hundred")]
fn cells(row: &Row, plain: f64) -> Vec<String> {
    let Counts { fifo, standard, half_reads, writes, schedules, s3_puts, s3_gets, orders: _ } = row.counts;
    let of = |count: u64| number(count as f64 / row.messages.max(1) as f64);
    let queues = |count: fn(&Queues) -> u64| of(count(&fifo) + count(&standard));
    let price = price::of_a_million(&row.counts, row.messages);
    vec![
        row.feature.to_owned(),
        queues(|queues| queues.sends),
        queues(|queues| queues.receives),
        queues(|queues| queues.deletes),
        queues(|queues| queues.visibilities),
        number(half_reads as f64 / 2.0 / row.messages.max(1) as f64),
        of(writes),
        of(schedules),
        of(s3_puts),
        of(s3_gets),
        format!("{price:.2}"),
        format!("{:+.2}", price - plain),
    ]
}

/// Without a fraction that is none, and without a zero that says nothing.
fn number(value: f64) -> String {
    if value == 0.0 {
        return String::new();
    }
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_of_one_message_and_compared_with_the_first() {
        let fifo = Queues { sends: 5, receives: 5, deletes: 5, visibilities: 0 };
        let plain = Row { feature: "plain", messages: 5, counts: Counts { fifo, ..Counts::default() } };
        let counted = Counts { half_reads: 5, writes: 6, ..plain.counts };
        let text = table(&[plain, Row { feature: "counted", messages: 5, counts: counted }]);
        let words = |n: usize| text.lines().nth(n).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(2), "| plain | 1 | 1 | 1 | | | | | | | 1.50 | +0.00 |");
        assert_eq!(words(3), "| counted | 1 | 1 | 1 | | 0.5 | 1.2 | | | | 2.31 | +0.81 |");
    }
}
