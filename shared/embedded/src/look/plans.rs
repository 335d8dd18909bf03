//! How SQLite means to find what is looked for: by a look-up, wherever there is one.

use std::path::Path;

use rusqlite::Connection;

use crate::schema;

fn plan(connection: &Connection, sql: &str) -> String {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nothing = vec![None::<i64>; explain.parameter_count()];
    let lines = explain.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3)).unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join(" | ")
}

#[test]
fn what_is_done_for_each_message_and_what_lists_ask_for_goes_by_look_ups() {
    let connection = Connection::open(Path::new(":memory:")).unwrap();
    schema::create(&connection).unwrap();
    for (sql, by) in [
        ("SELECT 1 FROM entries WHERE line = ? AND seq < ? LIMIT 1", "entries_line (line=? AND seq<?)"),
        ("SELECT * FROM entries WHERE line = ? ORDER BY seq", "entries_line (line=?)"),
        ("SELECT * FROM entries INDEXED BY entries_line WHERE line > ? ORDER BY line, seq LIMIT 1", "entries_line (line>?)"),
        (
            "SELECT due, seq, line FROM entries WHERE due IS NOT NULL AND (due, seq) > (?, ?) ORDER BY due, seq LIMIT ?",
            "entries_due (due>?)",
        ),
        ("SELECT queue FROM entries INDEXED BY entries_due WHERE due > ?", "COVERING INDEX entries_due (due>?)"),
        ("SELECT no FROM messages WHERE id = ?", "messages_id (id=?)"),
        ("SELECT * FROM messages WHERE state = 4 AND state IN (2, 4, 5, 6) AND no < ? ORDER BY no DESC", "messages_state (state=? AND no<?)"),
        (
            "SELECT * FROM finds CROSS JOIN messages ON messages.no = finds.message WHERE finds.key = ? AND finds.message < ?
             ORDER BY finds.message DESC",
            "finds USING PRIMARY KEY (key=? AND message<?)",
        ),
        ("SELECT * FROM messages WHERE no < ? ORDER BY no DESC LIMIT ?", "INTEGER PRIMARY KEY (rowid<?)"),
        ("SELECT * FROM attempts WHERE message = ? AND generation = ? ORDER BY n", "PRIMARY KEY (message=? AND generation=?)"),
        (
            "SELECT * FROM dead_letters WHERE id = ? AND generation = ? AND entry_sent_at = ?",
            "dead_letters_id (id=? AND generation=? AND entry_sent_at=?)",
        ),
        (
            "SELECT * FROM dead_letters WHERE id = ? AND (? IS NULL OR generation = ?) ORDER BY generation DESC, entry_sent_at DESC",
            "dead_letters_id (id=?)",
        ),
        (
            "SELECT * FROM dead_letters WHERE (entry_sent_at, no) < (?, ?) ORDER BY entry_sent_at DESC, no DESC LIMIT ?",
            "dead_letters_time (entry_sent_at<?)",
        ),
        (
            "SELECT * FROM dead_letters WHERE subject = ? ORDER BY entry_sent_at DESC, no DESC LIMIT ?",
            "dead_letters_subject (subject=?)",
        ),
        (
            "SELECT * FROM dead_letters WHERE host = ? ORDER BY entry_sent_at DESC, no DESC LIMIT ?",
            "dead_letters_host (host=?)",
        ),
        (
            "SELECT * FROM dead_letters WHERE replayed_at IS NULL AND (accepted_no, no) > (?, ?) ORDER BY accepted_no, no LIMIT ?",
            "dead_letters_order (accepted_no>?)",
        ),
        ("DELETE FROM moves WHERE dedup IN (SELECT dedup FROM moves WHERE at < ? LIMIT ?)", "moves_at (at<?)"),
        (
            "SELECT seq FROM entries INDEXED BY entries_due WHERE due > ? AND queue = ?",
            "COVERING INDEX entries_due (due>?)",
        ),
    ] {
        let plan = plan(&connection, sql);
        assert!(plan.contains(by), "{sql}: {plan}");
        assert!(!plan.contains("USE TEMP B-TREE FOR ORDER BY"), "{sql} is sorted: {plan}");
    }
}
