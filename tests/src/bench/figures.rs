//! What is measured, and how.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use chaski_core::ports::Enqueue;
use serde_json::Value;

use super::columns::Samples;
use super::events;
use super::function::{Function, Program};
use super::memory::drop_page_cache;
use super::table::Row;
use super::world::{SLOW, World};

/// Events before a warm one is timed.
const WARM_UP: usize = 50;
/// Subjects in the consumer's batch.
const SUBJECTS: usize = 10;
/// The events after which memory is read, and the size of their bodies.
const SMALL: (usize, usize) = (1_000, 1_024);
const LARGE: (usize, usize) = (10, 262_144);

const HELLO: &str = "hello";

/// A function, and what stands for its work.
pub(crate) struct Subject {
    pub(crate) program: Program,
    /// An event, by its number and the size of its body, that needs no call to AWS where that can be.
    event: Box<dyn Fn(usize, usize) -> Bytes>,
    /// An event that makes it call AWS.
    calling: Bytes,
    start_ms: (f64, f64),
    megabytes: f64,
}

/// The three functions, in the folder that the build leaves them in.
pub(crate) fn subjects(world: &World, folder: &std::path::Path) -> Vec<Subject> {
    let program = |name| world.program(name, &folder.join(name).join("bootstrap"));
    let (fine, failing, gone) = (world.url("200"), world.url("500"), world.url("410"));
    let tier = fine.clone();
    vec![
        Subject {
            program: program("api-ingress"),
            event: Box::new(events::post),
            calling: events::post(0, 100),
            start_ms: (14.0, 3.0),
            megabytes: 5.0,
        },
        Subject {
            program: program("sqs-consumer"),
            event: Box::new(move |n, bytes| events::batch("messages-0", n..n + 1, &fine, bytes)),
            // Fails, and is handed to its tier.
            calling: events::batch("messages-0", 0..1, &failing, 100),
            start_ms: (22.0, 5.0),
            megabytes: 8.0,
        },
        Subject {
            program: program("sqs-error-consumer"),
            event: Box::new(move |n, bytes| events::batch("retry-fast", n..n + 1, &tier, bytes)),
            // Is given up, and buried.
            calling: events::batch("retry-fast", 0..1, &gone, 100),
            start_ms: (22.0, 5.0),
            megabytes: 8.0,
        },
    ]
}

/// Everything, in the order of the table.
pub(crate) async fn measure(
    world: &World,
    subjects: &[Subject],
    hello: &Program,
    runs: usize,
) -> anyhow::Result<Vec<Row>> {
    let mut rows = starts(subjects, hello, runs).await?;
    rows.extend(first_answers(world, subjects, hello, runs).await?);
    let hello_size = hello.megabytes()?;
    for subject in subjects {
        let size = Samples::new(vec![subject.program.megabytes()?]);
        rows.push(row("binary, stripped", subject, (subject.megabytes, "MB"), size, (HELLO, hello_size)));
    }
    for subject in subjects {
        match subject.program.name {
            "api-ingress" => rows.push(ingress_event(world, subject, hello, runs).await?),
            "sqs-consumer" => rows.push(side_by_side(world, subject, runs).await?),
            _ => {}
        }
    }
    for (figure, load, reach) in
        [("memory after 1,000 events of 1 KiB", SMALL, 25.0), ("memory after ten events of 256 KiB", LARGE, 40.0)]
    {
        let peer = (HELLO, memory(hello, load, &events::post).await?.0);
        for subject in subjects {
            let (most, now) = memory(&subject.program, load, &subject.event).await?;
            let note = format!("the most; now {now:.1}");
            rows.push(Row { note, ..row(figure, subject, (reach, "MB"), Samples::new(vec![most]), peer) });
        }
    }
    Ok(rows)
}

/// Process start to the first question for an event. The programs take turns, so that a busy disk or
/// processor is busy for all of them.
async fn starts(subjects: &[Subject], hello: &Program, runs: usize) -> anyhow::Result<Vec<Row>> {
    let programs: Vec<&Program> =
        std::iter::once(hello).chain(subjects.iter().map(|subject| &subject.program)).collect();
    let mut rows = Vec::new();
    for (figure, cold) in [("start to first `next`, page cache dropped", true), ("start to first `next`, warm", false)]
    {
        let mut measured = start_in_turns(&programs, cold, runs).await?.into_iter();
        let peer = (HELLO, measured.next().flatten().map_or(f64::NAN, |samples| samples.median()));
        for (subject, samples) in subjects.iter().zip(measured) {
            let reach = (if cold { subject.start_ms.0 } else { subject.start_ms.1 }, "ms");
            let note = if samples.is_none() { "dropping the page cache needs root" } else { "" }.to_owned();
            rows.push(Row { samples, note, ..row(figure, subject, reach, Samples::default(), peer) });
        }
    }
    Ok(rows)
}

/// The times of each program; none where the page cache can't be dropped.
async fn start_in_turns(programs: &[&Program], cold: bool, runs: usize) -> anyhow::Result<Vec<Option<Samples>>> {
    let mut times = vec![Vec::new(); programs.len()];
    for run in 0..=runs {
        for (program, times) in programs.iter().zip(&mut times) {
            if cold && !drop_page_cache() {
                return Ok(vec![None; programs.len()]);
            }
            let took = millis(Function::start(program).await?.to_next);
            // The first round warms, and lets what was just built reach the disk.
            if run > 0 {
                times.push(took);
            }
        }
    }
    Ok(times.into_iter().map(|times| Some(Samples::new(times))).collect())
}

/// Process start to the first event answered, with the connection to AWS that it needs.
async fn first_answers(world: &World, subjects: &[Subject], hello: &Program, runs: usize) -> anyhow::Result<Vec<Row>> {
    let mut peer = Vec::new();
    for _ in 0..runs {
        let mut function = Function::start(hello).await?;
        let answered = function.invoke(&events::post(0, 100)).await?.answered;
        peer.push(millis(answered - function.started));
    }
    let peer = Samples::new(peer).median();
    let mut rows = Vec::new();
    for subject in subjects {
        let mut times = Vec::new();
        for _ in 0..runs {
            let calls = world.aws.calls();
            let mut function = Function::start(&subject.program).await?;
            let invocation = function.invoke(&subject.calling).await?;
            well(&subject.program, &invocation.body)?;
            ensure!(world.aws.calls() == calls + 1, "{} did not call AWS once", subject.program.name);
            times.push(millis(invocation.answered - function.started));
        }
        let figure = "start to first event answered, with TLS, warm";
        rows.push(row(figure, subject, (12.0, "ms"), Samples::new(times), (HELLO, peer)));
    }
    Ok(rows)
}

/// One warm event, less the round trip to SQS: the same call by the same code, made here beside it.
async fn ingress_event(world: &World, subject: &Subject, hello: &Program, runs: usize) -> anyhow::Result<Row> {
    let queues = world.queues(&subject.program)?;
    let mut peer = Function::start(hello).await?;
    let mut function = Function::start(&subject.program).await?;
    let (mut hellos, mut round_trips, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..WARM_UP + runs {
        let event = (subject.event)(n, 1_024);
        let hello = peer.invoke(&event).await?.took;
        let began = Instant::now();
        queues.enqueue(events::entry(n, 1_024)).await?;
        let round_trip = began.elapsed();
        let invocation = function.invoke(&event).await?;
        well(&subject.program, &invocation.body)?;
        if n >= WARM_UP {
            hellos.push(millis(hello));
            round_trips.push(millis(round_trip));
            times.push(millis(invocation.took.saturating_sub(round_trip)));
        }
    }
    let peer = (HELLO, Samples::new(hellos).median());
    let note = format!("the round trip: {:.2}", Samples::new(round_trips).median());
    let figure = "one event without the round trip to SQS";
    Ok(Row { note, ..row(figure, subject, (0.2, "ms"), Samples::new(times), peer) })
}

/// Ten subjects in a batch, and a target that takes its time; beside it, ten bare requests side by side.
async fn side_by_side(world: &World, subject: &Subject, runs: usize) -> anyhow::Result<Row> {
    let url = world.url("slow");
    let mut function = Function::start(&subject.program).await?;
    let client = reqwest::Client::builder().no_proxy().build().context("no client for the peer")?;
    let (mut times, mut peers) = (Vec::new(), Vec::new());
    for n in 0..runs {
        let event = events::batch("messages-0", n * SUBJECTS..(n + 1) * SUBJECTS, &url, 1_024);
        let invocation = function.invoke(&event).await?;
        well(&subject.program, &invocation.body)?;
        times.push(millis(invocation.took));
        let began = Instant::now();
        let calls: Vec<_> = (0..SUBJECTS).map(|_| tokio::spawn(client.post(&url).send())).collect();
        for call in calls {
            call.await??;
        }
        peers.push(millis(began.elapsed()));
    }
    let peer = ("bare requests", Samples::new(peers).median());
    let note = format!("one after the other {} ms", SLOW.as_millis() * 10);
    let figure = "ten subjects in a batch, target takes 200 ms";
    Ok(Row { note, ..row(figure, subject, (250.0, "ms"), Samples::new(times), peer) })
}

/// The most memory that a process had, and what it has, after so many events of this size.
async fn memory(
    program: &Program,
    load: (usize, usize),
    event: &dyn Fn(usize, usize) -> Bytes,
) -> anyhow::Result<(f64, f64)> {
    let mut function = Function::start(program).await?;
    for n in 0..load.0 {
        let invocation = function.invoke(&event(n, load.1)).await?;
        well(program, &invocation.body)?;
    }
    function.memory()
}

/// A figure of something that did not work is none.
fn well(program: &Program, body: &Bytes) -> anyhow::Result<()> {
    let told: Value = serde_json::from_slice(body).context("the answer is no JSON")?;
    let taken = told.get("statusCode").is_some_and(|status| status == 200)
        || told.get("batchItemFailures").and_then(Value::as_array).is_some_and(Vec::is_empty);
    ensure!(taken, "{} answered {told}", program.name);
    Ok(())
}

fn row(
    figure: &'static str,
    subject: &Subject,
    reach: (f64, &'static str),
    samples: Samples,
    peer: (&'static str, f64),
) -> Row {
    let of = subject.program.name;
    Row { figure, of, reach: reach.0, unit: reach.1, samples: Some(samples), peer, note: String::new() }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
