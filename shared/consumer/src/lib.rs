//! The loop of both consumers. They are two functions because they have two roles, two sets of queues and
//! two deployments; what is done with an entry is decided by the queue that it came from.

mod batches;
mod wiring;

use std::sync::Arc;

use aws_lambda_events::sqs::SqsEvent;
use chaski_aws::{AwsSettings, Clients, QueuePrefix, SqsQueues};
use chaski_core::app::Dispatcher;
use chaski_dynamodb::{AwsControl, AwsSettle, DeadLetters};
use chaski_http::HttpTarget;
use chaski_lambda::start;
use chaski_signed::{S3, S3Bodies};
use chaski_system::{SystemChance, SystemClock};
use lambda_runtime::{Error, LambdaEvent, service_fn};

pub use batches::{Sources, handle_batch, until};

/// Reads the settings, builds the adapters, and handles events until Lambda ends the process.
///
/// # Errors
/// A wrong setting, or the Runtime API is gone.
pub async fn run(service: &'static str) -> anyhow::Result<()> {
    let settings = start(service)?;
    let clock = SystemClock::start();
    let clients = Clients::new(AwsSettings::read(|name| std::env::var(name).ok())?)?;
    let prefix = QueuePrefix::new(settings.aws.queue_prefix.as_str());
    let queues = SqsQueues::new(clients.sqs(), prefix.clone(), clock);
    let kept = settings.serve.retention.dead;
    let dead_letters = DeadLetters::new(chaski_dynamodb::client(&clients), settings.aws.table.as_str()).keeping(kept);
    let table = wiring::control(&settings.aws, &clients);
    let waits = wiring::waits(&settings.aws, &clients, &prefix, table.as_ref());
    let settle = AwsSettle::new(queues.clone(), dead_letters).remembering(table.clone()).scheduling(waits.clone());
    let control = AwsControl::new(table, clock, &SystemChance);
    let control = control.counting(settings.aws.sequence).breaking(settings.breaker);
    let control = control.limiting(settings.hosts.clone());
    let target = HttpTarget::new(settings.guard.clone(), Arc::new(clock));
    let bucket = Some(settings.aws.bucket.as_str()).filter(|name| !name.is_empty());
    let bodies = S3Bodies::new(bucket.map(|name| S3::new(&clients, name)), clock).burying(kept);
    let dispatcher = Dispatcher::new(settings, target, settle, clock, control).with_bodies(bodies);
    let sources = Sources { queues, waits };
    let handler = service_fn(|event: LambdaEvent<SqsEvent>| {
        let (dispatcher, sources) = (&dispatcher, &sources);
        async move {
            let until = until(&clock, &event.context);
            let execution = event.context.request_id.as_str();
            handle_batch(dispatcher, sources, event.payload, execution, until).await.map_err(Error::from)
        }
    });
    lambda_runtime::run(handler).await.map_err(anyhow::Error::from_boxed)
}
