//! Events of SQS: a batch goes through the dispatcher, and what goes back is named.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use chaski_aws::QueuePrefix;
use chaski_aws::sqs_event::{self, EventError};
use chaski_core::app::Dispatcher;
use chaski_core::ports::{Bodies, Clock, Control, Settle, Target};
use lambda_runtime::Context;
use tracing::Instrument;

/// Handles one event of SQS.
///
/// # Errors
/// The event can't be told apart into entries; the whole batch goes back.
pub async fn handle_batch<T: Target, S: Settle, C: Clock, K: Control, B: Bodies>(
    dispatcher: &Dispatcher<T, S, C, K, B>,
    prefix: &QueuePrefix,
    event: SqsEvent,
    execution: &str,
    until: Duration,
) -> Result<SqsBatchResponse, EventError> {
    let entries = sqs_event::leased(event, prefix)?;
    let span = tracing::info_span!("invocation", faas.execution = execution);
    // On the heap: the SDK's futures nest so deep that their layout would be too much for the compiler.
    let back = Box::pin(dispatcher.run(&entries, until)).instrument(span).await;
    Ok(sqs_event::response(back))
}

/// The reading of the clock at which Lambda ends the invocation.
#[must_use]
pub fn until(clock: &impl Clock, context: &Context) -> Duration {
    let now = u64::try_from(clock.now().millis()).unwrap_or(0);
    clock.elapsed() + Duration::from_millis(context.deadline.saturating_sub(now))
}
