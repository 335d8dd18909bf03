//! From a trace to images, and from each image to what a store makes of it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fastrand::Rng;
use tempfile::TempDir;

use crate::book::Book;
use crate::check::{check, lay_out};
use crate::disk::{Disk, Image, Kept};
use crate::trace::Event;

/// A folder in memory, where the system has such.
///
/// # Panics
/// There is no place for a folder.
#[must_use]
pub fn scratch() -> TempDir {
    let shm = Path::new("/dev/shm");
    let made = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
    made.expect("a folder can be made")
}

/// A trace, and the disk on which it begins.
#[derive(Debug)]
pub struct Run {
    /// What the disk holds at the beginning, for certain.
    pub start: Image,
    /// What was promised before.
    pub book: Book,
    /// What happened.
    pub events: Vec<Event>,
}

/// How a trace is to be cut.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Images in all.
    pub images: usize,
    /// The chance's seed.
    pub seed: u64,
    /// Two of three at syncs; else anywhere.
    pub at_syncs: bool,
    /// Nothing before this event is cut.
    pub from: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Spent {
    /// Images that a store was opened on.
    pub images: usize,
    /// Those with what was found in them.
    pub bad: Vec<(String, Vec<String>)>,
    /// Promises that were looked for, over all images.
    pub promises: usize,
    /// Changes that were open, over all images.
    pub open_changes: usize,
}

/// Cuts the trace, hands each image to `each`, with its place in the plan and what was promised by then.
pub fn images(run: &Run, plan: Plan, each: &mut dyn FnMut(usize, String, Image, Book, usize)) {
    let mut chance = Rng::with_seed(plan.seed);
    let syncs: Vec<usize> =
        (plan.from..run.events.len()).filter(|at| matches!(run.events[*at], Event::Sync { .. })).collect();
    let anywhere = |chance: &mut Rng| chance.usize(plan.from..=run.events.len());
    let mut cuts: Vec<usize> = (0..plan.images)
        .map(|n| {
            if plan.at_syncs && !syncs.is_empty() && n % 3 > 0 {
                // Just before a sync ends all that it covers is open. All syncs have their turn.
                syncs[n * syncs.len() / plan.images]
            } else {
                anywhere(&mut chance)
            }
        })
        .collect();
    cuts.sort_unstable();
    let (mut disk, mut book, mut at) = (Disk::new(&run.start, chance.fork()), run.book.clone(), 0);
    for (n, cut) in cuts.into_iter().enumerate() {
        for (number, event) in run.events.iter().enumerate().take(cut).skip(at) {
            disk.happens(number, event);
            if let Event::Mark(mark) = event {
                book.note(mark);
            }
        }
        at = at.max(cut);
        let kept = Kept::ALL[chance.usize(0..Kept::ALL.len())];
        let name = format!("image {n}, cut before event {cut} of {}, unsynced writes kept: {kept:?}", run.events.len());
        each(n, name, disk.image(kept, &mut chance), book.clone(), disk.open_changes());
    }
}

struct Job {
    n: usize,
    name: String,
    image: Image,
    book: Book,
}

impl Run {
    /// Opens a store on each of the images, some side by side. An image that is not as it was promised is kept in
    /// `keep`, where one is named.
    ///
    /// # Panics
    /// A folder can't be made.
    #[must_use]
    pub fn check(&self, plan: Plan, keep: Option<&Path>) -> Spent {
        let folder = scratch();
        let reserve = reserve(folder.path());
        let spent = Mutex::new(Spent::default());
        let (sender, jobs) = std::sync::mpsc::sync_channel::<Job>(4);
        let jobs = Mutex::new(jobs);
        let count = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let job = jobs.lock().expect("the other one goes on").recv();
                        let Ok(job) = job else { break };
                        let place = folder.path().join(count.fetch_add(1, Ordering::Relaxed).to_string());
                        let found = opened(&job, &place, &reserve);
                        if let (false, Some(keep)) = (found.is_empty(), keep) {
                            let keep = keep.join(job.n.to_string());
                            std::fs::create_dir_all(&keep).and_then(|()| job.image.write(&keep)).expect("it is kept");
                        }
                        let mut spent = spent.lock().expect("the other one goes on");
                        spent.images += 1;
                        spent.promises += job.book.promises();
                        if !found.is_empty() {
                            spent.bad.push((job.name, found));
                        }
                        drop(spent);
                        std::fs::remove_dir_all(place).expect("the folder goes");
                    }
                });
            }
            let mut open = 0;
            images(self, plan, &mut |n, name, image, book, open_changes| {
                open += open_changes;
                sender.send(Job { n, name, image, book }).expect("somebody takes it");
            });
            drop(sender);
            spent.lock().expect("the others go on").open_changes = open;
        });
        spent.into_inner().expect("all have ended")
    }
}

fn opened(job: &Job, place: &Path, reserve: &Path) -> Vec<String> {
    let data = match lay_out(&job.image, &job.book, place, reserve) {
        Ok(data) => data,
        Err(error) => return vec![error.to_string()],
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime is made");
    runtime.block_on(check(&data, &job.book, job.n.is_multiple_of(8)))
}

/// A reserve as a store makes one, which every image's folder gets by a link: making 32 MiB for each takes too long.
fn reserve(folder: &Path) -> PathBuf {
    let path = folder.join("reserve");
    std::fs::File::create(&path).and_then(|file| file.set_len(32 * 1_024 * 1_024)).expect("the reserve is made");
    path
}
