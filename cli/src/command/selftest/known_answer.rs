//! The known answer, expected beside seen.

use std::collections::HashMap;

use serde::Serialize;

use super::kind::Kind;
use super::target::Seen;

/// Messages of each kind in a round.
pub(super) const EACH: u64 = 50;

/// What became of a round's messages.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What the target saw.
    pub(super) target: Seen,
    /// Messages by state.
    pub(super) states: HashMap<String, u64>,
    /// Dead letters by the class of their last error.
    pub(super) dead_letters: HashMap<String, u64>,
}

/// One figure.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Figure {
    pub(super) what: String,
    /// `None` where any number is right.
    pub(super) expected: Option<u64>,
    pub(super) seen: u64,
}

impl Figure {
    fn new(what: impl Into<String>, expected: u64, seen: u64) -> Self {
        Self { what: what.into(), expected: Some(expected), seen }
    }

    /// Whether it is as it should be.
    pub(super) fn fits(&self) -> bool {
        self.expected.is_none_or(|expected| expected == self.seen)
    }
}

impl Outcome {
    /// All figures, in the order of the table.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let in_state = |state: &str| self.states.get(state).copied().unwrap_or(0);
        let mut figures = Vec::new();
        for kind in Kind::ALL {
            let what = match kind.status() {
                Some(status) => format!("requests answered {status}"),
                None => "requests answered too late".to_owned(),
            };
            let seen = self.target.requests.get(&kind).copied().unwrap_or(0);
            figures.push(Figure::new(what, EACH * kind.calls(), seen));
        }
        let calls: u64 = Kind::ALL.into_iter().map(|kind| EACH * kind.calls()).sum();
        figures.push(Figure::new("requests in all", calls, self.target.requests.values().sum()));
        figures.push(Figure::new("messages delivered", EACH, in_state("delivered")));
        let classes: Vec<&str> = Kind::ALL.into_iter().filter_map(Kind::class).collect();
        let dead = EACH * u64::try_from(classes.len()).unwrap_or_default();
        figures.push(Figure::new("messages dead", dead, in_state("dead")));
        for class in classes {
            let seen = self.dead_letters.get(class).copied().unwrap_or(0);
            figures.push(Figure::new(format!("dead letters {class}"), EACH, seen));
        }
        figures.push(Figure::new("dead letters in all", dead, self.dead_letters.values().sum()));
        figures.push(Figure::new("first attempts out of order", 0, self.target.out_of_order));
        // At least once: a repeat after a crash or a lost answer is within the promise.
        figures.push(Figure { what: "repeated requests".to_owned(), expected: None, seen: self.target.repeats });
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_s_numbers_are_expected() {
        let figures = Outcome::default().figures();
        let expected = |what: &str| figures.iter().find(|figure| figure.what == what).unwrap().expected;
        let requests: Vec<_> = figures.iter().take(4).map(|figure| figure.expected.unwrap()).collect();
        assert_eq!(requests, [50, 250, 300, 200]);
        assert_eq!(expected("requests in all"), Some(800));
        assert_eq!(expected("dead letters in all"), Some(150));
        assert!(!figures[0].fits());
    }
}
