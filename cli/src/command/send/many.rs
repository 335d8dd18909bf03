//! Many messages: chunk after chunk, in order, with what the queue did not take sent again.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::super::{Context, Failure};
use super::lines::{self, Chunk, Line};
use crate::client::{Answer, BatchAnswer, ClientError, Refusal};
use crate::output::{Progress, count, plain};

/// How often a line is sent that the queue does not take.
const TRIES: u32 = 5;

/// The wait before the second try, where the server says none; it doubles with each further one.
const WAIT: Duration = Duration::from_secs(1);

/// Sends the lines of a file, or of standard input.
pub(super) async fn send(context: &Context, path: Option<&str>) -> Result<(), Failure> {
    let what = path.unwrap_or("standard input");
    let broken = |error| Failure::Input { what: what.to_owned(), error };
    let file = match path {
        Some(path) => Some(File::open(path).map_err(broken)?),
        None => None,
    };
    let size = match &file {
        Some(file) => file_size(file),
        None => io::stdin().as_fd().try_clone_to_owned().ok().and_then(|fd| file_size(&File::from(fd))),
    };
    let source: Box<dyn Read + Send> = match file {
        Some(file) => Box::new(file),
        None => Box::new(io::stdin()),
    };
    let mut chunks = lines::read(source);
    let mut sending =
        Sending { context, progress: Progress::new(size), tally: Tally::default(), stuck: HashSet::new() };
    let mut outcome = Ok(());
    while let Some(chunk) = chunks.recv().await {
        outcome = match chunk {
            Ok(chunk) => sending.chunk(chunk).await,
            Err(error) => Err(broken(error)),
        };
        if outcome.is_err() {
            break;
        }
    }
    sending.sum_up(outcome)
}

fn file_size(file: &File) -> Option<u64> {
    file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
}

#[derive(Debug, Default)]
struct Tally {
    accepted: u64,
    known: u64,
    failed: u64,
}

impl Tally {
    fn words(&self) -> String {
        let known = if self.known > 0 { format!(" ({} known already)", self.known) } else { String::new() };
        let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        format!("{} accepted{known}{failed}", count(self.accepted, "message"))
    }
}

struct Sending<'a> {
    context: &'a Context,
    progress: Progress,
    tally: Tally,
    /// Subjects of which a line was given up: what follows would overtake it when it is sent again.
    stuck: HashSet<String>,
}

/// What a line's item says.
#[derive(Deserialize)]
struct Item {
    status: u16,
    #[serde(default)]
    duplicate: bool,
}

/// The subject of a line.
#[derive(Deserialize)]
struct Named {
    subject: String,
}

/// What the line's item is: the server's, as it came, or ours where it was not sent.
type Settled = Option<Box<RawValue>>;

impl Sending<'_> {
    async fn chunk(&mut self, chunk: Chunk) -> Result<(), Failure> {
        let mut settled: Vec<Settled> = chunk.lines.iter().map(|line| self.not_sent(line)).collect();
        let outcome = self.post_all(&chunk.lines, &mut settled).await;
        // What was answered is told, also when the rest could not be sent.
        self.tell(&chunk, &settled)?;
        self.progress.at(chunk.read_to, self.tally.words());
        outcome
    }

    /// Why a line can't be sent at all.
    fn not_sent(&self, line: &Line) -> Settled {
        match &line.text {
            None => local(413, "Content too large", "the line is longer than any envelope may be"),
            Some(text) if !self.stuck.is_empty() && subject(text).is_some_and(|of| self.stuck.contains(&of)) => {
                local(503, "Not sent", "a line of its subject before it was not taken")
            }
            Some(_) => None,
        }
    }

    /// Sends the lines that have no answer, and those again that the queue did not take. The server refuses the
    /// later lines of a subject after the first one that it did not take; so they come with it, in order.
    async fn post_all(&mut self, lines: &[Line], settled: &mut [Settled]) -> Result<(), Failure> {
        for tried in 1..=TRIES {
            let open: Vec<usize> =
                (0..lines.len()).filter(|at| settled.get(*at).is_some_and(Option::is_none)).collect();
            if open.is_empty() {
                break;
            }
            let (answer, items) = self.post(&open, lines).await?;
            let mut again = false;
            for (at, item) in open.into_iter().zip(items) {
                let status = read_item(&item)?.status;
                if matches!(status, 429 | 503) && tried < TRIES {
                    again = true;
                    continue;
                }
                if matches!(status, 429 | 503) {
                    let text = lines.get(at).and_then(|line| line.text.as_deref()).unwrap_or_default();
                    self.stuck.extend(subject(text));
                }
                if let Some(place) = settled.get_mut(at) {
                    *place = Some(item);
                }
            }
            if again {
                tokio::time::sleep(pause(answer.retry_after, tried)).await;
            }
        }
        Ok(())
    }

    /// One call, made again while it surely was not made, or as a whole was not taken.
    async fn post(&self, open: &[usize], lines: &[Line]) -> Result<(Answer, Vec<Box<RawValue>>), Failure> {
        let open: Vec<&Line> = open.iter().filter_map(|at| lines.get(*at)).collect();
        let mut body = Vec::new();
        for text in open.iter().filter_map(|line| line.text.as_deref()) {
            body.extend_from_slice(text);
            body.push(b'\n');
        }
        let mut tried = 0;
        let answer = loop {
            tried += 1;
            let error = match self.context.client.send_batch(body.clone()).await {
                Ok(answer) => break answer,
                Err(error) => error,
            };
            let wait = match (&error, error.refusal()) {
                (ClientError::Unreachable { .. }, _) => pause(None, tried),
                (_, Some(refusal)) if matches!(refusal.status, 429 | 503) => pause(refusal.retry_after, tried),
                _ => return Err(stopped(&open, &error)),
            };
            // The first call tells whether there is a server at all; later it may just be starting anew.
            let hopeless = self.tally.accepted == 0 && matches!(error, ClientError::Unreachable { .. });
            if tried == TRIES || hopeless {
                return Err(stopped(&open, &error));
            }
            tokio::time::sleep(wait).await;
        };
        let items = answer.read::<BatchAnswer>()?.items;
        if items.len() != open.len() {
            let odd = format!("{} items for {} lines", items.len(), open.len());
            return Err(stopped(&open, &ClientError::Unreadable(odd)));
        }
        Ok((answer, items))
    }

    /// Counts the items, prints them for a program, and names the lines that failed for a person.
    fn tell(&mut self, chunk: &Chunk, settled: &[Settled]) -> Result<(), Failure> {
        let mut items = String::new();
        for (line, item) in chunk.lines.iter().zip(settled) {
            let Some(raw) = item else { continue };
            let item = read_item(raw)?;
            items.push_str(raw.get());
            items.push('\n');
            if item.status == 200 {
                self.tally.accepted += 1;
                self.tally.known += u64::from(item.duplicate);
                continue;
            }
            self.tally.failed += 1;
            let refusal: Refusal = serde_json::from_str(raw.get()).unwrap_or_default();
            self.progress.talk(&format!("line {}: {}", line.number, plain(&refusal.brief())));
        }
        if self.context.output.json && !items.is_empty() {
            self.progress.around(|| self.context.output.line(&items))?;
        }
        Ok(())
    }

    /// Says what came of it all.
    fn sum_up(self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        let Self { context, progress, tally, .. } = self;
        drop(progress);
        if matches!(outcome, Err(Failure::Output(_))) {
            return outcome;
        }
        let words = tally.words();
        if context.output.json {
            crate::output::talk(&words)
        } else {
            context.output.line(&words)?
        }
        outcome?;
        if tally.failed == 0 { Ok(()) } else { Err(Failure::Told) }
    }
}

/// Why the sending stops, and where.
fn stopped(open: &[&Line], error: &ClientError) -> Failure {
    let numbers = ranges(open);
    let what = match error {
        ClientError::Unreachable { .. } | ClientError::Untrusted { .. } | ClientError::Refused(_) => {
            format!("Not accepted: {numbers}.")
        }
        _ => format!("It is not known whether these were accepted: {numbers}. With an `id` a line can be sent again."),
    };
    Failure::Failed(format!("{error}\n{what} The lines after that were not sent."))
}

/// The lines' numbers: `line 7`, `lines 1-500, 502`.
fn ranges(open: &[&Line]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in open.iter().map(|line| line.number) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let shown = |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let all: Vec<String> = ranges.iter().map(shown).collect();
    format!("{} {}", if open.len() == 1 { "line" } else { "lines" }, all.join(", "))
}

fn pause(said: Option<Duration>, tried: u32) -> Duration {
    said.unwrap_or_else(|| WAIT * 2_u32.saturating_pow(tried.saturating_sub(1)))
}

fn read_item(raw: &RawValue) -> Result<Item, ClientError> {
    serde_json::from_str(raw.get()).map_err(|error| ClientError::Unreadable(error.to_string()))
}

fn subject(line: &[u8]) -> Option<String> {
    serde_json::from_slice::<Named>(line).ok().map(|named| named.subject)
}

fn local(status: u16, title: &str, detail: &str) -> Settled {
    to_raw_value(&serde_json::json!({"title": title, "status": status, "detail": detail})).ok()
}
