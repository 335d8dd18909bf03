//! Reading a request's body: bounded in size, in time, and in what all bodies take together.

use std::sync::Arc;

use bytes::Bytes;
use chaski_core::limits;
use chaski_core::problem::Problem;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Patience;

/// The unit in which room for bodies is counted.
const KIB: usize = 1_024;
/// What is read of a refused body, so that its sender comes to read the answer: what a call may have at most, twice.
const DISCARDED: usize = 2 * limits::SERVE_BATCH_BYTES;

/// A body, with its place among all bodies.
pub(super) struct ReadBody {
    pub(super) bytes: Vec<u8>,
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// Reads a body to its end.
///
/// # Errors
/// 413 over the limit, 400 when it stops coming, 503 when all bodies together take too much.
pub(super) async fn read(body: &mut Incoming, room: &Arc<Semaphore>, patience: &Patience) -> Result<ReadBody, Problem> {
    if body.is_end_stream() {
        return Ok(ReadBody { bytes: Vec::new(), place: None });
    }
    let told = body.size_hint().exact().map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    if told.is_some_and(|size| size > limits::SERVE_BATCH_BYTES) {
        return Err(too_large());
    }
    timeout(patience.body, read_all(body, told.unwrap_or(0), room, patience)).await.map_err(|_| slow())?
}

async fn read_all(
    body: &mut Incoming,
    told: usize,
    room: &Arc<Semaphore>,
    patience: &Patience,
) -> Result<ReadBody, Problem> {
    let mut place = reserve(room, told.div_ceil(KIB), patience).await?;
    let mut bytes = Vec::with_capacity(told);
    while let Some(piece) = next(body, patience).await? {
        let size = bytes.len() + piece.len();
        if size > limits::SERVE_BATCH_BYTES {
            return Err(too_large());
        }
        // By what has come together: pieces of one byte must not take a unit of room each.
        if let Some(more) = size.div_ceil(KIB).checked_sub(place.num_permits()).filter(|more| *more > 0) {
            place.merge(reserve(room, more, patience).await?);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(ReadBody { bytes, place: Some(place) })
}

/// The next piece; none at the end. Trailers are left out.
pub(super) async fn next(body: &mut Incoming, patience: &Patience) -> Result<Option<Bytes>, Problem> {
    loop {
        match timeout(patience.piece, body.frame()).await {
            Err(_) => return Err(slow()),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(Problem::new(400, "the body ended before its length, or broke its format")),
            Ok(Some(Ok(frame))) => {
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
        }
    }
}

async fn reserve(room: &Arc<Semaphore>, kib: usize, patience: &Patience) -> Result<OwnedSemaphorePermit, Problem> {
    let kib = u32::try_from(kib).unwrap_or(u32::MAX);
    match timeout(patience.room, room.clone().acquire_many_owned(kib)).await {
        Ok(Ok(place)) => Ok(place),
        _ => Err(Problem::new(503, "too many bodies are being read; send it again")),
    }
}

/// Reads what is still coming of a refused body, within bounds.
pub(super) async fn discard(mut body: Incoming, patience: Patience) {
    let reading = async {
        let mut left = DISCARDED;
        while let Ok(Some(piece)) = next(&mut body, &patience).await {
            match left.checked_sub(piece.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whoever is not done by then is hung up on.
    let _ = timeout(patience.refused, reading).await;
}

fn too_large() -> Problem {
    Problem::new(413, format!("the body has over {} bytes, which is what a call may have", limits::SERVE_BATCH_BYTES))
}

pub(super) fn slow() -> Problem {
    Problem::new(400, "the body came too slowly")
}
