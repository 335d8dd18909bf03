//! Clocks that jump: no retry comes early or late by it.

use chaski_core::queue::Tier;

use crate::world::{HOUR, Outcome, SECOND, START, World};

#[tokio::test]
async fn a_wall_clock_that_jumps_while_the_store_is_open_moves_no_retry() {
    for jump in [HOUR, -HOUR] {
        let world = World::new();
        world.post("m", "s").await;
        world.work("m", Outcome::Retry(Tier::Fast)).await;
        let due = world.record("m").await.next_due.unwrap().millis();
        world.clock.jump(jump);
        world.pass(due - START - 1);
        world.nothing_waits().await;
        world.pass(1);
        world.work("m", Outcome::Done).await;
    }
}

#[tokio::test]
async fn a_wall_clock_that_was_set_back_over_a_restart_makes_nothing_wait_longer_than_its_tier() {
    let world = World::new();
    for n in 0..20 {
        world.post(&format!("m{n}"), &format!("s{n}")).await;
        world.work(&format!("m{n}"), Outcome::Retry([Tier::Fast, Tier::Medium][n % 2])).await;
    }
    world.clock.jump(-HOUR);
    let world = world.reopened();
    for n in 0..20 {
        let wait = world.record(&format!("m{n}")).await.next_due.unwrap().millis() - (START - HOUR);
        let most = [11 * SECOND + 1, 66 * SECOND + 1][n % 2];
        assert!(wait <= most, "m{n} waits {wait} ms");
    }
    world.is_well();
    world.pass(66 * SECOND + 1);
    for _ in 0..20 {
        let leased = world.lease().await;
        world.settle(&leased, Outcome::Done.of(&leased)).await.unwrap();
    }
    world.nothing_waits().await;
}

#[tokio::test]
async fn a_wall_clock_that_was_set_forward_over_a_restart_loses_nothing() {
    let world = World::new();
    world.post("m", "s").await;
    world.work("m", Outcome::Retry(Tier::Slow)).await;
    world.clock.jump(HOUR);
    let world = world.reopened();
    world.work("m", Outcome::Done).await;
}

#[tokio::test]
async fn a_lease_that_runs_out_shows_its_entry_again_and_settles_nothing() {
    let world = World::new();
    for id in ["m", "n"] {
        world.post(id, "s").await;
    }
    let late = world.lease().await;
    world.pass(90 * SECOND);
    let again = world.lease().await;
    assert_eq!((again.entry_id.as_str(), again.receives), (late.entry_id.as_str(), 2));
    assert!(world.settle(&late, Outcome::Done.of(&late)).await.is_err());
    world.settle(&again, Outcome::Done.of(&again)).await.unwrap();
    world.work("n", Outcome::Done).await;
    world.nothing_waits().await;
    world.is_well();
}
