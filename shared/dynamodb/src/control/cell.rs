//! A row that several processes change, each on the condition that no other has meanwhile.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use chaski_core::ports::DeskError;
use chaski_core::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::keys::{EXPIRES, PK, SK};
use super::row::{read_text, seconds, text};
use super::table::{ControlTable, trouble};
use crate::item::Item;

/// What changes with every write, and is never the same twice.
const VERSION: &str = "version";
const VALUE: &str = "value";

/// A value as it was read: a new one has no version, and that of a row which can't be read any more is started anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cell<T> {
    pub(super) value: T,
    pub(super) version: Option<String>,
}

/// How a change ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Swap<T> {
    Done,
    /// Somebody else was first; this is what stands there now.
    Lost(Cell<T>),
}

/// Where a row stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) pk: &'a str,
    pub(super) sk: &'a str,
}

impl<T: DeserializeOwned + Default> Cell<T> {
    pub(super) fn read(row: &Item) -> Self {
        let value = read_text(row, VALUE).and_then(|value| serde_json::from_str(&value).ok());
        Self { value: value.unwrap_or_default(), version: read_text(row, VERSION) }
    }
}

impl ControlTable {
    /// What stands there.
    ///
    /// # Errors
    /// The table does not answer.
    pub(super) async fn cell<T: DeserializeOwned + Default>(&self, at: Place<'_>) -> Result<Cell<T>, DeskError> {
        Ok(self.row(at.pk, at.sk).await?.as_ref().map(Cell::read).unwrap_or_default())
    }

    /// Puts a value where that version stands, to be deleted some time after `expires`.
    ///
    /// # Errors
    /// The table does not answer. The value may be there.
    pub(super) async fn swap<T: Serialize + DeserializeOwned + Default>(
        &self,
        at: Place<'_>,
        was: Option<&str>,
        (value, version): (&T, &str),
        expires: Timestamp,
    ) -> Result<Swap<T>, DeskError> {
        let value = serde_json::to_string(value).map_err(|error| DeskError::Unavailable(error.to_string()))?;
        let put = self
            .client()
            .put_item()
            .table_name(self.name())
            .item(PK, text(at.pk))
            .item(SK, text(at.sk))
            .item(VALUE, text(value))
            .item(VERSION, text(version))
            .item(EXPIRES, seconds(expires))
            .expression_attribute_names("#version", VERSION)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = match was {
            Some(was) => put.condition_expression("#version = :was").expression_attribute_values(":was", text(was)),
            None => put.condition_expression("attribute_not_exists(#version)"),
        };
        let Err(error) = put.send().await else { return Ok(Swap::Done) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(there)) => {
                let now = there.item().map(Cell::read).unwrap_or_default();
                // A call that was tried again after its answer was lost meets itself.
                Ok(if now.version.as_deref() == Some(version) { Swap::Done } else { Swap::Lost(now) })
            }
            _ => Err(trouble(&error)),
        }
    }
}
