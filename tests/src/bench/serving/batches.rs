//! Many messages in one call.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::control::Control;
use super::delivery::{ANY_PORT, DEFAULT_SETTINGS, PATIENCE, count, rate, whole, work};
use super::figure::Values;
use super::processes;
use super::server::Server;
use super::target::Target;
use super::work::{Template, Work};
use crate::columns::Samples;

/// The sizes that the Dexma system was measured with in 2015, and their figures.
const SIZES: [(usize, &str); 7] = [
    (50, "batch.50"),
    (100, "batch.100"),
    (300, "batch.300"),
    (500, "batch.500"),
    (1_000, "batch.1000"),
    (2_000, "batch.2000"),
    (3_000, "batch.3000"),
];
/// Calls of each size; their median counts.
const CALLS: usize = 20;
/// The most that one call takes.
const LARGEST: usize = 10_000;

/// Calls of each size, each answered before the next; in between everything is delivered.
///
/// # Errors
/// When a message was refused, lost, delivered twice or out of order.
pub(crate) fn sizes(binary: &Path, folder: &Path) -> anyhow::Result<Values> {
    let target = Target::start(ANY_PORT)?;
    let server = Server::start(binary, folder, DEFAULT_SETTINGS)?;
    let mut control = server.control()?;
    let messages: usize = SIZES.iter().map(|(size, _)| size * CALLS).sum();
    let mut batches = Batches::new(work(messages, target.address));
    let (mut values, mut delivered) = (Vec::new(), 0);
    for (size, figure) in SIZES {
        let mut times = Vec::new();
        for _ in 0..CALLS {
            let body = batches.next(size)?;
            times.push(post(&mut control, &body, size)?.as_secs_f64() * 1e3);
            delivered += size;
            target.wait_for(delivered, PATIENCE)?;
        }
        values.push((figure, Samples::new(times).median()));
    }
    control.wait_until_empty(PATIENCE)?;
    whole(&batches.work, &target, true)?;
    Ok(values)
}

/// Memory with so many messages waiting, all paused.
///
/// # Errors
/// When one is refused, or not as many wait as were sent.
pub(crate) fn waiting(binary: &Path, folder: &Path, messages: usize) -> anyhow::Result<Values> {
    let target = Target::start(ANY_PORT)?;
    let server = Server::start(binary, folder, DEFAULT_SETTINGS)?;
    let mut control = server.control()?;
    control.call("POST", "/pauses", br#"{"all":true}"#)?;
    let took = fill(&mut control, work(messages, target.address), messages)?;
    let depth = control.depth()?;
    ensure!(depth == u64::try_from(messages)?, "{messages} were sent, {depth} wait");
    ensure!(target.count() == 0, "{} were delivered during a pause", target.count());
    let memory = processes::memory(&[server.pid()]);
    Ok(vec![("waiting.most", memory.most), ("waiting.now", memory.resident), ("waiting.rate", rate(messages, took))])
}

/// Sends so many messages of the work in the largest calls; what the answers took.
///
/// # Errors
/// When one is refused.
pub(crate) fn fill(control: &mut Control, work: Work, messages: usize) -> anyhow::Result<Duration> {
    let mut batches = Batches::new(work);
    let (mut left, mut took) = (messages, Duration::ZERO);
    while left > 0 {
        let size = left.min(LARGEST);
        let body = batches.next(size)?;
        took += post(control, &body, size)?;
        left -= size;
    }
    Ok(took)
}

/// Bodies of calls, one after the other.
struct Batches {
    work: Work,
    template: Option<Template>,
    marks: Box<dyn Iterator<Item = super::mark::Mark>>,
}

impl Batches {
    fn new(work: Work) -> Self {
        let template = work.asks.first().map(Template::envelope);
        Self { marks: Box::new(work.of(0, 1)), work, template }
    }

    fn next(&mut self, size: usize) -> anyhow::Result<Vec<u8>> {
        let template = self.template.as_mut().context("a load asks for something")?;
        let mut body = vec![b'['];
        for mark in self.marks.by_ref().take(size) {
            body.extend_from_slice(template.fill(mark));
            body.push(b',');
        }
        body.pop();
        body.push(b']');
        Ok(body)
    }
}

/// The time to the answer, which says of every message that it is taken.
fn post(control: &mut Control, body: &[u8], size: usize) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let answer = control.call("POST", "/messages/batch", body)?;
    let took = began.elapsed();
    let answer: Value = serde_json::from_slice(&answer)?;
    let items = answer.get("items").and_then(Value::as_array).context("an answer without items")?;
    let taken = items.iter().filter(|item| item.get("status").is_some_and(|status| status == 200)).count();
    ensure!(
        taken == size && items.len() == size,
        "of {size} messages {taken} were taken ({} items)",
        count(items.len())
    );
    Ok(took)
}
