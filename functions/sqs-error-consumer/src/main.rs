//! Lambda 3: the tiers' messages, attempted again, and what the queues gave up, buried.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    chaski_consumer::run("sqs-error-consumer").await
}
