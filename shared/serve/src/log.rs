//! The log's way out: lines are collected and written in large pieces by a thread of their own, so that a slow or
//! broken standard output holds up no delivery.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// No line waits longer.
const LATEST: Duration = Duration::from_millis(100);
/// A piece is written when so much has come together.
const PIECE: usize = 64 * 1_024;
/// What is kept for a standard output that does not read.
const KEPT: usize = 8 * 1_024 * 1_024;

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Lines that there was no room for, since that was said last.
    dropped: u64,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes whole lines. Clones write to the same place; what is left is written when [`LogWriter::close`] is called.
#[derive(Debug, Clone)]
pub struct LogWriter {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl LogWriter {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writing = shared.clone();
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || write(&writing, out))?;
        Ok(Self { shared, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Writes what is left, and ends the thread.
    pub fn close(&self) {
        self.shared.waiting().closed = true;
        self.shared.wake.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A thread that panicked has nothing left to say.
        drop(thread.map(JoinHandle::join));
    }
}

impl Write for LogWriter {
    /// Takes a line. One that there is no room for is dropped, and counted.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.shared.waiting();
        if waiting.lines.len() + line.len() > KEPT {
            waiting.dropped += 1;
            return Ok(line.len());
        }
        let before = waiting.lines.len();
        waiting.lines.extend_from_slice(line);
        let full = before < PIECE && waiting.lines.len() >= PIECE;
        drop(waiting);
        if full {
            self.shared.wake.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(shared: &Shared, mut out: impl Write) {
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        let (dropped, closed) = {
            let waiting = shared.waiting();
            let ready = |waiting: &mut Waiting| waiting.lines.len() < PIECE && !waiting.closed;
            let waited = shared.wake.wait_timeout_while(waiting, LATEST, ready);
            let mut waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
            std::mem::swap(&mut piece, &mut waiting.lines);
            (std::mem::take(&mut waiting.dropped), waiting.closed)
        };
        // There is no other place to say that the log can't be written.
        let _ = out.write_all(&piece).and_then(|()| out.flush());
        piece.clear();
        if dropped > 0 {
            let words = format!(
                "{{\"log.level\":\"warn\",\"message\":\"{dropped} lines of the log were dropped: nobody reads it\"}}\n"
            );
            let _ = out.write_all(words.as_bytes());
        }
        if closed && shared.waiting().lines.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);
    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_in_order_at_the_latest_when_it_is_closed() {
        let page = Page::default();
        let mut log = LogWriter::start(page.clone()).unwrap();
        let lines: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
        lines.split_inclusive('\n').for_each(|line| log.write_all(line.as_bytes()).unwrap());
        log.close();
        assert_eq!(String::from_utf8(page.0.lock().unwrap().clone()).unwrap(), lines);
    }

    #[test]
    fn an_output_that_does_not_read_costs_lines_and_nothing_else() {
        /// Reads when the gate is open.
        struct Gate(Arc<(Mutex<bool>, Condvar)>, Page);
        impl Write for Gate {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let open = self.0.0.lock().unwrap();
                drop(self.0.1.wait_while(open, |open| !*open).unwrap());
                self.1.write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (gate, page) = (Arc::new((Mutex::new(false), Condvar::new())), Page::default());
        let mut log = LogWriter::start(Gate(gate.clone(), page.clone())).unwrap();
        let line = format!("{}\n", "x".repeat(1_023));
        for _ in 0..3 * KEPT / 1_024 {
            log.write_all(line.as_bytes()).unwrap();
        }
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        log.close();
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("lines of the log were dropped"));
        assert!(text.len() >= KEPT && text.len() < 3 * KEPT, "{}", text.len());
    }
}
