//! What is counted, for Prometheus. Labels have few values: never a subject or a target.

use std::sync::Arc;
use std::time::Duration;

use chaski_core::ports::{
    Beside, Enqueue, EnqueueError, Entry, Leased, QueueRecord, Settle, SettleError, Settlement, Taken,
};
use chaski_core::queue::QueueName;
use chaski_embedded::Pressure;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    process_collector::ProcessCollector,
};

/// Seconds: from a quick target to a patient one.
const ATTEMPT_BUCKETS: [f64; 11] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0];
/// Seconds: from at once to the end of the retries.
const DELAY_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 10.0, 60.0, 300.0, 900.0, 3_600.0];
/// Seconds: an answer of the API.
const HTTP_BUCKETS: [f64; 10] = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.05, 0.25, 1.0, 10.0];

/// All that is counted in this process.
pub(crate) struct Metrics {
    registry: Registry,
    accepted: IntCounterVec,
    attempts: IntCounterVec,
    attempt_seconds: HistogramVec,
    delay_seconds: HistogramVec,
    retries: IntCounterVec,
    dead_letters: IntCounterVec,
    depth: IntGaugeVec,
    delayed: IntGaugeVec,
    overdue: IntGauge,
    oldest: IntGaugeVec,
    in_flight: IntGauge,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    connections: IntGauge,
    open_breakers: IntGauge,
    gate_waits: IntCounterVec,
}

impl Metrics {
    /// Begins to count.
    ///
    /// # Errors
    /// Two of them have one name: a mistake in this file.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGaugeVec, prometheus::Error> {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &["queue"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let one = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let histogram =
            |name: &str, help: &str, labels: &[&str], buckets: &[f64]| -> Result<HistogramVec, prometheus::Error> {
                let histogram = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
                registry.register(Box::new(histogram.clone()))?;
                Ok(histogram)
            };
        let metrics = Self {
            accepted: counter("chaski_accepted_total", "Messages accepted", &["queue"])?,
            attempts: counter("chaski_attempts_total", "Attempts by outcome", &["queue", "outcome"])?,
            attempt_seconds: histogram(
                "chaski_attempt_duration_seconds",
                "From a request's start to the answer's end",
                &["queue"],
                &ATTEMPT_BUCKETS,
            )?,
            delay_seconds: histogram(
                "chaski_delivery_delay_seconds",
                "From acceptance to delivery",
                &["queue"],
                &DELAY_BUCKETS,
            )?,
            retries: counter("chaski_retries_total", "Failed messages put into a tier", &["queue"])?,
            dead_letters: counter("chaski_dead_letters_total", "Messages given up", &["class"])?,
            depth: gauge("chaski_queue_depth", "Entries: waiting, in flight and delayed")?,
            delayed: gauge("chaski_queue_delayed", "Entries that are not due yet")?,
            oldest: gauge("chaski_queue_oldest_age_seconds", "Age of the oldest entry")?,
            overdue: one("chaski_queue_overdue", "Entries of all queues that are due and not in flight")?,
            in_flight: one("chaski_in_flight", "Attempts that run")?,
            requests: counter("chaski_http_requests_total", "Requests to the API", &["call", "status"])?,
            request_seconds: histogram(
                "chaski_http_request_duration_seconds",
                "From a request's head to its answer",
                &["call"],
                &HTTP_BUCKETS,
            )?,
            connections: one("chaski_connections", "Open connections to the API")?,
            open_breakers: one("chaski_open_breakers", "Target hosts that keep failing, whose attempts wait")?,
            gate_waits: counter("chaski_gate_waits_total", "Lines that had to wait, by what for", &["gate"])?,
            registry,
        };
        let build =
            Opts::new("chaski_build_info", "The version that runs").const_label("version", env!("CARGO_PKG_VERSION"));
        let build = IntGauge::with_opts(build)?;
        build.set(1);
        metrics.registry.register(Box::new(build))?;
        metrics.registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// A request to the API was answered.
    pub(crate) fn answered(&self, method: &str, path: &str, status: u16, took: Duration) {
        let call = call(method, path);
        self.requests.with_label_values(&[call, status_text(status)]).inc();
        self.request_seconds.with_label_values(&[call]).observe(took.as_secs_f64());
    }

    /// Counts an open connection for as long as it is held.
    pub(crate) fn connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.clone())
    }

    /// Everything in Prometheus' text format.
    pub(crate) fn text(&self, queues: &[QueueRecord], in_flight: usize, pressure: &Pressure) -> String {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for record in queues {
            let queue = record.queue.to_string();
            self.depth.with_label_values(&[&queue]).set(whole(record.depth));
            self.delayed.with_label_values(&[&queue]).set(whole(record.delayed));
            self.oldest.with_label_values(&[&queue]).set(whole(record.oldest_age.unwrap_or_default().as_secs()));
        }
        let overdue = queues.iter().map(|record| record.depth.saturating_sub(record.delayed + record.in_flight)).sum();
        self.overdue.set(whole(overdue));
        self.in_flight.set(i64::try_from(in_flight).unwrap_or(i64::MAX));
        self.open_breakers.set(i64::try_from(pressure.open_breakers).unwrap_or(i64::MAX));
        for (gate, waits) in &pressure.waits {
            let counter = self.gate_waits.with_label_values(&[*gate]);
            counter.inc_by(waits.saturating_sub(counter.get()));
        }
        let mut text = Vec::new();
        // Writing to a vector can't fail.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

/// An open connection of the API.
pub(crate) struct OpenConnection(Arc<Metrics>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

/// The call as a label: one of few, or a caller could make as many series as it likes. Ids are left out.
fn call(method: &str, path: &str) -> &'static str {
    let mut segments = path.split('/').skip(1);
    let parts = (segments.next().unwrap_or_default(), segments.next(), segments.next(), segments.next());
    // HEAD is GET without the body.
    match (if method == "HEAD" { "GET" } else { method }, parts) {
        ("GET", ("", None, ..)) => "GET /",
        ("GET", ("health", None, ..)) => "GET /health",
        ("GET", ("openapi.json", None, ..)) => "GET /openapi.json",
        ("GET", ("metrics", None, ..)) => "GET /metrics",
        ("GET", ("queues", None, ..)) => "GET /queues",
        ("POST", ("messages", None, ..)) => "POST /messages",
        ("POST", ("messages", Some("batch"), None, _)) => "POST /messages/batch",
        ("POST", ("messages", Some("cancel"), None, _)) => "POST /messages/cancel",
        ("GET", ("messages", None, ..)) => "GET /messages",
        ("GET", ("messages", Some(_), None, _)) => "GET /messages/{id}",
        ("DELETE", ("messages", Some(_), None, _)) => "DELETE /messages/{id}",
        ("GET", ("dead-letters", None, ..)) => "GET /dead-letters",
        ("POST", ("dead-letters", Some("replay"), None, _)) => "POST /dead-letters/replay",
        ("GET", ("dead-letters", Some(_), None, _)) => "GET /dead-letters/{id}",
        ("DELETE", ("dead-letters", Some(_), None, _)) => "DELETE /dead-letters/{id}",
        ("POST", ("dead-letters", Some(_), Some("replay"), None)) => "POST /dead-letters/{id}/replay",
        ("GET", ("pauses", None, ..)) => "GET /pauses",
        ("POST", ("pauses", None, ..)) => "POST /pauses",
        ("DELETE", ("pauses", Some(_), None, _)) => "DELETE /pauses/{id}",
        ("POST", ("backup", None, ..)) => "POST /backup",
        _ => "other",
    }
}

/// The status as a label, without a new text for the common ones.
fn status_text(status: u16) -> &'static str {
    match status {
        200 => "200",
        201 => "201",
        202 => "202",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        409 => "409",
        413 => "413",
        415 => "415",
        429 => "429",
        500 => "500",
        501 => "501",
        503 => "503",
        _ => "other",
    }
}

/// Counts what goes through a port.
pub(crate) struct Counted<S> {
    pub(crate) inner: S,
    pub(crate) metrics: Arc<Metrics>,
}

impl<S: Enqueue> Enqueue for Counted<S> {
    const PIECE: usize = S::PIECE;

    async fn enqueue(&self, entry: Entry) -> Result<Taken, EnqueueError> {
        let queue = entry.queue.clone();
        let fate = self.inner.enqueue(entry).await;
        self.count(&queue, &fate);
        fate
    }

    async fn enqueue_all(&self, entries: Vec<Entry>) -> Vec<Result<Taken, EnqueueError>> {
        let queues: Vec<QueueName> = entries.iter().map(|entry| entry.queue.clone()).collect();
        let fates = self.inner.enqueue_all(entries).await;
        queues.iter().zip(&fates).for_each(|(queue, fate)| self.count(queue, fate));
        fates
    }
}

impl<S> Counted<S> {
    fn count(&self, queue: &QueueName, fate: &Result<Taken, EnqueueError>) {
        if *fate == Ok(Taken::New) {
            self.metrics.accepted.with_label_values(&[&queue.to_string()]).inc();
        }
    }
}

impl<S: Settle> Settle for Counted<S> {
    async fn settle(&self, leased: &Leased, settlement: &Settlement, beside: Beside<'_>) -> Result<(), SettleError> {
        self.inner.settle(leased, settlement, beside).await?;
        let metrics = &self.metrics;
        if let Some(report) = beside.attempt {
            let record = &report.record;
            metrics.attempts.with_label_values(&[&record.tier, &record.outcome]).inc();
            let took = Duration::from_millis(record.duration_ms);
            metrics.attempt_seconds.with_label_values(&[&record.tier]).observe(took.as_secs_f64());
            if let Some(delay_ms) = report.delay_ms {
                let delay = Duration::from_millis(delay_ms);
                metrics.delay_seconds.with_label_values(&[&record.tier]).observe(delay.as_secs_f64());
            }
        }
        match settlement {
            Settlement::Done | Settlement::End(_, None) => {}
            // What joins its line is no retry.
            Settlement::Move(_) if beside.attempt.is_none() => {}
            Settlement::Move(entry) => metrics.retries.with_label_values(&[&entry.queue.to_string()]).inc(),
            Settlement::Hold(_) => metrics.retries.with_label_values(&[&leased.queue.to_string()]).inc(),
            Settlement::Bury(letter) | Settlement::End(_, Some(letter)) => {
                metrics.dead_letters.with_label_values(&[&letter.last_error.class]).inc();
            }
        }
        Ok(())
    }

    async fn give_back(&self, entries: &[(&Leased, Duration)]) {
        self.inner.give_back(entries).await;
    }
}
