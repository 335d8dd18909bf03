//! `[[producers]]`: who may call, known by the digests of their keys.

use toml::{Table, Value};

use super::reader::Reader;
use crate::secret::KeyDigest;

/// A service that posts messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    /// `[a-z0-9-]{1,32}`
    pub id: String,
    /// Whose lines its subjects stand in; the empty one by default.
    pub tenant: String,
    /// At most two at a time, for rotation.
    pub keys: Vec<KeyDigest>,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// What a producer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Post, and cancel its own.
    Send,
    /// See its own tenant's messages and dead letters.
    Read,
    /// Replay and delete its own.
    Replay,
    /// Everything.
    Admin,
}

impl Scope {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "send" => Some(Self::Send),
            "read" => Some(Self::Read),
            "replay" => Some(Self::Replay),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }
}

/// Keys of one producer that live at the same time.
const KEYS: usize = 2;
/// A producer's id, whose letters are a-z, 0-9 and -.
const ID_CHARS: usize = 32;
/// A tenant's name.
const TENANT_BYTES: usize = 128;

pub(super) fn read(reader: &mut Reader<'_>) -> Vec<Producer> {
    let tables = reader.tables("producers").unwrap_or_default();
    let producers: Vec<Producer> = tables.into_iter().map(|(at, table)| read_producer(reader, &at, table)).collect();
    for (n, producer) in producers.iter().enumerate() {
        if producers.iter().take(n).any(|other| other.id == producer.id) {
            reader.wrong(&format!("producers[{n}].id"), format!("`{}` stands more than once", producer.id));
        }
    }
    producers
}

fn read_producer(reader: &mut Reader<'_>, at: &str, mut table: Table) -> Producer {
    let id = table.remove("id").and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.is_empty() || id.len() > ID_CHARS || !id.chars().all(legal) {
        reader.wrong(&format!("{at}.id"), format!("must be 1 to {ID_CHARS} of a-z, 0-9 and -"));
    }
    let tenant = match table.remove("tenant") {
        None => Some(String::new()),
        Some(Value::String(tenant)) => Some(tenant),
        Some(_) => None,
    };
    let tenant = tenant.filter(|tenant| tenant.len() <= TENANT_BYTES && !tenant.contains(char::is_control));
    if tenant.is_none() {
        reader.wrong(&format!("{at}.tenant"), format!("must be a text of at most {TENANT_BYTES} bytes"));
    }
    let producer = Producer {
        id,
        tenant: tenant.unwrap_or_default(),
        keys: read_keys(reader, &format!("{at}.keys"), table.remove("keys")),
        scopes: read_scopes(reader, &format!("{at}.scopes"), table.remove("scopes")),
    };
    for name in table.keys() {
        reader.wrong(&format!("{at}.{name}"), "is not a setting");
    }
    producer
}

fn read_keys(reader: &mut Reader<'_>, at: &str, value: Option<Value>) -> Vec<KeyDigest> {
    let keys: Vec<KeyDigest> = reader.texts_of(at, value).iter().filter_map(|text| KeyDigest::parse(text)).collect();
    if keys.is_empty() || keys.len() > KEYS {
        reader.wrong(at, format!("must be 1 to {KEYS} of `sha256:` and 64 hexadecimal digits, of the whole key"));
    }
    keys
}

fn read_scopes(reader: &mut Reader<'_>, at: &str, value: Option<Value>) -> Vec<Scope> {
    let Some(value) = value else { return vec![Scope::Send] };
    let texts = reader.texts_of(at, Some(value));
    let scopes: Vec<Scope> = texts.iter().filter_map(|text| Scope::parse(text)).collect();
    if scopes.is_empty() || scopes.len() != texts.len() {
        reader.wrong(at, "must be of send, read, replay and admin");
    }
    scopes
}
