//! The full check, and the repair.

use chaski_core::ledger::Listing;
use chaski_core::ports::Enqueue;
use chaski_core::queue::Tier;
use chaski_embedded::{examine, repair};

use crate::service::Service;
use crate::world::{Outcome, World, change, listed, listing, until};

/// A store at rest with something of everything.
async fn full() -> World {
    let world = World::new();
    for n in 0..8 {
        let own = Listing { labels: vec![format!("l{n}")], ..listing(&format!("m{n}"), &format!("s{n}")) };
        world.store.enqueue(listed(own)).await.unwrap();
    }
    world.work("m0", Outcome::Done).await;
    world.work("m1", Outcome::Bury).await;
    world.work("m2", Outcome::Retry(Tier::Fast)).await;
    until(|| world.sql("SELECT count(DISTINCT message) FROM finds") == 8).await;
    world.store.close();
    world
}

fn findings(world: &World) -> Vec<String> {
    let report = examine(world.folder.path(), &mut |_| ()).unwrap();
    report.findings.into_iter().map(|finding| format!("{}: {}", finding.place, finding.detail)).collect()
}

#[tokio::test]
async fn a_store_that_is_well_has_no_findings_and_its_rows_are_counted() {
    let world = full().await;
    let mut steps = Vec::new();
    let report = examine(world.folder.path(), &mut |step| steps.push(step.to_owned())).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(
        report.rows,
        [("entries", 6), ("messages", 8), ("dead_letters", 1), ("attempts", 3), ("bodies", 0), ("body_pieces", 0)]
    );
    assert_eq!(steps, ["structure", "entries", "messages", "dead_letters", "attempts", "balance"]);
    assert!(examine(&world.folder.path().join("nowhere"), &mut |_| ()).is_err());
}

#[tokio::test]
async fn whatever_is_damaged_is_named() {
    for (damage, named) in [
        ("UPDATE entries SET body = replace(body, 's4', 's5') WHERE message = 5", "entries 5: does not match"),
        ("UPDATE entries SET due = due + 1 WHERE due IS NOT NULL", "does not match its checksum"),
        ("UPDATE messages SET subject = 'x' WHERE id = 'm4'", "messages 5: does not match"),
        ("UPDATE messages SET id = x'00' WHERE id = 'm4'", "messages 5: can't be read"),
        ("UPDATE dead_letters SET response = NULL", "dead_letters 1: does not match"),
        ("UPDATE dead_letters SET last_error = 'x'", "dead_letters 1: does not match"),
        ("UPDATE attempts SET status = 204 WHERE status = 200", "attempts of message 1: does not match"),
        ("DELETE FROM entries WHERE message = 5", "messages 5: waits for an entry that is not there"),
        ("DELETE FROM messages WHERE id = 'm4'", "entries 5: belongs to a message that is not there"),
        ("DELETE FROM dead_letters", "messages 2: is dead, and its dead letter is not there"),
        ("UPDATE queues SET depth = depth + 1 WHERE name = 'messages-0'", "has another depth"),
        ("DELETE FROM queues WHERE name = 'retry-fast'", "stands in a queue that is not there"),
        ("DELETE FROM finds WHERE message = 5", "messages 5: is not found by what it says"),
        ("DROP INDEX messages_id", "file: lacks a table or a look-up"),
        ("PRAGMA user_version = 7", "file: has the format"),
        (
            // The look-up without a row of its own: what a flipped bit in it does.
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = sql || ' WHERE seq <> 5'
             WHERE name = 'entries_line'; REINDEX entries_line; PRAGMA writable_schema = RESET;
             PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, ' WHERE seq <> 5', '')
             WHERE name = 'entries_line'",
            "missing from index entries_line",
        ),
    ] {
        let world = full().await;
        if damage.contains("WHERE seq <> 5") {
            let (make, unmake) = damage.split_at(damage.rfind("PRAGMA writable_schema = ON").unwrap());
            let reindex = make.replace("REINDEX entries_line; PRAGMA writable_schema = RESET;", "");
            change(&world.database(), &reindex);
            change(&world.database(), "REINDEX entries_line");
            change(&world.database(), unmake);
        } else {
            change(&world.database(), damage);
        }
        let found = findings(&world);
        assert!(found.iter().any(|finding| finding.contains(named)), "{damage}: {found:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_store_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    change(&folder.path().join(chaski_embedded::DATABASE), "CREATE TABLE theirs (a)");
    assert!(examine(folder.path(), &mut |_| ()).unwrap_err().contains("no store of Chaski"));
    assert!(repair(folder.path(), &mut |_| ()).unwrap_err().contains("no store of Chaski"));
}

#[tokio::test]
async fn look_ups_and_depths_are_repaired_from_the_rows() {
    let world = full().await;
    change(
        &world.database(),
        "DELETE FROM finds; UPDATE queues SET depth = 99; DELETE FROM entries WHERE message = 5;",
    );
    let repaired = repair(world.folder.path(), &mut |_| ()).unwrap();
    assert!(!repaired.salvaged);
    assert_eq!(repaired.left.findings, []);
    let world = world.reopened();
    let dead = world.record("m4").await;
    assert_eq!(dead.state, chaski_core::ledger::MessageState::Dead);
    assert!(dead.error.unwrap().detail.contains("lost in a damaged store"));
    until(|| world.sql("SELECT count(DISTINCT message) FROM finds") == 8).await;
    world.is_well();
}

#[tokio::test]
async fn a_missing_look_up_is_repaired_into_a_new_file() {
    let world = full().await;
    change(&world.database(), "DROP INDEX messages_id; DROP TABLE pauses;");
    let repaired = repair(world.folder.path(), &mut |_| ()).unwrap();
    assert!(repaired.salvaged);
    assert_eq!(repaired.left.findings, []);
    assert_eq!(world.sql("SELECT count(*) FROM messages"), 8);
}

#[tokio::test]
async fn a_store_that_is_open_or_of_another_version_is_not_repaired() {
    let world = World::new();
    assert!(repair(world.folder.path(), &mut |_| ()).unwrap_err().contains("another process"));
    world.store.close();
    change(&world.database(), "PRAGMA user_version = 3");
    assert!(repair(world.folder.path(), &mut |_| ()).unwrap_err().contains("newer chaski"));
    change(&world.database(), "DROP TABLE sequences; PRAGMA user_version = 1");
    assert!(repair(world.folder.path(), &mut |_| ()).unwrap_err().contains("has format 1"));
}

#[tokio::test]
async fn what_is_held_stands_at_the_head_of_its_line_with_a_number_that_was_counted() {
    for (damage, named) in [
        ("DELETE FROM sequences", "has the number 1, to which its line has not come"),
        ("UPDATE sequences SET n = 0", "counts to less than 1"),
        ("UPDATE messages SET state = 0", "is held, and its message is not retrying"),
        ("UPDATE entries SET seq = 0 WHERE due IS NULL", "is held, and is not the first of its line"),
    ] {
        let service = Service::new();
        service.answers("m", &[500]);
        service.strict("s", "m").await;
        service.strict("s", "behind").await;
        service.step().await;
        assert_eq!(findings(&service.world), [""; 0]);
        service.world.store.close();
        change(&service.world.database(), damage);
        let found = findings(&service.world);
        assert!(found.iter().any(|finding| finding.contains(named)), "{damage}: {found:?}");
    }
}
