//! Figures in rows, for a person.

use super::columns::{Samples, aligned};

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) figure: &'static str,
    /// Of which function.
    pub(crate) of: &'static str,
    /// What is to be reached, at most.
    pub(crate) reach: f64,
    /// `ms` or `MB`.
    pub(crate) unit: &'static str,
    /// `None`: skipped.
    pub(crate) samples: Option<Samples>,
    /// The peer's name and its median in the same run.
    pub(crate) peer: (&'static str, f64),
    /// Anything that has to be said.
    pub(crate) note: String,
}

impl Row {
    /// Whether the median is over what is to be reached.
    pub(crate) fn over(&self) -> bool {
        self.samples.as_ref().is_some_and(|samples| samples.median() > self.reach)
    }
}

/// The table, its columns aligned.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = ["figure", "of", "reach", "median", "p95", "", "peer", "ratio", ""].map(str::to_owned);
    let lines: Vec<_> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    aligned(&lines, &[2, 3, 4, 7])
}

fn cells(row: &Row) -> [String; 9] {
    let [figure, of] = [row.figure, row.of].map(str::to_owned);
    let reach = format!("≤ {} {}", row.reach, row.unit);
    let Some(samples) = &row.samples else {
        let [median, p95, peer, ratio] = ["-"; 4].map(str::to_owned);
        return [figure, of, reach, median, p95, "skipped".to_owned(), peer, ratio, row.note.clone()];
    };
    let number = |value: f64| {
        if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") }
    };
    let verdict = if row.over() { "OVER" } else { "ok" }.to_owned();
    let (peer, median) = row.peer;
    let ratio = format!("{:.1}x", samples.median() / median);
    let peer = format!("{peer} {}", number(median));
    [
        figure,
        of,
        reach,
        number(samples.median()),
        number(samples.percentile(95)),
        verdict,
        peer,
        ratio,
        row.note.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_is_over_and_what_was_skipped() {
        let row = |value: f64| Row {
            figure: "size",
            of: "x",
            reach: 5.0,
            unit: "MB",
            samples: Some(Samples::new(vec![value])),
            peer: ("hello", 1.0),
            note: String::new(),
        };
        let skipped = Row { samples: None, note: "no root".to_owned(), ..row(0.0) };
        let text = table(&[row(4.0), row(6.0), skipped]);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].contains("ok") && lines[1].contains("4.0x"), "{text}");
        assert!(lines[2].contains("OVER"), "{text}");
        assert!(lines[3].contains("skipped") && lines[3].ends_with("no root"), "{text}");
    }
}
