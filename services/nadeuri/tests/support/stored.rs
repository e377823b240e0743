//! A search for a text in everything that a context stores.

use chassis::Error;
use chassis::db::{Database, Tx};
use chassis::sql;
use diesel::sql_types::{BigInt, Text};

#[derive(diesel::QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(diesel::QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// The tables that contain the text, as text or in bytes.
pub async fn tables_with(database: &Database, text: &str) -> Result<Vec<String>, Error> {
    let reader = database.reader().await?;
    let tx = reader.tx();
    let mut found = Vec::new();
    for table in tables(tx).await? {
        let condition = match tx {
            // A row as text shows bytes as hexadecimal digits.
            Tx::Postgres(_) => {
                let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
                format!("strpos(t::text, '{text}') > 0 OR strpos(t::text, '{digits}') > 0")
            }
            Tx::Sqlite(_) => {
                let contains = |column: String| format!("instr(CAST({column} AS BLOB), CAST('{text}' AS BLOB)) > 0");
                columns(tx, &table).await?.into_iter().map(contains).collect::<Vec<_>>().join(" OR ")
            }
        };
        let query = format!("SELECT count(*) AS count FROM {table} AS t WHERE {condition}");
        let counted: Vec<Counted> = sql!(tx, |c| diesel::sql_query(query).load(c))?;
        if counted.iter().any(|counted| counted.count > 0) {
            found.push(table);
        }
    }
    Ok(found)
}

/// The tables of a store.
pub async fn tables(tx: Tx<'_>) -> Result<Vec<String>, Error> {
    let query = match tx {
        Tx::Postgres(_) => "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema()",
        Tx::Sqlite(_) => "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    };
    let named: Vec<Named> = sql!(tx, |c| diesel::sql_query(query).load(c))?;
    Ok(named.into_iter().map(|named| named.name).collect())
}

/// The columns of a table on SQLite.
async fn columns(tx: Tx<'_>, table: &str) -> Result<Vec<String>, Error> {
    let query = format!("SELECT name FROM pragma_table_info('{table}')");
    let named: Vec<Named> = sql!(tx, |c| diesel::sql_query(query).load(c))?;
    Ok(named.into_iter().map(|named| named.name).collect())
}
