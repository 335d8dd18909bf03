//! Samples, and text in columns.

use std::fmt::Write;

/// Measured values of one kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The middle one; of an even number, the mean of the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        let (low, high) = (self.0.len().saturating_sub(1) / 2, self.0.len() / 2);
        let at = |n: usize| self.0.get(n).copied().unwrap_or(f64::NAN);
        f64::midpoint(at(low), at(high))
    }

    /// The least that so many of a hundred do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(rank).copied().unwrap_or(f64::NAN)
    }
}

/// The lines with their columns aligned; `numbers` are the columns that stand to the right.
pub(crate) fn aligned<L: AsRef<[String]>>(lines: &[L], numbers: &[usize]) -> String {
    let mut text = String::new();
    for line in lines {
        for (n, cell) in line.as_ref().iter().enumerate() {
            let widths = lines.iter().filter_map(|line| line.as_ref().get(n)).map(|cell| cell.chars().count());
            let width = widths.max().unwrap_or(0);
            let _ =
                if numbers.contains(&n) { write!(text, "{cell:>width$}  ") } else { write!(text, "{cell:<width$}  ") };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_tail() {
        let twenty = Samples::new((1..=20).rev().map(f64::from).collect());
        assert_eq!((twenty.median(), twenty.percentile(95)), (10.5, 19.0));
        let one = Samples::new(vec![3.0]);
        assert_eq!((one.median(), one.percentile(95)), (3.0, 3.0));
    }
}
