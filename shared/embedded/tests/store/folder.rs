//! The folder: who has it, and what stands in it that is no store.

use chaski_embedded::{DATABASE, OpenError, Store};

use crate::world::{START, TestClock, World, change, options};

fn open(folder: &std::path::Path) -> Result<Store, OpenError> {
    Store::open(options(folder), TestClock::at(START))
}

fn refusal(folder: &std::path::Path) -> OpenError {
    match open(folder) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_second_store_on_the_same_folder_is_refused_until_the_first_is_closed() {
    let world = World::new();
    let error = refusal(world.folder.path());
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    assert!(error.to_string().contains("another process"), "{error}");
    world.store.close();
    open(world.folder.path()).unwrap().close();
}

#[test]
fn a_folder_that_can_not_be_written_is_named() {
    // Nobody can make a file there, root neither.
    let error = refusal(std::path::Path::new("/proc/self"));
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
    assert!(error.to_string().contains("/proc/self"), "{error}");
}

#[test]
fn a_file_in_the_folder_s_place_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = refusal(file.path());
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
}

#[test]
fn a_text_in_the_database_s_place_is_refused_and_stays_as_it_is() {
    for text in ["notes of somebody\n".repeat(1_000), "short".to_owned()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(DATABASE);
        std::fs::write(&path, &text).unwrap();
        let error = refusal(folder.path());
        assert!(matches!(error, OpenError::Foreign(_)), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert!(matches!(refusal(folder.path()), OpenError::Foreign(_)));
    }
}

#[test]
fn a_database_of_somebody_else_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE);
    change(&path, "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
    let before = std::fs::read(&path).unwrap();
    let error = refusal(folder.path());
    assert!(matches!(error, OpenError::Foreign(_)), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_store_of_another_version_is_refused_and_stays_as_it_is() {
    let world = World::new();
    world.post("m", "s").await;
    world.store.close();
    change(&world.database(), "PRAGMA user_version = 7");
    let error = refusal(world.folder.path());
    assert!(matches!(error, OpenError::Later { found: 7, known: 2, .. }), "{error}");
    change(&world.database(), "PRAGMA user_version = 2");
    world.reopened().work("m", crate::world::Outcome::Done).await;
}

#[tokio::test]
async fn a_store_of_a_format_that_was_never_released_is_refused_and_stays_as_it_is() {
    let world = World::new();
    world.post("m", "s").await;
    world.store.close();
    change(&world.database(), "ALTER TABLE entries DROP COLUMN flow; PRAGMA user_version = 1");
    let error = refusal(world.folder.path());
    assert!(matches!(error, OpenError::Earlier { found: 1, known: 2, .. }), "{error}");
    assert!(error.to_string().contains("format 1"), "{error}");
    assert_eq!(crate::world::number(&world.database(), "SELECT count(*) FROM entries"), 1);
}

#[tokio::test]
async fn a_database_that_is_gone_or_empty_where_one_was_is_not_replaced_by_a_new_one() {
    for empty in [true, false] {
        let world = World::new();
        world.post("m", "s").await;
        world.store.close();
        if empty {
            std::fs::write(world.database(), "").unwrap();
        } else {
            std::fs::remove_file(world.database()).unwrap();
        }
        let error = refusal(world.folder.path());
        assert!(matches!(error, OpenError::Gone(_)), "{error}");
        assert!(matches!(refusal(world.folder.path()), OpenError::Gone(_)));
    }
}

#[test]
fn an_empty_file_where_no_store_was_is_a_new_store() {
    // A kill between making the file and its first page leaves this.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(DATABASE), "").unwrap();
    open(folder.path()).unwrap().close();
}

/// Found by the images of a power loss: such a store was refused as somebody else's for ever.
#[tokio::test]
async fn a_store_that_was_being_made_when_the_power_went_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    // Some of the pages are on the disk, the first one is not; the journal says that there were none before.
    std::fs::write(folder.path().join(DATABASE), vec![0; 2 * 4_096]).unwrap();
    let mut journal = vec![0; 512];
    journal[..8].copy_from_slice(&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]);
    journal[20..24].copy_from_slice(&512_u32.to_be_bytes());
    journal[24..28].copy_from_slice(&4_096_u32.to_be_bytes());
    let path = folder.path().join("chaski.db-journal");
    // With any page that was there before, it is somebody's.
    journal[19] = 1;
    std::fs::write(&path, &journal).unwrap();
    assert!(matches!(refusal(folder.path()), OpenError::Foreign(_)));
    journal[19] = 0;
    std::fs::write(&path, &journal).unwrap();
    let world = World::in_folder(folder, START, |_| ());
    world.post("m", "s").await;
    world.reopened().work("m", crate::world::Outcome::Done).await;
}
