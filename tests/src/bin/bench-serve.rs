//! Speed and memory of `chaski serve`, and of its peers under the same load, in tables. `bench-serve --help` says how.

#[path = "../bench/columns.rs"]
mod columns;
#[path = "../bench/serving/mod.rs"]
mod serving;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, ensure};
use serving::figure::{Value, Values};
use serving::machine::machine;
use serving::options::{Command, HELP, Kind, Plan};
use serving::report::{CHASKI, of_one, side_by_side};
use serving::{batches, bodies, delivery, fairness, links, options, recovery, storm};

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() -> anyhow::Result<()> {
    match options::read(std::env::args().skip(1))? {
        Command::Help => println!("{HELP}"),
        Command::Chaski { binary, plan } => {
            let values = figures(&binary, &plan)?;
            let (table, reached) = of_one(&values, CHASKI);
            println!("medians of {} on {}\n\n{table}", runs(plan.runs), machine(&plan.folder)?);
            ensure!(reached || !plan.strict, "a figure was not reached");
        }
        Command::Run { kind, of, to, roots, messages, failed, ordered, out } => {
            let values = match kind {
                Kind::Load => delivery::measure(&to, &roots, messages, ordered, None),
                Kind::Links => links::measure(&to, &roots, messages, &failed),
            };
            append(&out, &named(&of, values.with_context(|| of.clone())?))?;
        }
        Command::Compare { file } => {
            let lines = fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))?;
            let values = lines.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
            let folder = file.parent().context("the file is in no folder")?;
            println!("medians, on {}\n\n{}", machine(folder)?, side_by_side(&values));
        }
    }
    Ok(())
}

/// Every figure that is asked for, as often as it is to be run.
#[expect(clippy::print_stderr, reason = "it takes minutes, and says where it is")]
fn figures(binary: &Path, plan: &Plan) -> anyhow::Result<Vec<Value>> {
    let folder = plan.folder.as_path();
    let mut values = Vec::new();
    for run in 1..=plan.runs {
        for figure in options::FIGURES {
            if !plan.only.is_empty() && !plan.only.iter().any(|only| only == figure) {
                continue;
            }
            eprintln!("run {run} of {}: {figure}", plan.runs);
            let measured = match figure {
                "accept" => delivery::accept_alone(binary, folder, plan.messages),
                "deliver" => delivery::chaski(binary, folder, plan.messages),
                "batch" => batches::sizes(binary, folder),
                "waiting" => batches::waiting(binary, folder, plan.waiting),
                "kill" => recovery::after_kill(binary, folder, plan.kill),
                "fair" => fairness::fairness(binary, folder, plan.fair),
                "storm" => storm::storm(binary, folder, plan.storm),
                "bodies" => bodies::at_once(binary, folder),
                _ => links::chaski(binary, folder, plan.links),
            };
            values.extend(named(CHASKI, measured.with_context(|| format!("FAILED: {figure}, run {run}"))?));
        }
    }
    Ok(values)
}

fn named(of: &str, values: Values) -> Vec<Value> {
    let value = |(figure, value): (&str, f64)| Value { of: of.to_owned(), figure: figure.to_owned(), value };
    values.into_iter().map(value).collect()
}

fn append(file: &Path, values: &[Value]) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    for value in values {
        writeln!(file, "{}", serde_json::to_string(value)?)?;
    }
    Ok(())
}

fn runs(number: usize) -> String {
    if number == 1 { "1 run".to_owned() } else { format!("{number} runs") }
}
