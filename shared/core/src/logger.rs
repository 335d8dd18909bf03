//! The log: one JSON object a line, with ECS names (Elastic Common Schema), on standard output.
//!
//! A field's name is its ECS or `chaski.…` name with its dots; fields of the enclosing spans stand on every
//! line. A field named `_aws` is JSON already (CloudWatch's embedded metric format).

use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::ports::Clock;
use crate::time::Timestamp;

/// The field that holds CloudWatch's embedded metric format.
const EMF: &str = "_aws";
/// The field that is the line's message.
const MESSAGE: &str = "message";

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
    /// Whether CloudWatch reads the lines, and counts metrics from them.
    pub cloudwatch: bool,
}

/// A subscriber that prints the service's lines to `out`: each with one write and one flush.
pub fn subscriber(
    service: Service,
    clock: impl Clock + 'static,
    out: impl Write + Send + 'static,
) -> impl Subscriber + Send + Sync {
    let mut same = Vec::new();
    for (name, value) in [("service.name", service.name), ("service.version", service.version)] {
        key(&mut same, name);
        json(&mut same, value);
    }
    Registry::default().with(Lines { service, same, clock, out: Mutex::new(out) })
}

struct Lines<C, W> {
    service: Service,
    /// The fields that are the same on every line, each behind a comma.
    same: Vec<u8>,
    clock: C,
    out: Mutex<W>,
}

/// Where a line is put together; the buffers are used again for the next.
#[derive(Default)]
struct Draft {
    line: Vec<u8>,
    fields: Fields,
    /// A point in time as text, which many lines share.
    stamp: Option<(Timestamp, String)>,
}

/// What a draft may keep of a line that was longer than most.
const KEPT_BYTES: usize = 16_384;

thread_local! {
    /// Each thread has its own: a line is put together while another one is written.
    static DRAFT: RefCell<Draft> = RefCell::default();
}

impl Draft {
    fn write(
        &mut self,
        event: &Event<'_>,
        now: Timestamp,
        service: &Service,
        same: &[u8],
        spans: impl FnOnce(&mut Vec<u8>),
    ) -> &[u8] {
        let Self { line, fields, stamp } = self;
        fields.begin(service.cloudwatch);
        event.record(fields);
        let stamp = match stamp {
            Some((at, text)) if *at == now => text,
            stale => &mut stale.insert((now, now.to_string())).1,
        };
        line.clear();
        line.extend_from_slice(b"{\"@timestamp\":\"");
        line.extend_from_slice(stamp.as_bytes());
        line.extend_from_slice(b"\",\"log.level\":\"");
        line.extend_from_slice(level(*event.metadata().level()).as_bytes());
        // The message comes third, where a person looks for it.
        line.extend_from_slice(b"\",\"message\":");
        json(line, &fields.message);
        line.extend_from_slice(same);
        spans(line);
        line.extend_from_slice(&fields.json);
        line.extend_from_slice(b"}\n");
        line
    }

    fn shrink(&mut self) {
        self.line.clear();
        self.line.shrink_to(KEPT_BYTES);
        self.fields.shrink();
    }
}

/// A span's fields as JSON, each behind a comma; kept with the span.
struct SpanFields(Vec<u8>);

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
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(SpanFields(fields.json));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let now = self.clock.now();
        let spans = |line: &mut Vec<u8>| {
            for span in context.event_scope(event).into_iter().flatten() {
                if let Some(SpanFields(json)) = span.extensions().get() {
                    line.extend_from_slice(json);
                }
            }
        };
        let tell = |draft: &mut Draft| {
            let line = draft.write(event, now, &self.service, &self.same, spans);
            if let Ok(mut out) = self.out.lock() {
                // A log that can't be written must not stop a delivery, and there is no other place to say it.
                let _ = out.write_all(line).and_then(|()| out.flush());
            }
            draft.shrink();
        };
        DRAFT.with(|draft| match draft.try_borrow_mut() {
            Ok(mut draft) => tell(&mut draft),
            // A field that is told has something to tell itself.
            Err(_) => tell(&mut Draft::default()),
        });
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// A field's name, behind a comma. It stands in our source or in a library's, as a name: nothing in it needs an
/// escape.
fn key(line: &mut Vec<u8>, name: &str) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
}

/// A value as JSON. Writing to a vector can't fail.
fn json(line: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    let _ = serde_json::to_writer(line, value);
}

/// An event's fields: its message, and the others as JSON.
#[derive(Default)]
struct Fields {
    message: String,
    json: Vec<u8>,
    /// A value on its way to JSON.
    text: String,
    cloudwatch: bool,
}

impl Fields {
    fn begin(&mut self, cloudwatch: bool) {
        self.message.clear();
        self.json.clear();
        self.cloudwatch = cloudwatch;
    }

    fn shrink(&mut self) {
        for text in [&mut self.message, &mut self.text] {
            text.clear();
            text.shrink_to(KEPT_BYTES);
        }
        self.json.clear();
        self.json.shrink_to(KEPT_BYTES);
    }

    fn put(&mut self, field: &Field, value: &(impl serde::Serialize + ?Sized)) {
        key(&mut self.json, field.name());
        json(&mut self.json, value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write as _;
        match field.name() {
            MESSAGE => {
                let _ = write!(self.message, "{value:?}");
            }
            // JSON already, and made only for who reads it.
            EMF if !self.cloudwatch => {}
            EMF => {
                key(&mut self.json, EMF);
                let _ = write!(self.json, "{value:?}");
            }
            name => {
                self.text.clear();
                let _ = write!(self.text, "{value:?}");
                key(&mut self.json, name);
                json(&mut self.json, &self.text);
            }
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == MESSAGE {
            self.message.push_str(value);
        } else {
            self.put(field, value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, &value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::Value;

    use super::*;

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
    struct Paper(Arc<Mutex<Vec<u8>>>);
    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(level: Level, tell: impl FnOnce()) -> Vec<Value> {
        let page = Paper::default();
        let service = Service { name: "test", version: "1", level, cloudwatch: true };
        tracing::subscriber::with_default(subscriber(service, Noon, page.clone()), tell);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_an_object_with_ecs_names() {
        let told = lines(Level::INFO, || {
            let span = tracing::info_span!(target: "chaski::x", "invocation", faas.execution = "e-1");
            let _in = span.enter();
            tracing::info!(target: "chaski::x", { chaski.attempt = 2, _aws = %r#"{"a":1}"# }, "an attempt\nended");
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
    fn a_field_that_tells_something_itself_does_not_hold_its_line_up() {
        struct Talks;
        impl fmt::Display for Talks {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                tracing::info!(target: "chaski::x", "within");
                f.write_str("without")
            }
        }
        let told = lines(Level::INFO, || tracing::info!(target: "chaski::x", word = %Talks, "a \"line\""));
        // What tracing itself leaves out within a line it may leave out; the line itself has to come.
        let line = told.last().unwrap();
        assert_eq!((&line["word"], &line["message"]), (&"without".into(), &"a \"line\"".into()));
    }

    #[test]
    fn lines_of_many_threads_stay_whole() {
        let page = Paper::default();
        let service = Service { name: "test", version: "1", level: Level::INFO, cloudwatch: false };
        let dispatch = tracing::Dispatch::new(subscriber(service, Noon, page.clone()));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let dispatch = &dispatch;
                scope.spawn(move || {
                    tracing::dispatcher::with_default(dispatch, || {
                        (0..250).for_each(|n| tracing::info!(target: TRAIL, { thread, n }, "{}", "x".repeat(n)));
                    });
                });
            }
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let mut seen = [0; 4];
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let thread = usize::try_from(line["thread"].as_u64().unwrap()).unwrap();
            assert_eq!(line["n"], seen[thread], "each thread's lines are in order");
            assert_eq!(line["message"].as_str().unwrap().len(), seen[thread]);
            seen[thread] += 1;
        }
        assert_eq!(seen, [250; 4]);
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
