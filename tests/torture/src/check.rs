//! What a store that is opened on an image has kept of what was promised.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chaski_core::ports::{Beside, Enqueue, Settle, Settlement};
use chaski_core::queue::QueueName;
use chaski_embedded::{DATABASE, Store};
use rusqlite::Connection;

use crate::book::{Book, view};
use crate::disk::Image;
use crate::message::{START, TestClock, attempt, entry, id_of, options};

/// Nothing that is waited for takes longer, or the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// What [`Store`] writes into its lock's file once there is a store.
const MARK: &str = "chaski store\n";
/// A time behind every retry's.
const LATER: i64 = START + 365 * 24 * 3_600_000;

/// What was found: nothing, for a store that is as it was promised.
pub type Checked = Vec<String>;

/// Writes the image into a new folder, as the power's return finds it. `reserve` is a whole one, to be linked there.
///
/// # Errors
/// The system's.
pub(crate) fn lay_out(image: &Image, book: &Book, folder: &Path, reserve: &Path) -> std::io::Result<PathBuf> {
    let data = folder.join("data");
    std::fs::create_dir_all(&data)?;
    image.write(&data)?;
    if book.opened {
        std::fs::write(data.join("lock"), MARK)?;
    }
    if reserve.exists() {
        std::fs::hard_link(reserve, data.join("reserve"))?;
    }
    Ok(data)
}

/// Opens the store in the folder, and looks for all that was promised; `thorough`: every message is then delivered.
pub async fn check(data: &Path, book: &Book, thorough: bool) -> Checked {
    let mut options = options(data);
    // So that nothing goes but what is lost.
    options.retention.delivered = None;
    let store = match Store::open(options, TestClock::at(LATER)) {
        Ok(store) => store,
        Err(error) => return vec![format!("it does not open: {error}")],
    };
    let mut found = match view(&store).await {
        Ok(view) => book.differences(&view),
        Err(error) => vec![format!("it can't be read: {error}")],
    };
    found.extend(is_well(data));
    if let Err(why) = goes_on(&store, thorough).await {
        found.push(why);
    }
    store.close();
    if thorough {
        found.extend(is_well(data));
    }
    if let Ok(names) = std::fs::read_dir(data) {
        let names = names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        found.extend(names.filter(|name| name.contains("damaged")).map(|name| format!("it was salvaged: {name}")));
    }
    found
}

/// What is wrong with the file: what the doctor finds, and entries of messages that do not wait for them.
#[must_use]
pub fn is_well(data: &Path) -> Checked {
    let mut found: Checked = match chaski_embedded::examine(data, &mut |_| ()) {
        Ok(report) => report.findings.into_iter().map(|found| format!("{}: {}", found.place, found.detail)).collect(),
        Err(why) => vec![why],
    };
    let left =
        "SELECT count(*) FROM entries JOIN messages ON messages.no = entries.message WHERE messages.entry IS NOT seq";
    let counted = Connection::open(data.join(DATABASE)).and_then(|connection| {
        connection.busy_timeout(PATIENCE)?;
        connection.query_row(left, [], |row| row.get::<_, i64>(0))
    });
    match counted {
        Ok(0) => {}
        Ok(count) => found.push(format!("{count} entries belong to messages that do not wait for them")),
        Err(error) => found.push(error.to_string()),
    }
    found
}

/// A new message is taken, and it and, if asked for, all that waits are delivered.
async fn goes_on(store: &Store, thorough: bool) -> Result<(), String> {
    let new = "after-the-power-came-back";
    store.enqueue(entry(new, new, 1, 10)).await.map_err(|error| format!("it takes nothing: {error}"))?;
    for pause in chaski_core::ports::Pauses::pauses(store).await.map_err(|error| error.to_string())? {
        chaski_core::ports::Pauses::resume(store, &pause.id).await.map_err(|error| error.to_string())?;
    }
    let mut waiting = true;
    // Where each line stood last: whatever was held, moved or retried, a line is served in its order.
    let mut served: BTreeMap<(QueueName, String), u64> = BTreeMap::new();
    while waiting {
        let mut leases = vec![tokio::select! {
            leased = store.lease() => leased,
            error = store.failed() => return Err(format!("it has ended: {error}")),
            () = tokio::time::sleep(PATIENCE) => return Err("it gives nothing".to_owned()),
        }];
        leases.extend(std::iter::from_fn(|| store.try_lease(None)));
        for leased in &leases {
            let place: u64 = leased.sequence.parse().map_err(|_| "an entry has no place".to_owned())?;
            let before = served.insert((leased.queue.clone(), leased.group.clone()), place);
            if before.is_some_and(|before| before > place) {
                return Err(format!("{} has passed another one of its line", id_of(leased).0));
            }
        }
        let settling = leases.iter().map(async |leased| {
            let report = attempt(9, leased, 200);
            store
                .settle(leased, &Settlement::Done, Beside { attempt: Some(&report), ..Beside::default() })
                .await
                .map_err(|error| error.to_string())
        });
        futures_util::future::join_all(settling).await.into_iter().collect::<Result<Vec<()>, _>>()?;
        waiting = if thorough {
            let queues = chaski_core::ports::Queues::queues(store).await.map_err(|error| error.to_string())?;
            queues.iter().any(|queue| queue.depth > 0)
        } else {
            !leases.iter().any(|leased| id_of(leased).0 == new)
        };
    }
    Ok(())
}
