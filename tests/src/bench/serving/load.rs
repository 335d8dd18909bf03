//! Producers: each connection sends a message, waits for the answer, and sends the next.
//!
//! One thread for all connections, two system calls a message, no allocation: the load shares its processors with the
//! server that it measures.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::mark::Mark;
use super::processes;
use super::work::{Template, Work};

/// An answer is a few hundred bytes.
const ANSWER_BYTES: usize = 16_384;
/// A server that answers nobody for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where it is sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) began: Instant,
    /// From the first message to the last answer.
    pub(crate) took: Duration,
    /// Of each message, in microseconds.
    pub(crate) latencies: Vec<u32>,
    /// What the load itself took of the processors.
    pub(crate) cpu: Duration,
}

struct Producer<M> {
    stream: TcpStream,
    answer: Box<[u8]>,
    filled: usize,
    sent_at: Instant,
    marks: M,
}

/// Sends everything.
///
/// # Errors
/// When a connection fails, or a message is answered by anything but 2xx: a run that lost some measures nothing.
pub(crate) fn send(work: &Work, to: &Endpoint, connections: usize) -> anyhow::Result<Sent> {
    let host = to.address.to_string();
    let mut templates: Vec<_> = work.asks.iter().map(|ask| Template::request(ask, &host, &to.path)).collect();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(connections);
    let mut producers = Vec::new();
    for n in 0..connections {
        let stream = std::net::TcpStream::connect(to.address).with_context(|| format!("no connection to {host}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(n), Interest::READABLE)?;
        let answer = vec![0; ANSWER_BYTES].into_boxed_slice();
        let marks = work.of(n, connections);
        producers.push(Producer { stream, answer, filled: 0, sent_at: Instant::now(), marks });
    }
    let mut latencies = Vec::with_capacity(work.messages);
    let cpu = processes::own_thread_cpu();
    let began = Instant::now();
    let mut busy = 0;
    for producer in &mut producers {
        busy += usize::from(producer.send_next(work, &mut templates)?);
    }
    while busy > 0 {
        poll.poll(&mut events, Some(PATIENCE))?;
        ensure!(!events.is_empty(), "no answer within {} s, {} came", PATIENCE.as_secs(), latencies.len());
        for event in &events {
            let producer = producers.get_mut(event.token().0).context("a token of ours")?;
            if producer.answered()? {
                latencies.push(u32::try_from(producer.sent_at.elapsed().as_micros()).unwrap_or(u32::MAX));
                busy -= usize::from(!producer.send_next(work, &mut templates)?);
            }
        }
    }
    Ok(Sent { began, took: began.elapsed(), latencies, cpu: processes::own_thread_cpu().saturating_sub(cpu) })
}

impl<M: Iterator<Item = Mark>> Producer<M> {
    /// Whether there was one to send.
    fn send_next(&mut self, work: &Work, templates: &mut [Template]) -> anyhow::Result<bool> {
        let Some(mark) = self.marks.next() else { return Ok(false) };
        let turn = work.place(mark).unwrap_or(0) % templates.len().max(1);
        let request = templates.get_mut(turn).context("a load asks for something")?.fill(mark);
        self.sent_at = Instant::now();
        // One at a time: the socket's buffer is empty, and takes it whole.
        let written = self.stream.write(request).context("a request")?;
        ensure!(written == request.len(), "the socket took {written} of {} bytes", request.len());
        Ok(true)
    }

    /// Whether the answer is there whole.
    fn answered(&mut self) -> anyhow::Result<bool> {
        loop {
            let room = self.answer.get_mut(self.filled..).filter(|room| !room.is_empty()).context("a long answer")?;
            match self.stream.read(room) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error).context("an answer"),
            }
            let answer = self.answer.get(..self.filled).unwrap_or_default();
            let Some((status, length)) = whole(answer)? else { continue };
            ensure!(length == answer.len(), "more than one answer");
            ensure!((200..300).contains(&status), "answered {status}: {}", String::from_utf8_lossy(answer));
            self.filled = 0;
            return Ok(true);
        }
    }
}

/// Status, and the length of the answer in all, once it is there.
///
/// # Errors
/// When it is no answer, or does not say how long its body is.
pub(crate) fn whole(answer: &[u8]) -> anyhow::Result<Option<(u16, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head_bytes) = head.parse(answer).context("no HTTP answer")? else {
        return Ok(None);
    };
    let status = head.code.context("no status")?;
    let length = content_length(head.headers)?.with_context(|| format!("{status} without a content length"))?;
    Ok((answer.len() >= head_bytes + length).then_some((status, head_bytes + length)))
}

/// The length of the body, where it is said.
///
/// # Errors
/// When it is no number.
pub(crate) fn content_length(fields: &[httparse::Header<'_>]) -> anyhow::Result<Option<usize>> {
    let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    field.map(|field| Ok(std::str::from_utf8(field.value)?.trim().parse()?)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";
        assert_eq!(whole(answer).unwrap(), Some((503, answer.len())));
        for cut in 0..answer.len() {
            assert_eq!(whole(&answer[..cut]).unwrap(), None, "{cut}");
        }
        assert!(whole(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(whole(b"no answer\r\n\r\n").is_err());
    }

    /// A run that was refused something measures nothing.
    #[test]
    fn a_refusal_ends_the_run() {
        use super::super::work::Ask;

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = Endpoint { address: listener.local_addr().unwrap(), path: "/messages".to_owned() };
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1_024];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nfull").unwrap();
        });
        let ask = Ask { method: "POST", url: "http://t/".to_owned(), body_bytes: 256 };
        let work = Work { first: 0, subjects: 1, messages: 2, asks: vec![ask] };
        let error = format!("{:#}", send(&work, &to, 1).unwrap_err());
        assert!(error.contains("503") && error.contains("full"), "{error}");
        server.join().unwrap();
    }
}
