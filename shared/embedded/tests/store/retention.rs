//! Retention: what has ended goes when its time is over, in small steps, and the file becomes small again.

use std::time::Duration;

use chaski_core::filter::{MessageFilter, Whose};
use chaski_core::ledger::{Listing, MessageState};
use chaski_core::ports::{Backup, DeadLetters, Enqueue, Ledger, Taken};
use chaski_embedded::Options;
use tempfile::TempDir;

use crate::world::{HOUR, Outcome, START, World, listed, listing, until};

const DAY: i64 = 24 * HOUR;

fn days(days: u64) -> Option<Duration> {
    Some(Duration::from_secs(days * 24 * 3_600))
}

/// The same store some time later; the retention begins at once.
fn later(world: World, span: i64, change: impl FnOnce(&mut Options)) -> World {
    world.store.close();
    let wall = START + span;
    World::in_folder(world.folder, wall, change)
}

async fn post_labelled(world: &World, id: &str) {
    let own = Listing { labels: vec!["label".to_owned()], ..listing(id, id) };
    world.store.enqueue(listed(own)).await.unwrap();
}

#[tokio::test]
async fn what_has_ended_goes_with_all_that_belongs_to_it_and_what_waits_stays() {
    let world = World::new();
    for id in ["delivered", "dead", "waiting", "cancelled"] {
        post_labelled(&world, id).await;
    }
    world.work("delivered", Outcome::Done).await;
    world.work("dead", Outcome::Bury).await;
    world.store.cancel("cancelled", &Whose::default()).await.unwrap();

    let world = later(world, 6 * DAY, |_| ());
    assert_eq!(world.state("delivered").await, MessageState::Delivered);
    let world = later(world, 8 * DAY, |_| ());
    until(|| world.sql("SELECT count(*) FROM messages") == 2).await;
    assert_eq!(world.state("dead").await, MessageState::Dead);
    until(|| world.sql("SELECT count(DISTINCT message) FROM finds") == 2).await;
    assert_eq!(world.sql("SELECT count(*) FROM attempts"), 1);
    world.is_well();
    world.work("waiting", Outcome::Done).await;
}

#[tokio::test]
async fn dead_letters_have_a_time_of_their_own_and_take_their_messages_along() {
    let world = World::new();
    for id in ["a", "b", "c"] {
        post_labelled(&world, id).await;
        world.work(id, Outcome::Bury).await;
    }
    world.store.delete("c", 1, &Whose::default()).await.unwrap();
    // One whose dead letter was deleted has the time of what has ended.
    let world = later(world, 8 * DAY, |_| ());
    until(|| world.sql("SELECT count(*) FROM messages") == 2).await;
    let world = later(world, 8 * DAY, |options| options.retention.dead = days(7));
    until(|| world.sql("SELECT count(*) FROM dead_letters") == 0).await;
    assert_eq!(world.sql("SELECT count(*) FROM messages"), 0);
    assert_eq!(world.sql("SELECT count(*) FROM finds"), 0);
    assert_eq!(world.sql("SELECT count(*) FROM attempts"), 0);
    world.is_well();
}

#[tokio::test]
async fn a_letter_that_goes_leaves_the_message_of_a_later_one() {
    let world = World::new();
    world.post("m", "s").await;
    world.work("m", Outcome::Bury).await;
    let letter = world.store.dead_letter("m", None, &Whose::default()).await.unwrap().unwrap().letter;
    world.pass(5 * DAY);
    let again = listed(Listing { generation: 2, ..listing("m", "s") });
    world.store.replay(&letter, &again).await.unwrap();
    world.work("m", Outcome::Bury).await;
    let world = later(world, 8 * DAY, |options| options.retention.dead = days(7));
    until(|| world.sql("SELECT count(*) FROM dead_letters") == 1).await;
    assert_eq!(world.record("m").await.listing.generation, 2);
    world.is_well();
}

#[tokio::test]
async fn for_ever_is_for_ever() {
    let change = |options: &mut Options| options.retention.delivered = None;
    let world = World::with(change);
    world.post("m", "s").await;
    world.work("m", Outcome::Done).await;
    // Ids of other hands go, so that the end of a pass can be seen.
    let mut foreign = crate::world::entry("f", "t");
    foreign.listing = None;
    world.store.enqueue(foreign.clone()).await.unwrap();
    let world = later(world, 400 * DAY, change);
    until(|| world.sql("SELECT count(*) FROM moves") == 0).await;
    assert_eq!(world.state("m").await, MessageState::Delivered);
}

#[tokio::test]
async fn a_key_is_remembered_for_its_time_though_its_message_is_gone() {
    let short = |options: &mut Options| options.retention.delivered = Some(Duration::from_secs(60));
    let world = World::with(short);
    world.post("m", "s").await;
    world.work("m", Outcome::Done).await;
    let world = later(world, HOUR, short);
    until(|| world.sql("SELECT count(*) FROM messages") == 0).await;
    assert_eq!(world.post("m", "s").await, Taken::Duplicate);
    // Also when the retention was made longer meanwhile.
    let world = later(world, 23 * HOUR, |_| ());
    assert_eq!(world.post("m", "s").await, Taken::Duplicate);
    let world = later(world, 25 * HOUR, |_| ());
    assert_eq!(world.post("m", "s").await, Taken::New);
    until(|| world.sql("SELECT count(*) FROM moves") == 0).await;
}

/// 30,000 messages, or as many as `CHASKI_EXPIRED` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_of_many_expired_messages_shrinks_to_the_size_of_what_is_left() {
    let many: usize = std::env::var("CHASKI_EXPIRED").map_or(30_000, |text| text.parse().unwrap());
    let world = World::new();
    for from in (0..many).step_by(1_000) {
        let entries: Vec<_> = (from..from + 1_000)
            .map(|n| {
                let subject = if n >= many / 10 * 9 { format!("kept{}", n % 100) } else { "expires".to_owned() };
                let mut entry =
                    listed(Listing { labels: vec![format!("l{}", n % 7)], ..listing(&format!("m{n}"), &subject) });
                entry.body.push_str(&" ".repeat(700));
                entry
            })
            .collect();
        assert!(world.store.enqueue_all(entries).await.iter().all(Result::is_ok));
    }
    let expires = MessageFilter { subject: Some("expires".to_owned()), ..MessageFilter::default() };
    let cancelled = world.store.cancel_all(&expires, false).await.unwrap().cancelled;
    assert_eq!(usize::try_from(cancelled).unwrap(), many / 10 * 9);
    world.store.close();
    let size = |world: &World| std::fs::metadata(world.database()).unwrap().len();
    let full = size(&world);

    let began = std::time::Instant::now();
    let world = later(world, 8 * DAY, |_| ());
    let left = i64::try_from(many / 10).unwrap();
    until(|| world.sql("SELECT count(*) FROM messages") == left).await;
    let gone = began.elapsed();
    let copies = TempDir::new().unwrap();
    let live = world.store.backup(&copies.path().join("live.db")).await.unwrap();
    until(|| size(&world) <= live * 12 / 10).await;
    println!(
        "{many} messages: {full} bytes, {live} live, {} after; gone in {gone:?}, small in {:?}",
        size(&world),
        began.elapsed()
    );
    world.is_well();
}
