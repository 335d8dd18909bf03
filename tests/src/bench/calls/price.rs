//! List prices, in dollars for a million (us-east-1, November 2026; aws.amazon.com/sqs/pricing, /dynamodb/pricing/on-demand,
//! /eventbridge/pricing, /s3/pricing, /lambda/pricing, /api-gateway/pricing). What is free each month is not taken off.

use super::counts::Counts;

/// Calls to a FIFO queue, of 64 KB each.
const FIFO: f64 = 0.50;
/// Calls to a standard queue, of 64 KB each.
const STANDARD: f64 = 0.40;
/// DynamoDB on demand: writes of 1 KB.
const WRITE: f64 = 0.625;
/// DynamoDB on demand: consistent reads of 4 KB.
const READ: f64 = 0.125;
/// Invocations by EventBridge Scheduler.
const SCHEDULE: f64 = 1.00;
/// S3's PUT and COPY.
const S3_PUT: f64 = 5.00;
/// S3's GET and HEAD.
const S3_GET: f64 = 0.40;
/// Requests to an HTTP API.
pub(crate) const API: f64 = 1.00;
/// Invocations of a function, without the time that it runs.
pub(crate) const INVOCATION: f64 = 0.20;

/// Of a month of 30 days.
const SECONDS: f64 = 30.0 * 24.0 * 3_600.0;

/// What a million messages cost in dollars of which `messages` asked for this. The reads of orders are not in it.
#[expect(clippy::cast_precision_loss, reason = "counts of a few hundred")]
pub(crate) fn of_a_million(counts: &Counts, messages: u64) -> f64 {
    let parts = [
        (counts.fifo.all() as f64, FIFO),
        (counts.standard.all() as f64, STANDARD),
        (counts.half_reads as f64 / 2.0, READ),
        (counts.writes as f64, WRITE),
        (counts.schedules as f64, SCHEDULE),
        (counts.s3_puts as f64, S3_PUT),
        (counts.s3_gets as f64, S3_GET),
    ];
    parts.iter().map(|(count, price)| count * price).sum::<f64>() / messages.max(1) as f64
}

/// What a process costs in dollars a month that reads its orders once a second all the time.
pub(crate) fn of_orders_a_month() -> f64 {
    SECONDS * READ / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::super::counts::Queues;
    use super::*;

    fn near(price: f64, expected: f64) -> bool {
        (price - expected).abs() < 1e-9
    }

    #[test]
    fn a_row_is_the_sum_of_its_calls_at_their_prices() {
        let plain = Queues { sends: 5, receives: 5, deletes: 5, visibilities: 0 };
        let five = Counts { fifo: plain, ..Counts::default() };
        assert!(near(of_a_million(&five, 5), 1.50));
        let dear = Counts {
            standard: Queues { sends: 1, receives: 1, deletes: 1, visibilities: 1 },
            half_reads: 3,
            writes: 2,
            schedules: 1,
            s3_puts: 1,
            s3_gets: 1,
            ..five
        };
        let expected = (7.5 + 1.6 + 0.1875 + 1.25 + 1.0 + 5.0 + 0.4) / 5.0;
        assert!(near(of_a_million(&dear, 5), expected), "{}", of_a_million(&dear, 5));
        assert!(near(of_a_million(&Counts { orders: 9, ..five }, 5), 1.50), "orders are told apart");
        assert!(near(of_orders_a_month(), 0.324));
    }
}
