//! Reading a request's body: bounded in size, in time, and in what all bodies take together.

use std::sync::Arc;
use std::time::Duration;

use chaski_core::limits;
use chaski_core::problem::Problem;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The next piece of a body comes within this time …
const PIECE: Duration = Duration::from_secs(10);
/// … and the whole within this.
const WHOLE: Duration = Duration::from_secs(60);
/// How long a body waits for room.
const ROOM: Duration = Duration::from_secs(5);
const KIB: usize = 1_024;

/// A body, with its place among all bodies.
pub(super) struct ReadBody {
    pub(super) bytes: Vec<u8>,
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// Reads a body to its end.
///
/// # Errors
/// 413 over the limit, 400 when it stops coming, 503 when all bodies together take too much.
pub(super) async fn read(mut body: Incoming, room: &Arc<Semaphore>) -> Result<ReadBody, Problem> {
    if body.is_end_stream() {
        return Ok(ReadBody { bytes: Vec::new(), place: None });
    }
    let told = body.size_hint().exact().map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    if told.is_some_and(|size| size > limits::SERVE_BATCH_BYTES) {
        return Err(too_large());
    }
    let mut place = reserve(room, told.unwrap_or(0)).await?;
    let mut bytes = Vec::with_capacity(told.unwrap_or(0));
    let reading = async {
        while let Some(frame) = timeout(PIECE, body.frame()).await.map_err(|_| slow())? {
            let frame = frame.map_err(|_| Problem::new(400, "the body ended before its length"))?;
            let Ok(piece) = frame.into_data() else { continue };
            if bytes.len() + piece.len() > limits::SERVE_BATCH_BYTES {
                return Err(too_large());
            }
            if told.is_none() {
                place.merge(reserve(room, piece.len()).await?);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(())
    };
    timeout(WHOLE, reading).await.map_err(|_| slow())??;
    Ok(ReadBody { bytes, place: Some(place) })
}

async fn reserve(room: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
    let kib = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX);
    match timeout(ROOM, room.clone().acquire_many_owned(kib)).await {
        Ok(Ok(place)) => Ok(place),
        _ => Err(Problem::new(503, "too many bodies are being read; send it again")),
    }
}

fn too_large() -> Problem {
    Problem::new(413, format!("the body has over {} bytes, which is what a call may have", limits::SERVE_BATCH_BYTES))
}

fn slow() -> Problem {
    Problem::new(400, "the body came too slowly")
}
