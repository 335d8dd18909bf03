//! The numbers of strict lines.

use rusqlite::{Connection, OptionalExtension};

use super::Look;

/// The number of the group's last strict message whose attempt was settled; 0 for none.
pub(crate) fn last_sequence(connection: &Connection, group: &str) -> Look<u64> {
    let mut query = connection.prepare_cached("SELECT n FROM sequences WHERE grp = ?1")?;
    Ok(query.query_row([group], |row| row.get(0)).optional()?.unwrap_or(0))
}
