//! The calls to the control table.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use chaski_core::breaker::Breaker;
use chaski_core::orders::{CancelMark, Orders};
use chaski_core::pause::Pause;
use chaski_core::ports::DeskError;

use super::cell::Cell;
use super::held::Held;
use super::keys::{self, ORDERS, PK, SK};
use super::row::{self, Row, text};
use crate::item::Item;

/// A table of what is known beside the queues.
#[derive(Debug, Clone)]
pub struct ControlTable {
    client: Client,
    table: String,
}

impl ControlTable {
    /// The table of that name.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// All that is ordered now, the oldest pause first, and the keys of orders that can't be read.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn orders(&self) -> Result<(Orders, Vec<String>), DeskError> {
        let standing = self.standing().await?;
        Ok((standing.orders, standing.unreadable))
    }

    /// All that stands in the partition of orders, what is known of hosts that fail included.
    ///
    /// # Errors
    /// The table does not answer.
    pub(super) async fn standing(&self) -> Result<Standing, DeskError> {
        let Standing { mut orders, mut unreadable, mut hosts } = Standing::default();
        for item in self.partition(ORDERS, None).await? {
            match row::read(&item) {
                Row::Pause(pause) => orders.pauses.push(pause),
                Row::Mark(mark) => orders.marks.push(mark),
                Row::Host(name, cell) => {
                    hosts.insert(name, cell);
                }
                Row::Unreadable(key) => unreadable.push(key),
                Row::Other => {}
            }
        }
        orders.pauses.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        Ok(Standing { orders, unreadable, hosts })
    }

    /// Whether a pause is in force.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn stands(&self, pause: &str) -> Result<bool, DeskError> {
        Ok(!self.partition(ORDERS, Some(&row::pause_key(pause))).await?.is_empty())
    }

    /// Puts a pause in force, unless one of its id is: then that one.
    ///
    /// # Errors
    /// It is not known to be in force.
    pub async fn put_pause(&self, pause: &Pause) -> Result<Option<Pause>, DeskError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(row::of_pause(pause)))
            .condition_expression("attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", PK)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = put.send().await else { return Ok(None) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(there)) => {
                let known = there.item().and_then(|item| row::read_pause(item, &pause.id));
                Ok(Some(known.unwrap_or_else(|| pause.clone())))
            }
            _ => Err(trouble(&error)),
        }
    }

    /// Ends a pause; whether there was one.
    ///
    /// # Errors
    /// It is not known to be ended.
    pub async fn delete_pause(&self, id: &str) -> Result<bool, DeskError> {
        let call = self.client.delete_item().table_name(&self.table).set_key(Some(key(ORDERS, &row::pause_key(id))));
        let deleted = call.return_values(ReturnValue::AllOld).send().await.map_err(|error| trouble(&error))?;
        Ok(deleted.attributes().is_some_and(|old| !old.is_empty()))
    }

    /// Puts a mark, in the place of one of its id.
    ///
    /// # Errors
    /// It is not known to be there.
    pub async fn put_mark(&self, mark: &CancelMark) -> Result<(), DeskError> {
        self.put(row::of_mark(mark)).await
    }

    /// Remembers a paused head, in the place of the one before in its line.
    ///
    /// # Errors
    /// It is not known to be remembered.
    pub async fn put_held(&self, held: &Held) -> Result<(), DeskError> {
        self.put(held.item()).await
    }

    /// A page of one partition's heads that this pause holds, and where the next one begins.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn held_page(
        &self,
        partition: u8,
        pause: &str,
        start: Option<HeldStart>,
    ) -> Result<(Vec<Held>, Option<HeldStart>), DeskError> {
        let call = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk")
            .filter_expression("#pause = :pause")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#pause", Held::PAUSE)
            .expression_attribute_values(":pk", text(keys::held(partition)))
            .expression_attribute_values(":pause", text(pause))
            .consistent_read(true)
            .set_exclusive_start_key(start.map(|start| start.0));
        let answer = call.send().await.map_err(|error| trouble(&error))?;
        let next = answer.last_evaluated_key().filter(|key| !key.is_empty()).cloned();
        Ok((answer.items().iter().filter_map(Held::read).collect(), next.map(HeldStart)))
    }

    /// Forgets a head, unless it was received and held again since.
    ///
    /// # Errors
    /// It may be there still.
    pub async fn delete_held(&self, held: &Held) -> Result<(), DeskError> {
        let (partition, sort_key) = held.key();
        let call = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(&partition, &sort_key)))
            .condition_expression("#handle = :handle")
            .expression_attribute_names("#handle", Held::HANDLE)
            .expression_attribute_values(":handle", text(&held.handle));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if matches!(error.as_service_error(), Some(DeleteItemError::ConditionalCheckFailedException(_))) =>
            {
                Ok(())
            }
            Err(error) => Err(trouble(&error)),
        }
    }

    /// Deletes what waits for its time of a message: the envelopes of all its generations. How many there were.
    ///
    /// # Errors
    /// Some may be there still.
    pub async fn delete_waits(&self, id: &str) -> Result<usize, DeskError> {
        let partition = keys::wait(id);
        let waits = self.partition(&partition, None).await?;
        for wait in &waits {
            let sort_key = row::read_text(wait, SK).unwrap_or_default();
            let call = self.client.delete_item().table_name(&self.table).set_key(Some(key(&partition, &sort_key)));
            call.send().await.map_err(|error| trouble(&error))?;
        }
        Ok(waits.len())
    }

    /// The client, for the calls of one kind of row alone.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The table's name.
    pub(super) fn name(&self) -> &str {
        &self.table
    }

    /// One row, as it is now.
    pub(super) async fn row(&self, partition: &str, sort_key: &str) -> Result<Option<Item>, DeskError> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key(partition, sort_key)));
        let answer = get.consistent_read(true).send().await.map_err(|error| trouble(&error))?;
        Ok(answer.item)
    }

    /// Deletes a row; what it was, if it was there.
    pub(super) async fn take_row(&self, partition: &str, sort_key: &str) -> Result<Option<Item>, DeskError> {
        let call = self.client.delete_item().table_name(&self.table).set_key(Some(key(partition, sort_key)));
        let deleted = call.return_values(ReturnValue::AllOld).send().await.map_err(|error| trouble(&error))?;
        Ok(deleted.attributes)
    }

    /// Puts a row, in the place of one of its key.
    pub(super) async fn put(&self, item: Item) -> Result<(), DeskError> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        put.send().await.map(drop).map_err(|error| trouble(&error))
    }

    /// A partition, or one row of it, as it is now.
    async fn partition(&self, partition: &str, sort_key: Option<&str>) -> Result<Vec<Item>, DeskError> {
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let mut call = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression(if sort_key.is_some() { "#pk = :pk AND #sk = :sk" } else { "#pk = :pk" })
                .expression_attribute_names("#pk", PK)
                .expression_attribute_values(":pk", text(partition))
                .consistent_read(true)
                .set_exclusive_start_key(start);
            if let Some(sort_key) = sort_key {
                call = call.expression_attribute_names("#sk", SK).expression_attribute_values(":sk", text(sort_key));
            }
            let answer = call.send().await.map_err(|error| trouble(&error))?;
            start = answer.last_evaluated_key().filter(|key| !key.is_empty()).cloned();
            items.extend(answer.items.unwrap_or_default());
            if start.is_none() {
                return Ok(items);
            }
        }
    }
}

/// What stands in the partition of orders.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) orders: Orders,
    /// The keys of orders that can't be read.
    pub(super) unreadable: Vec<String>,
    /// What is known of hosts that fail, by their names.
    pub(super) hosts: Hosts,
}

/// What is known of hosts that fail, by their names.
pub(super) type Hosts = HashMap<String, Cell<Breaker>>;

/// Where a page of paused heads begins.
#[derive(Debug, Clone)]
pub struct HeldStart(Item);

pub(super) fn key(partition: &str, sort_key: &str) -> Item {
    [(PK, partition), (SK, sort_key)].into_iter().map(|(name, value)| (name.to_owned(), attribute(value))).collect()
}

fn attribute(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(super) fn trouble<E, R>(error: &SdkError<E, R>) -> DeskError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    crate::trouble::trouble("the control table", error)
}
