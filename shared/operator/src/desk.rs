//! The desk of a stack: its queues, and what a stack without a ledger can say of messages.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::QueueAttributeName;
use chaski_aws::{SqsQueues, describe};
use chaski_core::filter::{Listed, MessageFilter, Page, Whose};
use chaski_core::ledger::{KeptAnswer, Listing, MessageRecord, MessageState};
use chaski_core::orders::Orders;
use chaski_core::ports::{
    Backup, CancelCount, Cancelled, Clock, DeskError, KeptBody, Ledger, QueueRecord, Queues, Vitals,
};
use chaski_core::queue::{QueueName, Tier};
use chaski_dynamodb::{ControlTable, Record, Records};
use chaski_signed::S3Bodies;
use futures_util::future::try_join_all;

use crate::snapshot::Snapshot;
use crate::stack::Stack;

/// What a stack does not have.
pub(crate) const NO_LEDGER: &str = "a stack keeps no list of its messages: the functions' logs tell of each (its id stands there as \
                         chaski.id), `chaski dead-letters list --stack` of what was given up, and `chaski queues list \
                         --stack` of how much waits";
const NO_BACKUP: &str = "a stack has no file to copy: its table of dead letters has point-in-time recovery, and `aws \
                         dynamodb create-backup` makes a copy that is kept";

/// The desk. Its calls are made with the operator's rights, and need no more than what they do.
#[derive(Debug)]
pub struct StackDesk<C> {
    sqs: Client,
    names: Vec<QueueName>,
    pub(crate) queues: SqsQueues,
    pub(crate) records: Records,
    pub(crate) control: Option<ControlTable>,
    pub(crate) bodies: Option<S3Bodies<C>>,
    /// All tenants there are; not known where producers are configured.
    pub(crate) tenants: Option<Vec<String>>,
    pub(crate) clock: C,
    noted: Mutex<Option<Snapshot>>,
}

impl<C: Clock + Clone + 'static> StackDesk<C> {
    /// Over the stack's queues and its tables.
    #[must_use]
    pub fn new(stack: &Stack, sqs: Client, records: Records, control: Option<ControlTable>, clock: C) -> Self {
        let shards = stack
            .settings
            .routes
            .iter()
            .flat_map(|route| (0..route.shards).map(|shard| QueueName::Shard { route: route.name.clone(), shard }));
        let behind = Tier::ALL.into_iter().map(QueueName::Tier);
        let behind = behind.chain([QueueName::Wake, QueueName::WakeNet, QueueName::LastNet]);
        Self {
            names: shards.chain(behind).collect(),
            queues: SqsQueues::new(sqs.clone(), stack.queues.clone(), clock.clone()),
            tenants: (!stack.keyed).then(|| vec![String::new()]),
            noted: Mutex::default(),
            sqs,
            records,
            control,
            bodies: None,
            clock,
        }
    }
}

impl<C: Clock> StackDesk<C> {
    /// The same, with the place where the stack keeps large bodies.
    #[must_use]
    pub fn with_bodies(self, bodies: S3Bodies<C>) -> Self {
        Self { bodies: Some(bodies), ..self }
    }

    pub(crate) fn noted(&self) -> MutexGuard<'_, Option<Snapshot>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn queue(&self, queue: &QueueName, orders: &Orders) -> Result<QueueRecord, DeskError> {
        let call = self
            .sqs
            .get_queue_attributes()
            .queue_url(self.queues.prefix().url(queue))
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesDelayed)
            .attribute_names(QueueAttributeName::DelaySeconds);
        let answer = call.send().await.map_err(|error| {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
            DeskError::Platform {
                denied: code.contains("AccessDenied"),
                words: format!("the queue {queue}: {}", describe(&error)),
            }
        })?;
        let number = |name: QueueAttributeName| -> Result<u64, DeskError> {
            let text = answer.attributes().and_then(|all| all.get(&name)).and_then(|text| text.parse().ok());
            text.ok_or_else(|| DeskError::Platform {
                denied: false,
                words: format!("the queue {queue}: SQS does not say its {name}"),
            })
        };
        let waiting = number(QueueAttributeName::ApproximateNumberOfMessages)?;
        let in_flight = number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)?;
        let delayed = number(QueueAttributeName::ApproximateNumberOfMessagesDelayed)?;
        let delay =
            matches!(queue, QueueName::Tier(_)).then(|| number(QueueAttributeName::DelaySeconds)).transpose()?;
        Ok(QueueRecord {
            queue: queue.clone(),
            paused: orders.holds_whole(queue),
            depth: waiting + in_flight + delayed,
            in_flight,
            delayed,
            oldest_age: None,
            delay: delay.map(Duration::from_secs),
            rates: None,
        })
    }
}

impl<C: Clock> Queues for StackDesk<C> {
    /// Depths, as SQS estimates them. Of ages and rates it says nothing itself.
    async fn queues(&self) -> Result<Vec<QueueRecord>, DeskError> {
        let orders = match &self.control {
            Some(control) => control.orders().await?.0,
            None => Orders::default(),
        };
        try_join_all(self.names.iter().map(|name| self.queue(name, &orders))).await
    }
}

impl<C: Clock> Ledger for StackDesk<C> {
    /// A dead message is known by its dead letter; of any other nothing is, so nothing can be waited for.
    async fn message(&self, id: &str, whose: &Whose, _: Duration) -> Result<Option<MessageRecord>, DeskError> {
        let Some(record) = self.record(id, None, whose).await? else {
            let words = format!(
                "{id} is no dead letter of this stack; whether it waits, is delivered or was never sent \
                                 is not known here: {NO_LEDGER}"
            );
            return Err(DeskError::NotServed(words));
        };
        let generation = record.letter.generation;
        let buried = self.buried(record.clone());
        if let Some(at) = buried.replayed_at {
            let words = format!(
                "{id} was sent again at {at}, as generation {}, and is no dead letter since; whether it \
                                 waits or is delivered is not known here: {NO_LEDGER}",
                generation.saturating_add(1)
            );
            return Err(DeskError::NotServed(words));
        }
        Ok(Some(dead(record)))
    }

    async fn messages(&self, _: &MessageFilter, _: &Page) -> Result<Listed<MessageRecord>, DeskError> {
        Err(DeskError::NotServed(NO_LEDGER.to_owned()))
    }

    async fn cancel(&self, id: &str, whose: &Whose) -> Result<Cancelled, DeskError> {
        self.cancel_one(id, whose).await
    }

    async fn cancel_all(&self, filter: &MessageFilter, dry_run: bool) -> Result<CancelCount, DeskError> {
        self.cancel_fitting(filter, dry_run).await
    }
}

/// A message as its dead letter tells of it.
fn dead(record: Record) -> MessageRecord {
    let letter = record.letter;
    let envelope =
        std::str::from_utf8(&letter.message).ok().and_then(|text| chaski_core::envelope::Envelope::read(text).ok());
    let meta = envelope.as_ref().and_then(|envelope| envelope.meta.clone()).unwrap_or_default();
    let status = letter.last_error.status;
    let answer = letter.response.zip(status);
    MessageRecord {
        listing: Listing {
            id: letter.id,
            generation: letter.generation,
            tenant: letter.tenant,
            producer: letter.producer.unwrap_or_default(),
            subject: letter.subject.unwrap_or_default(),
            client: letter.client,
            body: envelope.as_ref().and_then(|envelope| KeptBody::of(&envelope.message.body)),
            labels: envelope.map(|envelope| envelope.labels).unwrap_or_default(),
            route: meta.route.unwrap_or_default(),
            target: letter.target,
            target_host: letter.target_host,
            received_at: letter.received_at.unwrap_or(letter.entry_sent_at),
            flow: None,
        },
        state: if letter.last_error.class == "expired" { MessageState::Expired } else { MessageState::Dead },
        cancelling: false,
        queue: None,
        next_due: None,
        ordering: None,
        expires_at: None,
        ended_at: Some(letter.died_at),
        // Which version made each attempt is not in the record.
        attempts: letter.attempts.into_iter().map(|attempt| (attempt, String::new())).collect(),
        answer: answer.map(|(body, status)| KeptAnswer {
            truncated: body.len() >= chaski_core::limits::ANSWER_BYTES,
            status,
            body,
        }),
        error: Some(letter.last_error),
    }
}

impl<C: Clock> Vitals for StackDesk<C> {
    fn checks(&self) -> Vec<(&'static str, Option<String>)> {
        Vec::new()
    }

    async fn metrics(&self) -> Option<String> {
        None
    }
}

impl<C: Clock> Backup for StackDesk<C> {
    async fn backup(&self, _: &Path) -> Result<u64, DeskError> {
        Err(DeskError::NotServed(NO_BACKUP.to_owned()))
    }
}
