//! A store whose process was killed: everything that was accepted is there, in its order and state.

use chaski_core::ledger::MessageState;
use chaski_core::pause::PauseScope;
use chaski_core::ports::{Pauses, Queues, Taken};
use chaski_core::queue::Tier;

use crate::world::{Outcome, SECOND, World, id_of};

#[tokio::test]
async fn what_was_accepted_is_there_after_a_kill_in_its_order_and_once() {
    let world = World::new();
    for n in 0..40 {
        assert_eq!(world.post(&format!("m{n:02}"), &format!("s{}", n % 4)).await, Taken::New);
    }
    for n in 0..4 {
        let leased = world.lease().await;
        assert_eq!(id_of(&leased), format!("m{n:02}"));
        // Two are delivered, two are at work when the kill comes.
        if n < 2 {
            world.settle(&leased, Outcome::Done.of(&leased)).await.unwrap();
        }
    }
    let world = world.killed();
    world.is_well();
    let mut seen: Vec<Vec<String>> = vec![Vec::new(); 4];
    for _ in 2..40 {
        let leased = world.lease().await;
        let id = id_of(&leased);
        let n: usize = id[1..].parse().unwrap();
        seen[n % 4].push(id);
        world.settle(&leased, Outcome::Done.of(&leased)).await.unwrap();
    }
    let line = |s: usize| (if s < 2 { 1 } else { 0 }..10).map(|n| format!("m{:02}", 4 * n + s)).collect::<Vec<_>>();
    assert_eq!(seen, (0..4).map(line).collect::<Vec<_>>());
    world.nothing_waits().await;
    assert_eq!(world.post("m00", "s0").await, Taken::Duplicate);
    world.is_well();
}

#[tokio::test]
async fn a_retry_keeps_its_time_over_a_kill() {
    let world = World::new();
    world.post("m", "s").await;
    world.work("m", Outcome::Retry(Tier::Medium)).await;
    let due = world.record("m").await.next_due.unwrap();
    world.clock.pass(20 * SECOND);
    let world = world.killed();
    let record = world.record("m").await;
    assert_eq!(record.next_due, Some(due));
    assert_eq!((record.state, record.queue.as_deref()), (MessageState::Retrying, Some("retry-medium")));
    world.nothing_waits().await;
    world.pass(47 * SECOND);
    world.work("m", Outcome::Done).await;
    assert_eq!(world.state("m").await, MessageState::Delivered);
}

#[tokio::test]
async fn pauses_hold_over_a_kill() {
    let world = World::new();
    let (pause, is_new) = world.store.pause(&PauseScope::Target("a.example".to_owned())).await.unwrap();
    assert!(is_new);
    world.post("m", "a").await;
    let world = world.killed();
    assert_eq!(world.store.pauses().await.unwrap(), std::slice::from_ref(&pause));
    world.nothing_waits().await;
    assert!(world.store.resume(&pause.id).await.unwrap());
    world.work("m", Outcome::Done).await;
}

#[tokio::test]
async fn depths_are_what_a_count_says_after_a_kill() {
    let world = World::new();
    for n in 0..30 {
        world.post(&format!("m{n}"), &format!("s{n}")).await;
    }
    for n in 0..12 {
        let leased = world.lease().await;
        let outcome = [Outcome::Done, Outcome::Retry(Tier::Fast), Outcome::Bury][n % 3];
        world.settle(&leased, outcome.of(&leased)).await.unwrap();
    }
    let world = world.killed();
    let mut sum = 0;
    for queue in world.store.queues().await.unwrap() {
        let name = queue.queue.to_string();
        let sql = format!("SELECT count(*) FROM entries JOIN queues ON no = queue WHERE name = '{name}'");
        assert_eq!(i64::try_from(queue.depth).unwrap(), world.sql(&sql), "{name}");
        sum += queue.depth;
    }
    assert_eq!(sum, 18 + 4);
    world.is_well();
}

#[tokio::test]
async fn no_number_is_given_twice_whatever_has_gone_before_the_restart() {
    let mut world = World::new();
    let mut seen = std::collections::HashSet::new();
    for round in 0..4 {
        let id = format!("m{round}");
        world.post(&id, "s").await;
        for _ in 0..2 {
            let leased = world.lease().await;
            assert!(seen.insert(leased.entry_id.clone()), "{} was given twice", leased.entry_id);
            world.settle(&leased, Outcome::Retry(Tier::Fast).of(&leased)).await.unwrap();
            world.pass(12 * SECOND);
        }
        let leased = world.lease().await;
        assert!(seen.insert(leased.entry_id.clone()), "{} was given twice", leased.entry_id);
        world.settle(&leased, Outcome::Done.of(&leased)).await.unwrap();
        world = if round % 2 == 0 { world.killed() } else { world.reopened() };
    }
    assert_eq!(seen.len(), 12);
}

#[tokio::test]
async fn a_lease_from_before_the_kill_settles_nothing() {
    let world = World::new();
    world.post("m", "s").await;
    let old = world.lease().await;
    let world = world.killed();
    assert!(world.settle(&old, Outcome::Done.of(&old)).await.is_err());
    world.work("m", Outcome::Done).await;
}

#[tokio::test]
async fn a_message_whose_row_is_lost_is_delivered_all_the_same() {
    let world = World::new();
    world.post("m", "s").await;
    world.store.close();
    crate::world::change(&world.database(), "DELETE FROM messages");
    let world = world.reopened();
    world.work("m", Outcome::Retry(Tier::Fast)).await;
    world.pass(12 * SECOND);
    world.work("m", Outcome::Done).await;
    world.nothing_waits().await;
    assert!(world.store.is_taking().is_ok());
}
