//! What a person or a program gets to see: data on standard output, talk on standard error.

mod progress;
mod sheet;
mod table;
mod text;

pub(crate) use progress::Progress;
pub(crate) use sheet::Sheet;
pub(crate) use table::{Column, Table};
pub(crate) use text::{age, count, indented, plain, precise, span_ms, time, time_and_distance};

use std::io::{self, Write};

/// Where data goes, and for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// For a program: the server's JSON, unchanged.
    pub(crate) json: bool,
    width: Option<usize>,
}

impl Output {
    /// Standard output. Lines are cut to the terminal's width, or to `COLUMNS`; in a file or a pipe they are whole.
    pub(crate) fn new(json: bool) -> Self {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let terminal = || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        Self { json, width: columns.or_else(terminal) }
    }

    /// Writes a text as it is, and ends its line.
    pub(crate) fn line(self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// Writes rows.
    pub(crate) fn table(self, table: &mut Table, rows: &[Vec<String>]) -> io::Result<()> {
        let text = table.render(rows, self.width);
        if text.is_empty() { Ok(()) } else { self.line(&text) }
    }
}

/// Says something to a person, with control characters shown. Where nobody listens, nothing is lost.
pub(crate) fn talk(text: &str) {
    let lines: Vec<String> = text.lines().map(plain).collect();
    let _ = writeln!(io::stderr().lock(), "{}", lines.join("\n"));
}
