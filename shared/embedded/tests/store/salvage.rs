//! Damaged files: what can be read is saved and goes on, what was changed is never delivered, no start fails twice.

use std::collections::HashSet;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use chaski_core::filter::{DeadLetterFilter, Whose};
use chaski_core::ports::{DeadLetters, Enqueue};
use chaski_core::queue::{QueueName, Tier};
use chaski_embedded::{OpenError, Store};

use crate::world::{Outcome, SECOND, START, TestClock, World, change, entry, id_of, options, page};

const MESSAGES: usize = 600;
const PAGE: u64 = 4_096;

/// A store at rest with many messages that wait, each in a line of its own.
async fn at_rest() -> World {
    let world = World::new();
    let entries: Vec<_> = (0..MESSAGES)
        .map(|n| {
            let mut entry = entry(&format!("m{n}"), &format!("s{n}"));
            entry.body.push_str(&" ".repeat(300));
            entry
        })
        .collect();
    assert!(world.store.enqueue_all(entries).await.iter().all(Result::is_ok));
    world.store.close();
    world
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Opens the store as often as it ends by itself, and delivers all there is: ids that were delivered.
async fn deliver(folder: &Path) -> HashSet<String> {
    let (mut delivered, mut ends) = (HashSet::new(), Vec::new());
    for _ in 0..4 {
        let store = Store::open(options(folder), TestClock::at(START)).unwrap();
        let marker = format!("marker-{}", delivered.len());
        let mut marked = store.enqueue(entry(&marker, &marker)).await.is_ok();
        while marked {
            let leased = tokio::select! {
                leased = store.lease() => leased,
                _ = store.failed() => break,
            };
            let id = id_of(&leased);
            let whole = entry(&id, &id.replace('m', "s")).body;
            assert!(id.starts_with("marker") || leased.body.trim_end() == whole, "altered: {}", leased.body);
            let settled = Outcome::Done.of(&leased);
            if chaski_core::ports::Settle::settle(&store, &leased, &settled, Default::default()).await.is_err() {
                break;
            }
            marked = id != marker;
            delivered.insert(id);
        }
        // The marker's line is one of many: the others go on until nothing is left, or the store ends.
        let rest = |store: &Store| store.is_taking().is_ok();
        while rest(&store) && waits(folder) > 0 {
            let Some(leased) = next(&store).await else { break };
            let id = id_of(&leased);
            let whole = entry(&id, &id.replace('m', "s")).body;
            assert!(id.starts_with("marker") || leased.body.trim_end() == whole, "altered: {}", leased.body);
            let settled = Outcome::Done.of(&leased);
            if chaski_core::ports::Settle::settle(&store, &leased, &settled, Default::default()).await.is_err() {
                break;
            }
            delivered.insert(id);
        }
        let ended = store.is_taking();
        store.close();
        let Err(why) = ended else {
            delivered.retain(|id| !id.starts_with("marker"));
            return delivered;
        };
        ends.push(why);
    }
    panic!("the store ends at every start: {ends:?}");
}

/// The next entry; none when the store ends, or when nothing waits any more (what is damaged was set aside).
async fn next(store: &Store) -> Option<chaski_core::ports::Leased> {
    let looks = async {
        loop {
            let queues = chaski_core::ports::Queues::queues(store).await;
            if queues.is_ok_and(|queues| queues.iter().all(|queue| queue.depth == queue.in_flight)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        leased = store.lease() => Some(leased),
        _ = store.failed() => None,
        () = looks => None,
    }
}

fn waits(folder: &Path) -> i64 {
    crate::world::number(&folder.join(chaski_embedded::DATABASE), "SELECT count(*) FROM entries")
}

fn kept(folder: &Path) -> usize {
    std::fs::read_dir(folder)
        .unwrap()
        .filter(|file| file.as_ref().unwrap().file_name().to_string_lossy() == "chaski.damaged-1")
        .count()
}

/// The page of a table's or look-up's rows in the middle of the file.
fn leaf(world: &World, name: &str) -> u64 {
    let sql =
        format!("SELECT pageno FROM dbstat WHERE name = '{name}' AND pagetype = 'leaf' ORDER BY path DESC LIMIT 1");
    u64::try_from(world.sql(&sql)).unwrap()
}

#[tokio::test]
async fn rubbish_over_a_page_of_entries_costs_that_page_alone() {
    let world = at_rest().await;
    let page = leaf(&world, "entries");
    overwrite(&world.database(), (page - 1) * PAGE, &[0x5a; 4_096]);
    let delivered = deliver(world.folder.path()).await;
    assert!(delivered.len() > MESSAGES - 20 && delivered.len() < MESSAGES, "{}", delivered.len());
    assert_eq!(kept(world.folder.path()), 1);
    // Nothing is lost silently: the others are listed as dead, with the reason.
    let dead = world.sql("SELECT count(*) FROM messages WHERE state = 4 AND error LIKE '%lost in a damaged store%'");
    assert_eq!(usize::try_from(dead).unwrap(), MESSAGES - delivered.len());
    let world = world.reopened();
    world.is_well();
}

#[tokio::test]
async fn rubbish_over_any_other_page_costs_no_delivery() {
    for name in ["messages", "queues", "store", "entries_line", "messages_id", "finds"] {
        let world = at_rest().await;
        let page = leaf(&world, name);
        overwrite(&world.database(), (page - 1) * PAGE, &[0x5a; 4_096]);
        chaski_embedded::repair(world.folder.path(), &mut |_| ()).unwrap();
        let delivered = deliver(world.folder.path()).await;
        assert_eq!(delivered.len(), MESSAGES, "{name}");
    }
}

#[tokio::test]
async fn rubbish_over_the_first_page_costs_nothing() {
    for (at, bytes) in [(0, 16), (0, 4_096), (100, 3_996), (16, 2), (28, 4), (100, 1), (103, 2)] {
        let world = at_rest().await;
        overwrite(&world.database(), at, &vec![0x5a; bytes]);
        let delivered = deliver(world.folder.path()).await;
        assert_eq!(delivered.len(), MESSAGES, "{bytes} bytes at {at}");
    }
}

#[tokio::test]
async fn a_file_that_was_cut_off_gives_what_is_left() {
    for part in [2, 3] {
        let world = at_rest().await;
        let size = std::fs::metadata(world.database()).unwrap().len();
        std::fs::OpenOptions::new().write(true).open(world.database()).unwrap().set_len(size / part + 100).unwrap();
        let delivered = deliver(world.folder.path()).await;
        assert!(!delivered.is_empty() && delivered.len() < MESSAGES, "{}", delivered.len());
        assert_eq!(kept(world.folder.path()), 1);
    }
}

#[tokio::test]
async fn a_file_of_rubbish_is_refused_and_kept() {
    let world = at_rest().await;
    let size = std::fs::metadata(world.database()).unwrap().len();
    overwrite(&world.database(), 0, &vec![0x5a; usize::try_from(size).unwrap()]);
    for _ in 0..2 {
        let Err(error) = Store::open(options(world.folder.path()), TestClock::at(START)) else {
            panic!("it was opened");
        };
        assert!(matches!(error, OpenError::Database { .. }), "{error}");
        assert!(error.to_string().contains("restore a backup"), "{error}");
    }
    assert_eq!(std::fs::metadata(world.database()).unwrap().len(), size);
}

#[tokio::test]
async fn an_entry_with_a_flipped_bit_becomes_a_dead_letter_and_its_line_goes_on() {
    let world = World::new();
    for id in ["a", "b", "c"] {
        world.post(id, "s").await;
    }
    world.store.close();
    change(&world.database(), "UPDATE entries SET body = replace(body, '\"b\"', '\"d\"')");
    let world = world.reopened();
    world.work("a", Outcome::Done).await;
    world.work("c", Outcome::Done).await;
    let letters = world.store.dead_letters(&DeadLetterFilter::default(), &page(10)).await.unwrap().items;
    let letter = &letters[0].letter;
    assert_eq!((letters.len(), letter.id.as_str(), letter.last_error.class.as_str()), (1, "b", "undecodable"));
    let whole = world.store.dead_letter("b", None, &Whose::default()).await.unwrap().unwrap();
    assert!(String::from_utf8(whole.letter.message).unwrap().contains("\"d\""));
    // It is named, and never sent again.
    assert!(world.store.for_replay(&DeadLetterFilter::default(), &page(10)).await.unwrap().items.is_empty());
    world.is_well();
}

#[tokio::test]
async fn an_entry_whose_text_is_none_any_more_becomes_a_dead_letter() {
    for change_it in [
        "UPDATE entries SET body = CAST(x'ff7b' || substr(body, 2) AS TEXT) WHERE message = 1",
        "UPDATE entries SET grp = CAST(x'ff' AS TEXT) WHERE message = 1",
        "UPDATE entries SET host = CAST(x'ff' AS TEXT) WHERE message = 1",
        "UPDATE entries SET line = line + 1 WHERE message = 1",
        "UPDATE entries SET queue = 77 WHERE message = 1",
        "UPDATE entries SET message = 2 WHERE message = 1",
    ] {
        let world = World::new();
        world.post("a", "s").await;
        world.post("b", "t").await;
        world.store.close();
        change(&world.database(), change_it);
        let world = world.reopened();
        world.work("b", Outcome::Done).await;
        crate::world::until(|| world.sql("SELECT count(*) FROM dead_letters") == 1).await;
        world.nothing_waits().await;
    }
}

#[tokio::test]
async fn a_queue_that_was_lost_or_renamed_is_known_by_its_second_record() {
    for damage in [
        "DELETE FROM queues",
        "DELETE FROM queues WHERE name LIKE 'retry%'",
        "UPDATE queues SET name = 'retrz-fast' WHERE name = 'retry-fast'",
        "UPDATE queues SET no = no + 64 WHERE name = 'retry-fast'",
        "UPDATE store SET value = 'retrz-fast' WHERE value = 'retry-fast'",
        "DELETE FROM store WHERE value = 'retry-fast'",
    ] {
        let world = World::new();
        world.post("m", "s").await;
        world.work("m", Outcome::Retry(Tier::Fast)).await;
        world.store.close();
        change(&world.database(), damage);
        let world = world.reopened();
        assert_eq!(world.record("m").await.queue.as_deref(), Some("retry-fast"), "{damage}");
        world.is_well();
        world.pass(12 * SECOND);
        let leased = world.lease().await;
        assert_eq!(leased.queue, QueueName::Tier(Tier::Fast), "{damage}");
    }
}

#[tokio::test]
async fn a_look_up_that_leads_astray_buries_nothing() {
    let world = World::new();
    for id in ["a", "b", "c"] {
        world.post(id, "s").await;
    }
    world.store.close();
    // The look-up says another line for one entry than its row does.
    let schema = |sql: &str| {
        change(
            &world.database(),
            &format!("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = '{sql}' WHERE name = 'entries_line'"),
        );
    };
    schema("CREATE INDEX entries_line ON entries (line + (seq = 2), seq)");
    change(&world.database(), "REINDEX entries_line");
    schema("CREATE INDEX entries_line ON entries (line, seq)");
    let found = chaski_embedded::examine(world.folder.path(), &mut |_| ()).unwrap().findings;
    assert!(!found.is_empty());
    let delivered = {
        let mut ids = Vec::new();
        let world = world.reopened();
        while ids.len() < 3 {
            let leased = world.lease().await;
            ids.push(id_of(&leased));
            world.settle(&leased, Outcome::Done.of(&leased)).await.unwrap();
        }
        assert_eq!(world.sql("SELECT count(*) FROM dead_letters"), 0);
        world.is_well();
        ids
    };
    assert_eq!(delivered.iter().collect::<HashSet<_>>().len(), 3);
}

#[tokio::test]
async fn a_salvage_that_was_killed_at_its_end_is_finished() {
    let world = at_rest().await;
    let page = leaf(&world, "messages_id");
    overwrite(&world.database(), (page - 1) * PAGE, &[0x5a; 4_096]);
    chaski_embedded::repair(world.folder.path(), &mut |_| ()).unwrap();
    // As it stands when the damaged file is put away and the new one not yet in its place.
    let folder = world.folder.path();
    std::fs::rename(world.database(), folder.join("chaski.salvaged")).unwrap();
    assert_eq!(deliver(folder).await.len(), MESSAGES);
    // And when the damaged one still stands there, with a log that is not the new one's.
    let world = at_rest().await;
    let folder = world.folder.path();
    std::fs::copy(world.database(), folder.join("chaski.salvaged")).unwrap();
    std::fs::write(folder.join("chaski.db"), [0x5a; 8_192]).unwrap();
    std::fs::write(folder.join("chaski.db-wal"), [0x5a; 8_192]).unwrap();
    assert_eq!(deliver(folder).await.len(), MESSAGES);
}

/// Bits flipped one at a time in a store at rest, at places spread evenly over the file; as many as
/// `CHASKI_FLIPS` says.
#[tokio::test]
async fn a_flipped_bit_anywhere_alters_no_delivery_and_ends_no_start() {
    let flips: usize = std::env::var("CHASKI_FLIPS").map_or(10, |text| text.parse().unwrap());
    let world = at_rest().await;
    let whole = std::fs::read(world.database()).unwrap();
    let lock = std::fs::read(world.folder.path().join("lock")).unwrap();
    let (mut lost, mut refused) = (0, 0);
    for flip in 0..flips {
        // Places far apart, and other bits each time (Fibonacci hashing).
        let mixed = (flip as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let at = usize::try_from(mixed >> 20).unwrap() % whole.len();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (mixed % 8);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("chaski.db"), &bytes).unwrap();
        std::fs::write(folder.path().join("lock"), &lock).unwrap();
        let report = chaski_embedded::examine(folder.path(), &mut |_| ());
        let opened = Store::open(options(folder.path()), Arc::clone(&world.clock) as _).map(|store| store.close());
        if opened.is_err() {
            refused += 1;
            continue;
        }
        let delivered = deliver(folder.path()).await;
        let named = report.as_ref().map_or(true, |report| !report.findings.is_empty());
        assert!(delivered.len() == MESSAGES || named, "flip {flip} at {at}: {} and no word", delivered.len());
        assert!(delivered.len() > MESSAGES / 2, "flip {flip} at {at}: {}", delivered.len());
        lost += MESSAGES - delivered.len();
    }
    println!("{flips} flipped bits: {lost} of {} not delivered, {refused} starts refused", flips * MESSAGES);
    assert!(refused * 50 <= flips, "{refused} starts refused");
}

#[tokio::test]
async fn damage_that_the_start_itself_meets_is_salvaged_at_once() {
    for name in ["entries_due", "pauses", "queues"] {
        let world = World::new();
        for n in 0..300 {
            world.post(&format!("m{n}"), &format!("s{n}")).await;
        }
        for _ in 0..300 {
            let leased = world.lease().await;
            world.settle(&leased, Outcome::Retry(Tier::Fast).of(&leased)).await.unwrap();
        }
        world.store.close();
        let sql = format!("SELECT pageno FROM dbstat WHERE name = '{name}' ORDER BY path DESC LIMIT 1");
        let page = u64::try_from(world.sql(&sql)).unwrap();
        overwrite(&world.database(), (page - 1) * PAGE, &[0x5a; 4_096]);
        let world = world.reopened();
        assert_eq!(kept(world.folder.path()), 1, "{name}");
        world.pass(12 * SECOND);
        for _ in 0..300 {
            let leased = world.lease().await;
            world.settle(&leased, Outcome::Done.of(&leased)).await.unwrap();
        }
        world.is_well();
    }
}

#[tokio::test]
async fn a_row_whose_number_is_damaged_costs_that_row_alone() {
    let world = at_rest().await;
    // A leaf's second cell: its rowid is a varint behind the payload's length; its first byte gets the highest bit.
    let page = leaf(&world, "entries");
    let bytes = std::fs::read(world.database()).unwrap();
    let start = usize::try_from((page - 1) * PAGE).unwrap();
    let cell = start + usize::from(u16::from_be_bytes([bytes[start + 10], bytes[start + 11]]));
    let length = bytes[cell..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let rowid = cell + length;
    overwrite(&world.database(), rowid as u64, &[bytes[rowid] | 0x80 | 0x40]);
    let named = chaski_embedded::repair(world.folder.path(), &mut |_| ()).unwrap();
    assert!(named.salvaged);
    let delivered = deliver(world.folder.path()).await;
    assert!(delivered.len() >= MESSAGES - 2, "{}", delivered.len());
}

#[tokio::test]
async fn a_message_s_row_that_is_damaged_in_kind_or_text_ends_no_start_twice() {
    for damage in [
        "UPDATE messages SET tenant = x'00' WHERE id = 'a'",
        "UPDATE messages SET tenant = NULL WHERE id = 'a'",
        "UPDATE messages SET subject = CAST(x'ff' AS TEXT) WHERE id = 'a'",
        "UPDATE messages SET labels = CAST(x'ff' AS TEXT) WHERE id = 'a'",
        "UPDATE messages SET state = 'x' WHERE id = 'a'",
    ] {
        let world = World::new();
        world.post("a", "s").await;
        world.post("b", "t").await;
        world.store.close();
        // What a flipped bit does to a value's kind, no statement does to this table as it is.
        let schema = |from: &str, to: &str| {
            change(
                &world.database(),
                &format!(
                    "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '{from}', '{to}')
                     WHERE name = 'messages'"
                ),
            );
        };
        let whole = "tenant TEXT NOT NULL";
        schema(") STRICT", ")");
        schema(whole, "tenant");
        change(&world.database(), damage);
        schema("tenant,", &format!("{whole},"));
        change(
            &world.database(),
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = sql || ' STRICT' WHERE name = 'messages'",
        );
        // The body says which it is; the store may lose the row, and never the message.
        let mut delivered = HashSet::new();
        for _ in 0..3 {
            let store = Store::open(options(world.folder.path()), TestClock::at(START)).unwrap();
            while let Some(leased) = next(&store).await {
                let done = Outcome::Done.of(&leased);
                if chaski_core::ports::Settle::settle(&store, &leased, &done, Default::default()).await.is_err() {
                    break;
                }
                delivered.insert(id_of(&leased));
            }
            store.close();
        }
        assert_eq!(delivered.len(), 2, "{damage}");
    }
}
