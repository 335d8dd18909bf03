//! The arguments of `bench-serve`.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};

use super::load::Endpoint;

/// What `--help` says.
pub(crate) const HELP: &str = "\
bench-serve chaski [OPTIONS] BINARY   the figures of `chaski serve`, medians of the runs, in a table
    --runs N          runs of each figure, each on a fresh store (3)
    --messages N      messages of a run (60,000; storm and kill 100,000, waiting 1,000,000, fair 50,000)
    --only FIGURE     accept, deliver, batch, waiting, storm, kill, fair, links or bodies; may be given more than once
    --quick           one run with a twentieth of the messages: to see that it works
    --folder DIR      where the stores are put for the time of a run (the system's temporary folder)
    --strict          fails when a figure is not reached: for a machine that does nothing else
bench-serve load [OPTIONS]            one run of the load against any server, added to a file of values
bench-serve links [OPTIONS]           one run of the link checks, the same way
    --of NAME         whose values they are
    --url URL         where envelopes are posted, http://IP:PORT/PATH
    --pids A,B        its processes; their children count too
    --messages N      messages (60,000) or links (4,000)
    --ordered         load: fails when a subject's order was not kept
    --failed PATH     links: where it says how many executions failed (/dead-letters)
    --out FILE        the file of values, a line of JSON each
bench-serve compare FILE              the table of all values in the file";

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Chaski {
        binary: PathBuf,
        plan: Plan,
    },
    Run {
        kind: Kind,
        of: String,
        to: Endpoint,
        roots: Vec<u32>,
        messages: usize,
        failed: String,
        ordered: bool,
        out: PathBuf,
    },
    Compare {
        file: PathBuf,
    },
    Help,
}

/// What is run against any server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Load,
    Links,
}

/// How `chaski serve` is measured.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) runs: usize,
    pub(crate) messages: usize,
    pub(crate) storm: usize,
    pub(crate) waiting: usize,
    pub(crate) kill: usize,
    pub(crate) fair: usize,
    pub(crate) links: usize,
    /// Empty: all.
    pub(crate) only: Vec<String>,
    pub(crate) folder: PathBuf,
    pub(crate) strict: bool,
}

/// The figures that `--only` knows.
pub(crate) const FIGURES: [&str; 9] =
    ["accept", "deliver", "batch", "waiting", "storm", "kill", "fair", "links", "bodies"];
const MESSAGES: usize = 60_000;
const LINKS: usize = 4_000;
/// Marks have seven digits for a subject's messages and six for subjects, and a run is to end.
const MOST_MESSAGES: usize = 5_000_000;

/// Reads them.
///
/// # Errors
/// When they can't be read; says which.
pub(crate) fn read(given: impl IntoIterator<Item = String>) -> anyhow::Result<Command> {
    let mut given = given.into_iter();
    match given.next().as_deref() {
        Some("chaski") => chaski(given),
        Some("load") => run(Kind::Load, given),
        Some("links") => run(Kind::Links, given),
        Some("compare") => Ok(Command::Compare { file: given.next().context("compare takes a file")?.into() }),
        Some("-h" | "--help") => Ok(Command::Help),
        other => bail!("chaski, load, links or compare, not {other:?}; see --help"),
    }
}

fn chaski(mut given: impl Iterator<Item = String>) -> anyhow::Result<Command> {
    let (mut runs, mut messages, mut only, mut quick, mut strict) = (None, None, Vec::new(), false, false);
    let (mut binary, mut folder) = (None, std::env::temp_dir());
    while let Some(argument) = given.next() {
        let mut next = || given.next().with_context(|| format!("{argument} takes a value"));
        match argument.as_str() {
            "--runs" => runs = Some(number(&next()?, 100)?),
            "--messages" => messages = Some(number(&next()?, MOST_MESSAGES)?),
            "--only" => only.push(next()?),
            "--folder" => folder = next()?.into(),
            "--quick" => quick = true,
            "--strict" => strict = true,
            option if option.starts_with('-') => bail!("no option {option}; see --help"),
            path => binary = Some(PathBuf::from(path)),
        }
    }
    if let Some(unknown) = only.iter().find(|name| !FIGURES.contains(&name.as_str())) {
        bail!("--only {unknown}: it knows {}", FIGURES.join(", "));
    }
    let scale = |usual: usize| messages.unwrap_or(if quick { usual / 20 } else { usual });
    let plan = Plan {
        runs: runs.unwrap_or(if quick { 1 } else { 3 }),
        messages: scale(MESSAGES),
        storm: scale(100_000),
        waiting: scale(1_000_000),
        kill: scale(100_000),
        fair: scale(50_000),
        links: if quick { LINKS / 10 } else { LINKS },
        only,
        folder,
        strict,
    };
    Ok(Command::Chaski { binary: binary.context("the path of the binary is missing")?, plan })
}

fn run(kind: Kind, mut given: impl Iterator<Item = String>) -> anyhow::Result<Command> {
    let (mut of, mut to, mut roots, mut out) = (None, None, Vec::new(), None);
    let mut messages = if kind == Kind::Load { MESSAGES } else { LINKS };
    let (mut failed, mut ordered) = ("/dead-letters".to_owned(), false);
    while let Some(argument) = given.next() {
        if argument == "--ordered" {
            ordered = true;
            continue;
        }
        let next = given.next().with_context(|| format!("{argument} takes a value"))?;
        match argument.as_str() {
            "--of" => of = Some(next),
            "--url" => to = Some(endpoint(&next)?),
            "--pids" => roots = next.split(',').map(str::parse).collect::<Result<_, _>>().context("--pids")?,
            "--messages" => messages = number(&next, MOST_MESSAGES)?,
            "--failed" => failed = next,
            "--out" => out = Some(PathBuf::from(next)),
            option => bail!("no option {option}; see --help"),
        }
    }
    ensure!(!roots.is_empty(), "--pids is missing");
    let (of, to) = (of.context("--of is missing")?, to.context("--url is missing")?);
    let out = out.context("--out is missing")?;
    Ok(Command::Run { kind, of, to, roots, messages, failed, ordered, out })
}

fn number(text: &str, most: usize) -> anyhow::Result<usize> {
    let number = text.replace(['_', ','], "").parse().with_context(|| format!("{text} is no number"))?;
    ensure!((1..=most).contains(&number), "{text} is not 1 to {most}");
    Ok(number)
}

fn endpoint(url: &str) -> anyhow::Result<Endpoint> {
    let rest = url.strip_prefix("http://").with_context(|| format!("{url} is not http://IP:PORT/PATH"))?;
    let (address, path) = rest.split_once('/').with_context(|| format!("{url} has no path"))?;
    Ok(Endpoint { address: address.parse().with_context(|| format!("{url}: no address"))?, path: format!("/{path}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> anyhow::Result<Command> {
        read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_quick_plan_is_small_and_a_count_wins() {
        let Command::Chaski { plan, .. } = words("chaski --quick target/chaski").unwrap() else { panic!() };
        assert_eq!((plan.runs, plan.messages, plan.waiting), (1, 3_000, 50_000));
        let Command::Chaski { plan, binary } = words("chaski --messages 5,000 --only deliver x").unwrap() else {
            panic!()
        };
        assert_eq!((plan.runs, plan.messages, plan.storm), (3, 5_000, 5_000));
        assert_eq!((plan.only, binary), (vec!["deliver".to_owned()], PathBuf::from("x")));
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        for (line, said) in [
            ("", "see --help"),
            ("chaski --only speed x", "it knows accept"),
            ("chaski --runs 0 x", "not 1 to 100"),
            ("chaski", "binary"),
            ("load --of a --url http://127.0.0.1:1/messages --out x", "--pids"),
            ("load --of a --url 127.0.0.1:1/messages --out x", "is not http://"),
            ("links --pids 1,x", "--pids"),
        ] {
            let error = format!("{:#}", words(line).unwrap_err());
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}
