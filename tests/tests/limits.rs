//! Limits between processes, in real time over a real table: four controls, each as a consumer has it, share a key.
//!
//! Method: 48 lines whose messages never end ask any of the four; what has to wait is hidden for whole seconds, as SQS
//! does it. Every call to the table is counted where it is sent. It takes 30 s, and asks for no more than the limits
//! promise of that time.

#![expect(clippy::indexing_slicing, reason = "a test fails by it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use chaski_aws::{AwsSettings, Clients};
use chaski_core::flow::Flow;
use chaski_core::outcome::Outcome;
use chaski_core::ports::{Admission, Ask, Clock, Control};
use chaski_dynamodb::{AwsControl, ControlTable};
use chaski_system::{SystemChance, SystemClock};
use chaski_tests::world::stack::Stack;
use serde_json::json;
use tokio::time::sleep;

const SPAN: Duration = Duration::from_secs(30);
const LINES: u32 = 48;
const PROCESSES: u32 = 4;

/// Counts what is sent.
#[derive(Debug, Clone, Default)]
struct Sent(Arc<AtomicU32>);

impl Intercept for Sent {
    fn name(&self) -> &'static str {
        "sent"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

async fn processes(sent: &Sent) -> anyhow::Result<Vec<AwsControl<SystemClock>>> {
    let stack = Stack::find()?;
    let table = format!("limits-{}", std::process::id());
    let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
    let text = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
    let made = json!({"TableName": table, "BillingMode": "PAY_PER_REQUEST",
                      "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
                      "AttributeDefinitions": [text("pk"), text("sk")]});
    stack.aws.json("dynamodb", "DynamoDB_20120810.CreateTable", &made).await?;
    let environment = stack.environment();
    let value = |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let clients = Clients::new(AwsSettings::read(value)?)?;
    let process = |_| {
        let config = chaski_dynamodb::client(&clients).config().to_builder().interceptor(sent.clone()).build();
        let table = ControlTable::new(aws_sdk_dynamodb::Client::from_conf(config), table.as_str());
        AwsControl::new(Some(table), SystemClock::start(), &SystemChance)
    };
    Ok((0..PROCESSES).map(process).collect())
}

#[derive(Default)]
struct Seen {
    begun: AtomicU32,
    running: AtomicU32,
    most: AtomicU32,
}

/// One line: a message after the other, each from its first receive to the end of its attempt.
async fn line(n: u32, processes: Arc<Vec<AwsControl<SystemClock>>>, flow: Flow, seen: Arc<Seen>) {
    let (clock, mut turn) = (SystemClock::start(), n);
    let accepted_at = clock.now();
    loop {
        let mut receives = 1;
        loop {
            turn = turn.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let process = &processes[(turn >> 16) as usize % processes.len()];
            let (timeout, patience) = (Duration::from_secs(10), Duration::from_secs(2));
            let flow = Some(&flow);
            let ask = Ask { host: "e.org", tenant: "", flow, attempts: 0, receives, accepted_at, timeout, patience };
            process.orders().await;
            if let Admission::Wait(span) = process.admit(ask).await {
                process.rest().await;
                receives += 1;
                sleep(Duration::from_secs(span.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX))).await;
                continue;
            }
            seen.begun.fetch_add(1, Ordering::SeqCst);
            seen.most.fetch_max(seen.running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_millis(50 + u64::from(turn >> 8) % 100)).await;
            seen.running.fetch_sub(1, Ordering::SeqCst);
            process.report(ask, &Outcome::Delivered).await;
            process.rest().await;
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_consumers_keep_ten_a_second_and_two_at_once_for_few_calls() -> anyhow::Result<()> {
    let sent = Sent::default();
    let processes = Arc::new(Box::pin(processes(&sent)).await?);
    let flow = Flow::new("crm", Some(10), None, Some(2)).map_err(|wrong| anyhow::anyhow!("{wrong:?}"))?;
    let seen = Arc::new(Seen::default());
    let lines: Vec<_> =
        (0..LINES).map(|n| tokio::spawn(line(n, processes.clone(), flow.clone(), seen.clone()))).collect();
    sleep(SPAN).await;
    lines.iter().for_each(tokio::task::JoinHandle::abort);
    let (begun, calls) = (seen.begun.load(Ordering::SeqCst), sent.0.load(Ordering::SeqCst));
    let most = seen.most.load(Ordering::SeqCst);
    println!("{begun} attempts in 30 s, at most {most} at once; {calls} calls to the table, {} a second", calls / 30);
    assert!((270..=330).contains(&begun), "{begun} attempts");
    assert_eq!(most, 2, "at once");
    // A query a second for the orders, four asks, and what goes back, of each process.
    assert!(calls <= 30 * PROCESSES * 20, "{calls} calls");
    Ok(())
}
