//! The queues and the table of one home on the local AWS, made as template.yaml says.

mod schedule;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName,
    QueueAttributeName as Q,
};
use chaski_aws::{AwsSettings, Clients, QueuePrefix, is_fifo, suffix};
use chaski_core::dead_letter::read_stored_message;
use chaski_core::ports::UploadAddress;
use chaski_core::queue::{QueueName, Tier};
use chaski_core::settings::Settings;
use serde::Deserialize;

use crate::home::Buried;
use crate::world::aws::Aws;

pub use schedule::Schedule;

/// The account of the local AWS.
const ACCOUNT: &str = "000000000000";
/// How long what was received stays hidden. No test waits for its end.
const VISIBILITY_S: u32 = 60;
/// Receives after which an entry is put into the last net.
const MAX_RECEIVES: u32 = 1_000;

/// What the name of a home's bucket ends with.
pub(super) const BUCKET: &str = "bodies";

/// What `stack.json` says of the local AWS.
#[derive(Debug, Clone, Deserialize)]
struct Local {
    endpoint: String,
    region: String,
}

/// Where everything of a home is.
pub(super) struct Places {
    local: Local,
    name: String,
    queues: Vec<QueueName>,
    has_bucket: bool,
    sqs: aws_sdk_sqs::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    aws: Aws,
}

impl Places {
    /// Makes the queues of the settings and a table.
    pub(super) async fn make(name: &str, settings: &Settings, proxy: Option<&str>) -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut local = find()?;
        if let Some(proxy) = proxy {
            proxy.clone_into(&mut local.endpoint);
        }
        let aws = Aws::new(&local.endpoint, &local.region)?;
        let clients = Clients::new(client_settings(&local, &local.endpoint)?)?;
        let places = Self {
            name: format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst)),
            queues: queues(settings),
            has_bucket: !settings.aws.bucket.is_empty(),
            sqs: clients.sqs(),
            dynamodb: chaski_dynamodb::client(&clients),
            aws,
            local,
        };
        // The nets first: the others name them.
        for queue in places.queues.iter().rev() {
            places.make_queue(queue, settings).await?;
        }
        places.make_table(&places.table(), ["date", "timestamp"], Some(("by_id", "id_digest"))).await?;
        places.make_table(&places.control(), ["pk", "sk"], None).await?;
        places.make_group().await?;
        if let Some(bucket) = places.bucket() {
            let made = places.aws.send("s3", "PUT", &format!("/{bucket}"), &[], String::new(), true).await?;
            anyhow::ensure!(made.status == 200, "the bucket was answered {}: {}", made.status, made.body);
        }
        Ok(places)
    }

    /// The bucket of large bodies, where the settings name one: its own.
    pub(super) fn bucket(&self) -> Option<String> {
        self.has_bucket.then(|| format!("{}-{BUCKET}", self.name))
    }

    pub(super) async fn upload(&self, to: &UploadAddress, body: Vec<u8>) -> anyhow::Result<()> {
        let status = self.aws.upload(&to.url, &to.headers, body).await?;
        anyhow::ensure!(status == 200, "the upload was answered {status}");
        Ok(())
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.local.endpoint
    }

    pub(super) fn client_settings(&self, endpoint: &str) -> anyhow::Result<AwsSettings> {
        client_settings(&self.local, endpoint)
    }

    /// What the queues' URLs begin with.
    pub(super) fn prefix(&self) -> String {
        format!("{}/{ACCOUNT}/{}-", self.local.endpoint, self.name)
    }

    pub(super) fn table(&self) -> String {
        format!("{}-dead-letters", self.name)
    }

    /// The control table.
    pub(super) fn control(&self) -> String {
        format!("{}-control", self.name)
    }

    /// The shards, then the tiers, then what waits for its time, then the last net.
    pub(super) fn queues(&self) -> &[QueueName] {
        &self.queues
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = &QueueName> {
        self.queues.iter().filter(|queue| matches!(queue, QueueName::Shard { .. }))
    }

    pub(super) fn arn(&self, queue: &QueueName) -> String {
        QueuePrefix::new(self.prefix()).arn(queue, "aws", &self.local.region)
    }

    /// What is visible, up to that many.
    pub(super) async fn receive(&self, queue: &QueueName, most: i32) -> anyhow::Result<Vec<Message>> {
        let call = self.sqs.receive_message().queue_url(self.url(queue)).max_number_of_messages(most);
        let all = MessageSystemAttributeName::All;
        let received = Box::pin(call.wait_time_seconds(0).message_system_attribute_names(all).send()).await;
        Ok(received.with_context(|| format!("receiving from {queue}"))?.messages.unwrap_or_default())
    }

    pub(super) async fn delete(&self, queue: &QueueName, handles: &[String]) -> anyhow::Result<()> {
        let entry = |(n, handle): (usize, &String)| {
            DeleteMessageBatchRequestEntry::builder().id(n.to_string()).receipt_handle(handle).build()
        };
        for ten in handles.chunks(10) {
            let entries = ten.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
            let call = self.sqs.delete_message_batch().queue_url(self.url(queue)).set_entries(Some(entries));
            let answer = Box::pin(call.send()).await.with_context(|| format!("deleting from {queue}"))?;
            anyhow::ensure!(answer.failed().is_empty(), "not deleted from {queue}: {:?}", answer.failed());
        }
        Ok(())
    }

    /// Makes what was received visible again, in that order.
    pub(super) async fn show(&self, queue: &QueueName, handles: &[String]) -> anyhow::Result<()> {
        let entry = |(n, handle): (usize, &String)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(n.to_string());
            entry.receipt_handle(handle).visibility_timeout(0).build()
        };
        for ten in handles.chunks(10) {
            let entries = ten.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
            let call = self.sqs.change_message_visibility_batch().queue_url(self.url(queue)).set_entries(Some(entries));
            Box::pin(call.send()).await.with_context(|| format!("showing entries of {queue}"))?;
        }
        Ok(())
    }

    pub(super) async fn depths(&self) -> anyhow::Result<BTreeMap<QueueName, u64>> {
        let counts = [
            Q::ApproximateNumberOfMessages,
            Q::ApproximateNumberOfMessagesNotVisible,
            Q::ApproximateNumberOfMessagesDelayed,
        ];
        let mut depths = BTreeMap::new();
        for queue in &self.queues {
            let call = self.sqs.get_queue_attributes().queue_url(self.url(queue)).attribute_names(Q::All);
            let answer = Box::pin(call.send()).await.with_context(|| format!("asking {queue}"))?;
            let all = answer.attributes().cloned().unwrap_or_default();
            let depth = counts.iter().filter_map(|count| all.get(count)?.parse::<u64>().ok()).sum();
            depths.insert(queue.clone(), depth);
        }
        Ok(depths)
    }

    pub(super) async fn dead_letters(&self) -> anyhow::Result<Vec<Buried>> {
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let call =
                self.dynamodb.scan().table_name(self.table()).consistent_read(true).set_exclusive_start_key(start);
            let page = Box::pin(call.send()).await.context("reading the table")?;
            for item in page.items() {
                found.push(buried(item).context("an item that is no dead letter")?);
            }
            start = page.last_evaluated_key().cloned();
            if start.is_none() {
                return Ok(found);
            }
        }
    }

    /// The keys of the control table's rows.
    pub(super) async fn rows(&self) -> anyhow::Result<Vec<String>> {
        let call = self.dynamodb.scan().table_name(self.control()).consistent_read(true);
        let page = Box::pin(call.send()).await.context("reading the control table")?;
        let key = |item: &std::collections::HashMap<String, AttributeValue>| {
            Some(format!("{} {}", item.get("pk")?.as_s().ok()?, item.get("sk")?.as_s().ok()?))
        };
        page.items().iter().map(|item| key(item).context("a row without a key")).collect()
    }

    fn url(&self, queue: &QueueName) -> String {
        QueuePrefix::new(self.prefix()).url(queue)
    }

    async fn make_queue(&self, queue: &QueueName, settings: &Settings) -> anyhow::Result<()> {
        let delay = match queue {
            QueueName::Tier(tier) => settings.tiers.of(*tier).as_secs(),
            QueueName::Shard { .. } | QueueName::Wake | QueueName::WakeNet | QueueName::LastNet => 0,
        };
        let mut call = self.sqs.create_queue().queue_name(format!("{}-{queue}{}", self.name, suffix(queue)));
        if is_fifo(queue) {
            call = call
                .attributes(Q::FifoQueue, "true")
                .attributes(Q::DeduplicationScope, "messageGroup")
                .attributes(Q::FifoThroughputLimit, "perMessageGroupId")
                .attributes(Q::ContentBasedDeduplication, "false");
        }
        call = call
            .attributes(Q::MessageRetentionPeriod, "1209600")
            .attributes(Q::VisibilityTimeout, VISIBILITY_S.to_string())
            .attributes(Q::DelaySeconds, delay.to_string());
        let net = match queue {
            QueueName::LastNet | QueueName::WakeNet => None,
            QueueName::Wake => Some(QueueName::WakeNet),
            QueueName::Shard { .. } | QueueName::Tier(_) => Some(QueueName::LastNet),
        };
        if let Some(net) = net {
            let net = self.arn(&net);
            let redrive = serde_json::json!({"deadLetterTargetArn": net, "maxReceiveCount": MAX_RECEIVES});
            call = call.attributes(Q::RedrivePolicy, redrive.to_string());
        }
        Box::pin(call.send()).await.with_context(|| format!("making {queue}")).map(drop)
    }

    /// With one index at most: the others are read by the deployed tests.
    async fn make_table(
        &self,
        table: &str,
        [partition, sort]: [&str; 2],
        index: Option<(&str, &str)>,
    ) -> anyhow::Result<()> {
        let mut call = self.dynamodb.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
        for name in [partition, sort].into_iter().chain(index.map(|(_, attribute)| attribute)) {
            let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
            call = call.attribute_definitions(attribute.build()?);
        }
        if let Some((name, attribute)) = index {
            let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
            let index = GlobalSecondaryIndex::builder().index_name(name).projection(keys_only);
            let index = index.set_key_schema(Some(key_schema([attribute, sort])?)).build()?;
            call = call.global_secondary_indexes(index);
        }
        let call = call.set_key_schema(Some(key_schema([partition, sort])?));
        Box::pin(call.send()).await.with_context(|| format!("making the table {table}")).map(drop)
    }
}

fn key_schema([partition, sort]: [&str; 2]) -> anyhow::Result<Vec<KeySchemaElement>> {
    let element =
        |(name, kind): (&str, KeyType)| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let elements = [(partition, KeyType::Hash), (sort, KeyType::Range)].into_iter().map(element);
    Ok(elements.collect::<Result<_, _>>()?)
}

/// The endpoint and the region of the local AWS that is up.
pub(super) fn local() -> anyhow::Result<(String, String)> {
    find().map(|local| (local.endpoint, local.region))
}

/// The local AWS that is up, as `stack.json` in `CHASKI_LOCAL_DIR` (or `.local`) describes it.
fn find() -> anyhow::Result<Local> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.local");
    let path = std::env::var("CHASKI_LOCAL_DIR").map_or(default, PathBuf::from).join("stack.json");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("no local AWS is up ({}): run `make test`, or `make local` first", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

fn client_settings(local: &Local, endpoint: &str) -> anyhow::Result<AwsSettings> {
    let pairs = [
        ("AWS_REGION", local.region.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", endpoint),
    ];
    let value = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Ok(AwsSettings::read(value)?)
}

fn queues(settings: &Settings) -> Vec<QueueName> {
    let of_route = |route: &chaski_core::route::Route| {
        let name = route.name.clone();
        (0..route.shards).map(move |shard| QueueName::Shard { route: name.clone(), shard })
    };
    let shards = settings.routes.iter().flat_map(of_route);
    shards
        .chain(Tier::ALL.map(QueueName::Tier))
        .chain([QueueName::Wake, QueueName::WakeNet, QueueName::LastNet])
        .collect()
}

fn buried(item: &std::collections::HashMap<String, AttributeValue>) -> Option<Buried> {
    let number = |value: &AttributeValue| value.as_n().ok()?.parse::<u32>().ok();
    let last = item.get("error")?.as_m().ok()?.get("last")?.as_m().ok()?;
    let attempts = item.get("attempts")?.as_l().ok()?;
    Some(Buried {
        id: item.get("id")?.as_s().ok()?.clone(),
        generation: number(item.get("generation")?)?,
        subject: item.get("subject").and_then(|subject| subject.as_s().ok()).cloned(),
        class: last.get("class")?.as_s().ok()?.clone(),
        attempts: attempts.iter().map(|attempt| number(attempt.as_m().ok()?.get("n")?)).collect::<Option<_>>()?,
        message: read_stored_message(item.get("message")?.as_b().ok()?.as_ref()).ok()?,
    })
}
