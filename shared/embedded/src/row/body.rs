//! The rows of a body that is kept beside its entry: one for the body, and one for each piece of it.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use rusqlite::Row;

use super::Sum;

/// Bytes of a piece before it is packed; the last one has the rest.
pub(crate) const PIECE_BYTES: usize = 262_144;
/// Pieces that a body may have, by which their numbers are given: `body` × this, and the place.
const PIECES: i64 = 256;

/// How far a body's row has come. Never changed: it stands in stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyState {
    /// An upload was promised, and did not come yet.
    Promised = 0,
    /// Its pieces are being written.
    Open = 1,
    /// It can be read.
    Whole = 2,
    /// Its pieces are being deleted.
    Going = 3,
}

/// A body's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyRow {
    pub(crate) no: i64,
    /// What its message knows it by.
    pub(crate) reference: String,
    /// Its size.
    pub(crate) bytes: i64,
    /// How many pieces it has.
    pub(crate) pieces: i64,
}

/// The columns, in the order in which [`BodyRow::read`] takes them.
pub(crate) const COLUMNS: &str = "no, reference, bytes, pieces, sum";

impl BodyRow {
    pub(crate) fn sum(&self) -> i64 {
        Sum::default().number(self.no).text(&self.reference).number(self.bytes).number(self.pieces).finish()
    }

    /// Reads a row; the second value tells whether it says what was written.
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<(Self, bool)> {
        let body = Self { no: row.get(0)?, reference: super::text(row, 1)?, bytes: row.get(2)?, pieces: row.get(3)? };
        let whole = row.get::<_, i64>(4)? == body.sum();
        Ok((body, whole))
    }
}

/// A piece as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PieceRow {
    pub(crate) no: i64,
    /// Its size before it was packed.
    pub(crate) size: i64,
    /// Packed, where that made it smaller.
    pub(crate) bytes: Vec<u8>,
}

/// The columns, in the order in which [`PieceRow::read`] takes them.
pub(crate) const PIECE_COLUMNS: &str = "no, size, bytes, sum";

impl PieceRow {
    /// The number of a body's piece, from 0 on.
    pub(crate) fn number(body: i64, place: i64) -> i64 {
        body * PIECES + place
    }

    /// The numbers of all pieces of a body.
    pub(crate) fn numbers(body: i64) -> std::ops::Range<i64> {
        Self::number(body, 0)..Self::number(body + 1, 0)
    }

    /// Packs a piece, if that makes it smaller: its size says which it is.
    pub(crate) fn pack(bytes: Vec<u8>) -> (i64, Vec<u8>) {
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let mut packer = DeflateEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::fast());
        // Writing to a vector can't fail; were it ever to, the plain bytes are as true as the packed ones.
        let packed = packer.write_all(&bytes).and_then(|()| packer.finish());
        match packed {
            Ok(packed) if packed.len() < bytes.len() => (size, packed),
            _ => (size, bytes),
        }
    }

    pub(crate) fn sum(&self) -> i64 {
        Sum::default().number(self.no).number(self.size).bytes(&self.bytes).finish()
    }

    /// Reads a row; the second value tells whether it says what was written.
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<(Self, bool)> {
        let piece = Self { no: row.get(0)?, size: row.get(1)?, bytes: row.get(2)? };
        let whole = row.get::<_, i64>(3)? == piece.sum();
        Ok((piece, whole))
    }

    /// The bytes as they were; `None` where they can't be had from what is kept.
    pub(crate) fn unpack(self) -> Option<Vec<u8>> {
        let size = usize::try_from(self.size).ok().filter(|size| *size <= PIECE_BYTES)?;
        if self.bytes.len() == size {
            return Some(self.bytes);
        }
        let mut bytes = Vec::with_capacity(size);
        let most = u64::try_from(size).unwrap_or(u64::MAX).saturating_add(1);
        DeflateDecoder::new(self.bytes.as_slice()).take(most).read_to_end(&mut bytes).ok()?;
        (bytes.len() == size).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(bytes: &[u8]) -> (usize, Option<Vec<u8>>) {
        let (size, packed) = PieceRow::pack(bytes.to_vec());
        let row = PieceRow { no: 1, size, bytes: packed };
        (row.bytes.len(), row.unpack())
    }

    #[test]
    fn a_piece_is_packed_where_that_makes_it_smaller_and_comes_back_as_it_was() {
        let same = vec![b'a'; PIECE_BYTES];
        let (kept, back) = round(&same);
        assert!(kept < PIECE_BYTES / 100, "{kept}");
        assert_eq!(back, Some(same));
        // Bytes that no packer makes smaller (a digest of a digest, and so on).
        let mut chance = Vec::new();
        while chance.len() < 4_096 {
            use sha2::{Digest, Sha256};
            chance.extend(Sha256::digest(&chance));
        }
        assert_eq!(round(&chance), (chance.len(), Some(chance.clone())));
        assert_eq!(round(b""), (0, Some(Vec::new())));
    }

    #[test]
    fn what_unpacks_to_another_size_is_not_had() {
        let (size, bytes) = PieceRow::pack(vec![b'a'; 1_000]);
        for wrong in [size - 1, size + 1, -1, i64::MAX] {
            assert_eq!(PieceRow { no: 1, size: wrong, bytes: bytes.clone() }.unpack(), None, "{wrong}");
        }
        assert_eq!(PieceRow { no: 1, size: 9, bytes: vec![0xff; 4] }.unpack(), None);
    }

    #[test]
    fn no_two_bodies_share_a_number() {
        assert_eq!(PieceRow::numbers(1).end, PieceRow::numbers(2).start);
        let places = i64::try_from(chaski_core::limits::LARGE_BODY_BYTES.div_ceil(PIECE_BYTES)).unwrap();
        assert!(PieceRow::numbers(7).contains(&PieceRow::number(7, places)));
    }
}
