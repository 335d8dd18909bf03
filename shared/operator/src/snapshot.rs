//! The dead letters that a replay goes through: which they are and their order is decided once, at its beginning.

use chaski_core::dead_letter::DeadLetter;
use chaski_core::filter::DeadLetterFilter;
use chaski_core::time::Timestamp;
use chaski_dynamodb::{Key, Record};

/// A letter's place in the order of acceptance. The queue's number first, which is the order of a subject's line;
/// what has none was never in a line of ours, and goes last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    unnumbered: bool,
    /// SQS's number: up to 20 digits, and 128 bits by its own word.
    number: u128,
    received_at: Timestamp,
    id: String,
    generation: u32,
}

impl Place {
    pub(crate) fn of(letter: &DeadLetter) -> Self {
        let number = letter.order.as_deref().and_then(|order| order.parse().ok());
        Self {
            unnumbered: number.is_none(),
            number: number.unwrap_or_default(),
            received_at: letter.received_at.unwrap_or(letter.entry_sent_at),
            id: letter.id.clone(),
            generation: letter.generation,
        }
    }
}

/// What fitted a filter.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) filter: DeadLetterFilter,
    found: Vec<(Place, Key)>,
}

impl Snapshot {
    pub(crate) fn new(filter: &DeadLetterFilter) -> Self {
        Self { filter: filter.clone(), found: Vec::new() }
    }

    pub(crate) fn add(&mut self, record: Record) {
        self.found.push((Place::of(&record.letter), record.key));
    }

    /// All are there.
    pub(crate) fn sort(&mut self) {
        self.found.sort_unstable();
    }

    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// The keys of a page that begins at this place.
    pub(crate) fn page(&self, from: usize, limit: usize) -> Vec<Key> {
        self.found.iter().skip(from).take(limit).map(|(_, key)| key.clone()).collect()
    }
}
