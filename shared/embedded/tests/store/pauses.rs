//! Pauses: each scope holds its own back and nothing else, also over a restart, and lets everything go.

use chaski_core::ledger::Listing;
use chaski_core::pause::PauseScope;
use chaski_core::ports::{Enqueue, Pauses, Queues};
use chaski_core::route;

use crate::world::{Outcome, World, listed, listing};

async fn post(world: &World, id: &str, subject: &str, route: &str) {
    let own = Listing { route: route.to_owned(), ..listing(id, subject) };
    world.store.enqueue(listed(own)).await.unwrap();
}

/// `held` is in the scope, `free` is not.
async fn holds(scope: PauseScope, route_of_free: &str) {
    let world = World::new();
    let (pause, is_new) = world.store.pause(&scope).await.unwrap();
    assert!(is_new);
    assert_eq!(world.store.pause(&scope).await.unwrap(), (pause.clone(), false));
    post(&world, "h1", "held", "messages").await;
    post(&world, "f1", "free", route_of_free).await;
    post(&world, "h2", "held", "messages").await;
    world.work("f1", Outcome::Done).await;
    assert_eq!(world.store.try_lease(None), None);

    let world = world.killed();
    post(&world, "f2", "free", route_of_free).await;
    world.work("f2", Outcome::Done).await;
    assert_eq!(world.store.try_lease(None), None);
    assert_eq!(world.store.pauses().await.unwrap().len(), 1);

    assert!(world.store.resume(&pause.id).await.unwrap());
    assert!(!world.store.resume(&pause.id).await.unwrap());
    for id in ["h1", "h2"] {
        world.work(id, Outcome::Done).await;
    }
    world.is_well();
}

#[tokio::test]
async fn a_subject_is_held() {
    holds(PauseScope::Subject { tenant: String::new(), subject: "held".to_owned() }, "messages").await;
}

#[tokio::test]
async fn a_target_is_held() {
    holds(PauseScope::Target("held.example".to_owned()), "messages").await;
}

#[tokio::test]
async fn a_route_is_held() {
    holds(PauseScope::Route("messages".to_owned()), "assignments").await;
}

#[tokio::test]
async fn a_queue_is_held() {
    assert_ne!(route::shard_of("held", 4), route::shard_of("free", 4), "the two subjects share a shard");
    let queue = format!("messages-{}", route::shard_of("held", 4));
    holds(PauseScope::Queue(queue), "messages").await;
}

#[tokio::test]
async fn everything_is_held() {
    let world = World::new();
    let (pause, _) = world.store.pause(&PauseScope::All).await.unwrap();
    world.post("m", "s").await;
    assert_eq!(world.store.try_lease(None), None);
    let world = world.killed();
    world.post("n", "t").await;
    assert_eq!(world.store.try_lease(None), None);
    assert!(world.store.queues().await.unwrap().iter().all(|queue| queue.paused));
    world.store.resume(&pause.id).await.unwrap();
    let mut ids: Vec<String> = Vec::new();
    for _ in 0..2 {
        let leased = world.lease().await;
        ids.push(crate::world::id_of(&leased));
        world.settle(&leased, Outcome::Done.of(&leased)).await.unwrap();
    }
    ids.sort();
    assert_eq!(ids, ["m", "n"]);
}

#[tokio::test]
async fn what_two_pauses_hold_goes_when_both_have_ended() {
    let world = World::new();
    let (all, _) = world.store.pause(&PauseScope::Target("s.example".to_owned())).await.unwrap();
    let (route, _) = world.store.pause(&PauseScope::Route("messages".to_owned())).await.unwrap();
    world.post("m", "s").await;
    world.store.resume(&all.id).await.unwrap();
    assert_eq!(world.store.try_lease(None), None);
    world.store.resume(&route.id).await.unwrap();
    world.work("m", Outcome::Done).await;
}
