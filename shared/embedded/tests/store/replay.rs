//! Dead letters: sent again in one step with their mark, listed, counted, deleted.

use chaski_core::filter::{DeadLetterFilter, ErrorFilter, MessageFilter, Page, TargetFilter, Whose};
use chaski_core::ledger::{Listing, MessageState};
use chaski_core::ports::{Buried, DeadLetters, DeskError, Entry, Ledger, Replayed, Taken};
use chaski_core::time::Timestamp;

use crate::world::{HOUR, Outcome, SECOND, START, World, change, id_of, listed, listing, page};

async fn buried(world: &World, id: &str) -> Buried {
    world.store.dead_letter(id, None, &Whose::default()).await.unwrap().expect("there is no dead letter")
}

fn again(id: &str, subject: &str, generation: u32) -> Entry {
    listed(Listing { generation, ..listing(id, subject) })
}

/// Ids of the dead letters, two a page.
async fn ids(world: &World, filter: &DeadLetterFilter) -> String {
    let (mut found, mut at) = (Vec::new(), page(2));
    loop {
        let listed = world.store.dead_letters(filter, &at).await.unwrap();
        found.extend(listed.items.into_iter().map(|buried| buried.letter.id));
        let Some(cursor) = listed.next_cursor else { break };
        at = Page { limit: 2, cursor: Some(cursor) };
    }
    assert_eq!(world.store.count(filter).await.unwrap(), u64::try_from(found.len()).unwrap());
    found.join(" ")
}

#[tokio::test]
async fn a_dead_letter_is_marked_and_sent_again_in_one_step_and_once() {
    let world = World::new();
    world.post("m", "s").await;
    world.work("m", Outcome::Bury).await;
    let letter = buried(&world, "m").await.letter;
    world.pass(HOUR);
    let entry = again("m", "s", 2);
    assert_eq!(world.store.replay(&letter, &entry).await.unwrap(), Replayed::Sent);
    assert_eq!(world.store.replay(&letter, &entry).await.unwrap(), Replayed::Already);

    let world = world.killed();
    assert_eq!(buried(&world, "m").await.replayed_at, Some(Timestamp::from_millis(START + HOUR)));
    assert_eq!(world.store.replay(&letter, &entry).await.unwrap(), Replayed::Already);
    let record = world.record("m").await;
    assert_eq!((record.state, record.listing.generation), (MessageState::Pending, 2));
    assert_eq!((record.attempts.len(), record.error, record.answer), (0, None, None));
    assert_eq!(ids(&world, &DeadLetterFilter::default()).await, "");
    assert_eq!(ids(&world, &DeadLetterFilter { replayed: true, ..Default::default() }).await, "m");
    world.work("m", Outcome::Done).await;
    assert_eq!(world.state("m").await, MessageState::Delivered);
    world.nothing_waits().await;
    world.is_well();
}

#[tokio::test]
async fn what_is_sent_again_with_other_routes_is_listed_as_it_is_now() {
    let world = World::new();
    let old = Listing { client: Some("old".to_owned()), labels: vec!["old".to_owned()], ..listing("m", "s") };
    let whose = Whose::default();
    chaski_core::ports::Enqueue::enqueue(&world.store, listed(old)).await.unwrap();
    world.work("m", Outcome::Bury).await;
    let new = Listing {
        generation: 2,
        client: Some("new".to_owned()),
        labels: vec!["new".to_owned()],
        route: "assignments".to_owned(),
        ..listing("m", "s")
    };
    let letter = world.store.dead_letter("m", Some(1), &whose).await.unwrap().unwrap().letter;
    assert_eq!(world.store.replay(&letter, &listed(new.clone())).await.unwrap(), Replayed::Sent);
    assert_eq!(world.record("m").await.listing, new);
    for (label, found) in [("old", 0), ("new", 1)] {
        let filter = MessageFilter { label: Some(label.to_owned()), ..MessageFilter::default() };
        let page = Page { limit: 10, cursor: None };
        assert_eq!(world.store.messages(&filter, &page).await.unwrap().items.len(), found, "{label}");
    }
    world.is_well();
}

#[tokio::test]
async fn the_next_generation_dies_as_a_record_of_its_own() {
    let world = World::new();
    world.post("m", "s").await;
    world.work("m", Outcome::Bury).await;
    let first = buried(&world, "m").await.letter;
    world.pass(SECOND);
    world.store.replay(&first, &again("m", "s", 2)).await.unwrap();
    world.work("m", Outcome::Bury).await;
    let second = buried(&world, "m").await.letter;
    assert_eq!((first.generation, second.generation), (1, 2));
    assert_eq!(ids(&world, &DeadLetterFilter::default()).await, "m");
    let old = world.store.dead_letter("m", Some(1), &Whose::default()).await.unwrap().unwrap();
    assert_eq!(old.letter, first);
    assert!(old.replayed_at.is_some());
    world.is_well();
}

#[tokio::test]
async fn the_same_id_posted_anew_after_its_time_dies_beside_its_older_record() {
    let world = World::new();
    world.post("m", "s").await;
    world.work("m", Outcome::Bury).await;
    let first = buried(&world, "m").await.letter;
    world.store.replay(&first, &again("m", "s", 2)).await.unwrap();
    world.work("m", Outcome::Done).await;
    world.pass(25 * HOUR);
    assert_eq!(world.post("m", "s").await, Taken::New);
    world.work("m", Outcome::Bury).await;
    assert_eq!(world.sql("SELECT count(*) FROM dead_letters WHERE id = 'm' AND generation = 1"), 2);
    let second = buried(&world, "m").await;
    assert_eq!((second.letter.entry_sent_at.millis(), second.replayed_at), (START + 25 * HOUR, None));
    assert_eq!(world.store.replay(&second.letter, &again("m", "s", 2)).await.unwrap(), Replayed::Sent);
    world.work("m", Outcome::Done).await;
    world.is_well();
}

#[tokio::test]
async fn a_message_that_was_posted_again_is_not_sent_again_beside_itself() {
    let world = World::new();
    world.post("m", "s").await;
    world.work("m", Outcome::Bury).await;
    let letter = buried(&world, "m").await.letter;
    world.pass(25 * HOUR);
    assert_eq!(world.post("m", "s").await, Taken::New);
    assert_eq!(world.store.replay(&letter, &again("m", "s", 2)).await.unwrap(), Replayed::Already);
    world.work("m", Outcome::Done).await;
    world.nothing_waits().await;
    world.is_well();
}

#[tokio::test]
async fn letters_for_replay_come_in_the_order_of_acceptance_whenever_they_died() {
    let world = World::new();
    let posted = ["a", "b", "c", "d", "e"];
    for id in posted {
        world.post(id, id).await;
    }
    let mut leases = Vec::new();
    for _ in posted {
        leases.push(world.lease().await);
    }
    for leased in leases.iter().rev() {
        world.pass(SECOND);
        world.settle(leased, Outcome::Bury.of(leased)).await.unwrap();
    }
    let (mut order, mut at) = (Vec::new(), page(2));
    loop {
        let listed = world.store.for_replay(&DeadLetterFilter::default(), &at).await.unwrap();
        // Whole, so that they can be sent.
        assert!(listed.items.iter().all(|buried| !buried.letter.message.is_empty()));
        order.extend(listed.items.into_iter().map(|buried| buried.letter.id));
        let Some(cursor) = listed.next_cursor else { break };
        at = Page { limit: 2, cursor: Some(cursor) };
    }
    assert_eq!(order, posted);
}

#[tokio::test]
async fn every_filter_finds_its_letters() {
    let world = World::new();
    for n in 0..6_i64 {
        let subject = if n % 2 == 0 { "a" } else { "b" };
        world.post(&format!("m{n}"), subject).await;
        world.work(&format!("m{n}"), Outcome::Bury).await;
        world.pass(HOUR);
    }
    let all = DeadLetterFilter::default;
    let prefix = |prefix: &str| TargetFilter::Prefix { prefix: prefix.to_owned(), host: "a.example".to_owned() };
    let time = |n: i64| Some(Timestamp::from_millis(START + n * HOUR));
    let tenant = Whose { tenant: Some("t".to_owned()), producer: None };
    for (filter, expected) in [
        (all(), "m5 m4 m3 m2 m1 m0"),
        (DeadLetterFilter { subject: Some("a".to_owned()), ..all() }, "m4 m2 m0"),
        (DeadLetterFilter { target: Some(TargetFilter::Host("b.example".to_owned())), ..all() }, "m5 m3 m1"),
        (DeadLetterFilter { target: Some(prefix("https://a.example/h")), ..all() }, "m4 m2 m0"),
        (DeadLetterFilter { target: Some(prefix("https://a.example/x")), ..all() }, ""),
        (DeadLetterFilter { error: Some(ErrorFilter::Class("http_5xx".to_owned())), ..all() }, "m5 m4 m3 m2 m1 m0"),
        (DeadLetterFilter { error: Some(ErrorFilter::Class("timeout".to_owned())), ..all() }, ""),
        (DeadLetterFilter { error: Some(ErrorFilter::Status(500)), ..all() }, "m5 m4 m3 m2 m1 m0"),
        (DeadLetterFilter { error: Some(ErrorFilter::Status(404)), ..all() }, ""),
        (DeadLetterFilter { from: time(1), to: time(3), ..all() }, "m2 m1"),
        (DeadLetterFilter { client: Some("c".to_owned()), ..all() }, ""),
        (DeadLetterFilter { whose: tenant, ..all() }, ""),
    ] {
        assert_eq!(ids(&world, &filter).await, expected, "{filter:?}");
    }
    let strange = Page { limit: 2, cursor: Some("7".to_owned()) };
    assert_eq!(world.store.dead_letters(&all(), &strange).await, Err(DeskError::Cursor));
}

#[tokio::test]
async fn a_deleted_letter_is_gone_and_its_message_stays_listed() {
    let world = World::new();
    world.post("m", "s").await;
    world.work("m", Outcome::Bury).await;
    let letter = buried(&world, "m").await.letter;
    let stranger = Whose { tenant: Some("t".to_owned()), producer: None };
    assert!(!world.store.delete("m", 1, &stranger).await.unwrap());
    assert!(!world.store.delete("m", 2, &Whose::default()).await.unwrap());
    assert!(world.store.delete("m", 1, &Whose::default()).await.unwrap());
    assert!(!world.store.delete("m", 1, &Whose::default()).await.unwrap());
    assert_eq!(world.store.replay(&letter, &again("m", "s", 2)).await.unwrap(), Replayed::Unknown);
    assert_eq!(world.state("m").await, MessageState::Dead);
    world.nothing_waits().await;
    world.is_well();
}

#[tokio::test]
async fn a_letter_that_a_flipped_bit_has_changed_is_not_sent_again() {
    let world = World::new();
    for id in ["m", "n"] {
        world.post(id, id).await;
        world.work(id, Outcome::Bury).await;
    }
    world.store.close();
    change(
        &world.database(),
        "UPDATE dead_letters SET message = CAST(replace(message, 'subject', 'subjekt') AS BLOB) WHERE id = 'm'",
    );
    let world = world.reopened();
    let letter = buried(&world, "m").await.letter;
    let refused = world.store.replay(&letter, &again("m", "m", 2)).await;
    assert!(matches!(refused, Err(DeskError::Refused(why)) if why.contains("damaged")));
    // One that is damaged stands in nobody's way.
    let listed = world.store.for_replay(&DeadLetterFilter::default(), &page(1)).await.unwrap();
    assert_eq!(listed.items.iter().map(|buried| buried.letter.id.as_str()).collect::<Vec<_>>(), ["n"]);
    assert_eq!(ids(&world, &DeadLetterFilter::default()).await.len(), "n m".len());
    world.nothing_waits().await;
}

#[tokio::test]
async fn what_is_sent_again_stands_at_the_end_of_its_line() {
    let world = World::new();
    for id in ["a", "b"] {
        world.post(id, "s").await;
    }
    world.work("a", Outcome::Bury).await;
    let letter = buried(&world, "a").await.letter;
    world.store.replay(&letter, &again("a", "s", 2)).await.unwrap();
    world.post("c", "s").await;
    for expected in ["b", "a", "c"] {
        let leased = world.lease().await;
        assert_eq!(id_of(&leased), expected);
        world.settle(&leased, Outcome::Done.of(&leased)).await.unwrap();
    }
    world.is_well();
}
