//! Protecting targets, through the store: flows, the breaker, what of both a restart keeps, and that no wait is an
//! attempt.

use std::collections::HashSet;

use chaski_core::flow::Flow;
use chaski_core::ledger::{Listing, MessageState};
use chaski_core::ports::{Enqueue, Leased};
use chaski_core::queue::Tier;

use crate::world::{Outcome, SECOND, World, id_of, listed, listing};

async fn post(world: &World, id: &str, tenant: &str, flow: Flow) {
    let own = Listing { tenant: tenant.to_owned(), flow: Some(flow), ..listing(id, id) };
    world.store.enqueue(listed(own)).await.unwrap();
}

fn two_at_once() -> Flow {
    Flow::new("crm", None, None, Some(2)).unwrap()
}

async fn ids(world: &World, leases: usize) -> (Vec<Leased>, HashSet<String>) {
    let mut leased = Vec::new();
    for _ in 0..leases {
        leased.push(world.lease().await);
    }
    let ids = leased.iter().map(id_of).collect();
    (leased, ids)
}

#[tokio::test]
async fn a_flow_holds_over_retries_and_a_kill_and_tenants_do_not_share_it() {
    let world = World::new();
    for n in 0..5 {
        post(&world, &format!("m{n}"), "", two_at_once()).await;
    }
    let (leased, _) = ids(&world, 2).await;
    world.nothing_waits().await;
    post(&world, "theirs", "other", two_at_once()).await;
    world.work("theirs", Outcome::Done).await;

    // One fails: its slot is the next one's, and its retry waits for one like everybody.
    let failed = id_of(&leased[0]);
    world.settle(&leased[0], Outcome::Retry(Tier::Fast).of(&leased[0])).await.unwrap();
    let third = world.lease().await;
    world.nothing_waits().await;
    world.pass(12 * SECOND);
    world.nothing_waits().await;
    assert_eq!(world.state(&failed).await, MessageState::Retrying);

    let world = world.killed();
    let (again, mut seen) = ids(&world, 2).await;
    world.nothing_waits().await;
    for leased in &again {
        world.settle(leased, Outcome::Done.of(leased)).await.unwrap();
    }
    let mut left = 5 - seen.len();
    while left > 0 {
        let next = world.lease().await;
        assert!(seen.insert(id_of(&next)), "served twice");
        world.settle(&next, Outcome::Done.of(&next)).await.unwrap();
        left -= 1;
    }
    assert!(seen.contains(&failed) && seen.contains(&id_of(&third)));
    world.is_well();
}

#[tokio::test]
async fn ten_a_second_are_ten_a_second() {
    let world = World::new();
    for n in 0..310 {
        post(&world, &format!("m{n}"), "", Flow::new("crm", Some(10), None, None).unwrap()).await;
    }
    let mut begun = 0;
    let mut take = async || {
        let leased = world.lease().await;
        world.settle(&leased, Outcome::Done.of(&leased)).await.unwrap();
        begun += 1;
    };
    // What a new key may have at once.
    for _ in 0..3 {
        take().await;
    }
    for _ in 0..300 {
        assert_eq!(world.store.try_lease(None), None, "too soon");
        world.pass(SECOND / 10);
        take().await;
    }
    assert_eq!(begun, 303, "within a tenth over thirty seconds");
    world.is_well();
}

/// Posts messages of different subjects to one host.
async fn to_one_host(world: &World, messages: usize) {
    for n in 0..messages {
        let own =
            Listing { target_host: Some("down.example".to_owned()), ..listing(&format!("m{n}"), &format!("s{n}")) };
        world.store.enqueue(listed(own)).await.unwrap();
    }
}

#[tokio::test]
async fn a_host_that_keeps_failing_is_given_a_pause_and_one_that_answers_gets_everything() {
    let world = World::new();
    to_one_host(&world, 40).await;
    for _ in 0..21 {
        let leased = world.lease().await;
        world.settle(&leased, Outcome::Retry(Tier::Medium).of(&leased)).await.unwrap();
        world.pass(SECOND / 20);
    }
    // Twenty-one in a row, over a second.
    assert_eq!(world.store.pressure().open_breakers, 1);
    world.nothing_waits().await;
    assert_eq!(world.state("m30").await, MessageState::Pending);
    assert_eq!(world.record("m30").await.attempts.len(), 0, "a wait is no attempt");

    world.pass(SECOND);
    let probe = world.lease().await;
    world.nothing_waits().await;
    world.settle(&probe, Outcome::Retry(Tier::Medium).of(&probe)).await.unwrap();
    world.nothing_waits().await;
    world.pass(SECOND);
    world.nothing_waits().await;
    world.pass(SECOND);
    // The pause was twice as long, and so are the probes twice as many.
    let (probes, _) = ids(&world, 2).await;
    world.nothing_waits().await;
    for probe in &probes {
        world.settle(probe, Outcome::Done.of(probe)).await.unwrap();
    }

    assert_eq!(world.store.pressure().open_breakers, 0);
    let (leased, seen) = ids(&world, 16).await;
    assert_eq!(seen.len(), 16);
    for leased in &leased {
        world.settle(leased, Outcome::Done.of(leased)).await.unwrap();
    }
    world.pass(70 * SECOND);
    let (leased, seen) = ids(&world, 22).await;
    assert_eq!(seen.len(), 22, "what failed comes back, and nothing is lost");
    for leased in &leased {
        world.settle(leased, Outcome::Done.of(leased)).await.unwrap();
    }
    assert_eq!(
        world.sql("SELECT count(*) FROM messages WHERE id LIKE 'm%' AND id NOT LIKE 'marker%' AND state = 3"),
        40
    );
    assert!(world.store.pressure().waits.iter().any(|(kind, waits)| *kind == "host" && *waits > 0));
    world.is_well();
}

#[tokio::test]
async fn without_the_breaker_a_host_that_fails_is_asked_on() {
    let world = World::with(|options| options.breaker = false);
    to_one_host(&world, 40).await;
    for _ in 0..40 {
        let leased = world.lease().await;
        world.settle(&leased, Outcome::Retry(Tier::Medium).of(&leased)).await.unwrap();
        world.pass(SECOND / 20);
    }
    assert_eq!(world.store.pressure().open_breakers, 0);
}

#[tokio::test]
async fn three_thousand_subjects_of_one_key_wait_and_each_has_its_turn() {
    let world = World::new();
    let entries = (0..3_000).map(|n| {
        let id = format!("m{n}");
        listed(Listing { flow: Some(Flow::new("crm", None, None, Some(1)).unwrap()), ..listing(&id, &id) })
    });
    assert!(world.store.enqueue_all(entries.collect()).await.iter().all(Result::is_ok));
    let mut seen = HashSet::new();
    for _ in 0..3_000 {
        let leased = world.lease().await;
        assert_eq!(world.store.try_lease(None), None, "two at once");
        assert!(seen.insert(id_of(&leased)), "served twice");
        world.settle(&leased, Outcome::Done.of(&leased)).await.unwrap();
    }
    world.is_well();
}
