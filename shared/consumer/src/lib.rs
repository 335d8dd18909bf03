//! The loop of both consumers. They are two functions because they have two roles, two sets of queues and
//! two deployments; what is done with an entry is decided by the queue that it came from.

use std::sync::Arc;

use aws_lambda_events::sqs::SqsEvent;
use chaski_aws::{AwsSettings, Clients, QueuePrefix, SqsQueues};
use chaski_core::app::Dispatcher;
use chaski_dynamodb::{AwsControl, AwsSettle, ControlTable, DeadLetters};
use chaski_http::HttpTarget;
use chaski_lambda::{handle_batch, start, until};
use chaski_signed::{S3, S3Bodies};
use chaski_system::SystemClock;
use lambda_runtime::{Error, LambdaEvent, service_fn};

/// Reads the settings, builds the adapters, and handles events until Lambda ends the process.
///
/// # Errors
/// A wrong setting, or the Runtime API is gone.
pub async fn run(service: &'static str) -> anyhow::Result<()> {
    let settings = start(service)?;
    let clock = SystemClock::start();
    let clients = Clients::new(AwsSettings::read(|name| std::env::var(name).ok())?)?;
    let prefix = QueuePrefix::new(settings.aws.queue_prefix.as_str());
    let queues = SqsQueues::new(clients.sqs(), prefix.clone());
    let dynamodb = chaski_dynamodb::client(&clients);
    let dead_letters = DeadLetters::new(dynamodb.clone(), settings.aws.table.as_str());
    let control = Some(settings.aws.control.as_str()).filter(|name| !name.is_empty());
    let control = AwsControl::new(control.map(|name| ControlTable::new(dynamodb, name)), clock);
    let target = HttpTarget::new(settings.guard.clone(), Arc::new(clock));
    let bucket = Some(settings.aws.bucket.as_str()).filter(|name| !name.is_empty());
    let bodies = S3Bodies::new(bucket.map(|name| S3::new(&clients, name)), clock);
    let dispatcher = Dispatcher::new(settings, target, AwsSettle::new(queues, dead_letters), clock, control);
    let dispatcher = dispatcher.with_bodies(bodies);
    let handler = service_fn(|event: LambdaEvent<SqsEvent>| {
        let (dispatcher, prefix) = (&dispatcher, &prefix);
        async move {
            let until = until(&clock, &event.context);
            handle_batch(dispatcher, prefix, event.payload, &event.context.request_id, until).await.map_err(Error::from)
        }
    });
    lambda_runtime::run(handler).await.map_err(anyhow::Error::from_boxed)
}
