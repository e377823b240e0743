//! Makes a history: copies of what is finished, with new ids, each a second older than the one before. They belong to the
//! same customers, cars, bikes and so on.

use anyhow::ensure;
use chassis::db::{Database, Durability, Tx, Unit};
use chassis::runtime::Runtime;
use chassis::{Error, sql};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};

/// Copies in one statement, which PostgreSQL makes in less than its limit for a statement.
const AT_ONCE: u64 = 5_000;
/// Rows that are copied, at most: the copies are spread over their customers.
const ORIGINALS: u64 = 256;

/// A table that grows.
struct Growing {
    context: &'static str,
    table: &'static str,
    /// The columns with new ids.
    ids: &'static [&'static str],
    /// The column that gets an older time or, if it is a number, a lower one.
    order: Option<&'static str>,
    /// Which rows are finished.
    finished: &'static str,
}

const fn growing(
    context: &'static str,
    table: &'static str,
    ids: &'static [&'static str],
    order: Option<&'static str>,
    finished: &'static str,
) -> Growing {
    Growing { context, table, ids, order, finished }
}

const TABLES: &[Growing] = &[
    growing("rental", "reservations", &["id"], Some("created_at"), "NOT is_open"),
    growing("fleet", "engagements", &["reservation_id"], None, "NOT is_open"),
    growing("dispatch", "hails", &["id"], Some("created_at"), "state = 'cancelled'"),
    growing("driving", "drives", &["id"], Some("created_at"), "NOT is_offered AND wake_at IS NULL"),
    growing("resort", "holds", &["stay_id"], None, "NOT is_open"),
    growing("stay", "stays", &["id"], Some("created_at"), "state = 'cancelled'"),
    growing("bike", "takings", &["ride"], None, "is_over"),
    growing("ride", "rides", &["id"], Some("started_at"), "NOT is_open"),
    growing("billing", "bills", &["id"], Some("started_at"), "state = 'closed'"),
    growing("wallet", "entries", &["id"], Some("number"), "1 = 1"),
    growing("wallet", "bills", &["id"], None, "place IS NULL"),
    growing("product", "takings", &["order_id"], None, "1 = 1"),
    growing("order", "orders", &["id"], Some("created_at"), "is_order AND wake_at IS NULL"),
    growing("delivery", "deliveries", &["id"], Some("created_at"), "1 = 1"),
    growing("payment", "payments", &["id"], Some("created_at"), "wake_at IS NULL"),
    growing("notification", "messages", &["id"], Some("created_at"), "wake_at IS NULL"),
    growing("mypage", "car_rentals", &["id"], Some("reserved_at"), "customer IS NOT NULL"),
    growing("mypage", "taxi_rides", &["id"], Some("hailed_at"), "customer IS NOT NULL"),
    growing("mypage", "stays", &["id"], Some("reserved_at"), "customer IS NOT NULL"),
    growing("mypage", "bike_rides", &["id"], Some("started_at"), "customer IS NOT NULL"),
    growing("mypage", "orders", &["id"], Some("ordered_at"), "customer IS NOT NULL"),
    growing("chronicle", "events", &["event_id", "correlation_id"], None, "kind LIKE '%.CarReserved'"),
    growing("chronicle", "events", &["event_id", "correlation_id"], None, "kind LIKE '%.RideStarted'"),
    growing("rental", "done", &["key"], None, "1 = 1"),
    growing("fleet", "done", &["key"], None, "1 = 1"),
    growing("ride", "done", &["key"], None, "1 = 1"),
    growing("bike", "done", &["key"], None, "1 = 1"),
    growing("mypage", "done", &["key"], None, "1 = 1"),
];

/// A column.
#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
}

/// A number of rows.
#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Extends the history of the contexts in a store to so many rows in each table.
pub async fn extend(store: &str, rows: u64) -> anyhow::Result<()> {
    for growing in TABLES {
        let database = Database::open(store, growing.context, &Runtime::real()).await?;
        let (table, finished) = (growing.table, growing.finished);
        let count = format!("SELECT count(*) AS count FROM {table} WHERE {finished}");
        let reader = database.reader().await?;
        let counts: Vec<Count> = sql!(reader.tx(), |c| diesel::sql_query(count).load(c))?;
        let originals = counts.first().map_or(0, |count| count.count).unsigned_abs().min(ORIGINALS);
        ensure!(originals > 0, "nothing in {}.{table} is finished", growing.context);
        let columns = growing.columns(reader.tx()).await?;
        drop(reader);
        let (mut first, last) = (1, rows.div_ceil(originals));
        while first <= last {
            let end = last.min(first + AT_ONCE / originals);
            let statement = growing.copies(&columns, first..=end, matches!(database, Database::Sqlite(_)));
            let unit: Unit<'static, usize> = Box::new(move |tx| {
                Box::pin(async move { sql!(tx, |c| diesel::sql_query(statement).execute(c)).map_err(Error::from) })
            });
            database.write(Durability::Lazy, unit).await?;
            first = end + 1;
        }
        // As the server does by itself after a while; SQLite never does.
        if let Database::Postgres(_) = database {
            sql!(database.reader().await?.tx(), |c| diesel::sql_query(format!("ANALYZE {table}")).execute(c))?;
        }
    }
    Ok(())
}

impl Growing {
    /// The columns, but for a number that the database assigns.
    async fn columns(&self, tx: Tx<'_>) -> anyhow::Result<Vec<String>> {
        let table = self.table;
        let query = match tx {
            Tx::Sqlite(_) => format!("SELECT name FROM pragma_table_info('{table}')"),
            Tx::Postgres(_) => format!(
                "SELECT column_name::text AS name FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name = '{table}' ORDER BY ordinal_position"
            ),
        };
        let columns: Vec<Column> = sql!(tx, |c| diesel::sql_query(query).load(c))?;
        Ok(columns.into_iter().map(|column| column.name).filter(|name| name != "position").collect())
    }

    /// The statement that copies the finished rows, once for each number.
    fn copies(&self, columns: &[String], numbers: std::ops::RangeInclusive<u64>, on_sqlite: bool) -> String {
        let (table, finished, (first, last)) = (self.table, self.finished, numbers.into_inner());
        let value = |column: &String| match (self.ids.contains(&column.as_str()), self.order == Some(column)) {
            (true, _) if on_sqlite => "randomblob(16)".to_owned(),
            (true, _) => "gen_random_uuid()".to_owned(),
            (_, true) if column == "number" => format!("{column} - 1000000 * i"),
            (_, true) if on_sqlite => format!("{column} - 1000000 * i"),
            (_, true) => format!("{column} - i * interval '1 second'"),
            _ => column.clone(),
        };
        let (names, values) = (columns.join(", "), columns.iter().map(value).collect::<Vec<_>>().join(", "));
        // Those of `number` are the originals; their copies are negative.
        let originals = if self.order == Some("number") { "number > 0" } else { "1 = 1" };
        format!(
            "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}), \
             old AS MATERIALIZED (SELECT * FROM {table} WHERE {finished} AND {originals} LIMIT {ORIGINALS}) \
             INSERT INTO {table} ({names}) SELECT {values} FROM old, n"
        )
    }
}
