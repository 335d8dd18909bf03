//! What some processes took of the machine over a while, and what others took meanwhile.

use std::time::{Duration, Instant};

use super::processes::{self, Memory};

/// A running measurement of these processes and all that they start.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    roots: &'a [u32],
    began: Instant,
    cpu: Duration,
    machine: Duration,
}

/// What it came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) cpu: Duration,
    pub(crate) memory: Memory,
    /// Of all processors, by what is neither measured nor part of the load.
    pub(crate) others_percent: f64,
}

impl<'a> Meter<'a> {
    pub(crate) fn start(roots: &'a [u32]) -> Self {
        let cpu = processes::cpu(&processes::families(roots));
        Self { roots, began: Instant::now(), cpu, machine: processes::machine_cpu() }
    }

    /// `own` is what the load and the target took in this time.
    pub(crate) fn stop(self, own: Duration) -> Taken {
        let family = processes::families(self.roots);
        let cpu = processes::cpu(&family).saturating_sub(self.cpu);
        let machine = processes::machine_cpu().saturating_sub(self.machine);
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let all = self.began.elapsed() * u32::try_from(processors).unwrap_or(1);
        let others = machine.saturating_sub(cpu + own).as_secs_f64() / all.as_secs_f64();
        Taken { cpu, memory: processes::memory(&family), others_percent: others * 1e2 }
    }
}
