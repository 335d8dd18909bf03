//! Events of SQS: a batch goes through the dispatcher, and what goes back is named.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use chaski_aws::SqsQueues;
use chaski_aws::sqs_event::{self, EventError};
use chaski_core::app::Dispatcher;
use chaski_core::ports::{Bodies, Clock, Control, Settle, Target};
use chaski_dynamodb::{Fetched, Waits};
use lambda_runtime::Context;
use tracing::Instrument;

/// Where the entries of an event come from.
#[derive(Debug)]
pub struct Sources {
    /// The queues.
    pub queues: SqsQueues,
    /// Where the envelopes are whose queue holds a reference, where this function reads such a queue.
    pub waits: Option<Waits>,
}

/// Handles one event of SQS.
///
/// # Errors
/// The event can't be told apart into entries; the whole batch goes back.
pub async fn handle_batch<T: Target, S: Settle, C: Clock, K: Control, B: Bodies>(
    dispatcher: &Dispatcher<T, S, C, K, B>,
    sources: &Sources,
    event: SqsEvent,
    execution: &str,
    until: Duration,
) -> Result<SqsBatchResponse, EventError> {
    let Sources { queues, waits } = sources;
    let entries = sqs_event::leased(event, queues.prefix())?;
    let handled = async {
        let Fetched { entries, mut back } = match waits {
            Some(waits) => waits.fetch(queues, entries).await,
            None => Fetched { entries, back: Vec::new() },
        };
        back.extend(dispatcher.run(&entries, until).await);
        back
    };
    // On the heap: the SDK's futures nest so deep that their layout would be too much for the compiler.
    let back = Box::pin(handled).instrument(tracing::info_span!("invocation", faas.execution = execution)).await;
    Ok(sqs_event::response(back))
}

/// The reading of the clock at which Lambda ends the invocation.
#[must_use]
pub fn until(clock: &impl Clock, context: &Context) -> Duration {
    let now = u64::try_from(clock.now().millis()).unwrap_or(0);
    clock.elapsed() + Duration::from_millis(context.deadline.saturating_sub(now))
}
