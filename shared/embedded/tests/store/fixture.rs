//! A store that format 2 wrote, kept for every later version.

use std::path::{Path, PathBuf};

use chaski_core::filter::Whose;
use chaski_core::flow::Flow;
use chaski_core::ledger::{Listing, MessageState};
use chaski_core::pause::PauseScope;
use chaski_core::ports::{Backup, Beside, DeadLetters, Enqueue, Entry, Ledger, Pauses, Queues, Settle};
use chaski_core::queue::{QueueName, Tier};
use chaski_core::time::Timestamp;
use chaski_embedded::DATABASE;

use crate::world::{HOUR, Outcome, SECOND, START, World, attempt, entry, listed, listing};

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store-v2").join(DATABASE)
}

/// Writes the store that is kept. What is released is not written anew: a later format gets a folder of its own.
async fn write() -> World {
    let world = World::new();
    for (id, subject) in [
        ("held", "held"),
        ("behind", "held"),
        ("0193f0a0-0000-7000-8000-000000000001", "delivered"),
        ("0193f0a0-0000-7000-8000-000000000002", "dead"),
        ("0193f0a0-0000-7000-8000-000000000003", "retrying"),
        ("0193f0a0-0000-7000-8000-000000000004", "cancelled"),
        ("0193f0a0-0000-7000-8000-000000000005", "pending ñandú 日本語"),
        ("no-uuid", "pending ñandú 日本語"),
        ("paused", "paused"),
    ] {
        let own = Listing {
            tenant: "tenant".to_owned(),
            producer: "crm".to_owned(),
            client: Some("108".to_owned()),
            labels: vec!["invoice".to_owned(), subject.to_owned()],
            flow: (subject == "retrying").then(|| Flow::new("crm", Some(10), None, Some(2)).unwrap()),
            ..listing(id, subject)
        };
        world.store.enqueue(listed(own)).await.unwrap();
    }
    world.store.pause(&PauseScope::Target("paused.example".to_owned())).await.unwrap();
    let held = world.lease().await;
    let report = attempt(1, &held, 503);
    let beside = Beside { attempt: Some(&report), sequence: Some(7), ..Beside::default() };
    world.store.settle(&held, &Outcome::Hold(20 * SECOND).of(&held), beside).await.unwrap();
    world.work("0193f0a0-0000-7000-8000-000000000001", Outcome::Done).await;
    world.work("0193f0a0-0000-7000-8000-000000000002", Outcome::Bury).await;
    world.work("0193f0a0-0000-7000-8000-000000000003", Outcome::Retry(Tier::Medium)).await;
    let due = Some(Timestamp::from_millis(START + HOUR));
    let waiting = Entry { queue: QueueName::Wake, group: "waiting".to_owned(), due, ..entry("waiting", "waiting") };
    world.store.enqueue(waiting).await.unwrap();
    let cancelled = world.store.cancel("0193f0a0-0000-7000-8000-000000000004", &Whose::default()).await.unwrap();
    assert_eq!(cancelled, chaski_core::ports::Cancelled::Now);
    world
}

#[tokio::test]
async fn a_store_of_format_2_is_found_whole() {
    if std::env::var_os("CHASKI_WRITE_FIXTURE").is_some() {
        let world = write().await;
        std::fs::create_dir_all(kept().parent().unwrap()).unwrap();
        world.store.backup(&kept()).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(kept(), folder.path().join(DATABASE)).unwrap();
    let world = World::in_folder(folder, START + SECOND, |_| ());
    world.is_well();

    let id = |n: u8| format!("0193f0a0-0000-7000-8000-00000000000{n}");
    for (id, state, attempts, status) in [
        (id(1), MessageState::Delivered, 1, Some(200)),
        (id(2), MessageState::Dead, 1, Some(500)),
        (id(3), MessageState::Retrying, 1, Some(500)),
        (id(4), MessageState::Cancelled, 0, None),
        (id(5), MessageState::Pending, 0, None),
        ("no-uuid".to_owned(), MessageState::Pending, 0, None),
        ("paused".to_owned(), MessageState::Pending, 0, None),
        ("held".to_owned(), MessageState::Retrying, 1, Some(503)),
        ("behind".to_owned(), MessageState::Pending, 0, None),
    ] {
        let record = world.record(&id).await;
        assert_eq!((record.state, record.attempts.len()), (state, attempts), "{id}");
        assert_eq!(record.answer.map(|answer| answer.status), status, "{id}");
        let Listing { tenant, producer, client, labels, subject, received_at, .. } = record.listing;
        assert_eq!((tenant.as_str(), producer.as_str(), client.as_deref()), ("tenant", "crm", Some("108")));
        assert_eq!(labels, ["invoice".to_owned(), subject]);
        assert_eq!(received_at, Timestamp::from_millis(START));
    }
    let due = world.record(&id(3)).await.next_due.unwrap().millis() - START;
    assert!((60 * SECOND..=66 * SECOND).contains(&due), "{due}");
    let due = async |id: &str| world.record(id).await.next_due.unwrap().millis() - START;
    assert_eq!((due("held").await, due("waiting").await), (20 * SECOND, HOUR));
    assert_eq!(world.sql("SELECT n FROM sequences"), 7);
    let letter = world.store.dead_letter(&id(2), None, &Whose::default()).await.unwrap().unwrap();
    assert_eq!((letter.letter.last_error.status, letter.replayed_at), (Some(500), None));
    assert!(String::from_utf8(letter.letter.message).unwrap().contains("\"subject\":\"dead\""));
    let pauses = world.store.pauses().await.unwrap();
    assert_eq!(
        pauses.iter().map(|pause| &pause.scope).collect::<Vec<_>>(),
        [&PauseScope::Target("paused.example".to_owned())]
    );
    let depth: u64 = world.store.queues().await.unwrap().iter().map(|queue| queue.depth).sum();
    assert_eq!(depth, 7);

    assert_eq!(world.sql("SELECT count(*) FROM entries WHERE flow = '10/1s 2 tenant' || char(9) || 'crm'"), 1);

    // And it goes on.
    world.work(&id(5), Outcome::Done).await;
    world.work("no-uuid", Outcome::Done).await;
    world.nothing_waits().await;
    world.pass(19 * SECOND);
    world.work("held", Outcome::Done).await;
    world.work("behind", Outcome::Done).await;
    world.pass(47 * SECOND);
    world.work(&id(3), Outcome::Done).await;
    world.pass(HOUR);
    world.work("waiting", Outcome::Done).await;
    world.store.resume(&pauses[0].id).await.unwrap();
    world.work("paused", Outcome::Done).await;
    world.is_well();
}
