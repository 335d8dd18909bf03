//! Rows under headings, without lines around them, as wide as the terminal.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Width, presets};

/// What a column does when the terminal is too narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Stays whole.
    Whole,
    /// Is cut, down to [`SHRUNK`].
    Shrinks,
    /// Is cut, and left out when that is not enough; the later columns first.
    Goes,
}

/// The least that a column that is cut shows.
const SHRUNK: usize = 8;

/// Spaces between two columns.
const GAP: usize = 2;

/// A column's heading, and how it is laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    name: &'static str,
    fit: Fit,
    right: bool,
}

impl Column {
    /// A text that is always shown whole.
    pub(crate) const fn whole(name: &'static str) -> Self {
        Self { name, fit: Fit::Whole, right: false }
    }

    /// A text that may be cut.
    pub(crate) const fn shrinks(name: &'static str) -> Self {
        Self { name, fit: Fit::Shrinks, right: false }
    }

    /// A text that may be left out.
    pub(crate) const fn goes(name: &'static str) -> Self {
        Self { name, fit: Fit::Goes, right: false }
    }

    /// A number.
    pub(crate) const fn number(name: &'static str) -> Self {
        Self { name, fit: Fit::Whole, right: true }
    }

    /// A number that may be left out.
    pub(crate) const fn number_that_goes(name: &'static str) -> Self {
        Self { name, fit: Fit::Goes, right: true }
    }

    fn least(self, whole: usize) -> usize {
        if self.fit == Fit::Whole { whole } else { whole.min(SHRUNK) }
    }
}

/// A table, printed at once or page by page: the first page brings the headings and the least widths.
#[derive(Debug)]
pub(crate) struct Table {
    columns: &'static [Column],
    widths: Option<Vec<usize>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) const fn new(columns: &'static [Column]) -> Self {
        Self { columns, widths: None }
    }

    /// The rows as text, within `width` where it is given. Cells are texts of one line.
    pub(crate) fn render(&mut self, rows: &[Vec<String>], width: Option<usize>) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        let before = self.widths.take();
        if before.is_none() {
            table.set_header(self.columns.iter().map(|column| column.name));
        }
        for row in rows {
            let mut row = Row::from(row);
            row.max_height(1);
            table.add_row(row);
        }
        let mut whole: Vec<usize> = table.column_max_content_widths().into_iter().map(usize::from).collect();
        for (own, before) in whole.iter_mut().zip(before.into_iter().flatten()) {
            *own = before.max(*own);
        }
        let shown = self.shown(&whole, width);
        let widths = fitted(&whole, self.columns, &shown, width);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        for (((column, of), shown), width) in table.column_iter_mut().zip(self.columns).zip(&shown).zip(&widths) {
            let width = u16::try_from(*width + GAP).unwrap_or(u16::MAX);
            column.set_padding((0, u16::try_from(GAP).unwrap_or_default()));
            column.set_cell_alignment(if of.right { CellAlignment::Right } else { CellAlignment::Left });
            column.set_constraint(match shown {
                true => ColumnConstraint::Absolute(Width::Fixed(width)),
                false => ColumnConstraint::Hidden,
            });
        }
        self.widths = Some(whole);
        if table.header().is_none() && rows.is_empty() { String::new() } else { table.trim_fmt() }
    }

    /// Which columns there is room for.
    fn shown(&self, whole: &[usize], width: Option<usize>) -> Vec<bool> {
        let mut shown = vec![true; self.columns.len()];
        let Some(width) = width else { return shown };
        for at in (0..self.columns.len()).rev() {
            let least = |(column, whole): (&Column, &usize)| column.least(*whole) + GAP;
            let needed: usize =
                self.columns.iter().zip(whole).zip(&shown).filter(|(_, shown)| **shown).map(|(of, _)| least(of)).sum();
            if needed <= width + GAP {
                break;
            }
            let goes = self.columns.get(at).is_some_and(|column| column.fit == Fit::Goes);
            if let Some(shown) = shown.get_mut(at).filter(|_| goes) {
                *shown = false;
            }
        }
        shown
    }
}

/// The width of each column, the widest that may shrink giving way first.
fn fitted(whole: &[usize], columns: &[Column], shown: &[bool], width: Option<usize>) -> Vec<usize> {
    let mut widths = whole.to_vec();
    let Some(width) = width else { return widths };
    let total = |widths: &[usize]| -> usize {
        widths.iter().zip(shown).filter(|(_, shown)| **shown).map(|(width, _)| width + GAP).sum()
    };
    while total(&widths) > width + GAP {
        let widest = widths
            .iter_mut()
            .zip(columns)
            .zip(shown)
            .filter(|((own, of), shown)| **shown && of.fit != Fit::Whole && **own > SHRUNK);
        match widest.map(|((own, _), _)| own).max_by_key(|own| **own) {
            Some(own) => *own -= 1,
            None => break,
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] =
        [Column::whole("ID"), Column::number("TRIES"), Column::shrinks("SUBJECT"), Column::goes("TARGET")];

    fn row(id: &str, tries: &str, subject: &str, target: &str) -> Vec<String> {
        [id, tries, subject, target].map(str::to_owned).to_vec()
    }

    #[test]
    fn without_a_terminal_everything_is_whole() {
        let rows = [row("0193", "5", &"s".repeat(300), "http://a/"), row("0194", "12", "日本語", "")];
        let text = Table::new(&COLUMNS).render(&rows, None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("ID    TRIES  SUBJECT{}  TARGET", " ".repeat(293)));
        assert_eq!(lines[1], format!("0193      5  {}  http://a/", "s".repeat(300)));
        assert_eq!(lines[2], "0194     12  日本語");
    }

    #[test]
    fn a_narrow_terminal_cuts_the_widest_and_then_leaves_columns_out() {
        let rows = [row("0193", "5", &"s".repeat(300), "http://example.org/hook")];
        let text = Table::new(&COLUMNS).render(&rows, Some(50));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ID    TRIES  SUBJECT             TARGET");
        assert_eq!(lines[1].chars().count(), 50, "{}", lines[1]);
        assert!(lines[1].ends_with("  sssssssssssssssss…  http://example.o…"), "{}", lines[1]);
        let text = Table::new(&COLUMNS).render(&rows, Some(25));
        assert_eq!(text, "ID    TRIES  SUBJECT\n0193      5  sssssssssss…");
    }

    #[test]
    fn a_page_after_the_first_has_no_heading_and_keeps_the_widths() {
        let mut table = Table::new(&COLUMNS);
        table.render(&[row("0193", "5", "a long subject", "x")], None);
        assert_eq!(table.render(&[row("0194", "6", "short", "y")], None), "0194      6  short           y");
        assert_eq!(table.render(&[], None), "");
    }
}
