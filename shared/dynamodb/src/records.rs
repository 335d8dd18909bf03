//! The table of dead letters as an operator uses it: look-ups, and the marks of a replay.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValuesOnConditionCheckFailure};
use chaski_core::dead_letter::read_stored_message;
use chaski_core::ports::DeskError;
use chaski_core::time::Timestamp;

use crate::item::{DATE, Item, MESSAGE, PART, TIMESTAMP};
use crate::record::{ID_DIGEST, Key, REPLAYED_AT, Record, SENDING, SHORT, blob};

/// Keys of one call that gets many items (DynamoDB).
const GET_ITEMS: usize = 100;
/// Calls for what the table did not give at once.
const GETS: u32 = 8;
/// The pause before the second of them; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(50);
/// A mark of a replay whose process ended before the queue's answer holds so long: more than any call takes.
pub const SENDING_HOLDS: Duration = Duration::from_secs(60);

/// What came of marking a record as replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// It is marked now, by this call.
    Now,
    /// It was before.
    Before,
    /// There is no such record.
    Unknown,
}

/// One partition of the table or of an index, which is in the order of the sort key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    /// `None` is the table itself.
    pub(crate) index: Option<&'static str>,
    /// The partition key's attribute.
    pub(crate) attribute: &'static str,
    pub(crate) value: String,
}

/// A page of a partition, the newest first.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) records: Vec<Record>,
    /// Where the next one begins.
    pub(crate) next: Option<Item>,
}

/// The records of a table.
#[derive(Debug, Clone)]
pub struct Records {
    client: Client,
    table: String,
}

impl Records {
    /// Of the table of that name.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Where the records of a message stand, by the digest of its id.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn find(&self, id_digest: &str) -> Result<Vec<Key>, DeskError> {
        let partition = Partition { index: Some("by_id"), attribute: ID_DIGEST, value: id_digest.to_owned() };
        let (mut keys, mut start) = (Vec::new(), None);
        loop {
            let (items, next) = self.query(&partition, "0", "~", start, None).await?;
            keys.extend(items.iter().filter_map(Key::read));
            if next.is_none() {
                return Ok(keys);
            }
            start = next;
        }
    }

    /// One record, whole.
    ///
    /// # Errors
    /// The table does not answer, or the message in the record can't be read.
    pub async fn get(&self, key: &Key) -> Result<Option<Record>, DeskError> {
        let Some(item) = self.get_item(key.item()).await? else { return Ok(None) };
        let Some(mut record) = Record::read(&item) else { return Ok(None) };
        let mut stored = item.get(MESSAGE).and_then(blob).unwrap_or_default();
        for part in &record.parts {
            let at = Key { timestamp: part.clone(), date: key.date.clone() };
            let part = self.get_item(at.item()).await?;
            let bytes = part.and_then(|part| part.get(PART).and_then(blob));
            stored.extend(bytes.ok_or_else(|| damaged(&record, "a part of its message is missing"))?);
        }
        record.letter.message =
            read_stored_message(&stored).map_err(|error| damaged(&record, &format!("its message: {error}")))?;
        Ok(Some(record))
    }

    /// Marks a record as being sent again, unless it was sent, or is being by another.
    ///
    /// # Errors
    /// It is not known to be marked.
    pub async fn mark(&self, key: &Key, now: Timestamp) -> Result<Marked, DeskError> {
        let stale = Timestamp::from_millis(
            now.millis().saturating_sub(i64::try_from(SENDING_HOLDS.as_millis()).unwrap_or(i64::MAX)),
        );
        let marking = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .update_expression("SET #at = :now, #sending = :true")
            .condition_expression(
                "attribute_exists(#date) AND (attribute_not_exists(#at) OR (attribute_exists(#sending) AND #at < :stale))",
            )
            .expression_attribute_names("#date", DATE)
            .expression_attribute_names("#at", REPLAYED_AT)
            .expression_attribute_names("#sending", SENDING)
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()))
            .expression_attribute_values(":stale", AttributeValue::S(stale.to_string()))
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = marking.send().await else { return Ok(Marked::Now) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                let old = refused.item();
                // A call that was tried again after a lost answer meets its own mark.
                let ours = old.and_then(Record::read).is_some_and(|old| old.sending && old.replayed_at == Some(now));
                Ok(if ours {
                    Marked::Now
                } else if old.is_some() {
                    Marked::Before
                } else {
                    Marked::Unknown
                })
            }
            _ => Err(trouble(&error)),
        }
    }

    /// The queue took it: the mark stays for good.
    ///
    /// # Errors
    /// It is not known to stay.
    pub async fn confirm(&self, key: &Key, marked_at: Timestamp) -> Result<(), DeskError> {
        self.unmark(key, marked_at, "REMOVE #sending").await
    }

    /// The queue did not take it: the record is as it was.
    ///
    /// # Errors
    /// The mark may be there still; it ends by itself after [`SENDING_HOLDS`].
    pub async fn release(&self, key: &Key, marked_at: Timestamp) -> Result<(), DeskError> {
        self.unmark(key, marked_at, "REMOVE #sending, #at").await
    }

    async fn unmark(&self, key: &Key, marked_at: Timestamp, change: &str) -> Result<(), DeskError> {
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .update_expression(change)
            // A call that is tried again, or a record that was deleted meanwhile: nothing is left to change.
            .condition_expression("#at = :marked AND attribute_exists(#sending)")
            .expression_attribute_names("#at", REPLAYED_AT)
            .expression_attribute_names("#sending", SENDING)
            .expression_attribute_values(":marked", AttributeValue::S(marked_at.to_string()));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if matches!(error.as_service_error(), Some(UpdateItemError::ConditionalCheckFailedException(_))) =>
            {
                Ok(())
            }
            Err(error) => Err(trouble(&error)),
        }
    }

    /// Deletes a record, then what holds its message.
    ///
    /// # Errors
    /// It is not known to be deleted.
    pub async fn delete(&self, record: &Record) -> Result<(), DeskError> {
        let parts = record.parts.iter().map(|part| Key { timestamp: part.clone(), date: record.key.date.clone() });
        for key in std::iter::once(record.key.clone()).chain(parts) {
            let call = self.client.delete_item().table_name(&self.table).set_key(Some(key.item()));
            call.send().await.map_err(|error| trouble(&error))?;
        }
        Ok(())
    }

    /// The records of a partition between two sort keys, both included, without their messages.
    pub(crate) async fn page(
        &self,
        partition: &Partition,
        from: &str,
        to: &str,
        start: Option<Item>,
        limit: i32,
    ) -> Result<Page, DeskError> {
        let (items, next) = self.query(partition, from, to, start, Some(limit)).await?;
        if partition.index.is_none() {
            return Ok(Page { records: items.iter().filter_map(Record::read).collect(), next });
        }
        let keys: Vec<Key> = items.iter().filter_map(Key::read).collect();
        let mut records = Vec::with_capacity(keys.len());
        for hundred in keys.chunks(GET_ITEMS) {
            records.extend(self.get_short(hundred).await?);
        }
        records.sort_by(|one, other| other.key.cmp(&one.key));
        Ok(Page { records, next })
    }

    async fn query(
        &self,
        partition: &Partition,
        from: &str,
        to: &str,
        start: Option<Item>,
        limit: Option<i32>,
    ) -> Result<(Vec<Item>, Option<Item>), DeskError> {
        let mut call = self
            .client
            .query()
            .table_name(&self.table)
            .set_index_name(partition.index.map(str::to_owned))
            .key_condition_expression("#partition = :partition AND #timestamp BETWEEN :from AND :to")
            .expression_attribute_names("#partition", partition.attribute)
            .expression_attribute_names("#timestamp", TIMESTAMP)
            .expression_attribute_values(":partition", AttributeValue::S(partition.value.clone()))
            .expression_attribute_values(":from", AttributeValue::S(from.to_owned()))
            .expression_attribute_values(":to", AttributeValue::S(to.to_owned()))
            .scan_index_forward(false)
            .set_exclusive_start_key(start)
            .set_limit(limit);
        if partition.index.is_none() {
            let (names, expression) = short();
            for (placeholder, name) in names {
                call = call.expression_attribute_names(placeholder, name);
            }
            call = call.projection_expression(expression).consistent_read(true);
        }
        let answer = call.send().await.map_err(|error| trouble(&error))?;
        let next = answer.last_evaluated_key().filter(|key| !key.is_empty()).cloned();
        Ok((answer.items.unwrap_or_default(), next))
    }

    async fn get_item(&self, key: Item) -> Result<Option<Item>, DeskError> {
        let call = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        Ok(call.send().await.map_err(|error| trouble(&error))?.item)
    }

    /// At most a hundred records, in no order. Who is not there any more is left out.
    async fn get_short(&self, keys: &[Key]) -> Result<Vec<Record>, DeskError> {
        let (names, expression) = short();
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys.iter().map(Key::item).collect()))
            .set_expression_attribute_names(Some(names.into_iter().collect()))
            .projection_expression(expression)
            .consistent_read(true)
            .build()
            .map_err(|error| DeskError::Unavailable(error.to_string()))?;
        let mut open = HashMap::from([(self.table.clone(), wanted)]);
        let mut records = Vec::with_capacity(keys.len());
        for n in 0..GETS {
            let call = self.client.batch_get_item().set_request_items(Some(open));
            let answer = call.send().await.map_err(|error| trouble(&error))?;
            let found = answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default();
            records.extend(found.iter().filter_map(Record::read));
            open = answer.unprocessed_keys.unwrap_or_default();
            if open.is_empty() {
                return Ok(records);
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(n)).await;
        }
        Err(DeskError::Unavailable("the table gives only a part of what is asked for".to_owned()))
    }
}

/// The attributes of a record without its message and response: names for them (some are words of
/// DynamoDB's own) and the expression.
fn short() -> (Vec<(String, String)>, String) {
    let names: Vec<(String, String)> = SHORT.iter().map(|name| (format!("#s_{name}"), (*name).to_owned())).collect();
    let expression = names.iter().map(|(placeholder, _)| placeholder.as_str()).collect::<Vec<_>>().join(", ");
    (names, expression)
}

fn damaged(record: &Record, what: &str) -> DeskError {
    DeskError::Refused(format!("the dead letter {} is damaged: {what}", record.letter.id))
}

/// What the service said.
fn trouble<E, R>(error: &SdkError<E, R>) -> DeskError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    crate::trouble::trouble("the table of dead letters", error)
}
