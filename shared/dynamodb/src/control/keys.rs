//! Where everything stands in the control table. Each kind of thing has partitions of its own, named here and
//! nowhere else, but for the rows of idempotency keys, `key#…`, which `chaski-signed` writes; a role's rights go by the
//! beginning of their names (`dynamodb:LeadingKeys`).

use chaski_core::identity;

/// The partition key.
pub(crate) const PK: &str = "pk";
/// The sort key.
pub(crate) const SK: &str = "sk";
/// When DynamoDB may delete a row, in seconds since 1970 (TTL). It deletes late: whoever reads looks at the time.
pub(crate) const EXPIRES: &str = "expires";

/// The one partition of what operators ordered, which every consumer reads whole.
pub(crate) const ORDERS: &str = "orders";
/// Sort keys of the pauses in it, before their ids.
pub(crate) const PAUSE: &str = "pause#";
/// Sort keys of the marks of what is cancelled, before their ids.
pub(crate) const CANCEL: &str = "cancel#";

/// Partitions of the paused heads, so that a storm of them is not one partition's (1,000 writes a second).
pub const HELD_PARTITIONS: u8 = 16;

/// A partition of the paused heads: `held#00` to `held#15`.
pub(crate) fn held(partition: u8) -> String {
    format!("held#{partition:02}")
}

/// The partition of a line's paused head.
pub(crate) fn held_of(group: &str) -> String {
    let [first, ..] = identity::bytes(&[group]);
    held(first % HELD_PARTITIONS)
}

/// The partition of the generations of a message that wait for their time; the sort key is the generation and the move
/// that is the message's next one.
pub(crate) fn wait(id: &str) -> String {
    format!("wait#{id}")
}

/// The sort key where a partition has one row.
pub(crate) const WHOLE: &str = "-";

/// The partition of what is remembered of a strict message that failed.
pub(crate) fn line(id: &str, generation: u32) -> String {
    format!("line#{id}#{generation}")
}

/// The partition of the number of a line's last strict message.
pub(crate) fn sequence(group: &str) -> String {
    format!("seq#{group}")
}

/// The partition of what the messages of a flow's key share.
pub(crate) fn flow(scope: &str) -> String {
    format!("flow#{}", identity::digest(&[scope.as_bytes()]))
}

/// Sort keys in the partition of orders of what is known of hosts that fail, before their names.
pub(crate) const HOST: &str = "host#";

/// The sort key of a host.
pub(crate) fn host(name: &str) -> String {
    format!("{HOST}{name}")
}
