//! The table of what was given up.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use chaski_aws::{CALL, describe};
use chaski_core::dead_letter::DeadLetter;
use chaski_core::ports::SettleError;
use tokio::time::timeout;

use crate::item::{self, Item};

/// Dead letters in a table of DynamoDB. Nothing in it is ever overwritten.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    client: Client,
    table: String,
    retention: Option<Duration>,
}

impl DeadLetters {
    /// The table of that name.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into(), retention: None }
    }

    /// The same, with records that DynamoDB deletes some time after they are so old; `None` is never.
    #[must_use]
    pub fn keeping(self, retention: Option<Duration>) -> Self {
        Self { retention, ..self }
    }

    /// Puts a record. `Ok` means that it is there, whole: written now, or by an earlier burial of the same
    /// message in the same generation. Ends within nine seconds.
    ///
    /// # Errors
    /// It is not known to be there.
    pub async fn put(&self, letter: &DeadLetter) -> Result<(), SettleError> {
        let all = async {
            for mut item in item::items(letter) {
                if let Some(retention) = self.retention {
                    item::expire(&mut item, letter.died_at.plus(retention));
                }
                self.put_item(item).await?;
            }
            Ok(())
        };
        // A record in several items must not take several times as long.
        timeout(CALL, all).await.unwrap_or_else(|_| Err(SettleError("the table took too long".to_owned())))
    }

    async fn put_item(&self, item: Item) -> Result<(), SettleError> {
        let ours = whose(&item);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#date)")
            .expression_attribute_names("#date", item::DATE)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = put.send().await else {
            return Ok(());
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(there)) => match there.item() {
                Some(item) if whose(item) == ours => Ok(()),
                Some(_) => Err(SettleError("another message's record stands in its place".to_owned())),
                None => Err(SettleError("a record stands in its place, and the table does not say whose".to_owned())),
            },
            _ => Err(SettleError(describe(&error))),
        }
    }
}

/// Whose record an item is: the message's id and generation.
fn whose(item: &Item) -> Option<(String, String)> {
    let id = item.get(item::ID)?.as_s().ok()?.clone();
    let generation = item.get(item::GENERATION)?.as_n().ok()?.clone();
    Some((id, generation))
}

#[cfg(test)]
pub(crate) mod tests;
