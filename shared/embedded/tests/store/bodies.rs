//! Bodies that are kept beside their entries: how they come, whose they are, and when they go.

use std::sync::Arc;

use chaski_core::envelope::{Aside, Body, Envelope, Form, Message, Meta};
use chaski_core::filter::{DeadLetterFilter, Page, Whose};
use chaski_core::ports::{
    Bodies, BodyError, DeadLetters, Enqueue, EnqueueError, Entry, KeptBody, Ledger, Replayed, Taken,
};
use chaski_embedded::{ReceiveError, examine};
use futures_util::TryStreamExt;

use crate::world::{HOUR, Outcome, World, change, listed, listing, number, until};

/// Bytes that no packer makes smaller, always the same.
fn chance(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// An entry whose body is kept under that reference.
fn naming(id: &str, subject: &str, kept: &KeptBody) -> Entry {
    let mut entry = listed(listing(id, subject));
    let aside = Aside { reference: kept.reference.clone(), bytes: kept.bytes, form: Form::Bytes };
    let envelope = Envelope {
        message: Message { body: Body::Aside(aside), ..message() },
        meta: Some(Meta { id: id.to_owned(), ..Meta::default() }),
        ..Envelope::read(&entry.body.replace("\"meta\"", "\"message\":{\"url\":\"http://e.org\"},\"meta\"")).unwrap()
    };
    entry.body = envelope.to_wire();
    entry.listing = Some(Arc::new(chaski_core::ledger::Listing { body: Some(kept.clone()), ..listing(id, subject) }));
    entry
}

fn message() -> Message {
    Envelope::read(r#"{"subject":"s","message":{"url":"http://e.org"}}"#).unwrap().message
}

impl World {
    async fn read(&self, reference: &str) -> Result<Vec<u8>, BodyError> {
        self.store.open(reference).await?.pieces.try_concat().await
    }

    async fn upload(&self, reference: &str, bytes: &[u8]) -> Result<u64, ReceiveError> {
        self.store.promise(reference, chaski_core::ports::Clock::now(&*self.clock)).await.unwrap();
        let mut receiving = self.store.receive(reference).await?;
        for piece in bytes.chunks(70_000) {
            receiving.write(piece).await?;
        }
        receiving.finish().await
    }

    fn bodies(&self) -> (i64, i64) {
        let database = self.database();
        (number(&database, "SELECT count(*) FROM bodies"), number(&database, "SELECT count(*) FROM body_pieces"))
    }

    async fn is_without_bodies(&self) {
        until(|| self.bodies() == (0, 0)).await;
    }

    fn findings(&self) -> Vec<String> {
        let report = examine(self.folder.path(), &mut |_| ()).unwrap();
        report.findings.into_iter().map(|finding| format!("{} {}", finding.place, finding.detail)).collect()
    }
}

#[tokio::test]
async fn a_body_comes_back_as_it_was_also_after_a_kill() {
    let world = World::new();
    let mut kept = Vec::new();
    for size in [1, 262_143, 262_144, 262_145, 524_288, 3_900_000] {
        let (packed, hard) = (vec![b'x'; size], chance(size));
        for (name, bytes) in [("packed", packed), ("hard", hard)] {
            let id = format!("{name}-{size}");
            let told = world.store.put(&id, bytes.clone(), None).await.unwrap();
            assert_eq!(told, KeptBody { reference: id.clone(), bytes: size.try_into().unwrap() });
            // Again is no harm.
            assert_eq!(world.store.put(&id, bytes.clone(), None).await.unwrap(), told);
            kept.push((id, bytes));
        }
    }
    assert_eq!(world.bodies().0, 12);
    let world = world.killed();
    for (id, bytes) in kept {
        assert!(world.read(&id).await.unwrap() == bytes, "{id}");
    }
    assert_eq!(world.findings(), Vec::<String>::new());
}

#[tokio::test]
async fn an_upload_is_written_once_and_only_where_it_was_promised() {
    let world = World::new();
    assert_eq!(world.store.receive("nobody").await.err(), Some(ReceiveError::Unknown));
    let body = chance(1_000_000);
    assert_eq!(world.upload("a.b", &body).await, Ok(1_000_000));
    assert!(world.read("a.b").await.unwrap() == body);
    assert_eq!(world.store.receive("a.b").await.err(), Some(ReceiveError::Twice));
    assert_eq!(world.store.look("a.b", None).await.unwrap().map(|kept| kept.bytes), Some(1_000_000));

    // Two at once: the first to end is the body.
    world.store.promise("c.d", chaski_core::ports::Clock::now(&*world.clock)).await.unwrap();
    assert_eq!(world.store.look("c.d", None).await.unwrap(), None, "nothing came yet");
    let (mut one, mut two) = (world.store.receive("c.d").await.unwrap(), world.store.receive("c.d").await.unwrap());
    one.write(b"one").await.unwrap();
    two.write(b"two").await.unwrap();
    assert_eq!((two.finish().await, one.finish().await), (Ok(3), Err(ReceiveError::Twice)));
    assert_eq!(world.read("c.d").await.unwrap(), b"two");
    assert_eq!(world.findings(), Vec::<String>::new());
}

#[tokio::test]
async fn an_upload_ends_at_its_limit_and_one_that_breaks_off_may_come_again() {
    let world = World::new();
    let most = chaski_core::limits::LARGE_BODY_BYTES;
    let body = vec![7; most + 1];
    assert_eq!(world.upload("over", &body).await, Err(ReceiveError::TooLarge));
    assert_eq!(world.upload("at", &body[..most]).await, Ok(most.try_into().unwrap()));
    let mut broken = world.store.receive("over").await.unwrap();
    broken.write(&chance(600_000)).await.unwrap();
    drop(broken);
    let mut again = world.store.receive("over").await.unwrap();
    again.write(b"again").await.unwrap();
    assert_eq!(again.finish().await, Ok(5));
    assert_eq!(world.read("over").await.unwrap(), b"again");
}

#[tokio::test]
async fn a_body_is_one_message_s() {
    let world = World::new();
    world.upload("a.b", b"body").await.unwrap();
    let kept = world.store.look("a.b", None).await.unwrap().unwrap();
    assert_eq!(world.store.enqueue(naming("m-1", "s", &kept)).await, Ok(Taken::New));
    assert_eq!(world.store.enqueue(naming("m-1", "s", &kept)).await, Ok(Taken::Duplicate));
    assert_eq!(world.store.enqueue(naming("m-2", "s", &kept)).await, Err(EnqueueError::BodyTaken));
    let gone = KeptBody { reference: "gone".to_owned(), bytes: 1 };
    assert!(matches!(world.store.enqueue(naming("m-3", "s", &gone)).await, Err(EnqueueError::Unavailable(_))));
    // What was refused has left nothing.
    assert_eq!(number(&world.database(), "SELECT count(*) FROM messages"), 1);
    let record = world.store.message("m-1", &Whose::default(), std::time::Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(record.listing.body, Some(kept));
    assert_eq!(world.findings(), Vec::<String>::new());
}

#[tokio::test]
async fn a_delivered_message_s_body_goes_with_its_retention() {
    let world = World::new();
    let kept = world.store.put("m-1", chance(3_000_000), None).await.unwrap();
    world.store.enqueue(naming("m-1", "s", &kept)).await.unwrap();
    world.work("m-1", Outcome::Done).await;
    world.clock.pass(6 * 24 * HOUR);
    assert!(world.read("m-1").await.is_ok());
    world.clock.pass(2 * 24 * HOUR);
    world.is_without_bodies().await;
    assert!(matches!(world.read("m-1").await, Err(BodyError::Gone(_))));
}

#[tokio::test]
async fn what_no_message_took_goes_after_a_day() {
    let world = World::new();
    world.upload("a.b", &chance(600_000)).await.unwrap();
    world.store.promise("never", chaski_core::ports::Clock::now(&*world.clock)).await.unwrap();
    world.store.put("set aside", chance(300_000), None).await.unwrap();
    world.clock.pass(23 * HOUR);
    assert_eq!(world.bodies().0, 3);
    world.clock.pass(2 * HOUR);
    world.is_without_bodies().await;
    assert_eq!(world.store.receive("never").await.err(), Some(ReceiveError::Unknown));
}

#[tokio::test]
async fn a_dead_letter_keeps_its_body_and_a_replay_uses_it_again() {
    let world = World::new();
    let body = chance(1_000_000);
    let kept = world.store.put("m-1", body.clone(), None).await.unwrap();
    world.store.enqueue(naming("m-1", "s", &kept)).await.unwrap();
    world.work("m-1", Outcome::Bury).await;
    world.clock.pass(400 * 24 * HOUR);
    let world = world.reopened();
    let found = world.store.for_replay(&DeadLetterFilter::default(), &Page { limit: 9, cursor: None }).await.unwrap();
    let letter = &found.items[0].letter;
    let settings = chaski_core::settings::Settings::read("", &|_| None).unwrap();
    let now = chaski_core::ports::Clock::now(&*world.clock);
    let next = chaski_core::app::next_generation(letter, &settings, now).unwrap();
    assert_eq!(world.store.replay(letter, &next).await, Ok(Replayed::Sent));
    assert!(world.read("m-1").await.unwrap() == body);
    world.work("m-1", Outcome::Bury).await;

    // The last of it goes with the dead letter.
    assert!(world.store.delete("m-1", 2, &Whose::default()).await.unwrap());
    world.clock.pass(8 * 24 * HOUR);
    world.is_without_bodies().await;
}

#[tokio::test]
async fn a_message_whose_body_is_gone_is_not_replayed() {
    let world = World::new();
    let kept = world.store.put("m-1", chance(300_000), None).await.unwrap();
    world.store.enqueue(naming("m-1", "s", &kept)).await.unwrap();
    world.work("m-1", Outcome::Bury).await;
    change(&world.database(), "DELETE FROM bodies; DELETE FROM body_pieces;");
    let found = world.store.dead_letter("m-1", None, &Whose::default()).await.unwrap().unwrap();
    let settings = chaski_core::settings::Settings::read("", &|_| None).unwrap();
    let next = chaski_core::app::next_generation(&found.letter, &settings, found.letter.died_at).unwrap();
    assert!(world.store.replay(&found.letter, &next).await.is_err());
    let found = world.store.dead_letter("m-1", None, &Whose::default()).await.unwrap().unwrap();
    assert_eq!(found.replayed_at, None);
    assert_eq!(world.findings(), ["dead_letters 1 names a body that is not there"]);
}

#[tokio::test]
async fn a_flipped_bit_is_no_other_body() {
    let world = World::new();
    for id in ["m-1", "m-2"] {
        let kept = world.store.put(id, chance(600_000), None).await.unwrap();
        world.store.enqueue(naming(id, "s", &kept)).await.unwrap();
    }
    let flip = "UPDATE body_pieces SET bytes = CAST(x'00' || substr(bytes, 2) AS BLOB) WHERE no = 257;
        DELETE FROM body_pieces WHERE no = 513;";
    change(&world.database(), flip);
    for id in ["m-1", "m-2"] {
        assert!(matches!(world.read(id).await, Err(BodyError::Gone(_))), "{id}");
    }
    let expected =
        ["body_pieces 257 does not match its checksum", "bodies 2 has other pieces than it was written with"];
    assert_eq!(world.findings(), expected);
}
