//! What processes take of the machine, as `/proc` tells it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

/// The kernel's unit of processor time in `/proc`: 10 ms on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);
/// Fields of `/proc/PID/stat` behind the name, from 0.
const PARENT: usize = 1;
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
/// Fields of the first line of `/proc/stat`, from 0, in which nobody works.
const IDLE: std::ops::RangeInclusive<usize> = 3..=4;

/// Memory of some processes, in MiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// The most that each ever had, summed. Pages that processes share count in each.
    pub(crate) most: f64,
    /// What they have now, summed the same way.
    pub(crate) resident: f64,
    /// What they have now, a shared page counted once.
    pub(crate) proportional: f64,
}

/// These processes and all that they started.
pub(crate) fn families(roots: &[u32]) -> Vec<u32> {
    let listed = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> =
        pids.filter_map(|pid| Some((pid, u32::try_from(*stat(pid)?.get(PARENT)?).ok()?))).collect();
    let mut family = roots.to_vec();
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid));
        next += 1;
    }
    family
}

/// Processor time of these processes until now; of one that ended, none.
pub(crate) fn cpu(pids: &[u32]) -> Duration {
    let ticks = |pid: &u32| {
        let stat = stat(*pid)?;
        u32::try_from(stat.get(USER_TICKS)? + stat.get(SYSTEM_TICKS)?).ok()
    };
    pids.iter().filter_map(ticks).map(|ticks| TICK * ticks).sum()
}

/// Processor time of the whole machine until now, all processors summed.
pub(crate) fn machine_cpu() -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_ascii_whitespace().skip(1);
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of user.
    let busy = fields.take(8).enumerate().filter(|(n, _)| !IDLE.contains(n));
    TICK * busy.filter_map(|(_, ticks)| ticks.parse::<u32>().ok()).sum()
}

/// Memory of these processes.
pub(crate) fn memory(pids: &[u32]) -> Memory {
    let mut sum = Memory::default();
    for pid in pids {
        // Read once: between two readings a process may grow.
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let pages = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        sum.most += mebibytes(&status, "VmHWM:");
        sum.resident += mebibytes(&status, "VmRSS:");
        sum.proportional += mebibytes(&pages, "Pss:");
    }
    sum
}

/// 0 where it is not said: of a process that has ended.
fn mebibytes(text: &str, field: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kibibytes.unwrap_or(0.0) / 1_024.0
}

/// The numbers behind the name; the name may hold anything, so it is skipped from the end.
fn stat(pid: u32) -> Option<Vec<i64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let behind = text.rsplit_once(')')?.1;
    Some(behind.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

/// A thread of this process, told by itself.
#[derive(Debug, Clone)]
pub(crate) struct Thread(PathBuf);

impl Thread {
    /// The thread that asks.
    ///
    /// # Errors
    /// When `/proc` is not there.
    pub(crate) fn this() -> anyhow::Result<Self> {
        let link = fs::read_link("/proc/thread-self").context("no /proc")?;
        Ok(Self(PathBuf::from("/proc").join(link).join("schedstat")))
    }

    /// Its time on a processor until now, to the microsecond.
    pub(crate) fn cpu(&self) -> Duration {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        Duration::from_nanos(text.split_ascii_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
    }
}

/// Processor time of the thread that asks.
pub(crate) fn own_thread_cpu() -> Duration {
    Thread::this().map(|thread| thread.cpu()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_a_family() {
        let own = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let family = families(&[own]);
        assert!(family.contains(&own) && family.contains(&child.id()), "{family:?}");
        let memory = memory(&[own]);
        assert!(memory.most >= memory.resident && memory.resident > 1.0, "{memory:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn work_shows_in_the_processor_time() {
        let before = (own_thread_cpu(), cpu(&[std::process::id()]), machine_cpu());
        let mut sum = 0_u64;
        while cpu(&[std::process::id()]) == before.1 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(own_thread_cpu() > before.0);
        // The kernel adds to a process and to the machine at the same tick, not always in the same read.
        while machine_cpu() == before.2 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }
}
