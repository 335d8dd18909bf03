//! The disk is full: nothing is taken, what was taken is delivered, and when there is room again taking begins by
//! itself.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chaski_core::ports::{Beside, Enqueue, EnqueueError, Settle, Settlement};
use chaski_embedded::{OpenError, Store};
use chaski_torture::{
    Book, Event, Fault, Image, Op, START, TestClock, Tracer, Work, attempt, block_on, check, entry, is_well, options,
    register, scratch, seed, until,
};
use fastrand::Rng;
use rusqlite::ffi::SQLITE_FULL;

/// Set in the process that has a small disk of its own.
const SMALL_DISK: &str = "CHASKI_SMALL_DISK";
/// Its size: the reserve, what is taken, and somebody else's file, whose removal makes room for the reserve again.
const SIZE: &str = "size=160m";
const ELSE_S: usize = 80 << 20;
/// What that leaves at last: enough for a log, too little for the reserve.
const LEFT: u64 = 8 << 20;
/// How the script ends where it can't mount.
const NO_MOUNT: i32 = 77;

fn book_of(tracer: &Tracer) -> Book {
    let mut book = Book::default();
    for event in tracer.events() {
        if let Event::Mark(mark) = event {
            book.note(&mark);
        }
    }
    book
}

#[test]
fn what_meets_the_full_disk_is_refused_and_the_store_goes_on() {
    let seed = seed();
    let mut refused = 0;
    block_on(async {
        for nth in [0, 1, 4] {
            let folder = scratch();
            let tracer = Tracer::new(&Image::default());
            let vfs = register(&tracer);
            let mut work = Work::open(folder.path(), &vfs, &tracer, Rng::with_seed(seed), |_| ()).unwrap();
            work.enqueue(5).await.unwrap();
            tracer.set_fault(Some(Fault { op: Op::Write, nth, lasting: false, code: SQLITE_FULL }));
            let said = work.enqueue(3).await;
            assert!(tracer.was_hit());
            // Seldom it is the keeper's own work that meets it.
            if let Err(said) = said {
                assert!(said.contains("the disk is full"), "{said}");
                refused += 1;
            }
            let store = work.store.clone().unwrap();
            // The real disk has room, as the store finds out by itself.
            until(|| store.is_taking().is_ok()).await;
            work.enqueue(3).await.unwrap();
            work.deliver(8).await.unwrap();
            drop(store);
            work.close();
            assert_eq!(check(&folder.path().join("data"), &book_of(&tracer), true).await, [""; 0]);
        }
    });
    assert!(refused > 0, "nobody met the full disk");
}

#[test]
fn a_disk_that_is_full_even_without_the_reserve_ends_the_store_and_nothing_is_lost() {
    let seed = seed();
    block_on(async {
        let folder = scratch();
        let tracer = Tracer::new(&Image::default());
        let vfs = register(&tracer);
        let mut work = Work::open(folder.path(), &vfs, &tracer, Rng::with_seed(seed), |_| ()).unwrap();
        work.enqueue(8).await.unwrap();
        let store = work.store.clone().unwrap();
        let leased = store.lease().await;
        tracer.set_fault(Some(Fault { op: Op::Write, nth: 0, lasting: true, code: SQLITE_FULL }));
        // What takes is refused; what delivers can't be written either, and the process has to end.
        assert!(work.enqueue(3).await.unwrap_err().contains("disk is full"));
        let settled = store
            .settle(
                &leased,
                &Settlement::Done,
                Beside { attempt: Some(&attempt(1, &leased, 200)), ..Beside::default() },
            )
            .await;
        assert!(settled.unwrap_err().to_string().contains("full"));
        let told = tokio::time::timeout(Duration::from_secs(60), store.failed()).await.unwrap();
        assert!(told.to_string().contains("full"), "{told}");
        drop(store);
        work.close();
        tracer.set_fault(None);
        assert_eq!(check(&folder.path().join("data"), &book_of(&tracer), true).await, [""; 0]);
    });
}

/// A tmpfs of its own, in a name space of its own that ends with the process; where the system lets a user have that.
#[test]
fn on_a_small_disk_deliveries_go_on_from_the_reserve_and_taking_when_there_is_room() {
    let me = std::env::current_exe().unwrap();
    let folder = scratch();
    let script =
        "mount -t tmpfs -o $0 tmpfs \"$1\" || exit 77; exec \"$2\" --exact on_the_small_disk --ignored --nocapture";
    let ran = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, SIZE])
        .args([folder.path(), &me])
        .env(SMALL_DISK, folder.path())
        .output();
    let Ok(ran) = ran else { return println!("SKIPPED: there is no unshare here") };
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    if ran.status.code() == Some(NO_MOUNT) || said.starts_with("unshare:") {
        return println!("SKIPPED: this system lets no user mount a disk of his own: {said}");
    }
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "run by the test above, on the disk that it has made"]
fn on_the_small_disk() {
    let Ok(folder) = std::env::var(SMALL_DISK) else { return };
    block_on(fill_and_empty(Path::new(&folder)));
}

async fn fill_and_empty(folder: &Path) {
    let (data, else_s) = (folder.join("data"), folder.join("somebody else's"));
    let open = || Store::open(options(&data), TestClock::at(START)).unwrap();
    std::fs::write(&else_s, vec![1; ELSE_S]).unwrap();
    let store = open();
    let mut taken = 0;
    let refused = loop {
        let id = format!("m{taken:05}");
        match store.enqueue(entry(&id, &format!("s{}", taken % 50), 1, 50_000)).await {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
        assert!(taken < 5_000, "the disk has no end");
    };
    assert_eq!(refused, EnqueueError::Unavailable("the disk is full".to_owned()));
    assert_eq!(store.is_taking(), Err("the disk is full".to_owned()));
    assert!(taken > 100, "{taken}");
    for delivered in 0..taken {
        let leased = tokio::time::timeout(Duration::from_secs(60), store.lease()).await.expect("something waits");
        let settled = store
            .settle(
                &leased,
                &Settlement::Done,
                Beside { attempt: Some(&attempt(1, &leased, 200)), ..Beside::default() },
            )
            .await;
        assert_eq!(settled, Ok(()), "after {delivered} of {taken}");
    }
    assert_eq!(is_well(&data), [""; 0]);
    store.close();
    // Somebody else takes what the log has left, but for a little: there is no room at a start, and it says so.
    let mut file = std::fs::File::options().append(true).open(&else_s).unwrap();
    while file.write_all(&[1; 4_096]).is_ok() {}
    let size = file.metadata().unwrap().len();
    file.set_len(size - LEFT).unwrap();
    drop(file);
    let store = open();
    assert_eq!(store.is_taking(), Err("the disk is full".to_owned()));
    std::fs::remove_file(else_s).unwrap();
    until(|| store.is_taking().is_ok()).await;
    store.enqueue(entry("more", "more", 1, 50_000)).await.unwrap();
    let leased = tokio::time::timeout(Duration::from_secs(60), store.lease()).await.expect("it waits");
    store
        .settle(&leased, &Settlement::Done, Beside { attempt: Some(&attempt(1, &leased, 200)), ..Beside::default() })
        .await
        .unwrap();
    assert_eq!(is_well(&data), [""; 0]);
    store.close();
    // And a disk that can't be written at all is named.
    let mounted = Command::new("mount").args(["-o", "remount,ro"]).arg(folder).status().unwrap();
    assert!(mounted.success());
    let refused = Store::open(options(&data), TestClock::at(START)).err().unwrap();
    assert!(matches!(refused, OpenError::Folder { .. }), "{refused}");
    assert!(refused.to_string().contains("Read-only file system"), "{refused}");
}
