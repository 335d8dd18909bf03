//! Copies of the store while it is used.

use chaski_core::ports::{Backup, DeskError, Enqueue, Queues};
use chaski_embedded::DATABASE;
use tempfile::TempDir;

use crate::world::{Outcome, START, World, entry, id_of, number};

async fn restored(copy: &std::path::Path) -> World {
    let folder = TempDir::new().unwrap();
    std::fs::rename(copy, folder.path().join(DATABASE)).unwrap();
    World::in_folder(folder, START, |_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_taken_while_messages_come_in_holds_the_first_ones_of_every_line() {
    let world = World::new();
    for n in 0..200 {
        world.post(&format!("{n}"), &format!("s{}", n % 5)).await;
    }
    let (store, copies) = (world.store.clone(), TempDir::new().unwrap());
    let writing = tokio::spawn(async move {
        let mut n = 200;
        while store.is_taking().is_ok() && n < 20_000 {
            let entries: Vec<_> = (n..n + 10).map(|n| entry(&format!("{n}"), &format!("s{}", n % 5))).collect();
            if store.enqueue_all(entries).await.iter().any(Result::is_err) {
                break;
            }
            n += 10;
        }
    });
    let to = copies.path().join("copy.db");
    let bytes = world.store.backup(&to).await.unwrap();
    assert_eq!(bytes, std::fs::metadata(&to).unwrap().len());
    let held = number(&to, "SELECT count(*) FROM messages");
    world.store.close();
    writing.await.unwrap();
    assert!(held >= 200);

    let copy = restored(&to).await;
    copy.is_well();
    let depth: u64 = copy.store.queues().await.unwrap().iter().map(|queue| queue.depth).sum();
    assert_eq!(depth, u64::try_from(held).unwrap());
    let mut next = [0, 1, 2, 3, 4];
    for _ in 0..held {
        let leased = copy.lease().await;
        let n: usize = id_of(&leased).parse().unwrap();
        assert_eq!(n, next[n % 5], "a gap in its line");
        next[n % 5] += 5;
        copy.settle(&leased, Outcome::Done.of(&leased)).await.unwrap();
    }
    copy.nothing_waits().await;
}

#[tokio::test]
async fn a_copy_overwrites_nothing_and_leaves_nothing_half_done() {
    let world = World::new();
    world.post("m", "s").await;
    let copies = TempDir::new().unwrap();
    let to = copies.path().join("copy.db");
    std::fs::write(&to, "theirs").unwrap();
    let refused = world.store.backup(&to).await;
    assert!(matches!(refused, Err(DeskError::Refused(why)) if why.contains("overwrites nothing")));
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "theirs");
    let nowhere = copies.path().join("nowhere").join("copy.db");
    assert!(world.store.backup(&nowhere).await.is_err());
    assert_eq!(std::fs::read_dir(copies.path()).unwrap().count(), 1);
    // The store goes on.
    world.work("m", Outcome::Done).await;
}

#[tokio::test]
async fn a_copy_keeps_what_the_file_is_known_by() {
    let world = World::new();
    world.post("m", "s").await;
    let copies = TempDir::new().unwrap();
    let to = copies.path().join("copy.db");
    world.store.backup(&to).await.unwrap();
    for pragma in ["application_id", "user_version", "auto_vacuum", "page_size"] {
        let sql = format!("SELECT * FROM pragma_{pragma}");
        assert_eq!(number(&to, &sql), world.sql(&sql), "{pragma}");
    }
}
