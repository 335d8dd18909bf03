//! Lines of JSON, read beside the sending and handed over in chunks.

use std::io::{BufRead, BufReader, Read};
use std::thread;

use chaski_core::limits;
use tokio::sync::mpsc;

/// Lines of one call. More would gain little and make a repeat after a lost answer larger.
const CHUNK_LINES: usize = 500;

/// Bytes of one call, unless it is one line: a repeat after a lost answer stays small.
const CHUNK_BYTES: usize = 4 * 1_024 * 1_024;

/// The longest line that is read: what a call to a deployed API may have, with the largest body in it.
const LINE_BYTES: usize = limits::EVENT_BYTES;

/// What is read at once; also how far the reading is ahead of the sending, beside a chunk.
const READ_BYTES: usize = 256 * 1_024;

/// A line that holds something.
#[derive(Debug)]
pub(super) struct Line {
    /// From 1, empty lines counted.
    pub(super) number: u64,
    /// Without its end. `None` where it is longer than any envelope.
    pub(super) text: Option<Vec<u8>>,
}

/// Lines for one call, in order.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) lines: Vec<Line>,
    /// How much of the input is read with it.
    pub(super) read_to: u64,
}

/// Chunks as they are read, from a thread of its own: a pause of the source holds nothing up that it gave before.
/// It ends with an error of the source, if there was one.
pub(super) fn read(source: impl Read + Send + 'static) -> mpsc::Receiver<std::io::Result<Chunk>> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        let mut reader = Reader { source: BufReader::with_capacity(READ_BYTES, source), number: 0, at: 0, ahead: None };
        loop {
            let chunk = reader.chunk();
            let last = chunk.as_ref().map_or(true, |chunk| chunk.lines.is_empty());
            if matches!(&chunk, Ok(chunk) if chunk.lines.is_empty()) || sender.blocking_send(chunk).is_err() || last {
                break;
            }
        }
    });
    receiver
}

struct Reader<R> {
    source: BufReader<R>,
    number: u64,
    at: u64,
    /// A line that did not fit behind those before it, and where it begins.
    ahead: Option<(Line, u64)>,
}

impl<R: Read> Reader<R> {
    /// The next lines: as many as a call takes, or as there are without waiting. None at the end.
    fn chunk(&mut self) -> std::io::Result<Chunk> {
        let mut chunk = Chunk::default();
        let mut bytes = 0;
        while chunk.lines.len() < CHUNK_LINES {
            if !chunk.lines.is_empty() && !self.source.buffer().contains(&b'\n') {
                break;
            }
            let Some((line, begins)) = self.next()? else { break };
            let size = line.text.as_ref().map_or(0, Vec::len);
            if !chunk.lines.is_empty() && bytes + size > CHUNK_BYTES {
                self.ahead = Some((line, begins));
                break;
            }
            bytes += size;
            chunk.lines.push(line);
        }
        chunk.read_to = self.ahead.as_ref().map_or(self.at, |(_, begins)| *begins);
        Ok(chunk)
    }

    /// The next line that holds something, and where it begins.
    fn next(&mut self) -> std::io::Result<Option<(Line, u64)>> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        loop {
            let begins = self.at;
            let Some(text) = self.line()? else { return Ok(None) };
            self.number += 1;
            if text.as_ref().is_none_or(|text| !text.trim_ascii().is_empty()) {
                return Ok(Some((Line { number: self.number, text }, begins)));
            }
        }
    }

    /// One line; `Some(None)` for one that is too long, of which the rest is skipped.
    fn line(&mut self) -> std::io::Result<Option<Option<Vec<u8>>>> {
        let mut text = Vec::new();
        let most = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
        let read = (&mut self.source).take(most).read_until(b'\n', &mut text)?;
        self.at += u64::try_from(read).unwrap_or_default();
        if read == 0 {
            return Ok(None);
        }
        if text.last() == Some(&b'\n') {
            text.pop();
        } else if read == LINE_BYTES {
            let skipped = self.source.skip_until(b'\n')?;
            self.at += u64::try_from(skipped).unwrap_or_default();
            return Ok(Some(None));
        }
        Ok(Some(Some(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Chunk> {
        let mut reader =
            Reader { source: BufReader::with_capacity(READ_BYTES, text.as_bytes()), number: 0, at: 0, ahead: None };
        let mut chunks = Vec::new();
        loop {
            let chunk = reader.chunk().unwrap();
            if chunk.lines.is_empty() {
                return chunks;
            }
            chunks.push(chunk);
        }
    }

    #[test]
    fn lines_keep_their_numbers_and_their_order() {
        let chunks = all("a\n\n  \r\nb\r\nc");
        let lines: Vec<(u64, &[u8])> = chunks
            .iter()
            .flat_map(|chunk| &chunk.lines)
            .map(|line| (line.number, line.text.as_deref().unwrap()))
            .collect();
        assert_eq!(lines, [(1, b"a".as_slice()), (4, b"b\r".as_slice()), (5, b"c".as_slice())]);
        assert_eq!(chunks.last().unwrap().read_to, 11);
    }

    #[test]
    fn a_chunk_is_bounded_by_lines_and_by_bytes() {
        let chunks = all(&"x\n".repeat(1_200));
        assert!(chunks.iter().all(|chunk| chunk.lines.len() <= CHUNK_LINES));
        assert_eq!(chunks.iter().map(|chunk| chunk.lines.len()).sum::<usize>(), 1_200);
        let chunks = all(&format!("{}\n", "y".repeat(500_000)).repeat(20));
        let bytes = |chunk: &Chunk| chunk.lines.iter().map(|line| line.text.as_ref().unwrap().len()).sum::<usize>();
        assert!(chunks.iter().all(|chunk| bytes(chunk) <= CHUNK_BYTES));
        let lines: Vec<u64> = chunks.iter().flat_map(|chunk| &chunk.lines).map(|line| line.number).collect();
        assert_eq!(lines, (1..=20).collect::<Vec<u64>>());
        let mut read = 0;
        for chunk in &chunks {
            read += 500_001 * u64::try_from(chunk.lines.len()).unwrap();
            assert_eq!(chunk.read_to, read, "what is kept for the next chunk is not told as read");
        }
    }

    /// The largest body that a call may have, in base64, with its envelope around it.
    #[test]
    fn the_largest_envelope_is_a_chunk_of_its_own() {
        let largest = "z".repeat(limits::CALL_BODY_BYTES.div_ceil(3) * 4 + limits::OPTIONS_BYTES);
        let chunks = all(&format!("a\n{largest}\nb\n"));
        let sizes: Vec<Vec<usize>> = chunks
            .iter()
            .map(|chunk| chunk.lines.iter().map(|line| line.text.as_ref().unwrap().len()).collect())
            .collect();
        assert!(sizes.iter().any(|sizes| *sizes == [largest.len()]), "{sizes:?}");
        assert_eq!(sizes.concat(), [1, largest.len(), 1]);
    }

    #[test]
    fn a_line_without_end_is_not_kept_and_not_sent() {
        let chunks = all(&format!("a\n{}\nb\n", "z".repeat(3 * LINE_BYTES)));
        let lines: Vec<(u64, bool)> =
            chunks.iter().flat_map(|chunk| &chunk.lines).map(|line| (line.number, line.text.is_some())).collect();
        assert_eq!(lines, [(1, true), (2, false), (3, true)]);
    }
}
