//! The tables.

use std::fmt::Write;

use super::figure::{BESIDE, FIGURES, Figure, LOAD_CPU, OTHERS, Reach, TARGET_CPU, Value, values_of};
use crate::columns::{Samples, aligned};

/// The name under which Chaski's values stand.
pub(crate) const CHASKI: &str = "Chaski";

/// With more than this taken by others the figures say more about them.
const BUSY_PERCENT: f64 = 10.0;

/// One server's figures beside what is to be reached, and whether all were.
pub(crate) fn of_one(all: &[Value], of: &str) -> (String, bool) {
    let mut lines = vec![["figure", "reach", "median", "spread", "verdict"].map(str::to_owned).to_vec()];
    let mut reached = true;
    for figure in FIGURES {
        let values = values_of(all, of, figure.key);
        if values.is_empty() {
            continue;
        }
        let met = figure.reach.met(median(&values));
        reached &= met.unwrap_or(true);
        let verdict = met.map_or("", |met| if met { "ok" } else { "MISSED" }).to_owned();
        let median = with_unit(median(&values), figure);
        lines.push(vec![figure.text.to_owned(), reach(figure), median, spread(&values), verdict]);
    }
    (aligned(&lines, &[1, 2, 3]) + &footnote(all, &[of.to_owned()]), reached)
}

/// All servers beside each other; how many times Chaski's value each other's is stands in brackets.
pub(crate) fn side_by_side(all: &[Value]) -> String {
    let mut names: Vec<String> = Vec::new();
    for value in all {
        if !names.contains(&value.of) {
            names.push(value.of.clone());
        }
    }
    let mut lines = vec![[vec!["figure".to_owned()], names.clone()].concat()];
    for figure in FIGURES {
        let columns: Vec<_> = names.iter().map(|of| values_of(all, of, figure.key)).collect();
        if columns.iter().all(Vec::is_empty) {
            continue;
        }
        let ours = median(&values_of(all, CHASKI, figure.key));
        let mut line = vec![figure.text.to_owned()];
        for (of, values) in names.iter().zip(&columns) {
            line.push(beside(of, median(values), ours, figure));
        }
        lines.push(line);
    }
    let numbers: Vec<_> = (1..=names.len()).collect();
    aligned(&lines, &numbers) + &verdict(all) + &footnote(all, &names)
}

/// How many times the peer that is to be beaten; nothing where one of the two was not run.
fn verdict(all: &[Value]) -> String {
    let (peer, figure, reach) = BESIDE;
    let [ours, theirs] = [CHASKI, peer].map(|of| median(&values_of(all, of, figure)));
    let times = ours / theirs;
    if times.is_nan() {
        return String::new();
    }
    let verdict = if times >= reach { "ok" } else { "MISSED" };
    format!("{CHASKI} delivers {} times what {peer} does, reach ≥ {reach}: {verdict}\n", number(times))
}

fn beside(of: &str, value: f64, ours: f64, figure: &Figure) -> String {
    if value.is_nan() {
        return "-".to_owned();
    }
    let text = with_unit(value, figure);
    if of == CHASKI || !ours.is_normal() { text } else { format!("{text} ({:.2}x)", value / ours) }
}

/// What the load itself costs on the same processors, and what had no business there.
fn footnote(all: &[Value], names: &[String]) -> String {
    let mut text = String::new();
    for of in names {
        let [load, target] = [LOAD_CPU, TARGET_CPU].map(|figure| median(&values_of(all, of, figure)));
        if load.is_nan() {
            continue;
        }
        let others = values_of(all, of, OTHERS).into_iter().fold(0.0, f64::max);
        let busy = if others > BUSY_PERCENT { ": TOO BUSY to measure here" } else { "" };
        let _ = writeln!(
            text,
            "{of}: the load took {load:.1} us of CPU a message, the target {target:.1} us; \
             other work at most {others:.0} % of the processors{busy}"
        );
    }
    text
}

fn median(values: &[f64]) -> f64 {
    Samples::new(values.to_vec()).median()
}

fn reach(figure: &Figure) -> String {
    match figure.reach {
        Reach::AtLeast(least) => format!("≥ {}", number(least)),
        Reach::AtMost(most) => format!("≤ {}", number(most)),
        Reach::Told => "-".to_owned(),
    }
}

fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} to {}", number(least), number(most))
}

fn with_unit(value: f64, figure: &Figure) -> String {
    format!("{} {}", number(value), figure.unit).trim_end().to_owned()
}

/// Three digits or so, and thousands apart.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        v if v < 1.0 => 3,
        v if v < 10.0 => 2,
        v if v < 1_000.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let mut apart = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n) % 3 == 0 {
            apart.push(',');
        }
        apart.push(digit);
    }
    let part = part.trim_end_matches('0');
    if part.is_empty() { apart } else { format!("{apart}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(of: &str, figure: &str, value: f64) -> Value {
        Value { of: of.to_owned(), figure: figure.to_owned(), value }
    }

    #[test]
    fn numbers_are_short() {
        let written = [0.0, 0.0876, 1.6, 9_123.4, 1_000_000.0, 60.0].map(number);
        assert_eq!(written, ["0", "0.088", "1.6", "9,123", "1,000,000", "60"]);
    }

    #[test]
    fn the_median_is_judged_and_the_spread_is_shown() {
        let rate = |rates: [f64; 3]| rates.map(|rate| value(CHASKI, "deliver.rate", rate)).to_vec();
        let (text, reached) = of_one(&rate([14_000.0, 16_000.0, 15_500.0]), CHASKI);
        assert!(reached && text.contains("15,500") && text.contains("14,000 to 16,000"), "{text}");
        let (text, reached) = of_one(&rate([14_000.0, 16_000.0, 14_500.0]), CHASKI);
        assert!(!reached && text.contains("MISSED"), "{text}");
    }

    #[test]
    fn a_busy_machine_is_named() {
        let quiet = [value(CHASKI, LOAD_CPU, 5.0), value(CHASKI, TARGET_CPU, 6.0), value(CHASKI, OTHERS, 4.0)];
        assert!(!of_one(&quiet, CHASKI).0.contains("BUSY"));
        let busy = [quiet.to_vec(), vec![value(CHASKI, OTHERS, 40.0)]].concat();
        assert!(of_one(&busy, CHASKI).0.contains("at most 40 % of the processors: TOO BUSY"));
    }

    #[test]
    fn others_stand_beside_with_their_ratio() {
        let all = [value(CHASKI, "deliver.rate", 16_000.0), value("BullMQ", "deliver.rate", 8_000.0)];
        let text = side_by_side(&all);
        assert!(text.contains("16,000") && text.contains("8,000 (0.50x)"), "{text}");
        assert!(text.contains("2 times what BullMQ does, reach ≥ 1.5: ok"), "{text}");
        assert!(!side_by_side(&all[1..]).contains("times"));
    }
}
