//! Plans of PostgreSQL.

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::{Database, Tx};
use chassis::runtime::Runtime;
use chassis::sql;
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::SimpleAsyncConnection as _;
use serde_json::Value;

use super::{Finding, Plan, Statement, is_few};
use crate::support::cluster::real_servers;

/// A row with one text.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    text: String,
}

/// The plan of a statement, as JSON.
#[derive(QueryableByName)]
struct Explained {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    plan: String,
}

/// Explains statements on empty tables without statistics, on connections with the settings of the product: so are the
/// plans made that a process uses as long as it runs.
pub async fn explain<'a>(statements: &[&'a Statement]) -> Result<Vec<Plan<'a>>, String> {
    let (server, _) = real_servers()?;
    let url = format!("{server}plans{}?schema={{context}}", std::process::id());
    let mut plans = Vec::new();
    let mut explained = BTreeSet::new();
    for context in nadeuri::contexts::ALL {
        let database = Database::open(&url, context.name, &Runtime::real()).await.unwrap();
        context.migrate(&database).await.unwrap();
        let reader = database.reader().await.unwrap();
        let tables = Tables::read(reader.tx()).await;
        for statement in statements.iter().filter(|statement| statement.contexts().any(|name| name == context.name)) {
            let plan = match plan(reader.tx(), statement).await {
                Ok(plan) => plan,
                // A statement of the chassis may be about another context's table.
                Err(_) if statement.file.starts_with("services/chassis/") => continue,
                Err(error) => return Err(format!("{}: {error}", statement.text)),
            };
            explained.insert(*statement);
            let mut found = BTreeSet::new();
            if statement.text.starts_with("DELETE ") && !statement.text.contains(" WHERE ") {
                found.insert(format!("empties {}", table_beneath(&plan)));
            } else if !tables.searches_few(context.name, &plan) {
                tables.look_at(&plan, false, &mut found);
            }
            plans.push(Plan { context: context.name, statement, found, text: plan.to_string() });
        }
    }
    match statements.iter().find(|statement| !explained.contains(*statement)) {
        None => Ok(plans),
        Some(statement) => Err(format!("no context can explain {}", statement.text)),
    }
}

/// The generic plan, which is the same for all values of the parameters.
async fn plan(tx: Tx<'_>, statement: &Statement) -> diesel::QueryResult<Value> {
    let Tx::Postgres(mut connection) = tx else { unreachable!("it is on PostgreSQL") };
    let numbers: Vec<String> = statement.types.iter().map(u64::to_string).collect();
    let names = format!(
        "SELECT coalesce(string_agg(format_type(t, NULL), ', ' ORDER BY n), '') AS text \
         FROM unnest('{{{}}}'::oid[]) WITH ORDINALITY AS u (t, n)",
        numbers.join(",")
    );
    let names: Vec<Row> = sql!(tx, |c| diesel::sql_query(names).load(c))?;
    let names = names.into_iter().map(|row| row.text).collect::<String>();
    let (types, nulls) = if names.is_empty() {
        (String::new(), String::new())
    } else {
        (format!("({names})"), format!("({})", vec!["NULL"; statement.types.len()].join(", ")))
    };
    connection.batch_execute(&format!("PREPARE explained {types} AS {}", statement.text)).await?;
    let query = format!("EXPLAIN (FORMAT JSON) EXECUTE explained {nulls}");
    let plan: diesel::QueryResult<Vec<Explained>> = sql!(tx, |c| diesel::sql_query(query).load(c));
    connection.batch_execute("DEALLOCATE explained").await?;
    let plan: Value = serde_json::from_str(&plan?[0].plan).unwrap();
    Ok(plan[0]["Plan"].clone())
}

/// The columns of the tables, and the first column of each index.
struct Tables {
    columns: BTreeSet<String>,
    first: BTreeMap<String, String>,
}

impl Tables {
    async fn read(tx: Tx<'_>) -> Tables {
        let columns =
            "SELECT column_name::text AS text FROM information_schema.columns WHERE table_schema = current_schema()";
        let columns: Vec<Row> = sql!(tx, |c| diesel::sql_query(columns).load(c)).unwrap();
        let first = "SELECT c.relname || ' ' || pg_get_indexdef(i.indexrelid, 1, true) AS text \
                     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                     WHERE c.relnamespace = current_schema()::regnamespace";
        let first: Vec<Row> = sql!(tx, |c| diesel::sql_query(first).load(c)).unwrap();
        let pair = |row: Row| {
            let (index, column) = row.text.split_once(' ')?;
            Some((index.to_owned(), column.trim_matches('"').to_owned()))
        };
        Tables {
            columns: columns.into_iter().map(|row| row.text).collect(),
            first: first.into_iter().filter_map(pair).collect(),
        }
    }

    /// The columns that a condition names.
    fn columns<'a>(&self, node: &'a Value, condition: &str) -> BTreeSet<&'a str> {
        let text = node[condition].as_str().unwrap_or_default();
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| self.columns.contains(*word))
            .collect()
    }

    /// Whether a node of a plan, or one beneath it, reads the few rows that have the same value in a column.
    fn searches_few(&self, context: &str, node: &Value) -> bool {
        let table = node["Relation Name"].as_str().unwrap_or_default();
        let columns = ["Index Cond", "Recheck Cond"].into_iter().flat_map(|condition| self.columns(node, condition));
        let below = || node["Plans"].as_array().into_iter().flatten();
        is_few(context, table, columns) || below().any(|node| self.searches_few(context, node))
    }

    /// Looks at a node of a plan and those beneath it. `is_page` says whether it ends as soon as a page is full.
    fn look_at(&self, node: &Value, is_page: bool, found: &mut BTreeSet<Finding>) {
        let kind = node["Node Type"].as_str().unwrap_or_default();
        let table = node["Relation Name"].as_str().unwrap_or_default();
        let mut used = self.columns(node, "Index Cond");
        let filtered = self.columns(node, "Filter");
        match kind {
            "Seq Scan" => drop(found.insert(format!("scans {table}"))),
            "Index Scan" | "Index Only Scan" | "Bitmap Index Scan" => {
                let index = node["Index Name"].as_str().unwrap_or_default();
                let is_search = self.first.get(index).is_some_and(|first| used.contains(first.as_str()));
                let ends = is_page && filtered.is_empty();
                if !is_search && !ends {
                    let of = if table.is_empty() { index } else { table };
                    found.insert(format!("scans {of}"));
                }
            }
            "Bitmap Heap Scan" => used = self.columns(node, "Recheck Cond"),
            "Sort" | "Incremental Sort" => {
                found.insert(format!("sorts {}", table_beneath(node)));
            }
            _ => {}
        }
        // On a page the id follows the time. An update finds a row by its key, and compares the version.
        let is_extra = |column: &&str| used.contains(column) || (is_page && *column == "id") || *column == "version";
        let rest: Vec<&str> = filtered.into_iter().filter(|column| !is_extra(column)).collect();
        if !rest.is_empty() && kind != "Seq Scan" {
            found.insert(format!("filters {} by {}", table_beneath(node), rest.join(", ")));
        }
        let is_page = kind == "Limit" || (is_page && kind != "Sort" && kind != "Aggregate");
        for below in node["Plans"].as_array().into_iter().flatten() {
            self.look_at(below, is_page, found);
        }
    }
}

/// The first table at a node or beneath it.
fn table_beneath(node: &Value) -> &str {
    let below = || node["Plans"].as_array().into_iter().flatten().map(table_beneath).find(|table| !table.is_empty());
    node["Relation Name"].as_str().or_else(below).unwrap_or_default()
}
