//! The power goes: at syncs and between them, while the store works, and while it comes back from the loss before.
//! Whatever was answered by then is there. `CHASKI_IMAGES` sets how many images are looked at, `CHASKI_SEED` repeats
//! the work and the choices of a run (not the turns of its threads: a bad image is kept, and its folder named).

use std::path::PathBuf;

use chaski_core::settings::Durability;
use chaski_torture::{
    Book, Event, Fact, Image, Mark, Plan, Run, Spent, Tracer, Work, block_on, images, number, register, scratch, seed,
};
use fastrand::Rng;

/// Looked at by default, in some seconds; a full run looks at 2,000.
const IMAGES: usize = 300;
/// Rounds of work, some eight changes each.
const ROUNDS: usize = 60;
/// One image in so many is cut a second time, while a store recovers on it.
const AGAIN: usize = 4;

/// A store's life from its first start on.
async fn life(tracer: &std::sync::Arc<Tracer>, seed: u64, rounds: usize, durability: Durability) -> Run {
    let folder = scratch();
    let vfs = register(tracer);
    let change = |options: &mut chaski_embedded::Options| options.durability = durability;
    let mut work = Work::open(folder.path(), &vfs, tracer, Rng::with_seed(seed), change).unwrap();
    for round in 0..rounds {
        work.round().await.unwrap();
        if round == rounds / 2 {
            work.forget_what_has_ended().await.unwrap();
        }
    }
    work.close();
    Run { start: Image::default(), book: Book::default(), events: tracer.events() }
}

/// A store comes back on an image, does a little, and is closed.
async fn recovery(image: Image, book: Book, seed: u64) -> Run {
    let folder = scratch();
    let tracer = Tracer::new(&image);
    let vfs = register(&tracer);
    std::fs::create_dir(folder.path().join("data")).unwrap();
    image.write(&folder.path().join("data")).unwrap();
    // Another seed than the first life's: the same ids would be the same messages.
    let mut work = Work::open(folder.path(), &vfs, &tracer, Rng::with_seed(!seed), |_| ()).unwrap();
    work.enqueue(3).await.unwrap();
    work.close();
    Run { start: image, book, events: tracer.events() }
}

fn kept(name: &str, seed: u64) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{seed}"))
}

fn assert_nothing_lost(spent: &Spent, seed: u64, kept: &std::path::Path) {
    let first = spent
        .bad
        .iter()
        .take(number("CHASKI_SHOW").unwrap_or(3) as usize)
        .map(|(name, found)| format!("{name}:\n  {}", found.join("\n  ")));
    let first = first.collect::<Vec<_>>().join("\n");
    assert!(
        spent.bad.is_empty(),
        "{} of {} images are not as it was promised (CHASKI_SEED={seed}, kept in {}):\n{first}",
        spent.bad.len(),
        spent.images,
        kept.display()
    );
}

#[test]
fn whatever_was_answered_is_there_after_a_loss_of_power_and_after_one_during_recovery() {
    let seed = seed();
    let count = number("CHASKI_IMAGES").map_or(IMAGES, |count| usize::try_from(count).unwrap());
    let run = block_on(life(&Tracer::new(&Image::default()), seed, ROUNDS, Durability::Fsync));
    let again = count / AGAIN;
    let plan = Plan { images: count - again, seed, at_syncs: true, from: 0 };
    let keep = kept("power", seed);
    let spent = run.check(plan, Some(&keep));
    println!(
        "{} events, {} syncs; {} images, {} promises looked for, {} changes open when the power went: {} bad",
        run.events.len(),
        run.events.iter().filter(|event| matches!(event, Event::Sync { .. })).count(),
        spent.images,
        spent.promises,
        spent.open_changes,
        spent.bad.len()
    );
    assert_nothing_lost(&spent, seed, &keep);
    let marks = |is: fn(&Mark) -> bool| {
        run.events.iter().filter(|event| matches!(event, Event::Mark(mark) if is(mark))).count()
    };
    let told = marks(|mark| matches!(mark, Mark::Tells { .. }));
    let counted = marks(|mark| matches!(mark, Mark::Asked { then: Fact::Counted(_), .. }));
    assert!(told > 10 && counted > 20, "{told} ends were told of, and {counted} settlements counted");
    assert_eq!(spent.images, count - again);
    assert!(spent.promises > 50 * spent.images, "the work is too little to lose any of it");
    assert!(spent.open_changes > 2 * spent.images, "nothing was open when the power went");

    // The same, where the power goes a second time.
    let bases = again.div_ceil(10);
    let (mut seen, mut left) = (Spent::default(), again);
    let keep = kept("recovery", seed);
    images(&run, Plan { images: bases, seed: seed + 1, at_syncs: true, from: 0 }, &mut |n, name, image, book, _| {
        let second = block_on(recovery(image, book, seed + n as u64));
        let plan = Plan { images: left.min(10), seed: seed + n as u64, at_syncs: true, from: 0 };
        left -= plan.images;
        let spent = second.check(plan, Some(&keep));
        seen.images += spent.images;
        seen.promises += spent.promises;
        seen.open_changes += spent.open_changes;
        seen.bad.extend(spent.bad.into_iter().map(|(second, found)| (format!("{name}; then {second}"), found)));
    });
    println!(
        "and during recovery {} images, {} promises looked for, {} changes open: {} bad",
        seen.images,
        seen.promises,
        seen.open_changes,
        seen.bad.len()
    );
    assert_nothing_lost(&seen, seed, &keep);
    assert_eq!(seen.images, again);
}

fn lost(spent: &Spent) -> usize {
    spent.bad.iter().filter(|(_, found)| found.iter().any(|what| what.contains("is Absent, promised"))).count()
}

#[test]
fn without_syncs_the_same_check_finds_lost_messages() {
    let seed = seed();
    let run = block_on(life(&Tracer::new(&Image::default()), seed, 10, Durability::Os));
    let spent = run.check(Plan { images: 30, seed, at_syncs: false, from: 0 }, None);
    assert!(spent.bad.len() > 5, "durability = \"os\" lost too little: {} of 30", spent.bad.len());

    let run = block_on(life(&Tracer::of_a_disk_that_lies(), seed, 10, Durability::Fsync));
    let spent_lying = run.check(Plan { images: 30, seed, at_syncs: false, from: 0 }, None);
    assert!(spent_lying.bad.len() > 5, "a disk that lies lost too little: {} of 30", spent_lying.bad.len());
    assert!(lost(&spent) + lost(&spent_lying) > 0, "{:?}", spent.bad);
}
