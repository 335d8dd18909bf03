//! A body on its way to the target: read as fast as the target takes it, and no faster.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use chaski_core::ports::{BodyError, OpenBody, Pieces};
use http_body::{Body, Frame, SizeHint};

/// An opened body, with its length told before.
pub(crate) struct Streamed {
    // Never contended: the client asks for a body that can be shared between threads, and does not share it.
    pieces: Mutex<Pieces>,
    /// What has come of a piece and was not yet asked for.
    piece: Bytes,
    left: u64,
}

/// Bytes that the client is given at once. It gathers what it is given until that is 400 KiB, and the last of it may
/// come on top.
const FRAME_BYTES: usize = 16_384;

impl Streamed {
    pub(crate) fn new(body: OpenBody) -> Self {
        Self { pieces: Mutex::new(body.pieces), piece: Bytes::new(), left: body.bytes }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        while this.piece.is_empty() {
            let pieces = this.pieces.get_mut().unwrap_or_else(PoisonError::into_inner);
            this.piece = match ready!(pieces.as_mut().poll_next(cx)) {
                Some(Ok(piece)) => Bytes::from(piece),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if this.left == 0 => return Poll::Ready(None),
                None => return Poll::Ready(Some(Err(wrong_length()))),
            };
        }
        let frame = this.piece.split_to(this.piece.len().min(FRAME_BYTES));
        let size = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        let Some(left) = this.left.checked_sub(size) else { return Poll::Ready(Some(Err(wrong_length()))) };
        this.left = left;
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The target never gets another body than the one that was told: the connection breaks instead.
fn wrong_length() -> BodyError {
    BodyError::Gone("it has another length than it was kept with".to_owned())
}
