//! Lambda 2: the shards' messages, each attempted for the first time.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    chaski_consumer::run("sqs-consumer").await
}
