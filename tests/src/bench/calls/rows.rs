//! The rows of the table. Each runs its story some times, each time in a home of its own, and sees that as many
//! requests were made as the story says.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use chaski_core::settings::Settings;
use chaski_tests::home::aws::AwsHome;
use chaski_tests::home::script::url;
use chaski_tests::home::{Home, Message};
use serde_json::{Value, json};

use super::counts::Counts;
use super::proxy::Proxy;
use super::story::{accept, cancelled, expired, one, paused, repeated, scheduled, until_idle};
use super::table::Row;

/// Messages of a row, one at a time.
const MESSAGES: u64 = 5;
/// Messages of a batch, each of a subject of its own.
const BATCH: u64 = 10;
/// Bytes of a large body.
const LARGE: usize = 1_048_576;
const SECRET: &str = "[signing]\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"";

/// The local AWS behind the proxy.
pub(crate) struct Bench {
    proxy: Arc<Proxy>,
    endpoint: String,
}

/// What was seen.
pub(crate) struct Seen {
    pub(crate) rows: Vec<Row>,
    /// What an order takes that nobody waits for: a pause and its end, and a mark.
    pub(crate) pause: Counts,
    pub(crate) mark: Counts,
}

impl Bench {
    /// In front of the local AWS at this endpoint.
    pub(crate) async fn open(behind: &str) -> anyhow::Result<Self> {
        let (proxy, endpoint) = Proxy::open(behind).await?;
        Ok(Self { proxy, endpoint })
    }

    /// Runs every row.
    pub(crate) async fn run(&self) -> anyhow::Result<Seen> {
        let mut rows = self.alone().await?;
        rows.extend(self.timed().await?);
        rows.extend(self.keyed().await?);
        let pause = self.orders("a pause", async |home, message| paused(home, message).await).await?;
        let mark = self.orders("a mark", async |home, message| cancelled(home, message).await).await?;
        // An order is an operator's, and is told in a line of its own.
        let without = |row: Row, order: Counts| Row { counts: row.counts - order.times(row.messages), ..row };
        let message = || Some(simple("/200"));
        let row = self.row("cancelled by a mark", 0, plain_settings, async |home| cancelled(home, message()).await);
        rows.push(without(row.await?, mark));
        let row = self.row("paused, then resumed", 1, plain_settings, async |home| paused(home, message()).await);
        rows.push(without(row.await?, pause));
        rows.extend(self.told().await?);
        rows.extend(self.large().await?);
        rows.extend(self.batches().await?);
        Ok(Seen { rows, pause, mark })
    }

    async fn alone(&self) -> anyhow::Result<Vec<Row>> {
        let counting = |settings: &mut Settings| settings.aws.sequence = true;
        let strict = |path| simple(path).strict();
        let own = json!({"delays": ["3s"]});
        Ok(vec![
            self.row("plain", 1, plain_settings, async |home| one(home, simple("/200")).await).await?,
            self.row("fails once, then a retry", 2, plain_settings, async |home| one(home, simple("/once")).await)
                .await?,
            self.row("… with `retry.delays` of its own, beyond the tiers", 2, plain_settings, async |home| {
                one(home, simple("/once").with("retry", own.clone())).await
            })
            .await?,
            self.row("given up at once", 1, plain_settings, async |home| one(home, simple("/410")).await).await?,
            self.row("strict", 1, plain_settings, async |home| one(home, strict("/200")).await).await?,
            self.row("strict, fails once", 2, plain_settings, async |home| one(home, strict("/once")).await).await?,
            self.row("strict, counted (`aws.sequence`)", 1, counting, async |home| one(home, strict("/200")).await)
                .await?,
        ])
    }

    async fn timed(&self) -> anyhow::Result<Vec<Row>> {
        let asking = |option: &str, value: &str| simple("/200").with(option, value);
        Ok(vec![
            self.row("`delay` of 2 s", 1, plain_settings, async |home| one(home, asking("delay", "2s")).await).await?,
            self.row("`delay` of 20 days", 1, plain_settings, async |home| {
                scheduled(home, asking("delay", "20d")).await
            })
            .await?,
            self.row("expired", 0, plain_settings, async |home| expired(home, asking("expires_in", "30s")).await)
                .await?,
        ])
    }

    async fn keyed(&self) -> anyhow::Result<Vec<Row>> {
        let window = |settings: &mut Settings| settings.aws.key_window = Duration::from_secs(24 * 3_600);
        let keyed = || simple("/200").keyed("k");
        Ok(vec![
            self.row("with an idempotency key", 1, plain_settings, async |home| one(home, keyed()).await).await?,
            self.row("… and one repeat of it", 1, plain_settings, async |home| repeated(home, keyed()).await).await?,
            self.row("with a key and `KeyWindowSeconds`", 1, window, async |home| one(home, keyed()).await).await?,
            self.row("… and one repeat of it, `KeyWindowSeconds`", 1, window, async |home| {
                repeated(home, keyed()).await
            })
            .await?,
        ])
    }

    async fn told(&self) -> anyhow::Result<Vec<Row>> {
        let to = json!({"url": url("/200")});
        let signed = Settings::read(SECRET, &|_| None)?.signing;
        let signing = |settings: &mut Settings| settings.signing = signed.clone();
        Ok(vec![
            self.row("with a `callback`", 2, plain_settings, async |home| {
                one(home, simple("/200").with("callback", to.clone())).await
            })
            .await?,
            self.row("given up, with a `failure_callback`", 2, plain_settings, async |home| {
                one(home, simple("/410").with("failure_callback", to.clone())).await
            })
            .await?,
            self.row("with a `flow` (rate and parallelism)", 1, plain_settings, async |home| {
                one(home, simple("/200").with("flow", flow())).await
            })
            .await?,
            self.row("signed", 1, signing, async |home| one(home, simple("/200")).await).await?,
        ])
    }

    async fn large(&self) -> anyhow::Result<Vec<Row>> {
        // The home makes one of its own.
        let kept = |settings: &mut Settings| "bodies".clone_into(&mut settings.aws.bucket);
        let message = |body: (&str, Value)| {
            let fields = [("url".to_owned(), url("/200").into()), (body.0.to_owned(), body.1)];
            simple("/200").with("message", Value::Object(fields.into_iter().collect()))
        };
        Ok(vec![
            self.row("body of 1 MB in the call", 1, kept, async |home| {
                one(home, message(("body", "x".repeat(LARGE).into()))).await
            })
            .await?,
            self.row("body of 1 MB by reference", 1, kept, async |home| {
                let reference = home.upload("x".repeat(LARGE).into()).await?;
                one(home, message(("body_ref", reference.into()))).await
            })
            .await?,
        ])
    }

    async fn batches(&self) -> anyhow::Result<Vec<Row>> {
        let ten = |message: fn(u64) -> Message| (0..BATCH).map(message).collect::<Vec<_>>();
        let plain = ten(|n| Message::new(format!("s{n}"), "/200", n));
        let strict = ten(|n| Message::new(format!("s{n}"), "/200", n).strict());
        let limited = ten(|n| Message::new(format!("s{n}"), "/200", n).with("flow", flow()));
        let mut rows = Vec::new();
        for (feature, messages) in [
            ("plain, ten in a call and a batch", plain),
            ("strict, ten in a call and a batch", strict),
            ("with a `flow`, ten in a call and a batch", limited),
        ] {
            let row = self.row(feature, BATCH, plain_settings, async |home| {
                accept(home, &messages).await?;
                until_idle(home).await
            });
            let row = row.await?;
            rows.push(Row { messages: row.messages * BATCH, ..row });
        }
        Ok(rows)
    }

    /// A row of stories of one message each, each of which makes so many requests.
    async fn row(
        &self,
        feature: &'static str,
        requests: u64,
        change: impl Fn(&mut Settings),
        story: impl AsyncFn(&AwsHome) -> anyhow::Result<()>,
    ) -> anyhow::Result<Row> {
        let mut counts = Counts::default();
        for _ in 0..MESSAGES {
            let home = self.home(&change).await?;
            let before = self.proxy.counts();
            Box::pin(story(&home)).await.with_context(|| feature.to_owned())?;
            counts += self.proxy.counts() - before;
            let seen = home.target().count() as u64;
            ensure!(seen == requests, "{feature}: {seen} requests, not {requests}");
        }
        Ok(Row { feature, messages: MESSAGES, counts })
    }

    /// What an order takes by itself.
    async fn orders(
        &self,
        what: &str,
        order: impl AsyncFn(&AwsHome, Option<Message>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Counts> {
        let home = self.home(&plain_settings).await?;
        let before = self.proxy.counts();
        Box::pin(order(&home, None)).await.with_context(|| what.to_owned())?;
        Ok(self.proxy.counts() - before)
    }

    async fn home(&self, change: &impl Fn(&mut Settings)) -> anyhow::Result<AwsHome> {
        let mut settings = AwsHome::settings()?;
        settings.aws.sequence = false;
        // One queue, so that a batch is one.
        settings.routes.iter_mut().for_each(|route| route.shards = 1);
        change(&mut settings);
        Box::pin(AwsHome::open_with("bench-calls", settings, Some(&self.endpoint))).await
    }
}

/// Limits that no row reaches: what is waited for is received again.
fn flow() -> Value {
    json!({"key": "k", "rate": 100, "per": "1s", "parallelism": 20})
}

fn plain_settings(_: &mut Settings) {}

fn simple(path: &str) -> Message {
    Message::new("s", path, 1)
}
