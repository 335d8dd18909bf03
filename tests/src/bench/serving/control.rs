//! What an operator asks of a server: one request after the other on one connection.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::load::whole;

/// A batch of 10,000 may take a while.
const PATIENCE: Duration = Duration::from_secs(60);
const PIECE_BYTES: usize = 65_536;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Control {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Control {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("no connection to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream), host: address.to_string() })
    }

    /// The body of the answer.
    ///
    /// # Errors
    /// When there is none, or not 2xx.
    pub(crate) fn call(&mut self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.host,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request).with_context(|| format!("{method} {path}"))?;
        let mut answer = Vec::new();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = self.stream.read(&mut piece).with_context(|| format!("{method} {path}"))?;
            ensure!(read > 0, "{method} {path}: the server closed the connection");
            answer.extend_from_slice(piece.get(..read).unwrap_or_default());
            let Some((status, length)) = whole(&answer)? else { continue };
            let body = answer.windows(4).position(|four| four == b"\r\n\r\n").context("no end of the head")? + 4;
            let body = answer.get(body..length).unwrap_or_default().to_vec();
            let said = || String::from_utf8_lossy(&body).chars().take(500).collect::<String>();
            ensure!((200..300).contains(&status), "{method} {path}: {status} {}", said());
            return Ok(body);
        }
    }

    /// The answer as JSON.
    ///
    /// # Errors
    /// When there is none, or not 2xx, or no JSON.
    pub(crate) fn json(&mut self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Value> {
        let answer = self.call(method, path, body)?;
        serde_json::from_slice(&answer).with_context(|| format!("{method} {path} answered no JSON"))
    }

    /// How many entries all queues of Chaski hold.
    ///
    /// # Errors
    /// As [`Control::json`].
    pub(crate) fn depth(&mut self) -> anyhow::Result<u64> {
        let queues = self.json("GET", "/queues", b"")?;
        let items = queues.get("items").and_then(Value::as_array).context("/queues without items")?;
        Ok(items.iter().filter_map(|queue| queue.get("depth")?.as_u64()).sum())
    }

    /// Waits until the queues of Chaski are empty, so that whatever is sent twice was sent.
    ///
    /// # Errors
    /// When they are not within `patience`.
    pub(crate) fn wait_until_empty(&mut self, patience: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let depth = self.depth()?;
            if depth == 0 {
                return Ok(());
            }
            ensure!(began.elapsed() < patience, "{depth} entries are left in the queues after {patience:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How many were given up: the dead letters of Chaski, page by page, or the number that a peer answers.
    ///
    /// # Errors
    /// As [`Control::call`], or when the answer is neither.
    pub(crate) fn given_up(&mut self, path: &str) -> anyhow::Result<usize> {
        let mut sum = 0;
        let mut cursor = String::new();
        loop {
            let page = self.json("GET", &format!("{path}?limit=1000{cursor}"), b"")?;
            if let Some(number) = page.as_u64() {
                return Ok(usize::try_from(number)?);
            }
            sum += page.get("items").and_then(Value::as_array).context("neither a number nor items")?.len();
            let Some(next) = page.get("next_cursor").and_then(Value::as_str) else { return Ok(sum) };
            cursor = format!("&cursor={next}");
        }
    }
}
