//! One deadline over everything that an attempt does.

use std::future::Future;
use std::time::Duration;

use chaski_core::ports::CallError;
use chaski_core::time::format_span;
use tokio::time::{Instant, timeout, timeout_at};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    began: Instant,
    span: Duration,
}

impl Deadline {
    pub(crate) fn after(span: Duration) -> Self {
        Self { began: Instant::now(), span }
    }

    /// Waits for `work`, but not past the deadline; `what` says what did not happen.
    ///
    /// # Errors
    /// The deadline passed.
    pub(crate) async fn wait<T>(self, work: impl Future<Output = T>, what: &str) -> Result<T, CallError> {
        timeout(self.left(), work)
            .await
            .map_err(|_| CallError::Timeout(format!("{what} within {}", format_span(self.span))))
    }

    /// Waits for `work`, but not longer than `grace`, and not past the deadline.
    pub(crate) async fn wait_briefly<T>(self, work: impl Future<Output = T>, grace: Duration) -> Option<T> {
        timeout_at(Instant::now() + grace.min(self.left()), work).await.ok()
    }

    fn left(self) -> Duration {
        self.span.saturating_sub(self.began.elapsed())
    }
}
