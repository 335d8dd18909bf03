//! What strict lines remember, their numbers, and envelopes that wait.

use chaski_core::envelope::Envelope;
use chaski_core::ports::{Entry, Hold};

use super::*;
use crate::control::{Kept, WaitKey};

fn envelope(body: &str, attempts: u32) -> Envelope {
    let text = format!(
        r#"{{"subject":"s","message":{{"url":"http://e.org","body":"{body}"}},"meta":{{"v":2,"id":"m-1","generation":2,"attempts":{attempts}}}}}"#
    );
    Envelope::read(&text).unwrap()
}

fn hold(attempts: u32) -> Hold {
    Hold { envelope: envelope("x", attempts), due: Timestamp::from_millis(1_796_115_700_000) }
}

#[tokio::test]
async fn a_line_is_recalled_as_it_was_last_held_and_forgotten_when_it_moves_on() {
    let world = world();
    let head = leased("g", "h");
    assert_eq!(world.control.recall(&head, "m-1", 2).await, None);
    for attempts in [1, 2] {
        world.table.put_line(&head, &hold(attempts)).await.unwrap();
    }
    assert_eq!(world.control.recall(&head, "m-1", 2).await, hold(2).envelope.meta);
    assert_eq!(world.control.recall(&head, "m-1", 1).await, None, "another generation");
    assert_eq!(world.fake.keys("line#m-1#2"), ["-"]);
    world.table.delete_line("m-1", 2).await.unwrap();
    assert_eq!(world.control.recall(&head, "m-1", 2).await, None);
}

#[tokio::test]
async fn a_table_that_is_down_holds_no_line_up() {
    let world = world();
    world.table.put_line(&leased("g", "h"), &hold(1)).await.unwrap();
    world.fake.set_down(true);
    assert_eq!(world.control.recall(&leased("g", "h"), "m-1", 2).await, None);
    let counting = AwsControl::new(Some(world.table.clone()), world.clock.clone(), &Dice(2)).counting(true);
    assert_eq!(counting.sequence(&leased("g", "h"), "m-1", 2).await, None);
    assert!(world.table.put_line(&leased("g", "h"), &hold(2)).await.is_err(), "and says so");
}

#[tokio::test]
async fn each_line_is_numbered_without_a_gap_and_who_asks_again_gets_his_number() {
    let world = world();
    let counting = AwsControl::new(Some(world.table.clone()), world.clock.clone(), &Dice(2)).counting(true);
    for (group, id, number) in
        [("g", "a", 1), ("g", "a", 1), ("g", "b", 2), ("h", "c", 1), ("g", "b", 2), ("g", "d", 3)]
    {
        assert_eq!(counting.sequence(&leased(group, "h"), id, 1).await, Some(number), "{group} {id}");
    }
    assert_eq!(counting.sequence(&leased("g", "h"), "d", 2).await, Some(4), "a replay is another message");
    let _ = world.fake.calls();
    assert_eq!(world.control.sequence(&leased("g", "h"), "e", 1).await, None);
    assert!(world.fake.calls().is_empty(), "where nobody counts nothing is written");
}

fn entry(envelope: &Envelope) -> Entry {
    let (queue, dedup) = (QueueName::Wake, "a-step".to_owned());
    Entry { queue, body: envelope.to_wire(), group: dedup.clone(), dedup, due: None, listing: None }
}

#[tokio::test]
async fn what_waits_is_kept_whole_however_little_it_can_be_packed() {
    let due = Timestamp::from_millis(1_797_843_600_000);
    // Characters of no order: of a million some 750,000 bytes are left when they are packed.
    let mut seed = 1_u64;
    let mut noise = |length: usize| -> String {
        let next = |_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[(seed >> 58) as usize])
        };
        (0..length).map(next).collect()
    };
    for (length, rows) in [(10, 1), (400_000, 1), (1_000_000, 4)] {
        let world = world();
        let envelope = envelope(&noise(length), 0);
        let entry = entry(&envelope);
        let key = WaitKey::of(&entry).unwrap();
        assert_eq!(world.table.wait(&key).await.unwrap(), Kept::Nothing);
        for _ in 0..2 {
            world.table.put_wait(&key, &entry.body, due).await.unwrap();
        }
        assert_eq!(world.fake.keys("wait#m-1").len(), rows, "{length} characters");
        assert_eq!(world.table.wait(&key).await.unwrap(), Kept::Envelope(entry.body));
        // Whoever cancels the message takes all of it.
        world.table.delete_wait(&key).await.unwrap();
        assert_eq!(world.fake.keys("wait#").len(), 0);
        assert_eq!(world.table.wait(&key).await.unwrap(), Kept::Nothing);
    }
}

#[test]
fn a_reference_is_read_back_and_an_envelope_is_none() {
    let key = WaitKey::of(&entry(&envelope("x", 0))).unwrap();
    assert_eq!(key.reference(), r#"{"wait":"m-1#2#a-step"}"#);
    assert_eq!(WaitKey::of_reference(&key.reference()), Some(key.clone()));
    assert_eq!(WaitKey::parse(&key.to_string()), Some(key));
    for other in
        ["", "{}", r#"{"wait":1}"#, r#"{"wait":"m-1#2"}"#, r#"{"wait":"m#1#s","subject":"s"}"#, r#"{"wait":"m#1#s#t"}"#]
    {
        assert_eq!(WaitKey::of_reference(other), None, "{other}");
    }
    assert_eq!(WaitKey::of_reference(&envelope("x", 0).to_wire()), None);
}
