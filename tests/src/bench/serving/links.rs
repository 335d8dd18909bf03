//! Link checks: what the BYE BYE 404 study asked of Redis and RabbitMQ. Thousands of links are looked at with a GET, some
//! answer late, some are dead, and most of them wait in a long queue.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::control::Control;
use super::delivery::{ANY_PORT, CONNECTIONS, count};
use super::figure::{LOAD_CPU, OTHERS, TARGET_CPU, Values};
use super::load::{Endpoint, send};
use super::meter::Meter;
use super::seen::tally;
use super::server::Server;
use super::target::Target;
use super::work::{Ask, Work};

/// Of ten links one is slow and one is dead.
const KINDS: usize = 10;
const SETTINGS: &str = include_str!("../../../../infra/bench/link-checks.toml");
/// How long may nothing end.
const PATIENCE: Duration = Duration::from_secs(60);
/// The path at which Chaski says what it gave up.
const DEAD_LETTERS: &str = "/dead-letters";

/// The checks by Chaski.
///
/// # Errors
/// As [`measure`].
pub(crate) fn chaski(binary: &Path, folder: &Path, links: usize) -> anyhow::Result<Values> {
    let server = Server::start(binary, folder, SETTINGS)?;
    measure(&server.messages(), &[server.pid()], links, DEAD_LETTERS)
}

/// The checks by any server that is made of these processes and their children. `failed` is the path that says how many
/// executions have failed.
///
/// # Errors
/// When a living link was not looked at, or the dead ones do not end.
pub(crate) fn measure(to: &Endpoint, roots: &[u32], links: usize, failed: &str) -> anyhow::Result<Values> {
    let target = Target::start(ANY_PORT)?;
    let (work, dead) = work(links, &target)?;
    let meter = Meter::start(roots);
    let sent = send(&work, to, CONNECTIONS)?;
    target.wait_for(links - dead, PATIENCE)?;
    let mut control = Control::connect(to.address)?;
    let (mut given_up, mut last) = (control.given_up(failed)?, Instant::now());
    while given_up < dead {
        ensure!(last.elapsed() < PATIENCE, "{given_up} of {dead} dead links were given up");
        std::thread::sleep(Duration::from_millis(100));
        let now = control.given_up(failed)?;
        if now > given_up {
            (given_up, last) = (now, Instant::now());
        }
    }
    let took = sent.began.elapsed();
    let target_cpu = target.cpu();
    let taken = meter.stop(sent.cpu + target_cpu);
    let seen = target.take();
    let missed = tally(&work, &seen).lost.saturating_sub(dead);
    ensure!(missed == 0, "{missed} living links were not looked at");
    Ok(vec![
        ("links.took", took.as_secs_f64()),
        ("links.arrived", count(seen.len())),
        ("links.failed", count(given_up)),
        ("links.cpu", taken.cpu.as_secs_f64()),
        ("links.most", taken.memory.most),
        ("links.now", taken.memory.proportional),
        (LOAD_CPU, sent.cpu.as_secs_f64() * 1e6 / count(links)),
        (TARGET_CPU, target_cpu.as_secs_f64() * 1e6 / count(links)),
        (OTHERS, taken.others_percent),
    ])
}

/// The links, each a subject of its own, and how many are dead.
fn work(links: usize, target: &Target) -> anyhow::Result<(Work, usize)> {
    // Listens for a moment to learn a free port, on a loopback address where no connection takes it.
    let dead = Target::start(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 9), 0)))?.address;
    let ask = |url: String| Ask { method: "GET", url, body_bytes: 0 };
    let mut asks = vec![ask(format!("http://{}/ok/", target.address)); KINDS];
    if let [slow, refused, ..] = asks.as_mut_slice() {
        *slow = ask(format!("http://{}/slow/", target.address));
        *refused = ask(format!("http://{dead}/"));
    }
    let links = links - links % KINDS;
    Ok((Work { first: 0, subjects: links, messages: links, asks }, links / KINDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_link_is_tried_twice() {
        use chaski_core::outcome::ErrorClass;
        use chaski_core::retry::FirstError;

        let settings = chaski_core::settings::Settings::read(SETTINGS, &|_| None).unwrap();
        let refused = FirstError { class: ErrorClass::Connection, status: None };
        assert_eq!(settings.retry.policy(refused).map(|policy| policy.calls()), Some(2));
        assert_eq!(settings.tiers.fast, Duration::from_secs(1));
    }

    #[test]
    fn of_ten_links_one_is_slow_and_one_is_dead() {
        let target = Target::start(ANY_PORT).unwrap();
        let (work, dead) = work(4_000, &target).unwrap();
        assert_eq!((work.messages, dead), (4_000, 400));
        let living = target.address.to_string();
        let urls: Vec<_> = work.asks.iter().map(|ask| ask.url.as_str()).collect();
        assert_eq!(urls.iter().filter(|url| url.contains("/slow/")).count(), 1);
        assert_eq!(urls.iter().filter(|url| !url.contains(&living)).count(), 1);
    }
}
