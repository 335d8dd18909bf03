//! The log's way out: lines are collected and written in large pieces by a thread of their own, so that a slow or
//! broken standard output holds up no delivery.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chaski_core::ports::Clock;
use chaski_core::time::Timestamp;
use chaski_system::SystemClock;

/// No line waits longer to be written.
const LATEST: Duration = Duration::from_millis(100);
/// A piece is written when so much has come together.
const PIECE: usize = 64 * 1_024;
/// What is kept for a standard output that does not read.
const KEPT: usize = 8 * 1_024 * 1_024;
/// How long a line waits for room, with all who have one to tell: once for each time that the output is stuck.
const BRIEFLY: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Lines that there was no room for, since that was said last.
    dropped: u64,
    /// Whether room was waited for in vain since lines were taken last.
    stuck: bool,
    closed: bool,
}

impl Waiting {
    fn has_room(&self, line: &[u8]) -> bool {
        self.lines.len() + line.len() <= KEPT
    }
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is a piece to write.
    wake: Condvar,
    /// There is room again.
    room: Condvar,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes whole lines. Clones write to the same place; what is left is written when [`LogWriter::close`] is called, or
/// a guard of [`LogWriter::closing`] goes.
#[derive(Debug, Clone)]
pub struct LogWriter {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Closes the log when it goes, also in a panic.
#[derive(Debug)]
#[must_use = "it closes the log when it goes"]
pub struct Closing(LogWriter);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
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

    /// What closes the log at a scope's end, whichever way that comes.
    pub fn closing(&self) -> Closing {
        Closing(self.clone())
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
    /// Takes a line. One that there is no room for waits briefly, unless another one did so in vain; then it is
    /// dropped, and counted.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.shared.waiting();
        if !waiting.has_room(line) && !waiting.stuck {
            let full = |waiting: &mut Waiting| !waiting.has_room(line) && !waiting.stuck;
            let waited = self.shared.room.wait_timeout_while(waiting, BRIEFLY, full);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if !waiting.has_room(line) {
            waiting.stuck = true;
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
    let clock = SystemClock::start();
    let mut piece = Vec::with_capacity(PIECE);
    let mut lost = 0;
    loop {
        let closed = {
            let waiting = shared.waiting();
            let nothing = |waiting: &mut Waiting| waiting.lines.len() < PIECE && !waiting.closed;
            let waited = shared.wake.wait_timeout_while(waiting, LATEST, nothing);
            let mut waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
            std::mem::swap(&mut piece, &mut waiting.lines);
            waiting.stuck = false;
            lost += std::mem::take(&mut waiting.dropped);
            waiting.closed
        };
        shared.room.notify_all();
        if lost > 0 {
            piece.extend_from_slice(said(lost, clock.now()).as_bytes());
        }
        // There is no other place to say that the log can't be written: it is said here when it can be again.
        match out.write_all(&piece).and_then(|()| out.flush()) {
            Ok(()) => lost = 0,
            Err(_) => lost += lines(&piece) - u64::from(lost > 0),
        }
        piece.clear();
        // A burst's room is given back; a common piece has it again at once.
        piece.shrink_to(4 * PIECE);
        if closed && shared.waiting().lines.is_empty() {
            return;
        }
    }
}

fn lines(piece: &[u8]) -> u64 {
    u64::try_from(piece.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(u64::MAX)
}

/// What is said of lines that are lost.
fn said(lost: u64, now: Timestamp) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "{{\"@timestamp\":\"{now}\",\"log.level\":\"warn\",\"message\":\"{lost} lines of the log were dropped: nobody \
         reads it, or it can't be written\",\"service.name\":\"chaski\",\"service.version\":\"{version}\",\
         \"event.action\":\"log_dropped\"}}\n"
    )
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

    #[test]
    fn what_could_not_be_written_is_said_when_it_can_be_again() {
        /// Is out of order for so many pieces.
        struct Broken(u32, Page);
        impl Write for Broken {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                match self.0.checked_sub(1) {
                    None => self.1.write(bytes),
                    Some(left) => {
                        self.0 = left;
                        Err(io::ErrorKind::StorageFull.into())
                    }
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let page = Page::default();
        let mut log = LogWriter::start(Broken(2, page.clone())).unwrap();
        let closing = log.closing();
        let begun = std::time::Instant::now();
        while page.0.lock().unwrap().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it is not said");
            log.write_all(b"{}\n").unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(closing);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let dropped = text.lines().find(|line| line.contains("lines of the log were dropped")).unwrap();
        let dropped: serde_json::Value = serde_json::from_str(dropped).unwrap();
        assert!(!dropped["message"].as_str().unwrap().starts_with("0 "), "{dropped}");
        assert!(dropped["@timestamp"].is_string(), "{dropped}");
    }
}
