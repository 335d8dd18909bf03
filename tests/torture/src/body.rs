//! Bodies beside the queue: which messages of the work have one, of which bytes, and whether it is still those.

use std::sync::{Arc, OnceLock};

use chaski_core::envelope::Envelope;
use chaski_core::ledger::Listing;
use chaski_core::ports::{Bodies, Clock, Entry, KeptBody};
use chaski_embedded::Store;
use fastrand::Rng;
use futures_util::TryStreamExt;

/// What the store writes of a body at once: sizes of the work lie around it.
const PIECE: usize = 262_144;
/// The length of the ids that the work makes up itself; those of callbacks are longer.
const ID_CHARS: usize = 10;

/// Whether the work's message of this id has a large body: one of 32.
#[must_use]
pub fn has_one(id: &str) -> bool {
    id.len() == ID_CHARS && id.starts_with('0') && id.as_bytes()[1] < b'8'
}

/// The body of a message, the same at every call.
#[must_use]
pub fn bytes_of(id: &str) -> Vec<u8> {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    let noise = NOISE.get_or_init(|| {
        let mut noise = vec![0; PIECE + 40_000];
        Rng::with_seed(0).fill(&mut noise);
        noise
    });
    let mut chance = Rng::with_seed(id.bytes().fold(0, |seed, byte| seed * 31 + u64::from(byte)));
    let size = [1, PIECE - 1, PIECE, PIECE + 1, noise.len()][chance.usize(0..5)];
    // Every other one is packed where it is kept.
    let same = if chance.bool() { size / 2 } else { 0 };
    let (behind, before) = noise.split_at(chance.usize(..noise.len()));
    let mut bytes = [before, behind].concat();
    bytes.truncate(size);
    bytes[..same].fill(b'a');
    bytes
}

/// Keeps the body that a message is to have: set aside in a call, or uploaded before.
///
/// # Errors
/// The store's words.
pub(crate) async fn keep(store: &Store, clock: &impl Clock, id: &str) -> Result<KeptBody, String> {
    let bytes = bytes_of(id);
    if bytes.len().is_multiple_of(2) {
        return store.put(id, bytes, None).await.map_err(|error| error.to_string());
    }
    let reference = format!("upload.{id}");
    store.promise(&reference, clock.now()).await.map_err(|error| error.to_string())?;
    let mut upload = store.receive(&reference).await.map_err(|error| error.to_string())?;
    for piece in bytes.chunks(PIECE / 3) {
        upload.write(piece).await.map_err(|error| error.to_string())?;
    }
    let bytes = upload.finish().await.map_err(|error| error.to_string())?;
    Ok(KeptBody { reference, bytes })
}

/// The entry, which names this body.
pub(crate) fn naming(entry: Entry, kept: KeptBody) -> Entry {
    let mut text: serde_json::Value = serde_json::from_str(&entry.body).expect("an entry is JSON");
    text["message"]["body_ref"] = kept.reference.as_str().into();
    text["meta"]["body_bytes"] = kept.bytes.into();
    let listing =
        entry.listing.as_ref().map(|listing| Arc::new(Listing { body: Some(kept), ..Listing::clone(listing) }));
    Entry { body: text.to_string(), listing, ..entry }
}

/// The body that a message's text names.
pub(crate) fn named_by(text: &[u8]) -> Option<KeptBody> {
    KeptBody::of(&Envelope::read(std::str::from_utf8(text).ok()?).ok()?.message.body)
}

/// What is wrong with the body of a message that is listed: it lives as long as that is.
pub(crate) async fn wrong(store: &Store, listing: &Listing) -> Option<String> {
    let id = &listing.id;
    let kept = match &listing.body {
        None if has_one(id) => return Some(format!("{id} has no body any more")),
        None => return None,
        Some(kept) => kept,
    };
    let opened = match store.open(&kept.reference).await {
        Ok(opened) => opened.pieces.try_concat().await,
        Err(error) => Err(error),
    };
    match opened {
        Ok(bytes) if bytes == bytes_of(id) => None,
        Ok(bytes) => Some(format!("{id} has another body, of {} bytes", bytes.len())),
        Err(error) => Some(format!("the body of {id}: {error}")),
    }
}
