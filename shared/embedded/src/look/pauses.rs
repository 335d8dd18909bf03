//! The pauses.

use chaski_core::pause::{Pause, PauseScope};
use chaski_core::time::Timestamp;
use rusqlite::Connection;

/// A scope as its columns: kind, value, tenant.
pub(crate) fn scope_columns(scope: &PauseScope) -> (&'static str, &str, &str) {
    match scope {
        PauseScope::All => ("all", "", ""),
        PauseScope::Queue(queue) => ("queue", queue, ""),
        PauseScope::Route(route) => ("route", route, ""),
        PauseScope::Subject { tenant, subject } => ("subject", subject, tenant),
        PauseScope::Target(host) => ("target", host, ""),
    }
}

fn scope(kind: &str, value: String, tenant: String) -> Option<PauseScope> {
    match kind {
        "all" => Some(PauseScope::All),
        "queue" => Some(PauseScope::Queue(value)),
        "route" => Some(PauseScope::Route(value)),
        "subject" => Some(PauseScope::Subject { tenant, subject: value }),
        "target" => Some(PauseScope::Target(value)),
        _ => None,
    }
}

/// Every pause, the oldest first.
pub(crate) fn read_pauses(connection: &Connection) -> rusqlite::Result<Vec<Pause>> {
    let mut query =
        connection.prepare_cached("SELECT id, kind, value, tenant, created_at FROM pauses ORDER BY created_at, id")?;
    let rows = query.query_map([], |row| {
        let scope = scope(&row.get::<_, String>(1)?, row.get(2)?, row.get(3)?);
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
