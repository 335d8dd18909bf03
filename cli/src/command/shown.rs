//! What messages and dead letters have in common when they are shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Context, Failure};
use crate::client::{Attempt, Fault};
use crate::output::{Column, Table, plain, precise, span_ms};

const ATTEMPTS: [Column; 7] = [
    Column::number("TRY"),
    Column::whole("AT (UTC)"),
    Column::whole("QUEUE"),
    Column::whole("OUTCOME"),
    Column::number("STATUS"),
    Column::number("TOOK"),
    Column::goes("BY"),
];

/// Prints the attempts below an empty line, if there are any.
pub(super) fn attempts(context: &Context, attempts: &[Attempt]) -> Result<(), Failure> {
    if attempts.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = attempts
        .iter()
        .map(|attempt| {
            vec![
                attempt.n.to_string(),
                precise(&attempt.at),
                plain(&attempt.tier),
                plain(&attempt.outcome),
                attempt.status.map(|status| status.to_string()).unwrap_or_default(),
                span_ms(attempt.duration_ms),
                plain(&attempt.version),
            ]
        })
        .collect();
    context.output.line("")?;
    Ok(context.output.table(&mut Table::new(&ATTEMPTS), &rows)?)
}

/// An error's class, with the status that it came from: `http_5xx 503`.
pub(super) fn class(fault: &Fault) -> String {
    let status = fault.status.map(|status| format!(" {status}")).unwrap_or_default();
    plain(&format!("{}{status}", fault.class))
}

/// An error in one line.
pub(super) fn fault(fault: &Fault) -> String {
    let detail = if fault.detail.is_empty() { String::new() } else { format!(": {}", fault.detail) };
    let at = if fault.at.is_empty() { String::new() } else { format!(" (at {} UTC)", precise(&fault.at)) };
    format!("{}{detail}{at}", class(fault))
}

/// Prints a text that came over the network below a heading: line by line, with control characters shown, and
/// bytes that are no text by their size only.
pub(super) fn body(context: &Context, heading: &str, text: Option<&str>, base64: Option<&str>) -> Result<(), Failure> {
    match (text, base64) {
        (None, None) => return Ok(()),
        (Some(""), _) => context.output.line(&format!("\n{heading}: empty"))?,
        (Some(text), _) => {
            let lines: Vec<String> = text.lines().map(|line| format!("  {}", plain(line))).collect();
            context.output.line(&format!("\n{heading}:\n{}", lines.join("\n")))?;
        }
        (None, Some(base64)) => {
            let size = STANDARD.decode(base64).map_or(0, |bytes| bytes.len());
            context.output.line(&format!("\n{heading}: {size} bytes that are no text (--json has them as base64)"))?;
        }
    }
    Ok(())
}
