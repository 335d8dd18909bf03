//! Prometheus' text, read as Prometheus reads it.

use std::collections::BTreeMap;

use crate::world::{Host, Target, envelope, in_time};

/// Samples by name and labels. Panics at what is no sample.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let bare = name.split('{').next().unwrap();
            assert!(bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line}");
            assert!(!name.contains('{') || name.ends_with('}'), "{line}");
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
        })
        .collect()
}

#[tokio::test]
async fn what_happened_is_counted_by_labels_of_few_values() {
    let target = Target::start(3).await;
    let (host, _folder) = Host::patient("[retry.connection]\nper_queue = 1\nqueues = [\"slow\"]").await;
    for n in 0..3 {
        host.ask("POST", "/messages", &envelope(&format!("planted-{n}"), &target.url)).await;
    }
    host.ask("POST", "/messages", &envelope("planted-9", "http://127.0.0.1:9/")).await;
    host.ask("GET", "/messages/0199a0a0-0000-7000-8000-000000000000", "").await;
    host.ask("PUT", "/planted", "").await;
    in_time(async {
        while host.metric(r#"chaski_retries_total{queue="retry-slow"}"#).await < 1.0
            || host.metric("chaski_delivery_delay_seconds_count").await
                + sum(&host.ask("GET", "/metrics", "").await.body, "chaski_delivery_delay_seconds_count")
                < 3.0
        {}
    })
    .await;
    let told = host.ask("GET", "/metrics", "").await;
    assert_eq!(told.header("content-type"), Some("text/plain; version=0.0.4"));
    let seen = samples(&told.body);
    let sum = |name: &str| sum(&told.body, name);
    assert_eq!(sum("chaski_accepted_total"), 4.0);
    assert_eq!(sum("chaski_attempts_total"), 4.0);
    assert_eq!(sum("chaski_attempt_duration_seconds_count"), 4.0);
    assert_eq!(seen[r#"chaski_queue_depth{queue="retry-slow"}"#], 1.0);
    assert_eq!(seen["chaski_queue_overdue"], 0.0);
    assert_eq!(seen["chaski_in_flight"], 0.0);
    assert_eq!(seen[r#"chaski_http_requests_total{call="POST /messages",status="200"}"#], 4.0);
    assert_eq!(seen[r#"chaski_http_requests_total{call="GET /messages/{id}",status="404"}"#], 1.0);
    assert_eq!(seen[r#"chaski_http_requests_total{call="other",status="404"}"#], 1.0);
    for name in
        ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"]
    {
        assert!(seen[name] > 0.0 || name == "process_cpu_seconds_total", "{name}");
    }
    assert!(told.body.contains("chaski_build_info{version="));
    assert!(!told.body.contains("planted"), "no subject, no path");
    assert!(!told.body.contains(&target.url), "no target");
}

fn sum(text: &str, name: &str) -> f64 {
    samples(text).iter().filter(|(key, _)| key.split('{').next() == Some(name)).map(|(_, value)| value).sum()
}
