//! Keys: the same key and body is one message, for as long as keys are remembered; anything else is another one.

use chaski_core::app::Caller;
use chaski_core::ledger::MessageState;

use crate::service::Service;
use crate::world::{HOUR, SECOND};

fn text(name: &str, fields: &str) -> String {
    format!(r#"{{"subject":"s","message":{{"url":"https://e.org/{name}"}}{fields}}}"#)
}

fn producer(id: &str) -> Caller {
    Caller { producer: id.to_owned(), tenant: String::new() }
}

#[tokio::test]
async fn the_same_key_and_body_is_one_delivery_also_after_its_end_and_over_a_kill() {
    let service = Service::new();
    let (caller, text) = (producer("crm"), text("m", ""));
    let first = service.post_as(&caller, Some("k"), &text).await;
    assert!(!first.duplicate);
    let again = service.post_as(&caller, Some("k"), &text).await;
    assert_eq!((again.id.as_str(), again.duplicate), (first.id.as_str(), true));
    service.step().await;
    let service = service.killed();
    service.world.pass(24 * HOUR - SECOND);
    let again = service.post_as(&caller, Some("k"), &text).await;
    assert_eq!((again.id.as_str(), again.duplicate), (first.id.as_str(), true));
    service.nothing_waits().await;
    assert_eq!(service.names(), ["m"]);

    // Its time is over: the same id is a message of its own now.
    service.world.pass(2 * SECOND);
    let new = service.post_as(&caller, Some("k"), &text).await;
    assert_eq!((new.id.as_str(), new.duplicate), (first.id.as_str(), false));
    service.step().await;
    assert_eq!(service.names(), ["m", "m"]);
    service.world.is_well();
}

#[tokio::test]
async fn another_body_or_another_producer_is_another_message() {
    let service = Service::new();
    let mut ids = Vec::new();
    for (producer_id, name) in [("crm", "a"), ("crm", "b"), ("erp", "a"), ("", "a")] {
        let receipt = service.post_as(&producer(producer_id), Some("k"), &text(name, "")).await;
        assert!(!receipt.duplicate);
        ids.push(receipt.id);
    }
    service.steps(4).await;
    assert_eq!(service.seen().iter().map(|seen| &seen.id).collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    service.world.is_well();
}

#[tokio::test]
async fn what_waits_for_its_time_is_known_by_its_key_too() {
    let service = Service::new();
    let (caller, text) = (producer("crm"), text("m", r#","delay":"1h""#));
    let first = service.post_as(&caller, Some("k"), &text).await;
    service.world.pass(600 * SECOND);
    let again = service.post_as(&caller, Some("k"), &text).await;
    assert_eq!((again.id.as_str(), again.duplicate), (first.id.as_str(), true));
    service.world.pass(HOUR - 600 * SECOND);
    service.step().await;
    let again = service.post_as(&caller, Some("k"), &text).await;
    assert!(again.duplicate, "it stands in its line now");
    service.step().await;
    assert!(service.post_as(&caller, Some("k"), &text).await.duplicate, "and now it is delivered");
    service.world.pass(2 * HOUR);
    service.nothing_waits().await;
    assert_eq!(service.names(), ["m"]);
    service.world.is_well();
}

#[tokio::test]
async fn what_waits_longer_than_keys_are_remembered_is_not_taken_twice_before_its_end() {
    let service = Service::new();
    let (caller, text) = (producer("crm"), text("m", r#","delay":"20d""#));
    let first = service.post_as(&caller, Some("k"), &text).await;
    service.world.pass(48 * HOUR);
    let again = service.post_as(&caller, Some("k"), &text).await;
    assert_eq!((again.id.as_str(), again.duplicate), (first.id.as_str(), true));
    assert_eq!(service.world.state(&first.id).await, MessageState::Pending);
    assert_eq!(service.world.sql("SELECT count(*) FROM entries"), 1);
    service.world.is_well();
}
