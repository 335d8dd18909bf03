//! What only the home on one machine is set by.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;

/// Settings of `chaski serve`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeSettings {
    /// `listen`: the address of the API.
    pub listen: SocketAddr,
    /// `data`: the store's folder.
    pub data: PathBuf,
    /// `durability`
    pub durability: Durability,
    /// `[limits]`
    pub limits: LimitSettings,
    /// `[retention]`
    pub retention: RetentionSettings,
    /// `[tls]`
    pub tls: Option<TlsSettings>,
}

/// What an answer 200 stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The data is on the disk.
    Fsync,
    /// The data is in the kernel's page cache: it survives the process, and not a power failure.
    Os,
}

/// What is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// `limits.connections`: open connections of producers and operators.
    pub connections: u32,
    /// `limits.concurrency`: attempts at once, in all.
    pub concurrency: u32,
    /// `limits.per_host`: attempts at once to one target host.
    pub per_host: u32,
    /// `limits.grace`: how long a stop waits for what runs.
    pub grace: Duration,
}

/// How long what has ended is kept. `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionSettings {
    /// `retention.delivered`: messages in the ledger, from their end on; cancelled and expired ones too.
    pub delivered: Option<Duration>,
    /// `retention.dead`: dead letters, from their burial on.
    pub dead: Option<Duration>,
    /// `retention.keys`: how long the same key and body is the same message.
    pub keys: Duration,
}

/// Serving HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// `tls.cert`: a file with the chain of certificates, as PEM.
    pub cert: PathBuf,
    /// `tls.key`: a file with the private key, as PEM.
    pub key: PathBuf,
}

/// Attempts or connections at once that can be asked for; each needs a descriptor.
const MOST_AT_ONCE: u32 = 100_000;
/// A day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a stop may wait at most.
const MOST_GRACE: Duration = Duration::from_secs(15 * 60);

pub(super) fn read(reader: &mut Reader<'_>) -> ServeSettings {
    ServeSettings {
        listen: read_listen(reader),
        data: PathBuf::from(reader.text("data", "./chaski-data")),
        durability: read_durability(reader),
        limits: read_limits(reader),
        retention: RetentionSettings {
            delivered: reader.span_or_forever("retention.delivered", Some(7 * DAY)),
            dead: reader.span_or_forever("retention.dead", None),
            keys: reader.span("retention.keys", DAY),
        },
        tls: read_tls(reader),
    }
}

fn read_listen(reader: &mut Reader<'_>) -> SocketAddr {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let text = reader.text("listen", &default.to_string());
    text.parse().unwrap_or_else(|_| {
        reader.wrong("listen", "must be an address and a port, like 127.0.0.1:8080 or [::1]:8080");
        default
    })
}

fn read_durability(reader: &mut Reader<'_>) -> Durability {
    match reader.text("durability", "fsync").as_str() {
        "fsync" => Durability::Fsync,
        "os" => Durability::Os,
        _ => {
            reader.wrong("durability", "must be fsync or os");
            Durability::Fsync
        }
    }
}

fn read_limits(reader: &mut Reader<'_>) -> LimitSettings {
    let grace = reader.span("limits.grace", Duration::from_secs(30));
    if grace > MOST_GRACE {
        reader.wrong("limits.grace", format!("must be at most {} s", MOST_GRACE.as_secs()));
    }
    LimitSettings {
        connections: reader.number("limits.connections", 10_000, 1..=MOST_AT_ONCE),
        concurrency: reader.number("limits.concurrency", 512, 1..=MOST_AT_ONCE),
        per_host: reader.number("limits.per_host", 64, 1..=MOST_AT_ONCE),
        grace,
    }
}

fn read_tls(reader: &mut Reader<'_>) -> Option<TlsSettings> {
    let [cert, key] = ["tls.cert", "tls.key"].map(|setting| reader.text(setting, ""));
    match (cert.is_empty(), key.is_empty()) {
        (true, true) => None,
        (false, false) => Some(TlsSettings { cert: cert.into(), key: key.into() }),
        (true, false) => {
            reader.wrong("tls.cert", "is missing beside tls.key");
            None
        }
        (false, true) => {
            reader.wrong("tls.key", "is missing beside tls.cert");
            None
        }
    }
}
