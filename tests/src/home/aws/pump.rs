//! What Lambda's mapping of a queue does: it receives, pushes the batch into the function, and deletes what the
//! answer does not name. Now and then an answer gets lost on the way, or a batch is pushed twice.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context;
use aws_lambda_events::sqs::SqsEvent;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use chaski_aws::sqs_event;
use chaski_consumer::handle_batch;
use chaski_core::ports::{Clock, Leased};
use chaski_core::queue::QueueName;
use serde_json::{Map, Value, json};

use super::answer::{self, Verdict};
use super::{AwsHome, Consumer};
use crate::home::{Batch, Sighting};

/// The function's timeout in the template: `http.max_timeout` and 12 s.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(42);
/// Entries that a mapping of a FIFO queue pushes at once, at most (AWS).
const BATCH: i32 = 10;

/// The mapping of one queue to its function.
pub(super) struct Mapping<'a> {
    pub(super) home: &'a AwsHome,
    pub(super) queue: QueueName,
    pub(super) dispatcher: &'a Consumer,
}

impl Mapping<'_> {
    /// One turn: what is visible now goes through the function. How many entries that were.
    pub(super) async fn push(&self) -> anyhow::Result<usize> {
        let messages = self.home.places.receive(&self.queue, BATCH).await?;
        if messages.is_empty() {
            return Ok(0);
        }
        let event = self.event(&messages)?;
        let mut answer = self.invoke(&event).await;
        if self.home.faults.delivers_again() {
            answer = self.invoke(&event).await;
        }
        let ids: Vec<&str> = messages.iter().filter_map(Message::message_id).collect();
        let back = match answer::read(answer.as_deref(), &ids) {
            Verdict::AllBack => ids.iter().map(|id| (*id).to_owned()).collect(),
            Verdict::Back(back) => back,
        };
        let heard = !self.home.faults.loses(ids.iter().copied());
        self.finish(&messages, &back, heard).await?;
        let entries = messages.iter().map(sighting).collect();
        self.home.note(Batch { queue: self.queue.clone(), entries, back: sorted(back), heard });
        Ok(messages.len())
    }

    /// The next entry, leased to the caller.
    pub(super) async fn take(&self) -> anyhow::Result<Option<Leased>> {
        let messages = self.home.places.receive(&self.queue, 1).await?;
        if messages.is_empty() {
            return Ok(None);
        }
        let event: SqsEvent = serde_json::from_str(&self.event(&messages)?)?;
        Ok(sqs_event::leased(event, &self.home.prefix)?.pop())
    }

    /// What the function answers; nothing when it failed.
    async fn invoke(&self, event: &str) -> Option<String> {
        let event: SqsEvent = serde_json::from_str(event).ok()?;
        let until = self.home.clock.elapsed() + FUNCTION_TIMEOUT;
        let handled = handle_batch(self.dispatcher, &self.home.sources, event, "conformance", until);
        serde_json::to_string(&Box::pin(handled).await.ok()?).ok()
    }

    async fn finish(&self, messages: &[Message], back: &[String], heard: bool) -> anyhow::Result<()> {
        let handle = |message: &Message| message.receipt_handle().unwrap_or_default().to_owned();
        if !heard {
            let all: Vec<String> = messages.iter().map(handle).collect();
            return self.home.places.show(&self.queue, &all).await;
        }
        let goes_back = |message: &&Message| back.iter().any(|id| Some(id.as_str()) == message.message_id());
        let (back, done): (Vec<&Message>, Vec<&Message>) = messages.iter().partition(goes_back);
        self.home.note_hidden(back.into_iter().map(|message| (self.queue.clone(), handle(message))));
        let done: Vec<String> = done.into_iter().map(handle).collect();
        self.home.places.delete(&self.queue, &done).await
    }

    /// The event, as Lambda writes it.
    fn event(&self, messages: &[Message]) -> anyhow::Result<String> {
        let arn = self.home.places.arn(&self.queue);
        let records: Option<Vec<Value>> = messages.iter().map(|message| self.record(message, &arn)).collect();
        let records = records.context("a message without an id, a handle or a body")?;
        Ok(json!({ "Records": records }).to_string())
    }

    fn record(&self, message: &Message, arn: &str) -> Option<Value> {
        let given = message.attributes()?;
        let attributes: Map<String, Value> =
            given.iter().map(|(name, value)| (name.as_str().to_owned(), self.told(name, value).into())).collect();
        Some(json!({
            "messageId": message.message_id()?,
            "receiptHandle": message.receipt_handle()?,
            "body": message.body()?,
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": message.md5_of_body(),
            "eventSource": "aws:sqs",
            "eventSourceARN": arn,
            "awsRegion": arn.split(':').nth(3),
        }))
    }

    /// The queue's times by the story's clock. That is put forward only while the queues are empty, so what is in them
    /// was sent since.
    fn told(&self, name: &MessageSystemAttributeName, value: &str) -> String {
        let is_time = matches!(
            name,
            MessageSystemAttributeName::SentTimestamp | MessageSystemAttributeName::ApproximateFirstReceiveTimestamp
        );
        match value.parse::<u128>() {
            Ok(millis) if is_time => (millis + self.home.clock.ahead().as_millis()).to_string(),
            _ => value.to_owned(),
        }
    }
}

fn sighting(message: &Message) -> Sighting {
    let group = message.attributes().and_then(|all| all.get(&MessageSystemAttributeName::MessageGroupId));
    Sighting {
        entry_id: message.message_id().unwrap_or_default().to_owned(),
        group: group.cloned().unwrap_or_default(),
        body: message.body().unwrap_or_default().to_owned(),
    }
}

fn sorted(back: Vec<String>) -> Vec<String> {
    let mut back: Vec<String> = back.into_iter().collect::<HashSet<_>>().into_iter().collect();
    back.sort();
    back
}
