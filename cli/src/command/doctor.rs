//! `chaski doctor`: the full check of a store, whether a server has it open or not.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::output::{Column, Output, Progress, Table, count, plain};

/// Check a store: what is damaged, and what is out of balance
///
/// Reads every row and every page of the store in a folder and changes nothing. Damaged entries are never delivered;
/// this names them before the dispatcher meets them. With --repair, while no server has the store open, look-ups are
/// built anew from the rows; where the file itself is damaged, what can be read is saved into a new one and the damaged
/// one is kept beside it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chaski doctor --data /var/lib/chaski
  chaski doctor --data /var/lib/chaski --repair")]
pub(super) struct Doctor {
    /// The store's folder
    #[arg(long, value_name = "DIR", default_value = "./chaski-data")]
    data: PathBuf,
    /// Mend what can be mended
    #[arg(long)]
    repair: bool,
}

/// Findings that a person reads.
const SHOWN: usize = 50;

const COLUMNS: [Column; 2] = [Column::whole("WHERE"), Column::shrinks("WHAT")];

impl Doctor {
    pub(super) fn run(&self, output: Output) -> Result<(), Failure> {
        let progress = Progress::new(None);
        let mut step = |part: &str| progress.at(0, format!("reads {part}"));
        let report = if self.repair {
            chaski_embedded::repair(&self.data, &mut step).map(|repaired| {
                if repaired.salvaged {
                    progress.talk("the file was damaged: what could be read is in a new one, the old one is kept");
                }
                repaired.left
            })
        } else {
            chaski_embedded::examine(&self.data, &mut step)
        };
        drop(progress);
        let report = report.map_err(Failure::Failed)?;
        if output.json {
            let findings: Vec<_> = report
                .findings
                .iter()
                .map(|finding| serde_json::json!({"place": finding.place, "detail": finding.detail}))
                .collect();
            let rows: serde_json::Map<_, _> =
                report.rows.iter().map(|(table, rows)| ((*table).to_owned(), (*rows).into())).collect();
            output.line(&serde_json::json!({"rows": rows, "findings": findings}).to_string())?;
        } else {
            let rows: Vec<String> = report.rows.iter().map(|(table, rows)| format!("{rows} {table}")).collect();
            output.line(&format!("read: {}", rows.join(", ")))?;
            let findings: Vec<Vec<String>> =
                report.findings.iter().map(|finding| vec![plain(&finding.place), plain(&finding.detail)]).collect();
            let mut table = Table::new(&COLUMNS);
            if !findings.is_empty() {
                output.table(&mut table, &findings)?;
            }
            if report.findings.len() > SHOWN {
                output.line(&format!("and {} more; --json names them", report.findings.len() - SHOWN))?;
            }
        }
        if report.findings.is_empty() {
            if !output.json {
                output.line("nothing is damaged, and everything is in balance")?;
            }
            return Ok(());
        }
        let found = u64::try_from(report.findings.len()).unwrap_or(u64::MAX);
        Err(Failure::Failed(format!("{} in the store", count(found, "finding"))))
    }
}
