//! Reading and writing JSON objects field by field, keeping what is not understood.
//!
//! serde's derived readers would stop at the first mistake, lose the spelling of numbers and drop
//! unknown fields. Here an object is a list of names with the raw text of their values; who reads it
//! takes the fields it knows, and the rest travels on.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Fields that are not understood, with the text of their values, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extra(BTreeMap<String, String>);

impl Extra {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names with the text of their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        let raw = |text| serde_json::from_str(text).ok();
        self.0.iter().filter_map(move |(name, text)| Some((name.as_str(), raw(text)?)))
    }

    /// Adds a field with the text of its value, or replaces it.
    pub(crate) fn insert(&mut self, name: &str, json: &str) {
        self.0.insert(name.to_owned(), json.to_owned());
    }

    /// The text of a field's value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Bytes of all names and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

/// An object that is being read: its fields, of which the known ones are taken one by one.
#[derive(Debug)]
pub struct Fields<'a> {
    fields: Vec<(String, &'a RawValue)>,
    duplicates: Vec<String>,
}

impl<'a> Fields<'a> {
    /// Reads an object. `None` when the text is something else.
    #[must_use]
    pub fn read(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    /// The text of a field's value; the field stays.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, raw)| *raw)
    }

    /// Takes a field out.
    pub fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.fields.iter().position(|(field, _)| field == name)?;
        Some(self.fields.remove(at).1)
    }

    /// Takes a field out if its value is of that type; one of another type stays with the rest.
    pub fn take_as<T: Deserialize<'a>>(&mut self, name: &str) -> Option<T> {
        let at = self.fields.iter().position(|(field, _)| field == name)?;
        let (_, raw) = self.fields.get(at)?;
        let value = serde_json::from_str(raw.get()).ok()?;
        self.fields.remove(at);
        Some(value)
    }

    /// The names that stood more than once; the first value of each was kept.
    #[must_use]
    pub fn duplicates(&self) -> &[String] {
        &self.duplicates
    }

    /// What was not taken, in the object's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.fields.iter().map(|(name, raw)| (name.as_str(), *raw))
    }

    /// What was not taken.
    #[must_use]
    pub fn rest(self) -> Extra {
        Extra(self.fields.into_iter().map(|(name, raw)| (name, raw.get().to_owned())).collect())
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut read = Fields { fields: Vec::new(), duplicates: Vec::new() };
                let mut seen = std::collections::HashSet::new();
                while let Some((name, raw)) = map.next_entry::<String, &'de RawValue>()? {
                    if seen.insert(name.clone()) {
                        read.fields.push((name, raw));
                    } else {
                        read.duplicates.push(name);
                    }
                }
                Ok(read)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The JSON pointers below `raw` at which an object has a name twice; `at` is the pointer of `raw`.
#[must_use]
pub fn duplicate_pointers(at: &str, raw: &RawValue) -> Vec<String> {
    let mut found = Vec::new();
    walk(at, raw, &mut found);
    found
}

fn walk(at: &str, raw: &RawValue, found: &mut Vec<String>) {
    let text = raw.get();
    if text.starts_with('{') {
        if let Some(fields) = Fields::read(raw) {
            found.extend(fields.duplicates().iter().map(|name| join(at, name)));
            fields.iter().for_each(|(name, value)| walk(&join(at, name), value, found));
        }
    } else if text.starts_with('[')
        && let Ok(items) = serde_json::from_str::<Items<'_>>(text)
    {
        items.0.iter().enumerate().for_each(|(n, value)| walk(&join(at, &n.to_string()), value, found));
    }
}

/// An array's values, raw.
#[derive(Debug)]
pub struct Items<'a>(pub Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;
        impl<'de> Visitor<'de> for Array {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(Array)
    }
}

/// Appends a name to a JSON pointer (RFC 6901).
#[must_use]
pub fn join(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// How deep a JSON text nests. Brackets in strings do not count; the text need not be valid.
#[must_use]
pub fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    deepest
}

/// A JSON object that is being written.
#[derive(Debug)]
pub struct Writer {
    text: String,
    names: Vec<&'static str>,
}

impl Default for Writer {
    fn default() -> Self {
        Self { text: String::from("{"), names: Vec::new() }
    }
}

impl Writer {
    /// Adds a field with the text of its value as it stands.
    pub fn raw(&mut self, name: &'static str, json: &str) {
        self.names.push(name);
        self.field(name, json);
    }

    /// Adds a string.
    pub fn text(&mut self, name: &'static str, value: &str) {
        self.raw(name, &quoted(value));
    }

    /// Adds a string where there is one.
    pub fn text_if(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// Adds a number.
    pub fn number(&mut self, name: &'static str, value: impl Into<u64>) {
        self.raw(name, &value.into().to_string());
    }

    /// Adds the fields that were not understood, but for those that were written already, and ends.
    #[must_use]
    pub fn finish(mut self, extra: &Extra) -> String {
        for (name, json) in &extra.0 {
            if !self.names.contains(&name.as_str()) {
                self.field(name, &sendable(json));
            }
        }
        self.text.push('}');
        self.text
    }

    fn field(&mut self, name: &str, json: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push_str(&quoted(name));
        self.text.push(':');
        self.text.push_str(json);
    }
}

/// A JSON array of texts that are JSON.
#[must_use]
pub fn array(items: impl IntoIterator<Item = String>) -> String {
    let mut text = String::from("[");
    for (n, item) in items.into_iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        text.push_str(&item);
    }
    text.push(']');
    text
}

/// A JSON string, with the two characters escaped that JSON allows and SQS refuses.
#[must_use]
pub fn quoted(value: &str) -> String {
    // Writing a string as JSON can't fail.
    sendable(&serde_json::to_string(value).unwrap_or_default())
}

/// Whether JSON text has characters that SQS refuses. Control characters can't stand in JSON.
#[must_use]
pub fn has_unsendable(json: &str) -> bool {
    json.contains(['\u{FFFE}', '\u{FFFF}'])
}

/// The same JSON value, written without the characters that SQS refuses: they can stand in strings only,
/// where an escape means the same.
fn sendable(json: &str) -> String {
    if has_unsendable(json) {
        json.replace('\u{FFFE}', "\\ufffe").replace('\u{FFFF}', "\\uffff")
    } else {
        json.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert_eq!(depth("1"), 0);
        assert_eq!(depth(r#"{"a":[1,{"b":"[[[{\"["}]}"#), 3);
    }

    #[test]
    fn duplicates_are_found_at_every_level() {
        let found = duplicate_pointers("", raw(r#"{"a":1,"a":2,"b":[{"c/d":1,"c/d":2}]}"#));
        assert_eq!(found, ["/a", "/b/0/c~1d"]);
    }

    #[test]
    fn what_was_not_taken_is_written_again_as_it_stood() {
        let mut fields = Fields::read(raw(r#"{"v":1,"x":1.50e3,"y":{"z" : "\ud800"}}"#)).unwrap();
        assert_eq!(fields.take_as::<u32>("v"), Some(1));
        assert_eq!(fields.take_as::<u32>("x"), None, "not a whole number: it stays");
        let mut writer = Writer::default();
        writer.number("v", 2_u32);
        assert_eq!(writer.finish(&fields.rest()), r#"{"v":2,"x":1.50e3,"y":{"z" : "\ud800"}}"#);
    }

    #[test]
    fn what_sqs_refuses_is_escaped() {
        assert_eq!(quoted("a\u{FFFE}\u{1}"), "\"a\\ufffe\\u0001\"");
    }
}
