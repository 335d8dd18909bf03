//! A disk that is full at the start; `tests/torture` fills one while the store works.

use chaski_core::ports::{Enqueue, EnqueueError};

use crate::world::{Outcome, World, entry, until};

/// A folder stands where the reserve belongs: it can't be made, as on a full disk.
fn take_room(folder: &tempfile::TempDir) {
    std::fs::remove_file(folder.path().join("reserve")).unwrap();
    std::fs::create_dir(folder.path().join("reserve")).unwrap();
}

#[tokio::test]
async fn a_disk_that_is_full_at_the_start_is_told_deliveries_go_on_and_taking_begins_by_itself() {
    let world = World::new();
    world.post("m", "s").await;
    world.store.close();
    take_room(&world.folder);
    let world = world.reopened();
    assert_eq!(world.store.is_taking(), Err("the disk is full".to_owned()));
    let refused = world.store.enqueue(entry("n", "s")).await;
    assert_eq!(refused, Err(EnqueueError::Unavailable("the disk is full".to_owned())));
    world.work("m", Outcome::Done).await;
    assert!(world.store.is_taking().is_err());

    std::fs::remove_dir(world.folder.path().join("reserve")).unwrap();
    // Nobody asks for anything meanwhile.
    until(|| world.store.is_taking().is_ok()).await;
    world.post("n", "s").await;
    world.work("n", Outcome::Done).await;
    world.is_well();
}
