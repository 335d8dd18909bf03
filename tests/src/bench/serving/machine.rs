//! What every figure depends on.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use crate::columns::Samples;

/// Syncs of which the median is told.
const SYNCS: usize = 50;
const PAGE: [u8; 4_096] = [0x5a; 4_096];

/// The processors, and what a sync takes in the folder of the stores.
///
/// # Errors
/// When the folder can't be written to.
pub(crate) fn machine(folder: &Path) -> anyhow::Result<String> {
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let sync = sync_millis(folder)?;
    Ok(format!("{processors} processors ({model}), 4 KiB written and synced in {sync:.2} ms"))
}

/// Appends a page and syncs it: what one durable answer waits for at least.
fn sync_millis(folder: &Path) -> anyhow::Result<f64> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("sync-{}", std::process::id()));
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    fs::remove_file(&path)?;
    Ok(Samples::new(times).median())
}
