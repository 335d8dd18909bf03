//! Lambda 1: takes messages in over HTTP, and answers once the queue has them.

use chaski_aws::{AwsSettings, Clients, QueuePrefix, SqsQueues};
use chaski_core::api::{Api, Door, NoDesk};
use chaski_core::app::Ingress;
use chaski_core::limits;
use chaski_lambda::{ApiEvent, answer, start};
use chaski_signed::{KeyRows, KeyWindow, S3, S3Bodies};
use chaski_system::{SystemChance, SystemClock};
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let settings = start("api-ingress")?;
    let clients = Clients::new(AwsSettings::read(|name| std::env::var(name).ok())?)?;
    let (clock, window) = (SystemClock::start(), settings.aws.key_window);
    let queues = SqsQueues::new(clients.sqs(), QueuePrefix::new(settings.aws.queue_prefix.as_str()), clock);
    let queues = if window.is_zero() {
        KeyWindow::off(queues)
    } else {
        let rows = KeyRows::new(&clients, settings.aws.control.as_str());
        KeyWindow::new(queues.leaving(KeyWindow::<SqsQueues, SystemClock>::TIME), rows, window, clock)
    };
    let bucket = Some(settings.aws.bucket.as_str()).filter(|name| !name.is_empty());
    let bodies = S3Bodies::new(bucket.map(|name| S3::new(&clients, name)), clock);
    let ingress = Ingress::new(settings, queues, clock, SystemChance).with_bodies(bodies);
    let door = Door { body_bytes: limits::EVENT_BYTES, local: false, tls: true };
    let api = Api::new(ingress, None::<NoDesk>, door);
    let handler = service_fn(|event: LambdaEvent<ApiEvent>| {
        let api = &api;
        async move { Ok::<_, Error>(answer(api, event.payload, &event.context.request_id).await) }
    });
    lambda_runtime::run(handler).await.map_err(anyhow::Error::from_boxed)
}
