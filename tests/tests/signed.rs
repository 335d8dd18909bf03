//! Signed calls without an SDK, against the local AWS: S3, and the window of idempotency keys over a real queue and a
//! real table. Each story has a bucket, or a queue and a table, of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use bytes::Bytes;
use chaski_aws::{AwsSettings, Clients, QueuePrefix, SqsQueues};
use chaski_core::identity;
use chaski_core::ledger::Listing;
use chaski_core::ports::{Clock, Enqueue, Entry, Taken};
use chaski_core::queue::QueueName;
use chaski_core::time::Timestamp;
use chaski_signed::{KeyRows, KeyWindow, S3, SignedError};
use chaski_tests::world::noise;
use chaski_tests::world::stack::Stack;
use serde_json::json;

/// The largest body that Chaski keeps aside.
const LARGE: usize = 25 * 1_024 * 1_024;

/// A name that no other test has.
fn name(kind: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{kind}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst))
}

fn clients(stack: &Stack) -> anyhow::Result<Clients> {
    let environment = stack.environment();
    let value = |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Ok(Clients::new(AwsSettings::read(value)?)?)
}

async fn bucket() -> anyhow::Result<S3> {
    let (stack, bucket) = (Stack::find()?, name("signed"));
    let made = stack.aws.send("s3", "PUT", &format!("/{bucket}"), &[], String::new(), true).await?;
    anyhow::ensure!(made.status == 200, "the bucket was answered {}: {}", made.status, made.body);
    Ok(S3::new(&clients(&stack)?, &bucket))
}

fn noise(bytes: usize) -> Bytes {
    noise::bytes(0, bytes).into()
}

#[tokio::test]
async fn a_body_of_25_mb_comes_back_as_it_went_piece_by_piece() -> anyhow::Result<()> {
    let (s3, body) = (bucket().await?, noise(LARGE));
    let key = "live/2026-12-01/a b+ü$";
    s3.put(key, body.clone()).await?;
    assert_eq!(s3.head(key).await?, Some(LARGE as u64));
    let mut object = s3.get(key).await?.context("it is not there")?;
    assert_eq!(object.length(), LARGE as u64);
    let (mut read, mut pieces) = (Vec::new(), 0);
    while let Some(piece) = object.chunk().await? {
        pieces += 1;
        read.extend_from_slice(&piece);
    }
    assert!(read == body, "other bytes came back");
    assert!(pieces > 10, "{pieces} pieces are no stream");
    s3.put(key, Bytes::from_static(b"other")).await?;
    assert_eq!(s3.get(key).await?.context("it is not there")?.whole(5).await?, b"other");
    Ok(())
}

#[tokio::test]
async fn whoever_has_the_address_may_upload_with_a_plain_client() -> anyhow::Result<()> {
    let (s3, body) = (bucket().await?, noise(300_000));
    let signed = s3.presign_put("in/1", Duration::from_secs(60), SystemTime::now()).map_err(anyhow::Error::msg)?;
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let plain = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build()?;
    let put = async |header: bool, body: Bytes| {
        let request = plain.put(&signed.address).body(body);
        let request = signed
            .headers
            .iter()
            .filter(|_| header)
            .fold(request, |request, (name, value)| request.header(*name, *value));
        anyhow::Ok(request.send().await?.status().as_u16())
    };
    assert_eq!(put(false, body.clone()).await?, 403, "its condition is signed");
    assert_eq!(put(true, body.clone()).await?, 200);
    assert_eq!(put(true, Bytes::from_static(b"another")).await?, 412, "once is once");
    assert_eq!(s3.get("in/1").await?.context("it is not there")?.whole(300_000).await?, body);
    Ok(())
}

#[tokio::test]
async fn copies_deletions_and_what_is_not_there() -> anyhow::Result<()> {
    let s3 = bucket().await?;
    assert!(s3.get("live/1").await?.is_none());
    assert_eq!(s3.head("live/1").await?, None);
    assert!(!s3.copy("live/1", "dead/1").await?);
    s3.put("live/1", Bytes::from_static(b"body")).await?;
    assert!(s3.copy("live/1", "dead/a 1").await?);
    assert!(!s3.put_new("live/1", Bytes::from_static(b"new")).await?);
    s3.delete("live/1").await?;
    s3.delete("live/1").await?;
    assert!(s3.put_new("claim/1", Bytes::from_static(b"new")).await?);
    assert!(s3.get("live/1").await?.is_none());
    assert_eq!(s3.get("dead/a 1").await?.context("no copy")?.whole(4).await?, b"body");
    let nowhere = S3::new(&clients(&Stack::find()?)?, &name("nowhere"));
    for told in [nowhere.put("x", Bytes::new()).await, nowhere.get("x").await.map(drop)] {
        assert!(matches!(told, Err(SignedError::Refused { status: 404, .. })), "{told:?}");
    }
    Ok(())
}

/// A clock that stands until it is moved.
#[derive(Clone)]
struct Hands(Arc<AtomicI64>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// An entry of a message. Each has a deduplication id of its own, so that SQS knows no repeat: the row alone can.
fn entry(id: &str) -> Entry {
    let listing = Some(Arc::new(Listing { id: id.to_owned(), ..Listing::default() }));
    let queue = QueueName::Shard { route: "messages".to_owned(), shard: 0 };
    let group = identity::group_id("", "subject");
    Entry { queue, body: "{}".to_owned(), group, dedup: name("dedup"), due: None, listing }
}

#[tokio::test]
async fn a_row_alone_finds_a_repeat_until_its_window_ends() -> anyhow::Result<()> {
    let (stack, prefix, table) = (Stack::find()?, name("keys"), name("control"));
    let attributes =
        json!({"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"});
    let queue = json!({"QueueName": format!("{prefix}-messages-0.fifo"), "Attributes": attributes});
    let url = stack.aws.json("sqs", "AmazonSQS.CreateQueue", &queue).await?["QueueUrl"].as_str().unwrap().to_owned();
    let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
    let text = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
    let made = json!({"TableName": table, "BillingMode": "PAY_PER_REQUEST", "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
                      "AttributeDefinitions": [text("pk"), text("sk")]});
    stack.aws.json("dynamodb", "DynamoDB_20120810.CreateTable", &made).await?;

    let clients = clients(&stack)?;
    let clock = Hands(Arc::new(AtomicI64::new(1_796_126_400_000)));
    let queues =
        || SqsQueues::new(clients.sqs(), QueuePrefix::new(url.trim_end_matches("messages-0.fifo")), clock.clone());
    let rows = |table: &str| KeyRows::new(&clients, table);
    let window = KeyWindow::new(queues(), rows(&table), Duration::from_secs(3_600), clock.clone());
    let depth = async || {
        let call = json!({"QueueUrl": url, "AttributeNames": ["All"]});
        let told = stack.aws.json("sqs", "AmazonSQS.GetQueueAttributes", &call).await?;
        anyhow::Ok(told["Attributes"]["ApproximateNumberOfMessages"].as_str().unwrap().parse::<u32>()?)
    };

    let one = identity::keyed_id("crm", "k", b"1");
    assert_eq!(Box::pin(window.enqueue(entry(&one))).await, Ok(Taken::New));
    assert_eq!(Box::pin(window.enqueue(entry(&one))).await, Ok(Taken::Duplicate));
    assert_eq!(depth().await?, 1);

    // Six minutes later, beyond what SQS knows; another body and another producer are other messages.
    clock.0.fetch_add(360_000, Ordering::SeqCst);
    let [two, three] = [identity::keyed_id("crm", "k", b"2"), identity::keyed_id("erp", "k", b"1")];
    let fates = Box::pin(window.enqueue_all([&one, &two, &three].map(|id| entry(id)).into())).await;
    assert_eq!(fates, [Ok(Taken::Duplicate), Ok(Taken::New), Ok(Taken::New)]);
    assert_eq!(depth().await?, 3);

    clock.0.fetch_add(3_600_000, Ordering::SeqCst);
    assert_eq!(Box::pin(window.enqueue(entry(&one))).await, Ok(Taken::New), "its window is over");
    assert_eq!(depth().await?, 4);

    // A table that is not there: every repeat is sent, and none is hidden.
    let blind = KeyWindow::new(queues(), rows(&name("nowhere")), Duration::from_secs(3_600), clock);
    for sent in 5..7 {
        assert_eq!(Box::pin(blind.enqueue(entry(&one))).await, Ok(Taken::New));
        assert_eq!(depth().await?, sent);
    }
    Ok(())
}
