//! A breaker as it is kept where several processes share it: every time in milliseconds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Breaker, Open};
use crate::time::Timestamp;

#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    run: u32,
    since_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<KeptOpen>,
}

#[derive(Serialize, Deserialize)]
struct KeptOpen {
    until_ms: i64,
    pause_ms: u64,
    left: u32,
    attempts: u32,
    span_ms: u64,
}

impl From<Breaker> for Kept {
    fn from(breaker: Breaker) -> Self {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let open = breaker.open.map(|open| KeptOpen {
            until_ms: open.until.millis(),
            pause_ms: millis(open.pause),
            left: open.left,
            attempts: open.attempts,
            span_ms: millis(open.span),
        });
        Self { run: breaker.run, since_ms: breaker.since.millis(), open }
    }
}

impl From<Kept> for Breaker {
    fn from(kept: Kept) -> Self {
        let open = kept.open.map(|open| Open {
            until: Timestamp::from_millis(open.until_ms),
            pause: Duration::from_millis(open.pause_ms),
            left: open.left,
            attempts: open.attempts,
            span: Duration::from_millis(open.span_ms),
        });
        Self { run: kept.run, since: Timestamp::from_millis(kept.since_ms), open }
    }
}
