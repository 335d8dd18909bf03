//! Routes: which class of subjects a subject belongs to, and which shard of it.

use std::io::Cursor;

use crate::queue::QueueName;

/// A class of subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its name, the first part of its queues' names.
    pub name: String,
    /// Which subjects belong to it.
    pub pattern: Pattern,
    /// Finds a client id in a subject, where the envelope names none.
    pub client: Option<Pattern>,
    /// How many FIFO queues it has, from 1.
    pub shards: u32,
    /// Whether a failed message holds up its line, unless the message says otherwise.
    pub ordering: Ordering,
    /// Attempts at once, first ones and retries together; 0 for no limit of its own. Only a home on one
    /// machine can count them.
    pub concurrency: u32,
}

/// What the order of a subject means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ordering {
    /// First attempts are in order; a message that failed is tried again later, while its successors go on.
    #[default]
    Relaxed,
    /// A message waits until the one before it is at its end, retries included.
    Strict,
}

impl Ordering {
    /// `relaxed` or `strict`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "relaxed" => Some(Self::Relaxed),
            "strict" => Some(Self::Strict),
            _ => None,
        }
    }

    /// As [`Self::parse`] reads it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relaxed => "relaxed",
            Self::Strict => "strict",
        }
    }
}

impl Route {
    /// The queue of a subject.
    #[must_use]
    pub fn queue(&self, subject: &str) -> QueueName {
        QueueName::Shard { route: self.name.clone(), shard: shard_of(subject, self.shards) }
    }
}

/// The contract's default: assignments apart from everything else.
#[must_use]
pub fn default_routes() -> Vec<Route> {
    let route = |name: &str, pattern, client: Option<&str>, shards| Route {
        name: name.to_owned(),
        pattern: Pattern::parse(pattern),
        client: client.map(Pattern::parse),
        shards,
        ordering: Ordering::Relaxed,
        concurrency: 0,
    };
    vec![route("assignments", "pc_assignments_*", None, 1), route("messages", "*", Some("pc_*_{client}_*"), 4)]
}

/// The first route that a subject matches.
#[must_use]
pub fn find<'a>(routes: &'a [Route], subject: &str) -> Option<&'a Route> {
    routes.iter().find(|route| route.pattern.matches(subject))
}

/// `murmur3_x86_32` of the subject's UTF-8 bytes with seed 0, modulo the shards.
#[must_use]
pub fn shard_of(subject: &str, shards: u32) -> u32 {
    // Reading from memory can't fail.
    let hash = murmur3::murmur3_32(&mut Cursor::new(subject.as_bytes()), 0).unwrap_or(0);
    hash.checked_rem(shards).unwrap_or(0)
}

/// A pattern over subjects: `*` stands for any characters, `{client}` for at least one, which are taken;
/// case counts. Where it fits in several ways, each takes as little as it can, from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Char(char),
    Any,
    Client,
}

const CLIENT: &str = "{client}";

impl Pattern {
    /// Reads a pattern; every text is one.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (part, taken) = if rest.starts_with(CLIENT) {
                (Part::Client, CLIENT.len())
            } else if first == '*' {
                (Part::Any, 1)
            } else {
                (Part::Char(first), first.len_utf8())
            };
            parts.push(part);
            rest = rest.get(taken..).unwrap_or_default();
        }
        Self { text: text.to_owned(), parts }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether every subject fits.
    #[must_use]
    pub fn is_catch_all(&self) -> bool {
        !self.parts.is_empty() && self.parts.iter().all(|part| *part == Part::Any)
    }

    /// Whether it takes a client id out of a subject, and only one.
    #[must_use]
    pub fn takes_client(&self) -> bool {
        self.parts.iter().filter(|part| **part == Part::Client).count() == 1
    }

    /// Whether a subject fits.
    #[must_use]
    pub fn matches(&self, subject: &str) -> bool {
        Search::new(self, subject).run(0, 0)
    }

    /// The client id in a subject that fits.
    #[must_use]
    pub fn client(&self, subject: &str) -> Option<String> {
        let mut search = Search::new(self, subject);
        search.run(0, 0).then_some(search.client).flatten()
    }
}

/// A search with a memory of dead ends, so that its time is bounded by pattern × subject, and none of the
/// two can be made to explode it.
struct Search<'a> {
    parts: &'a [Part],
    chars: Vec<char>,
    dead: Vec<bool>,
    client: Option<String>,
}

impl<'a> Search<'a> {
    fn new(pattern: &'a Pattern, subject: &str) -> Self {
        let chars: Vec<char> = subject.chars().collect();
        let dead = vec![false; (pattern.parts.len() + 1) * (chars.len() + 1)];
        Self { parts: &pattern.parts, chars, dead, client: None }
    }

    fn run(&mut self, part: usize, at: usize) -> bool {
        let place = part * (self.chars.len() + 1) + at;
        if self.dead.get(place).copied().unwrap_or(true) {
            return false;
        }
        let found = match self.parts.get(part) {
            None => at == self.chars.len(),
            Some(Part::Char(c)) => self.chars.get(at) == Some(c) && self.run(part + 1, at + 1),
            Some(Part::Any) => (at..=self.chars.len()).any(|end| self.run(part + 1, end)),
            Some(Part::Client) => {
                let end = (at + 1..=self.chars.len()).find(|end| self.run(part + 1, *end));
                self.client = end.and_then(|end| self.chars.get(at..end)).map(|taken| taken.iter().collect());
                end.is_some()
            }
        };
        if !found && let Some(dead) = self.dead.get_mut(place) {
            *dead = true;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_those_of_the_contract_s_vectors() {
        for (subject, shard) in [
            ("test_subject", 1),
            ("pc_assignments_136", 1),
            ("pc_assignments_1663", 0),
            ("pc_send_88_51993119000_51902646574", 3),
            ("ñandú", 3),
            ("日本語", 3),
        ] {
            assert_eq!(shard_of(subject, 4), shard, "{subject}");
        }
        assert_eq!(shard_of("test_subject", u32::MAX), 2_227_453_849);
    }

    #[test]
    fn the_first_match_wins_and_case_counts() {
        let routes = default_routes();
        let name = |subject| find(&routes, subject).map(|route| route.name.as_str());
        assert_eq!(name("pc_assignments_136"), Some("assignments"));
        assert_eq!(name("PC_assignments_136"), Some("messages"));
        assert_eq!(name("pc_assignments"), Some("messages"));
        assert_eq!(name("x"), Some("messages"));
    }

    #[test]
    fn a_client_is_found_in_the_subject() {
        let pattern = Pattern::parse("pc_*_{client}_*");
        assert_eq!(pattern.client("pc_consume_108_5699").as_deref(), Some("108"));
        assert_eq!(pattern.client("pc_send_88_51993119000_51902646574").as_deref(), Some("88"));
        assert_eq!(pattern.client("pc_send_88"), None);
        assert_eq!(pattern.client("other"), None);
    }

    #[test]
    fn stars_can_not_explode_the_search() {
        let pattern = Pattern::parse(&"*a".repeat(30));
        assert!(!pattern.matches(&"a".repeat(29)));
        assert!(pattern.matches(&"a".repeat(512)));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(511))));
    }
}
