//! Plans of SQLite.

use std::collections::BTreeSet;

use chassis::db::Database;
use chassis::runtime::Runtime;
use chassis::sql;
use diesel::QueryableByName;
use diesel::sql_types::Text;

use super::{Finding, Plan, Statement, is_few};

/// A line of a plan.
#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// An index with its definition, or a table with the column that numbers its rows.
#[derive(QueryableByName)]
struct Definition {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    text: String,
}

const DEFINITIONS: &str = "
    SELECT name, sql AS text FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL
    UNION ALL
    SELECT m.name, p.name FROM sqlite_master m JOIN pragma_table_info(m.name) p
    WHERE m.type = 'table' AND p.pk = 1 AND lower(p.type) = 'integer'";

/// Explains statements on empty tables. SQLite's plans do not depend on what is in them, because the product never runs
/// ANALYZE.
pub async fn explain<'a>(statements: &[&'a Statement]) -> Result<Vec<Plan<'a>>, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut plans = Vec::new();
    let mut explained = BTreeSet::new();
    for context in nadeuri::contexts::ALL {
        let url = format!("sqlite:{}", folder.path().join("{context}.db").display());
        let database = Database::open(&url, context.name, &Runtime::real()).await.unwrap();
        context.migrate(&database).await.unwrap();
        let reader = database.reader().await.unwrap();
        let tx = reader.tx();
        let definitions: Vec<Definition> = sql!(tx, |c| diesel::sql_query(DEFINITIONS).load(c)).unwrap();
        for statement in statements.iter().filter(|statement| statement.contexts().any(|name| name == context.name)) {
            let query = diesel::sql_query(format!("EXPLAIN QUERY PLAN {}", statement.text));
            // A statement of the chassis may be about another context's table.
            let lines: Vec<Line> = match sql!(tx, |c| query.load(c)) {
                Ok(lines) => lines,
                Err(error) if statement.file.starts_with("services/chassis/") => {
                    let _: diesel::result::Error = error;
                    continue;
                }
                Err(error) => return Err(format!("{}: {error}", statement.text)),
            };
            explained.insert(*statement);
            let lines: Vec<String> = lines.into_iter().map(|line| line.detail).collect();
            let found = findings(context.name, &statement.text, &lines, &definitions);
            plans.push(Plan { context: context.name, statement, found, text: lines.join("; ") });
        }
    }
    match statements.iter().find(|statement| !explained.contains(*statement)) {
        None => Ok(plans),
        Some(statement) => Err(format!("no context can explain {}", statement.text)),
    }
}

fn findings(context: &str, statement: &str, plan: &[String], definitions: &[Definition]) -> BTreeSet<Finding> {
    let mut found = BTreeSet::new();
    let table = |line: &'_ String| line.split(' ').nth(1).unwrap_or_default().to_owned();
    if plan.iter().any(|line| is_few(context, &table(line), equal_columns(line).into_iter())) {
        return found;
    }
    let sorts = plan.iter().any(|line| line.starts_with("USE TEMP B-TREE"));
    for line in plan {
        let words: Vec<&str> = line.split(' ').collect();
        let unused = filtered(statement, line, definitions);
        match words.as_slice() {
            ["SCAN", "CONSTANT", ..] => {}
            // A page in the order of an index: it ends as soon as it is full.
            ["SCAN", ..] if statement.contains(" LIMIT ") && !sorts && unused.is_empty() => {}
            ["SCAN", table, ..] => drop(found.insert(format!("scans {table}"))),
            ["SEARCH", table, ..] if line.contains("AUTOMATIC") => drop(found.insert(format!("scans {table}"))),
            ["SEARCH", table, ..] if !unused.is_empty() => {
                found.insert(format!("filters {table} by {}", unused.join(", ")));
            }
            ["USE", "TEMP", ..] => drop(found.insert(format!("sorts {}", table_of(statement)))),
            _ => {}
        }
    }
    found
}

/// The columns in the condition of a statement that a search by an index does not use.
fn filtered(statement: &str, line: &str, definitions: &[Definition]) -> Vec<String> {
    let Some((_, condition)) = statement.split_once(" WHERE ") else { return Vec::new() };
    let condition = condition.split(" ORDER BY ").next().unwrap_or(condition);
    // Without the columns that subqueries select.
    let condition: String =
        condition.split("(SELECT ").map(|part| part.split_once(" FROM ").map_or(part, |(_, rest)| rest)).collect();
    let words: Vec<&str> = line.split(' ').collect();
    let table = words.get(1).copied().unwrap_or_default();
    let index = words.iter().position(|word| *word == "INDEX").and_then(|at| words.get(at + 1)).copied();
    let defined = |name: &str| definitions.iter().find(|known| known.name == name).map_or("", |known| &known.text);
    let partial = defined(index.unwrap_or_default()).split_once(" WHERE ").map_or("", |(_, partial)| partial);
    let number = if line.contains("INTEGER PRIMARY KEY") { defined(table) } else { "" };
    let searched = line.split_once('(').map_or("", |(_, searched)| searched);
    let is_used = |column: &str| [searched, partial, number].iter().any(|text| names(text).any(|name| name == column));
    let of_table = format!("`{table}`.`");
    let columns = condition.split(of_table.as_str()).skip(1).filter_map(|rest| rest.split('`').next());
    // On a page the id follows the time.
    let is_extra = |column: &str| column == "id" && statement.contains(" LIMIT ");
    let columns: BTreeSet<&str> = columns.filter(|column| !is_used(column) && !is_extra(column)).collect();
    columns.into_iter().map(str::to_owned).collect()
}

/// The columns that a search has a value for: `flow` in `(flow=? AND created_at<?)`.
fn equal_columns(line: &str) -> Vec<&str> {
    let searched = line.split_once('(').map_or("", |(_, searched)| searched);
    searched.split(" AND ").filter_map(|part| part.split_once("=?")).map(|(column, _)| column).collect()
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

fn table_of(statement: &str) -> &str {
    let from = statement.split(" FROM ").nth(1).unwrap_or_default();
    from.split(' ').next().unwrap_or_default().trim_matches('`')
}
