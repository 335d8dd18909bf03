//! Bodies that are too large for a queue, kept in S3: `live/` and `long/` for messages on their way, `dead/` for dead
//! letters, `claim/` for whose an upload is. The bucket's rules delete the first after 30 days, the second after 400 and
//! the last after 32; a dead letter's body stays, or goes some days after its record does.

use std::io::Write;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use chaski_core::ports::{Bodies, BodyError, Claim, Clock, KeptBody, OpenBody, Pieces, Upload, UploadAddress};
use chaski_core::time::Timestamp;
use flate2::Compression;
use flate2::write::{DeflateDecoder, DeflateEncoder};
use futures_util::stream;

use crate::error::SignedError;
use crate::s3::{Object, S3};

/// How long an address takes an upload. It ends with the function's credentials too, which last some hours.
const UPLOAD: Duration = Duration::from_secs(60 * 60);
/// A message that waits for longer has its body where it is kept for longer: half of the 30 days are for its retries.
const LONG: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What is read of a claim: a message's id.
const CLAIM_BYTES: usize = 256;
/// Behind the key of a packed body, with its size before it was packed.
const PACKED: &str = ".z";
/// Bytes that are unpacked at once: they become a thousand times as many at the very most.
const STEP: usize = 1_024;

/// The bodies of a stack. Without a bucket it keeps none.
#[derive(Debug, Clone)]
pub struct S3Bodies<C> {
    bucket: Option<S3>,
    clock: C,
    dead: String,
}

impl<C> S3Bodies<C> {
    /// Days after which a dead letter's body is deleted by a rule of the bucket, a week later: each is a folder below
    /// `dead/`, `30d/`. DynamoDB deletes an expired record within some days, and a body has to outlive its record.
    pub const DEAD_DAYS: [u32; 5] = [7, 30, 90, 365, 1_095];
}

impl<C: Clock> S3Bodies<C> {
    /// In this bucket, if there is one.
    #[must_use]
    pub fn new(bucket: Option<S3>, clock: C) -> Self {
        Self { bucket, clock, dead: "dead/".to_owned() }
    }

    /// The same, for dead letters that are deleted after so long; `None` is never.
    #[must_use]
    pub fn burying(self, retention: Option<Duration>) -> Self {
        let lasts = |days: &u32| retention.is_some_and(|retention| retention <= DAY * *days);
        let dead = Self::DEAD_DAYS.into_iter().find(lasts).map(|days| format!("dead/{days}d/"));
        Self { dead: dead.unwrap_or_else(|| "dead/".to_owned()), ..self }
    }

    fn bucket(&self) -> Result<&S3, BodyError> {
        self.bucket.as_ref().ok_or(BodyError::NotKept)
    }

    fn folder(&self, until: Option<Timestamp>) -> &'static str {
        let wait = until.map(|until| until.since(self.clock.now())).unwrap_or_default();
        if wait > LONG { "long" } else { "live" }
    }

    /// Puts a dead letter's body where a message's body is kept, for the message's next generation.
    ///
    /// # Errors
    /// It is not there any more, or not known to be copied.
    pub async fn revive(&self, reference: &str, id: &str, generation: u32) -> Result<String, BodyError> {
        self.copy(reference, format!("live/{id}/{generation}")).await
    }

    /// Deletes a dead letter's body; none of a message that is on its way.
    ///
    /// # Errors
    /// It may still be there.
    pub async fn forget(&self, reference: &str) -> Result<(), BodyError> {
        match reference.strip_prefix("dead/") {
            Some(_) => self.bucket()?.delete(reference).await.map_err(unavailable),
            None => Ok(()),
        }
    }

    async fn copy(&self, from: &str, to: String) -> Result<String, BodyError> {
        let from = key(from);
        let to = match packed(&from) {
            Some(bytes) => format!("{to}{PACKED}{bytes}"),
            None => to,
        };
        match self.bucket()?.copy(&from, &to).await.map_err(unavailable)? {
            true => Ok(to),
            false => Err(gone()),
        }
    }
}

/// Where a reference is kept: an upload's has no folder.
fn key(reference: &str) -> String {
    if reference.contains('/') { reference.to_owned() } else { format!("live/{reference}") }
}

/// Where it stands whose an upload is.
fn claim_key(reference: &str) -> String {
    format!("claim/{reference}")
}

/// The size that a packed body had.
fn packed(key: &str) -> Option<u64> {
    key.rsplit_once(PACKED)?.1.parse().ok()
}

/// The bytes, packed where that makes them fewer.
fn pack(bytes: Vec<u8>) -> (Vec<u8>, bool) {
    let mut packer = DeflateEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::fast());
    // Writing to a vector can't fail; were it ever to, the plain bytes are as true as the packed ones.
    match packer.write_all(&bytes).and_then(|()| packer.finish()) {
        Ok(packed) if packed.len() < bytes.len() => (packed, true),
        _ => (bytes, false),
    }
}

fn plain(object: Object) -> Pieces {
    Box::pin(stream::try_unfold(object, |mut object| async move {
        let piece = object.chunk().await.map_err(unavailable)?;
        Ok(piece.map(|piece| (piece.to_vec(), object)))
    }))
}

/// A packed body while it is read.
struct Unpacking {
    object: Object,
    /// What was read and not yet unpacked.
    read: Bytes,
    unpacker: Option<DeflateDecoder<Vec<u8>>>,
}

impl Unpacking {
    /// The next bytes; none at the end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, BodyError> {
        let damaged = |_| BodyError::Gone("what is kept of it can't be unpacked".to_owned());
        loop {
            let Some(unpacker) = &mut self.unpacker else { return Ok(None) };
            if self.read.is_empty() {
                match self.object.chunk().await.map_err(unavailable)? {
                    Some(more) => self.read = more,
                    None => {
                        let rest = self.unpacker.take().map(DeflateDecoder::finish).transpose().map_err(damaged)?;
                        return Ok(rest.filter(|rest| !rest.is_empty()));
                    }
                }
            }
            let step = self.read.split_to(self.read.len().min(STEP));
            unpacker.write_all(&step).map_err(damaged)?;
            let piece = std::mem::take(unpacker.get_mut());
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }
}

fn unpacked(object: Object) -> Pieces {
    let unpacker = Some(DeflateDecoder::new(Vec::new()));
    let begin = Unpacking { object, read: Bytes::new(), unpacker };
    Box::pin(stream::try_unfold(begin, |mut unpacking| async move {
        Ok(unpacking.next().await?.map(|piece| (piece, unpacking)))
    }))
}

fn unavailable(error: SignedError) -> BodyError {
    BodyError::Unavailable(error.to_string())
}

fn gone() -> BodyError {
    BodyError::Gone("it is not in the bucket any more".to_owned())
}

impl<C: Clock> Bodies for S3Bodies<C> {
    fn keeps(&self) -> bool {
        self.bucket.is_some()
    }

    async fn put(&self, id: &str, bytes: Vec<u8>, until: Option<Timestamp>) -> Result<KeptBody, BodyError> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let (kept, is_packed) = pack(bytes);
        let folder = self.folder(until);
        let reference = if is_packed { format!("{folder}/{id}{PACKED}{size}") } else { format!("{folder}/{id}") };
        self.bucket()?.put(&reference, kept.into()).await.map_err(unavailable)?;
        Ok(KeptBody { reference, bytes: size })
    }

    async fn look(&self, reference: &str, until: Option<Timestamp>) -> Result<Option<KeptBody>, BodyError> {
        let key = key(reference);
        let Some(bytes) = self.bucket()?.head(&key).await.map_err(unavailable)? else { return Ok(None) };
        if self.folder(until) == "live" {
            return Ok(Some(KeptBody { reference: key, bytes }));
        }
        match self.copy(&key, format!("long/{reference}")).await {
            Ok(reference) => Ok(Some(KeptBody { reference, bytes })),
            Err(BodyError::Gone(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn claim(&self, reference: &str, id: &str) -> Result<Claim, BodyError> {
        let (bucket, key) = (self.bucket()?, claim_key(reference));
        if bucket.put_new(&key, Bytes::copy_from_slice(id.as_bytes())).await.map_err(unavailable)? {
            return Ok(Claim::Now);
        }
        let Some(claim) = bucket.get(&key).await.map_err(unavailable)? else {
            return Err(BodyError::Unavailable("its claim went while it was looked at".to_owned()));
        };
        let owner = claim.whole(CLAIM_BYTES).await.map_err(unavailable)?;
        Ok(if owner == id.as_bytes() { Claim::Known } else { Claim::Taken })
    }

    async fn unclaim(&self, reference: &str) {
        let Ok(bucket) = self.bucket() else { return };
        if let Err(error) = bucket.delete(&claim_key(reference)).await {
            tracing::warn!(
                event.action = "claim_stays",
                "an upload stays the one of a message that was not taken: {error}"
            );
        }
    }

    async fn open(&self, reference: &str) -> Result<OpenBody, BodyError> {
        let key = key(reference);
        let object = self.bucket()?.get(&key).await.map_err(unavailable)?.ok_or_else(gone)?;
        Ok(match packed(&key) {
            Some(bytes) => OpenBody { bytes, pieces: unpacked(object) },
            None => OpenBody { bytes: object.length(), pieces: plain(object) },
        })
    }

    async fn keep(&self, reference: &str, id: &str, generation: u32) -> Result<String, BodyError> {
        if reference.starts_with("dead/") {
            return Ok(reference.to_owned());
        }
        self.copy(reference, format!("{}{id}/{generation}", self.dead)).await
    }

    async fn promise(&self, reference: &str, now: Timestamp) -> Result<Upload, BodyError> {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now.millis()).unwrap_or(0));
        let signed = self.bucket()?.presign_put(&key(reference), UPLOAD, at).map_err(BodyError::Unavailable)?;
        let headers = signed.headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let to = Some(UploadAddress { url: signed.address, headers });
        Ok(Upload { to, expires_at: now.plus(UPLOAD) })
    }
}

#[cfg(test)]
mod tests;
