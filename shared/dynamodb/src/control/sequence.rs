//! Numbers of the strict messages of a line that were attempted: from 1, without gaps. One row a line, which stays.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use chaski_core::ports::DeskError;

use super::keys::{WHOLE, sequence};
use super::row::text;
use super::table::{ControlTable, key, trouble};
use crate::item::Item;

const N: &str = "n";
const LAST: &str = "last";

impl ControlTable {
    /// The next number of a line, for this message: the same again for the message that got the last one.
    ///
    /// # Errors
    /// The table does not answer. It may have counted; the same message then gets that number when it asks again.
    pub async fn number(&self, group: &str, id: &str, generation: u32) -> Result<Option<u64>, DeskError> {
        let update = self
            .client()
            .update_item()
            .table_name(self.name())
            .set_key(Some(key(&sequence(group), WHOLE)))
            .update_expression("SET #last = :me ADD #n :one")
            .condition_expression("attribute_not_exists(#last) OR #last <> :me")
            .expression_attribute_names("#last", LAST)
            .expression_attribute_names("#n", N)
            .expression_attribute_values(":me", text(format!("{id}#{generation}")))
            .expression_attribute_values(":one", aws_sdk_dynamodb::types::AttributeValue::N("1".to_owned()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match update.send().await {
            Ok(answer) => return Ok(answer.attributes().and_then(read)),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(there)) => Ok(there.item().and_then(read)),
            _ => Err(trouble(&error)),
        }
    }
}

fn read(row: &Item) -> Option<u64> {
    row.get(N)?.as_n().ok()?.parse().ok()
}
