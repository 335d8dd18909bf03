//! The log: one JSON object a line, with ECS names (Elastic Common Schema), on standard output.
//!
//! A field's name is its ECS or `chaski.…` name with its dots; fields of the enclosing spans stand on every
//! line. A field named `_aws` is JSON already (CloudWatch's embedded metric format).

use std::fmt;
use std::io::Write;
use std::sync::Mutex;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::ports::Clock;

/// The field that holds CloudWatch's embedded metric format.
const EMF: &str = "_aws";

/// The target of a message's own trail (its acceptance, attempts, moves, burial, metrics), which is printed
/// at every level: every attempt can be traced, and every count is exact.
pub const TRAIL: &str = "chaski::trail";

/// Our own lines begin with this target; the libraries' are printed from warnings on.
const OURS: &str = "chaski";

/// What stands on every line.
#[derive(Debug, Clone)]
pub struct Service {
    /// `service.name`: `api-ingress`, `sqs-consumer`, …
    pub name: &'static str,
    /// `service.version`
    pub version: &'static str,
    /// The least level.
    pub level: Level,
}

/// A subscriber that prints the service's lines to `out`.
pub fn subscriber(
    service: Service,
    clock: impl Clock + 'static,
    out: impl Write + Send + 'static,
) -> impl Subscriber + Send + Sync {
    Registry::default().with(Lines { service, clock, out: Mutex::new(out) })
}

struct Lines<C, W> {
    service: Service,
    clock: C,
    out: Mutex<W>,
}

/// A span's fields, kept with the span.
struct SpanFields(Map<String, Value>);

impl<S, C, W> Layer<S> for Lines<C, W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    C: Clock + 'static,
    W: Write + Send + 'static,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let ours = metadata.target().starts_with(OURS);
        metadata.is_span() && ours
            || metadata.target() == TRAIL
            || *metadata.level() <= if ours { self.service.level } else { self.service.level.min(Level::WARN) }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Map::new();
            attributes.record(&mut Collect(&mut fields));
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Map::new();
        line.insert("@timestamp".to_owned(), self.clock.now().to_string().into());
        line.insert("log.level".to_owned(), event.metadata().level().as_str().to_ascii_lowercase().into());
        // The message comes third, where a person looks for it.
        line.insert("message".to_owned(), Value::Null);
        line.insert("service.name".to_owned(), self.service.name.into());
        line.insert("service.version".to_owned(), self.service.version.into());
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(SpanFields(fields)) = span.extensions().get() {
                line.extend(fields.clone());
            }
        }
        event.record(&mut Collect(&mut line));
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        if let Ok(mut out) = self.out.lock() {
            // A log that can't be written must not stop a delivery, and there is no other place to say it.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    }
}

struct Collect<'a>(&'a mut Map<String, Value>);

impl Collect<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Collect<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == EMF {
            self.put(field, serde_json::from_str(value).unwrap_or(Value::Null));
        } else {
            self.put(field, value.into());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::time::Timestamp;

    struct Noon;
    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_796_115_600_123)
        }
        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);
    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(level: Level, tell: impl FnOnce()) -> Vec<Value> {
        let page = Page::default();
        let service = Service { name: "test", version: "1", level };
        tracing::subscriber::with_default(subscriber(service, Noon, page.clone()), tell);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_an_object_with_ecs_names() {
        let told = lines(Level::INFO, || {
            let span = tracing::info_span!(target: "chaski::x", "invocation", faas.execution = "e-1");
            let _in = span.enter();
            tracing::info!(target: "chaski::x", { chaski.attempt = 2, _aws = r#"{"a":1}"# }, "an attempt\nended");
            tracing::debug!(target: "chaski::x", "not seen");
        });
        assert_eq!(told.len(), 1);
        let line = &told[0];
        assert_eq!(line["@timestamp"], "2026-12-01T09:00:00.123Z");
        assert_eq!(line["log.level"], "info");
        assert_eq!(line["message"], "an attempt\nended");
        assert_eq!(line["service.name"], "test");
        assert_eq!(line["faas.execution"], "e-1");
        assert_eq!(line["chaski.attempt"], 2);
        assert_eq!(line["_aws"]["a"], 1);
    }

    #[test]
    fn the_trail_is_told_at_every_level() {
        let told = lines(Level::ERROR, || {
            tracing::info!(target: TRAIL, "an attempt");
            tracing::info!(target: "chaski::x", "a word");
            tracing::info!(target: "hyper", "another's word");
        });
        assert_eq!(told.len(), 1);
        assert_eq!(told[0]["message"], "an attempt");
    }
}
