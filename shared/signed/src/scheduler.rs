//! One-time schedules of EventBridge Scheduler, whose target is a queue: one call.

use bytes::Bytes;
use chaski_aws::Clients;
use chaski_core::time::Timestamp;
use serde_json::json;

use crate::error::SignedError;
use crate::place;
use crate::service::{Call, Patience, Service};

const NAME: &str = "scheduler";
/// A second schedule of one name in a group (HTTP).
const CONFLICT: u16 = 409;
/// How long AWS tries to reach the target, and how often; then it writes to the schedule's dead-letter queue.
const TRIES_SECONDS: u32 = 86_400;
const TRIES: u32 = 185;

/// EventBridge Scheduler, as far as Chaski asks it.
#[derive(Debug, Clone)]
pub struct Scheduler {
    service: Service,
    endpoint: String,
}

/// What happens once, and is forgotten then.
#[derive(Debug, Clone, Copy)]
pub struct OneTime<'a> {
    /// Its name in the group: 1 to 64 letters, digits, `-`, `_` and `.`.
    pub name: &'a str,
    /// The group it belongs to.
    pub group: &'a str,
    /// When; rounded up to the second. AWS keeps it to the minute.
    pub at: Timestamp,
    /// The ARN of the queue that is written to.
    pub queue: &'a str,
    /// What is written.
    pub text: &'a str,
    /// The ARN of the queue for what could not be written.
    pub net: &'a str,
    /// The ARN of the role in whose name it is written.
    pub role: &'a str,
}

impl Scheduler {
    /// At `AWS_ENDPOINT_URL_SCHEDULER` where that is set.
    #[must_use]
    pub fn new(clients: &Clients) -> Self {
        let own = || place::endpoint(NAME, clients.region().as_ref());
        let endpoint = clients.scheduler_endpoint().unwrap_or_else(own);
        Self::over(Service::new(clients, NAME), &endpoint)
    }

    /// Over another service.
    pub(crate) fn over(service: Service, endpoint: &str) -> Self {
        Self { service, endpoint: endpoint.trim_end_matches('/').to_owned() }
    }

    /// Makes a schedule. `Ok` means that it is there, made now or before by the same name. Ends within nine seconds.
    ///
    /// # Errors
    /// It is not known to be there.
    pub async fn create(&self, schedule: OneTime<'_>) -> Result<(), SignedError> {
        let OneTime { name, group, at, queue, text, net, role } = schedule;
        let request = json!({
            "ClientToken": name,
            "GroupName": group,
            "ScheduleExpression": format!("at({})", seconds_up(at)),
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {
                "Arn": queue,
                "RoleArn": role,
                "Input": text,
                "DeadLetterConfig": {"Arn": net},
                "RetryPolicy": {"MaximumEventAgeInSeconds": TRIES_SECONDS, "MaximumRetryAttempts": TRIES},
            },
        });
        let call = Call {
            method: "POST",
            address: format!("{}/schedules/{name}", self.endpoint),
            headers: vec![("content-type", "application/json".to_owned())],
            body: Bytes::from(request.to_string()),
        };
        match self.service.call(&call, Patience::default()).await {
            Ok(_) | Err(SignedError::Refused { status: CONFLICT, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A time as an expression has it: UTC, whole seconds, never before.
fn seconds_up(at: Timestamp) -> String {
    let second = Timestamp::from_millis(at.millis().saturating_add(999) / 1_000 * 1_000);
    second.to_string().chars().take("2026-12-01T09:00:00".len()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;
    use crate::testing::{plain, service};

    const ONE: OneTime<'static> = OneTime {
        name: "a-step",
        group: "chaski-dev",
        at: Timestamp::from_millis(1_796_115_600_001),
        queue: "arn:aws:sqs:us-east-1:1:chaski-dev-wake",
        text: r#"{"wait":"m#1#s"}"#,
        net: "arn:aws:sqs:us-east-1:1:chaski-dev-wake-net",
        role: "arn:aws:iam::1:role/wake",
    };

    /// What is asked when the service answers so, and what comes of it.
    async fn asked(status: u16, answer: &'static str) -> (String, Value, Result<(), SignedError>) {
        let seen: Arc<Mutex<(String, Value)>> = Arc::default();
        let held = Arc::clone(&seen);
        let service = service(NAME, move |request| {
            let body = request.body().bytes().map(|body| serde_json::from_slice(body).unwrap());
            *held.lock().unwrap() = (request.uri().to_owned(), body.unwrap());
            plain(status, answer)
        });
        let made = Scheduler::over(service, "https://scheduler.us-east-1.amazonaws.com").create(ONE).await;
        let (address, body) = seen.lock().unwrap().clone();
        (address, body, made)
    }

    #[tokio::test]
    async fn a_schedule_is_for_once_in_utc_and_never_early() {
        let (address, body, made) = asked(200, r#"{"ScheduleArn":"arn"}"#).await;
        assert_eq!(made, Ok(()));
        assert_eq!(address, "https://scheduler.us-east-1.amazonaws.com/schedules/a-step");
        assert_eq!(body["ScheduleExpression"], "at(2026-12-01T09:00:01)");
        assert_eq!(
            (&body["ScheduleExpressionTimezone"], &body["ActionAfterCompletion"]),
            (&json!("UTC"), &json!("DELETE"))
        );
        assert_eq!(body["FlexibleTimeWindow"], json!({"Mode": "OFF"}));
        assert_eq!((&body["Target"]["Arn"], &body["Target"]["Input"]), (&json!(ONE.queue), &json!(ONE.text)));
        assert_eq!(body["Target"]["DeadLetterConfig"]["Arn"], ONE.net);
        assert_eq!(seconds_up(Timestamp::from_millis(1_796_115_600_000)), "2026-12-01T09:00:00");
    }

    #[tokio::test]
    async fn the_same_schedule_is_made_once() {
        let (_, _, made) = asked(409, r#"{"Message":"Schedule a-step already exists."}"#).await;
        assert_eq!(made, Ok(()));
    }

    #[tokio::test]
    async fn a_refusal_is_told() {
        let (_, _, made) = asked(403, r#"{"__type":"AccessDeniedException","Message":"no"}"#).await;
        assert!(matches!(made, Err(SignedError::Refused { status: 403, .. })), "{made:?}");
    }
}
