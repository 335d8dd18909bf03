//! Reading and writing one item of DynamoDB: JSON 1.0, two calls.

use bytes::Bytes;
use chaski_aws::Clients;
use serde_json::{Value, json};

use crate::error::SignedError;
use crate::place;
use crate::service::{Call, Patience, Service};

const NAME: &str = "dynamodb";

/// DynamoDB as far as a function without its SDK asks it. Keys and items are DynamoDB's JSON, `{"pk": {"S": "x"}}`.
#[derive(Debug, Clone)]
pub struct DynamoDb {
    service: Service,
    address: String,
}

impl DynamoDb {
    /// At `AWS_ENDPOINT_URL_DYNAMODB` where that is set.
    #[must_use]
    pub fn new(clients: &Clients) -> Self {
        let own = || place::endpoint(NAME, clients.region().as_ref());
        let endpoint = clients.dynamodb_endpoint().unwrap_or_else(own);
        Self::over(Service::new(clients, NAME), &endpoint)
    }

    /// Over another service.
    pub(crate) fn over(service: Service, endpoint: &str) -> Self {
        Self { service, address: format!("{}/", endpoint.trim_end_matches('/')) }
    }

    /// The item of a key; none where there is none. A write of the last second may not be seen.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn get_item(&self, table: &str, key: Value, patience: Patience) -> Result<Option<Value>, SignedError> {
        let mut answer = self.ask("GetItem", &json!({"TableName": table, "Key": key}), patience).await?;
        Ok(answer.get_mut("Item").map(Value::take))
    }

    /// Puts an item; one of its key is replaced.
    ///
    /// # Errors
    /// It is not known to be there.
    pub async fn put_item(&self, table: &str, item: Value, patience: Patience) -> Result<(), SignedError> {
        self.ask("PutItem", &json!({"TableName": table, "Item": item}), patience).await.map(drop)
    }

    async fn ask(&self, operation: &str, request: &Value, patience: Patience) -> Result<Value, SignedError> {
        let headers = vec![
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target", format!("DynamoDB_20120810.{operation}")),
        ];
        let body = Bytes::from(request.to_string());
        let call = Call { method: "POST", address: self.address.clone(), headers, body };
        let answer = self.service.call(&call, patience).await?;
        // What speaks HTTP and no JSON is not DynamoDB.
        let no_json = |_| SignedError::Unavailable("the answer is not DynamoDB's".to_owned());
        serde_json::from_slice(&answer.body).map_err(no_json)
    }
}
