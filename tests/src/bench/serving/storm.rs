//! A retry storm: a target that is dead for a while, with very many messages for it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Instant;

use super::delivery::{ANY_PORT, CONNECTIONS, PATIENCE, rate, whole, work};
use super::figure::Values;
use super::load::send;
use super::processes;
use super::server::Server;
use super::target::Target;
use super::work::Work;

/// Tiers of one second, and enough tries that no message is given up before its target comes alive: the default
/// policy would end after seven. No breaker: it would keep the storm away that is measured here.
const SETTINGS: &str = "[tiers]\nfast = \"1s\"\nmedium = \"1s\"\nslow = \"1s\"\n\n\
    [retry.connection]\nper_queue = 30\nqueues = [\"fast\", \"medium\", \"slow\"]\n\n\
    [targets]\nbreaker = false\n";
/// A loopback address of its own: no connection of this machine takes a port there while the target is dead.
const DEAD: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9)), 0);

/// The rate of acceptance before and during the storm, and whether everything arrives in the end.
///
/// # Errors
/// When a message was refused, lost or delivered twice.
pub(crate) fn storm(binary: &Path, folder: &Path, messages: usize) -> anyhow::Result<Values> {
    let server = Server::start(binary, folder, SETTINGS)?;
    let living = Target::start(ANY_PORT)?;
    // Listens for a moment to learn a free port.
    let dead = Target::start(DEAD)?.address;
    let few = messages / 5;
    let offset = |n: usize, work: Work| Work { first: n * work.subjects, ..work };
    let before = offset(0, work(few, living.address));
    let doomed = offset(1, work(messages, dead));
    let during = offset(2, work(few, living.address));

    let idle = rate(few, send(&before, &server.messages(), CONNECTIONS)?.took);
    living.wait_for(few, PATIENCE)?;
    server.control()?.wait_until_empty(PATIENCE)?;
    whole(&before, &living, true)?;
    let to_dead = rate(messages, send(&doomed, &server.messages(), CONNECTIONS)?.took);
    let stormy = rate(few, send(&during, &server.messages(), CONNECTIONS)?.took);
    living.wait_for(2 * few, PATIENCE)?;
    whole(&during, &living, true)?;

    let alive = Target::start(dead)?;
    let began = Instant::now();
    let drained = alive.wait_for(messages, PATIENCE)?.duration_since(began);
    server.control()?.wait_until_empty(PATIENCE)?;
    // After a failed attempt the order is that of the retries.
    whole(&doomed, &alive, false)?;
    Ok(vec![
        ("storm.idle", idle),
        ("storm.dead", to_dead),
        ("storm.accepted", stormy),
        ("storm.share", stormy / idle),
        ("storm.drained", drained.as_secs_f64()),
        ("storm.most", processes::memory(&[server.pid()]).most),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_given_up_before_the_target_comes_alive() {
        use chaski_core::outcome::ErrorClass;
        use chaski_core::retry::FirstError;

        let settings = chaski_core::settings::Settings::read(SETTINGS, &|_| None).unwrap();
        let refused = FirstError { class: ErrorClass::Connection, status: None };
        let policy = settings.retry.policy(refused).unwrap();
        // The load takes some ten seconds.
        assert!(policy.span(&settings.tiers) > 6 * std::time::Duration::from_secs(10), "{policy:?}");
    }
}
