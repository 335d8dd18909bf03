//! Bodies that are kept beside their entries: taken in and read in pieces, whatever their size.

use std::collections::VecDeque;
use std::time::Duration;

use chaski_core::limits;
use chaski_core::ports::{Bodies, BodyError, DeskError, KeptBody, OpenBody, Upload};
use chaski_core::time::Timestamp;
use futures_util::stream;

use super::Store;
use super::ports::answer;
use crate::look;
use crate::row::{BodyRow, BodyState, PIECE_BYTES, PieceRow};
use crate::writer::{Begin, BodyJob, Change, Finish, Finished, GiveUp, Promise, Told, WritePiece};

/// How long an upload may take to come, and to be named by a message then.
pub(crate) const UPLOAD: Duration = Duration::from_secs(24 * 60 * 60);
/// Pieces of one body that are handed in and not yet written: one is packed while others are synced, and the memory of
/// a body is bounded.
const HANDED_IN: usize = 1;
/// Pieces that are kept as they came after one that packing made no smaller: the rest of such a body is likely alike, and
/// packing is most of what taking it costs.
const PLAIN: u32 = 15;

/// Why an upload is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// Nothing was promised under this reference, or it is over.
    #[error("no upload was promised here")]
    Unknown,
    /// It came before.
    #[error("the body was uploaded before")]
    Twice,
    /// It is over its size.
    #[error("a body has at most {} bytes", limits::LARGE_BODY_BYTES)]
    TooLarge,
    /// The store does not take it now; it may be sent again.
    #[error("the store does not take it: {0}")]
    Unavailable(String),
}

impl From<DeskError> for ReceiveError {
    fn from(error: DeskError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// A body that is being written. Given up when it is dropped before its end.
pub struct Receiving {
    store: Store,
    no: i64,
    reference: String,
    promised: bool,
    bytes: usize,
    pieces: i64,
    /// What has come of the next piece.
    piece: Vec<u8>,
    handed_in: VecDeque<Told<()>>,
    /// Pieces that are not tried to be packed.
    plain: u32,
    ended: bool,
}

impl Receiving {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// See [`ReceiveError`]; what was written is given up.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), ReceiveError> {
        self.bytes += bytes.len();
        if self.bytes > limits::LARGE_BODY_BYTES {
            return Err(ReceiveError::TooLarge);
        }
        while !bytes.is_empty() {
            let room = PIECE_BYTES - self.piece.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if self.piece.capacity() == 0 {
                self.piece.reserve_exact(PIECE_BYTES);
            }
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.piece.len() == PIECE_BYTES {
                self.hand_in().await?;
            }
        }
        Ok(())
    }

    /// Ends it; durable when it is answered. Its size.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub async fn finish(mut self) -> Result<u64, ReceiveError> {
        if !self.piece.is_empty() {
            self.hand_in().await?;
        }
        while let Some(told) = self.handed_in.pop_front() {
            answer(told).await?;
        }
        let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        let row = BodyRow { no: self.no, reference: self.reference.clone(), bytes, pieces: self.pieces };
        let finished = self.store.change(Finish { row, promised: self.promised }).await?;
        self.ended = true;
        match finished {
            Finished::There if self.promised => Err(ReceiveError::Twice),
            Finished::NotPromised => Err(ReceiveError::Unknown),
            Finished::Whole | Finished::There => Ok(u64::try_from(bytes).unwrap_or(0)),
        }
    }

    async fn hand_in(&mut self) -> Result<(), ReceiveError> {
        let piece = std::mem::take(&mut self.piece);
        let size = i64::try_from(piece.len()).unwrap_or(i64::MAX);
        let bytes = if self.plain > 0 {
            self.plain -= 1;
            piece
        } else {
            let turn = self.store.inner.pieces.acquire().await;
            let packed = tokio::task::spawn_blocking(move || PieceRow::pack(piece)).await;
            drop(turn);
            let (_, bytes) = packed.map_err(|error| ReceiveError::Unavailable(error.to_string()))?;
            if i64::try_from(bytes.len()) == Ok(size) {
                self.plain = PLAIN;
            }
            bytes
        };
        let row = PieceRow { no: PieceRow::number(self.no, self.pieces), size, bytes };
        self.pieces += 1;
        let (job, told) = BodyJob::new(WritePiece(row));
        self.store.hand_in(job);
        self.handed_in.push_back(told);
        if self.handed_in.len() > HANDED_IN
            && let Some(told) = self.handed_in.pop_front()
        {
            answer(told).await?;
        }
        Ok(())
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if !self.ended {
            let (job, _) = BodyJob::new(GiveUp(self.no));
            self.store.hand_in(job);
        }
    }
}

impl Store {
    /// Begins to take an upload that was promised.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub async fn receive(&self, reference: &str) -> Result<Receiving, ReceiveError> {
        match self.body(reference).await {
            Ok(Some((_, BodyState::Promised))) => {}
            Ok(None) => return Err(ReceiveError::Unknown),
            Ok(Some(_)) | Err(BodyError::Gone(_)) => return Err(ReceiveError::Twice),
            Err(error) => return Err(ReceiveError::Unavailable(error.to_string())),
        }
        self.begin(reference, true).await
    }

    async fn begin(&self, reference: &str, promised: bool) -> Result<Receiving, ReceiveError> {
        let no = self.change(Begin(reference.to_owned())).await?;
        Ok(Receiving {
            store: self.clone(),
            no,
            reference: reference.to_owned(),
            promised,
            bytes: 0,
            pieces: 0,
            piece: Vec::new(),
            handed_in: VecDeque::new(),
            plain: 0,
            ended: false,
        })
    }

    async fn change<T: Change>(&self, change: T) -> Result<T::Answer, DeskError> {
        let (job, told) = BodyJob::new(change);
        self.hand_in(job);
        answer(told).await
    }

    async fn body(&self, reference: &str) -> Result<look::FoundBody, BodyError> {
        let reference = reference.to_owned();
        self.look(move |connection| look::body(connection, &reference)).await.map_err(unavailable)?
    }
}

fn unavailable(error: DeskError) -> BodyError {
    BodyError::Unavailable(error.to_string())
}

fn kept(row: BodyRow) -> KeptBody {
    KeptBody { reference: row.reference, bytes: u64::try_from(row.bytes).unwrap_or(0) }
}

impl Bodies for Store {
    async fn put(&self, id: &str, bytes: Vec<u8>, _: Option<Timestamp>) -> Result<KeptBody, BodyError> {
        // The id is that of these very bytes: a message that is posted again finds them.
        if let Some((row, BodyState::Whole)) = self.body(id).await? {
            return Ok(kept(row));
        }
        let lost = |error: ReceiveError| BodyError::Unavailable(error.to_string());
        let mut receiving = self.begin(id, false).await.map_err(lost)?;
        receiving.write(&bytes).await.map_err(lost)?;
        let bytes = receiving.finish().await.map_err(lost)?;
        Ok(KeptBody { reference: id.to_owned(), bytes })
    }

    async fn look(&self, reference: &str, _: Option<Timestamp>) -> Result<Option<KeptBody>, BodyError> {
        let found = self.body(reference).await?;
        Ok(found.filter(|(_, state)| *state == BodyState::Whole).map(|(row, _)| kept(row)))
    }

    async fn open(&self, reference: &str) -> Result<OpenBody, BodyError> {
        let Some((row, BodyState::Whole)) = self.body(reference).await? else {
            return Err(BodyError::Gone("it is not in the store".to_owned()));
        };
        let (store, no) = (self.clone(), row.no);
        let pieces = stream::try_unfold(0, move |place| {
            let store = store.clone();
            async move {
                if place >= row.pieces {
                    return Ok(None);
                }
                let number = PieceRow::number(no, place);
                let piece = store.look_in(&store.inner.pieces, move |connection| look::piece(connection, number)).await;
                Ok(Some((piece.map_err(unavailable)??, place + 1)))
            }
        });
        Ok(OpenBody { bytes: u64::try_from(row.bytes).unwrap_or(0), pieces: Box::pin(pieces) })
    }

    /// Nothing is to be done: it stays as long as its message does, and a dead message as long as its dead letter.
    async fn keep(&self, reference: &str, _: &str, _: u32) -> Result<String, BodyError> {
        Ok(reference.to_owned())
    }

    async fn promise(&self, reference: &str, now: Timestamp) -> Result<Upload, BodyError> {
        self.change(Promise(reference.to_owned())).await.map_err(unavailable)?;
        Ok(Upload { to: None, expires_at: now.plus(UPLOAD) })
    }
}
