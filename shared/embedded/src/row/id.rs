//! A message's id in the file: a UUID as its 16 bytes, anything else as its text.

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use uuid::Uuid;

/// An id on its way into the file or out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdValue(pub(crate) String);

impl ToSql for IdValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        // Only what reads back as it was written: a UUID in capitals is another text.
        match Uuid::try_parse(&self.0) {
            Ok(uuid) if uuid.to_string() == self.0 => Ok(uuid.as_bytes().to_vec().into()),
            _ => Ok(self.0.as_str().into()),
        }
    }
}

impl FromSql for IdValue {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Blob(bytes) => {
                Uuid::from_slice(bytes).map(|uuid| Self(uuid.to_string())).map_err(|_| FromSqlError::InvalidType)
            }
            value => value.as_str().map(|text| Self(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn an_id_reads_as_it_was_written_and_a_uuid_takes_16_bytes() {
        let connection = Connection::open_in_memory().unwrap();
        for (id, bytes) in
            [("0193f0a0-0000-7000-8000-000000000001", 16), ("0193F0A0-0000-7000-8000-000000000001", 36), ("7-1", 3)]
        {
            let read: (IdValue, i64) = connection
                .query_row("SELECT ?1, length(CAST(?1 AS BLOB))", [IdValue(id.to_owned())], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .unwrap();
            assert_eq!(read, (IdValue(id.to_owned()), bytes));
        }
    }
}
