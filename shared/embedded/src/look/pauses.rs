//! The pauses.

use chaski_core::pause::{Pause, PauseScope};
use chaski_core::time::Timestamp;
use rusqlite::Connection;

/// Every pause, the oldest first.
pub(crate) fn read_pauses(connection: &Connection) -> rusqlite::Result<Vec<Pause>> {
    let mut query =
        connection.prepare_cached("SELECT id, kind, value, tenant, created_at FROM pauses ORDER BY created_at, id")?;
    let rows = query.query_map([], |row| {
        let scope = PauseScope::of_parts(&row.get::<_, String>(1)?, row.get(2)?, row.get(3)?);
        Ok(scope.map(|scope| (scope, row.get(0), row.get(4))))
    })?;
    let mut pauses = Vec::new();
    for row in rows {
        if let Some((scope, id, at)) = row? {
            pauses.push(Pause { id: id?, scope, created_at: Timestamp::from_millis(at?) });
        }
    }
    Ok(pauses)
}
