//! An object while it is read.

use std::fmt;

use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use crate::error::SignedError;
use crate::service::{Patience, chain, travel};

/// An object whose bytes come as they are asked for. What was read must be thrown away after an error.
pub struct Object {
    length: u64,
    read: u64,
    bytes: ByteStream,
    until: Instant,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Object {
    pub(super) fn new(length: u64, body: SdkBody) -> Self {
        let travel = travel(usize::try_from(length).unwrap_or(usize::MAX));
        let until = Instant::now() + Patience::default().attempt + travel;
        Self { length, read: 0, bytes: ByteStream::new(body), until }
    }

    /// How many bytes it has in all.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The next bytes; none at the end, at which as many have come as its length says. All of them come within 2.5 s
    /// and a second for each 4 MiB, counted from when it was opened, the caller's own work included.
    ///
    /// # Errors
    /// The connection broke, or there was no time left.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, SignedError> {
        let broken = |words: String| SignedError::Unavailable(format!("reading an object: {words}"));
        match timeout_at(self.until, self.bytes.next()).await {
            Err(_) => Err(broken("there was no time left".to_owned())),
            Ok(Some(Err(error))) => Err(broken(chain(&error))),
            Ok(Some(Ok(chunk))) => {
                self.read += chunk.len() as u64;
                Ok(Some(chunk))
            }
            Ok(None) if self.read != self.length => {
                Err(broken(format!("{} bytes came, and {} were told", self.read, self.length)))
            }
            Ok(None) => Ok(None),
        }
    }

    /// All bytes, of an object of at most `most`.
    ///
    /// # Errors
    /// It is longer, or [`Object::chunk`] failed.
    pub async fn whole(mut self, most: usize) -> Result<Vec<u8>, SignedError> {
        let length = usize::try_from(self.length).ok().filter(|length| *length <= most);
        let longer =
            || SignedError::Unavailable(format!("an object of {} bytes; at most {most} are read", self.length));
        let mut read = Vec::with_capacity(length.ok_or_else(longer)?);
        while let Some(chunk) = self.chunk().await? {
            if read.len() + chunk.len() > most {
                return Err(SignedError::Unavailable(format!("an object goes on after {most} bytes")));
            }
            read.extend_from_slice(&chunk);
        }
        Ok(read)
    }
}
