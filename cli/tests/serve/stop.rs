//! A stop in order: what runs is waited for, what was accepted stays, nothing is attempted twice.

use std::net::SocketAddr;
use std::time::Duration;

use chaski_tests::world::target::Target;

use crate::process::{Chaski, envelope};

#[tokio::test]
async fn sigterm_waits_for_what_runs_and_the_next_start_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let target = Target::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let chaski = Chaski::start(&data, &[("CHASKI_LIMITS_CONCURRENCY", "10")]);
    for n in 0..100 {
        assert!(chaski.post(&envelope(&format!("s{n}"), &target.url("run", "slow/300"), n)).await.is_some());
    }
    while target.calls("run").is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    chaski.terminate();
    assert!(chaski.ended().await.success());
    let before = target.calls("run").len();
    assert!(before < 100, "it had to leave some");

    let chaski = Chaski::start(&data, &[]);
    chaski.until_idle().await;
    let mut ids: Vec<String> = target.calls("run").iter().map(|call| call.id().to_owned()).collect();
    assert_eq!(ids.len(), 100, "each was attempted once");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 100);
}
