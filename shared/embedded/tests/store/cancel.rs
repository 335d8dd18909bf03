//! Cancelling: before delivery, while at work, at an end, and many at once.

use std::time::Duration;

use chaski_core::filter::{MessageFilter, Whose};
use chaski_core::ledger::MessageState;
use chaski_core::ports::{CancelCount, Cancelled, Ledger, Settle};
use chaski_core::queue::Tier;

use crate::world::{Outcome, SECOND, World, id_of};

async fn cancel(world: &World, id: &str) -> Cancelled {
    world.store.cancel(id, &Whose::default()).await.unwrap()
}

#[tokio::test]
async fn what_is_cancelled_before_its_turn_is_never_leased() {
    let world = World::new();
    for id in ["a", "b", "c", "d"] {
        world.post(id, "s").await;
    }
    assert_eq!(cancel(&world, "a").await, Cancelled::Now);
    assert_eq!(cancel(&world, "c").await, Cancelled::Now);
    assert_eq!(world.state("a").await, MessageState::Cancelled);
    assert_eq!(cancel(&world, "a").await, Cancelled::Ended);
    assert_eq!(cancel(&world, "nobody").await, Cancelled::Unknown);
    world.work("b", Outcome::Done).await;
    world.work("d", Outcome::Done).await;
    world.nothing_waits().await;
    assert_eq!(cancel(&world, "b").await, Cancelled::Ended);
    world.is_well();
}

#[tokio::test]
async fn what_stands_behind_one_at_work_is_cancelled_whatever_the_one_at_work_comes_to() {
    for outcome in [Outcome::Done, Outcome::Retry(Tier::Fast), Outcome::Bury] {
        let world = World::new();
        for id in ["a", "b", "c"] {
            world.post(id, "s").await;
        }
        let leased = world.lease().await;
        assert_eq!(cancel(&world, "b").await, Cancelled::Now);
        world.settle(&leased, outcome.of(&leased)).await.unwrap();
        world.work("c", Outcome::Done).await;
        world.nothing_waits().await;
        world.is_well();
    }
}

#[tokio::test]
async fn what_is_given_back_while_its_line_changes_shows_nothing_that_is_cancelled() {
    let world = World::new();
    for round in 0..50 {
        let subject = format!("s{round}");
        let [a, b, c] = ["a", "b", "c"].map(|name| format!("{name}{round}"));
        for id in [&a, &b, &c] {
            world.post(id, &subject).await;
        }
        let leased = world.lease().await;
        let back = [(&leased, Duration::ZERO)];
        let (fate, ()) = tokio::join!(cancel(&world, &b), world.store.give_back(&back));
        assert_eq!(fate, Cancelled::Now);
        world.work(&a, Outcome::Done).await;
        world.work(&c, Outcome::Done).await;
    }
    world.nothing_waits().await;
    world.is_well();
}

#[tokio::test]
async fn what_is_at_work_is_cancelled_with_the_attempt_unless_that_delivers_it() {
    for (outcome, end) in [
        (Outcome::Done, MessageState::Delivered),
        (Outcome::Retry(Tier::Fast), MessageState::Cancelled),
        (Outcome::Bury, MessageState::Cancelled),
    ] {
        let world = World::new();
        world.post("m", "s").await;
        let leased = world.lease().await;
        assert_eq!(cancel(&world, "m").await, Cancelled::Cancelling);
        let record = world.record("m").await;
        assert_eq!((record.state, record.cancelling), (MessageState::Delivering, true));
        world.settle(&leased, outcome.of(&leased)).await.unwrap();
        let record = world.record("m").await;
        assert_eq!((record.state, record.cancelling, record.attempts.len()), (end, false, 1));
        // What the attempt came to is told, also of a cancelled message.
        assert!(record.answer.is_some());
        assert_eq!(world.sql("SELECT count(*) FROM dead_letters"), 0);
        world.pass(12 * SECOND);
        world.nothing_waits().await;
        world.is_well();
    }
}

#[tokio::test]
async fn a_cancellation_of_what_is_at_work_holds_over_a_kill() {
    let world = World::new();
    world.post("m", "s").await;
    let _leased = world.lease().await;
    assert_eq!(cancel(&world, "m").await, Cancelled::Cancelling);
    let world = world.killed();
    // The attempt's outcome is not known, so it is made again; a failure ends it.
    world.work("m", Outcome::Retry(Tier::Fast)).await;
    assert_eq!(world.state("m").await, MessageState::Cancelled);
}

#[tokio::test]
async fn a_retry_that_waits_is_cancelled() {
    let world = World::new();
    world.post("m", "s").await;
    world.work("m", Outcome::Retry(Tier::Fast)).await;
    assert_eq!(cancel(&world, "m").await, Cancelled::Now);
    world.pass(12 * SECOND);
    world.nothing_waits().await;
    world.is_well();
}

#[tokio::test]
async fn many_are_counted_or_cancelled_by_a_filter() {
    let world = World::new();
    for n in 0..1_200 {
        world.post(&format!("m{n}"), if n % 3 == 0 { "even" } else { "odd" }).await;
    }
    let leased = world.lease().await;
    assert_eq!(id_of(&leased), "m0");
    let filter = MessageFilter { subject: Some("even".to_owned()), ..MessageFilter::default() };
    let counted = world.store.cancel_all(&filter, true).await.unwrap();
    assert_eq!(counted, CancelCount { matched: Some(400), cancelled: 0, cancelling: 0 });
    assert_eq!(world.state("m3").await, MessageState::Pending);
    let cancelled = world.store.cancel_all(&filter, false).await.unwrap();
    assert_eq!(cancelled, CancelCount { matched: Some(400), cancelled: 399, cancelling: 1 });
    world.settle(&leased, Outcome::Retry(Tier::Fast).of(&leased)).await.unwrap();
    assert_eq!(world.store.cancel_all(&filter, true).await.unwrap().matched, Some(0));
    world.work("m1", Outcome::Done).await;
    let rest = world.store.cancel_all(&MessageFilter::default(), false).await.unwrap();
    assert_eq!(rest, CancelCount { matched: Some(799), cancelled: 799, cancelling: 0 });
    world.nothing_waits().await;
    world.is_well();
}
