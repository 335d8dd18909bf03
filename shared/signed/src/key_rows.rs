//! The rows of idempotency keys in the control table: `pk` = `key#<message id>`, `sk` = `-`, `expires`.

use std::time::Duration;

use chaski_aws::Clients;
use chaski_core::time::Timestamp;
use serde_json::{Value, json};

use crate::dynamodb::DynamoDb;
use crate::error::SignedError;
use crate::service::Patience;

/// What the partition keys begin with; the ingress's role may touch no others.
const PARTITION: &str = "key#";
/// The sort key; a key has one row.
const SORT: &str = "-";
/// When DynamoDB may delete a row, in seconds since 1970 (its TTL attribute).
const EXPIRES: &str = "expires";

/// One row's call, its second try included: a window is a comfort, and a producer waits for it.
pub(crate) const CALL: Duration = Duration::from_millis(500);
const PATIENCE: Patience = Patience { attempt: CALL, whole: CALL, tries: 2 };

/// The rows of one control table.
#[derive(Debug, Clone)]
pub struct KeyRows {
    dynamodb: DynamoDb,
    table: String,
}

impl KeyRows {
    /// In the table of that name.
    #[must_use]
    pub fn new(clients: &Clients, table: impl Into<String>) -> Self {
        Self { dynamodb: DynamoDb::new(clients), table: table.into() }
    }

    /// Over another service.
    #[cfg(test)]
    pub(crate) fn over(dynamodb: DynamoDb) -> Self {
        Self { dynamodb, table: "control".to_owned() }
    }

    /// Whether there is a row of the message that has not expired. DynamoDB deletes late, so the time is looked at.
    ///
    /// # Errors
    /// The table did not answer within 500 ms, or refuses.
    pub(crate) async fn has(&self, id: &str, now: Timestamp) -> Result<bool, SignedError> {
        let key = json!({"pk": {"S": format!("{PARTITION}{id}")}, "sk": {"S": SORT}});
        let row = self.dynamodb.get_item(&self.table, key, PATIENCE).await?;
        let expires = row.as_ref().and_then(|row| row.get(EXPIRES)?.get("N")?.as_str()?.parse::<i64>().ok());
        Ok(expires.is_some_and(|expires| expires > seconds(now)))
    }

    /// Puts the row of a message that is in its queue. It holds until `expires`, rounded up to the second.
    ///
    /// # Errors
    /// The table did not answer within 500 ms, or refuses.
    pub(crate) async fn put(&self, id: &str, expires: Timestamp) -> Result<(), SignedError> {
        let expires = seconds(expires).saturating_add(1).to_string();
        let item: Value = json!({"pk": {"S": format!("{PARTITION}{id}")}, "sk": {"S": SORT}, EXPIRES: {"N": expires}});
        self.dynamodb.put_item(&self.table, item, PATIENCE).await
    }
}

fn seconds(time: Timestamp) -> i64 {
    time.millis().div_euclid(1_000)
}
