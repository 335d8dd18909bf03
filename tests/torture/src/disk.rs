//! A disk, as far as syncs promise: what is on it for certain, and what may be on it or not when the power goes.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use fastrand::Rng;

use crate::trace::{Event, FileId};

/// A disk tears a write between sectors of this size.
const SECTOR: usize = 512;

/// What a folder holds after a loss of power.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// The files, by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Image {
    /// Writes it into a folder.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        self.files.iter().try_for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes))
    }
}

/// Which of the writes that no sync has made certain are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// None.
    None,
    /// All, as after a kill.
    All,
    /// Those up to a random one, in their order.
    Prefix,
    /// Any.
    Random,
    /// Any, and any sectors of them.
    Torn,
}

impl Kept {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::All, Self::Prefix, Self::Random, Self::Torn];
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Arc<[u8]>),
    Size(usize),
}

/// A change of a file that is not certain.
#[derive(Debug, Clone)]
struct Pending {
    event: usize,
    change: Change,
    /// A sync of it has failed: no later one makes it certain.
    doubtful: bool,
}

#[derive(Debug, Clone, Default)]
struct Content {
    certain: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Debug, Clone)]
enum Naming {
    Comes(String, FileId),
    Goes(String),
}

/// A disk on which a trace happens.
#[derive(Debug, Clone)]
pub struct Disk {
    contents: HashMap<FileId, Content>,
    names: BTreeMap<String, FileId>,
    namings: Vec<(usize, Naming)>,
    chance: Rng,
}

impl Disk {
    /// One that holds these files for certain.
    #[must_use]
    pub fn new(start: &Image, chance: Rng) -> Self {
        let contents = start.files.values().cloned().map(|certain| Content { certain, pending: Vec::new() });
        Self {
            contents: (0..).zip(contents).collect(),
            // As the tracer numbers them.
            names: start.files.keys().cloned().zip(0..).collect(),
            namings: Vec::new(),
            chance,
        }
    }

    /// The next event of the trace happens; `event` is its number.
    pub fn happens(&mut self, event: usize, what: &Event) {
        let pending = |change| Pending { event, change, doubtful: false };
        match what {
            Event::Create { name, file } => self.namings.push((event, Naming::Comes(name.clone(), *file))),
            Event::Remove { name } => self.namings.push((event, Naming::Goes(name.clone()))),
            Event::Write { file, at, bytes } => {
                self.content(*file).pending.push(pending(Change::Write(*at, bytes.clone())));
            }
            Event::Truncate { file, size } => self.content(*file).pending.push(pending(Change::Size(*size))),
            Event::Sync { file, before } => self.sync(*file, *before),
            Event::SyncFailed { file, before } => {
                for pending in &mut self.content(*file).pending {
                    pending.doubtful |= pending.event < *before;
                }
            }
            Event::SyncFolder { before } => {
                let (certain, left) = std::mem::take(&mut self.namings).into_iter().partition(|(at, _)| at < before);
                self.namings = left;
                let certain: Vec<(usize, Naming)> = certain;
                certain.into_iter().for_each(|(_, naming)| name(&mut self.names, naming));
            }
            Event::Mark(_) => {}
        }
    }

    fn content(&mut self, file: FileId) -> &mut Content {
        self.contents.entry(file).or_default()
    }

    fn sync(&mut self, file: FileId, before: usize) {
        let mut chance = self.chance.fork();
        let content = self.content(file);
        for pending in std::mem::take(&mut content.pending) {
            if pending.event >= before {
                content.pending.push(pending);
            } else if !pending.doubtful || chance.bool() {
                apply(&mut content.certain, &pending.change);
            }
        }
    }

    /// How many changes are not certain.
    #[must_use]
    pub fn open_changes(&self) -> usize {
        self.namings.len() + self.contents.values().map(|content| content.pending.len()).sum::<usize>()
    }

    /// The power goes. What the folder holds then.
    #[must_use]
    pub fn image(&self, kept: Kept, chance: &mut Rng) -> Image {
        let mut events: Vec<usize> = self.namings.iter().map(|(event, _)| *event).collect();
        events.extend(self.contents.values().flat_map(|content| content.pending.iter().map(|pending| pending.event)));
        events.sort_unstable();
        let end = match events.len() {
            0 => 0,
            _ => chance.choice(&events).copied().unwrap_or(0),
        };
        // Now few are kept, now most.
        let share = chance.f64();
        let keeps = |event: usize, chance: &mut Rng| match kept {
            Kept::None => false,
            Kept::All => true,
            Kept::Prefix => event <= end,
            Kept::Random | Kept::Torn => chance.f64() < share,
        };
        let mut names = self.names.clone();
        for (event, naming) in &self.namings {
            if keeps(*event, chance) {
                name(&mut names, naming.clone());
            }
        }
        let mut files = BTreeMap::new();
        for (name, file) in names {
            let mut bytes = Vec::new();
            if let Some(content) = self.contents.get(&file) {
                bytes.clone_from(&content.certain);
                for pending in &content.pending {
                    if keeps(pending.event, chance) {
                        match (&pending.change, kept) {
                            (Change::Write(at, written), Kept::Torn) => tear(&mut bytes, *at, written, chance),
                            (change, _) => apply(&mut bytes, change),
                        }
                    }
                }
            }
            files.insert(name, bytes);
        }
        Image { files }
    }
}

fn name(names: &mut BTreeMap<String, FileId>, naming: Naming) {
    match naming {
        Naming::Comes(name, file) => names.insert(name, file),
        Naming::Goes(name) => names.remove(&name),
    };
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, written) => {
            let end = at + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at..end].copy_from_slice(written);
        }
        Change::Size(size) => bytes.resize(*size, 0),
    }
}

/// Writes some sectors of it; the file may have become longer without them.
fn tear(bytes: &mut Vec<u8>, at: usize, written: &[u8], chance: &mut Rng) {
    let end = at + written.len();
    if chance.bool() && bytes.len() < end {
        bytes.resize(end, 0);
    }
    let share = chance.f64();
    let mut from = at;
    while from < end {
        let to = ((from / SECTOR + 1) * SECTOR).min(end);
        if chance.f64() < share {
            apply(bytes, &Change::Write(from, written[from - at..to - at].into()));
        }
        from = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at: usize, byte: u8) -> Event {
        Event::Write { file: 0, at, bytes: vec![byte; 4].into() }
    }

    fn after(events: &[Event]) -> Disk {
        let mut disk = Disk::new(&Image::default(), Rng::with_seed(1));
        events.iter().enumerate().for_each(|(at, event)| disk.happens(at, event));
        disk
    }

    fn bytes(disk: &Disk, kept: Kept) -> Option<Vec<u8>> {
        disk.image(kept, &mut Rng::with_seed(1)).files.get("f").cloned()
    }

    #[test]
    fn only_what_was_synced_is_certain() {
        let create = Event::Create { name: "f".to_owned(), file: 0 };
        let begun = [create, write(0, 1), Event::Sync { file: 0, before: 2 }, write(2, 2)];
        let disk = after(&begun);
        assert_eq!(bytes(&disk, Kept::None), None, "its name is not");
        assert_eq!(bytes(&disk, Kept::All), Some(vec![1, 1, 2, 2, 2, 2]));
        let synced = [&begun[..], &[Event::SyncFolder { before: 3 }]].concat();
        assert_eq!(bytes(&after(&synced), Kept::None), Some(vec![1; 4]));
        // A write that came while the sync ran is not certain with it.
        let late = [&synced[..], &[Event::Sync { file: 0, before: 3 }]].concat();
        assert_eq!(bytes(&after(&late), Kept::None), Some(vec![1; 4]));
        let all = [&synced[..], &[Event::Sync { file: 0, before: 5 }]].concat();
        assert_eq!(bytes(&after(&all), Kept::None), Some(vec![1, 1, 2, 2, 2, 2]));
    }

    #[test]
    fn no_later_sync_makes_good_what_one_has_failed_on() {
        let mut seen = [false; 2];
        for seed in 0..20 {
            let mut disk = Disk::new(&Image { files: [("f".to_owned(), vec![0; 4])].into() }, Rng::with_seed(seed));
            let failed = [write(0, 1), Event::SyncFailed { file: 0, before: 1 }, Event::Sync { file: 0, before: 2 }];
            failed.iter().enumerate().for_each(|(at, event)| disk.happens(at, event));
            seen[usize::from(bytes(&disk, Kept::None).unwrap()[0])] = true;
        }
        assert_eq!(seen, [true; 2]);
    }
}
