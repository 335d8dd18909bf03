//! Reads settings one by one, from the file and from the environment, and remembers every mistake.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::{Table, Value};

use super::Mistake;
use crate::time;

/// What is being read: a table of the file, the environment over it, and what was found so far.
pub(super) struct Reader<'a> {
    file: Table,
    env: &'a dyn Fn(&str) -> Option<String>,
    known: BTreeSet<String>,
    pub(super) mistakes: Vec<Mistake>,
}

/// A span without an end.
const FOREVER: &str = "forever";

/// The environment variable of a setting: `http.max_timeout` is `CHASKI_HTTP_MAX_TIMEOUT`.
#[must_use]
pub fn variable(setting: &str) -> String {
    format!("CHASKI_{}", setting.to_ascii_uppercase().replace('.', "_"))
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &str, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let mut reader = Self { file: Table::new(), env, known: BTreeSet::new(), mistakes: Vec::new() };
        match file.parse() {
            Ok(table) => reader.file = table,
            Err(error) => reader.wrong("chaski.toml", not_toml(file, &error)),
        }
        reader
    }

    pub(super) fn wrong(&mut self, setting: &str, detail: impl Into<String>) {
        self.mistakes.push(Mistake { setting: setting.to_owned(), detail: detail.into() });
    }

    /// The value of a setting of the file, by its dotted name; the name counts as known from now on.
    pub(super) fn value(&mut self, setting: &str) -> Option<Value> {
        self.known.insert(setting.to_owned());
        let (path, name) = setting.rsplit_once('.').map_or((None, setting), |(path, name)| (Some(path), name));
        let mut table = &self.file;
        for step in path.iter().flat_map(|path| path.split('.')) {
            table = table.get(step)?.as_table()?;
        }
        table.get(name).cloned()
    }

    /// A scalar: the environment's text wins over the file's value.
    fn scalar(&mut self, setting: &str) -> Option<Value> {
        let file = self.value(setting);
        (self.env)(&variable(setting)).map(Value::String).or(file)
    }

    pub(super) fn text(&mut self, setting: &str, default: &str) -> String {
        match self.scalar(setting) {
            None => default.to_owned(),
            Some(Value::String(text)) => text,
            Some(_) => {
                self.wrong(setting, "must be a text");
                default.to_owned()
            }
        }
    }

    pub(super) fn boolean(&mut self, setting: &str, default: bool) -> bool {
        let read = match self.scalar(setting) {
            None => return default,
            Some(Value::Boolean(value)) => Some(value),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        read.unwrap_or_else(|| {
            self.wrong(setting, "must be true or false");
            default
        })
    }

    pub(super) fn span(&mut self, setting: &str, default: Duration) -> Duration {
        let read = match self.scalar(setting) {
            None => return default,
            Some(Value::String(text)) => time::parse_span(&text),
            Some(Value::Integer(seconds)) => time::parse_span(&seconds.to_string()),
            Some(_) => Err("must be a span of time, like \"10s\"".to_owned()),
        };
        read.unwrap_or_else(|detail| {
            self.wrong(setting, detail);
            default
        })
    }

    /// A whole number within bounds, both included.
    pub(super) fn number(&mut self, setting: &str, default: u32, bounds: RangeInclusive<u32>) -> u32 {
        let read = match self.scalar(setting) {
            None => return default,
            Some(Value::Integer(value)) => u32::try_from(value).ok(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        read.filter(|value| bounds.contains(value)).unwrap_or_else(|| {
            self.wrong(setting, format!("must be a whole number from {} to {}", bounds.start(), bounds.end()));
            default
        })
    }

    /// A span of time, or `forever`.
    pub(super) fn span_or_forever(&mut self, setting: &str, default: Option<Duration>) -> Option<Duration> {
        match self.scalar(setting) {
            None => default,
            Some(Value::String(text)) if text == FOREVER => None,
            Some(_) => Some(self.span(setting, default.unwrap_or_default())),
        }
    }

    /// A list of texts. Lists come from the file only.
    pub(super) fn texts(&mut self, setting: &str) -> Vec<String> {
        let value = self.value(setting);
        self.texts_of(setting, value)
    }

    pub(super) fn texts_of(&mut self, setting: &str, value: Option<Value>) -> Vec<String> {
        let Some(value) = value else { return Vec::new() };
        let texts =
            value.as_array().and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
        texts.unwrap_or_else(|| {
            self.wrong(setting, "must be a list of texts");
            Vec::new()
        })
    }

    /// An array of tables, each handed to `read` with its dotted name, `routes[0]`.
    pub(super) fn tables(&mut self, setting: &str) -> Option<Vec<(String, Table)>> {
        let Value::Array(items) = self.value(setting)? else {
            self.wrong(setting, format!("must be a list of tables, each begun by [[{setting}]]"));
            return None;
        };
        let mut tables = Vec::new();
        for (n, item) in items.into_iter().enumerate() {
            let name = format!("{setting}[{n}]");
            match item {
                Value::Table(table) => tables.push((name, table)),
                _ => self.wrong(&name, "must be a table"),
            }
        }
        Some(tables)
    }

    /// Names every setting of the file that nobody asked for.
    pub(super) fn refuse_unknown(&mut self) {
        let mut found = Vec::new();
        leaves("", &self.file, &mut found);
        for name in found {
            let belongs =
                |known: &str| name == known || name.strip_prefix(known).is_some_and(|rest| rest.starts_with('.'));
            if !self.known.iter().any(|known| belongs(known)) {
                self.wrong(&name, "is not a setting");
            }
        }
    }
}

/// What is wrong with a file as a whole, and in which line. The line itself is not shown: it may hold a secret.
fn not_toml(file: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| file.get(..span.start)).unwrap_or_default();
    format!("is not TOML: line {}: {}", before.split('\n').count(), error.message())
}

fn leaves(at: &str, table: &Table, found: &mut Vec<String>) {
    for (name, value) in table {
        let name = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        match value {
            Value::Table(inner) if !inner.is_empty() => leaves(&name, inner, found),
            _ => found.push(name),
        }
    }
}
