//! No statement of the product gets slower with the history: the statements that the processes of all journeys have run
//! are put to EXPLAIN on both databases. None may scan, sort or filter a table that grows.
//!
//! The processes record each statement with its place in the source. A place that no journey has reached fails the test
//! too, so that every statement of every context is seen.

mod exceptions;
mod places;
mod postgres;
mod sqlite;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::runner::RUNTIME;
use crate::support::process::STATEMENTS;
use exceptions::{FEW, GROWTH, RARE, UNSEEN};

/// The folder in which the processes of the journeys record their statements.
pub struct Recording(PathBuf);

impl Recording {
    /// Begins it. All processes that are started from now on take part.
    pub fn begin() -> Recording {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("statements-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        STATEMENTS.set(folder.clone()).expect("there is one recording");
        Recording(folder)
    }

    /// Ends it. Returns the trials of what was recorded.
    pub fn end(self) -> Vec<Trial> {
        let recorded: Arc<Vec<Statement>> = Arc::new(read(&self.0));
        std::fs::remove_dir_all(self.0).unwrap();
        let trial = |(setup, database): (&str, &'static str)| {
            let recorded = recorded.clone();
            let name = format!("{setup}::no_statement_gets_slower_with_the_history");
            Trial::test(name, move || check(database, &recorded).map_err(Failed::from))
        };
        [("embedded", "sqlite"), ("one_process", "postgres")].map(trial).into()
    }
}

/// A recorded statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Statement {
    database: String,
    file: String,
    line: u64,
    text: String,
    /// The types of its parameters on PostgreSQL, by their numbers there.
    types: Vec<u64>,
}

impl Statement {
    /// The contexts whose tables it may be about: that of its place, or all for those of the chassis.
    fn contexts(&self) -> impl Iterator<Item = &'static str> {
        let crate_ = self.file.trim_start_matches("services/").split('/').next().unwrap_or_default().to_owned();
        crate::support::cluster::contexts().filter(move |name| crate_ == "chassis" || crate_ == *name)
    }
}

/// What a plan does that takes longer the larger a table is: `scans reservations`.
type Finding = String;

fn read(folder: &Path) -> Vec<Statement> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let mut statements = BTreeSet::new();
    for line in files.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()) {
        // The last line of a process that was killed may be cut off.
        let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        statements.insert(Statement {
            database: text("database"),
            file: text("file"),
            line: line["line"].as_u64().unwrap_or_default(),
            text: text("text"),
            types: line["types"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
        });
    }
    // Tests have statements too.
    statements.into_iter().filter(|it| it.file.contains("/src/") && !is_rare(&it.file)).collect()
}

fn check(database: &str, recorded: &[Statement]) -> Result<(), String> {
    let recorded: Vec<&Statement> = recorded.iter().filter(|statement| statement.database == database).collect();
    let mut wrong = unseen(&recorded);
    let mut findings: BTreeMap<(String, Finding), String> = BTreeMap::new();
    let plans = RUNTIME.block_on(async {
        match database {
            "sqlite" => sqlite::explain(&recorded).await,
            _ => postgres::explain(&recorded).await,
        }
    })?;
    for Plan { context, statement, found, text } in plans {
        for finding in found {
            let Statement { file, line, text: sql, .. } = statement;
            let description = format!("{context} {finding}, at {file}:{line}\n    {sql}\n    {text}");
            findings.entry((context.to_owned(), finding)).or_insert(description);
        }
    }
    let is_known = |context: &str, finding: &str| {
        GROWTH.iter().any(|(known, what, _)| (*known == context || *known == "chassis") && finding.starts_with(what))
    };
    wrong.extend(
        findings.iter().filter(|((context, finding), _)| !is_known(context, finding)).map(|(_, text)| text.clone()),
    );
    if wrong.is_empty() { Ok(()) } else { Err(format!("{}\n{} in all", wrong.join("\n"), wrong.len())) }
}

/// The places of statements that were not seen.
fn unseen(recorded: &[&Statement]) -> Vec<String> {
    let mut seen: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for Statement { file, line, .. } in recorded {
        seen.entry(file).or_default().insert(*line);
    }
    let is_seen = |place: &places::Place| {
        seen.get(place.file.as_str()).is_some_and(|lines| lines.range(place.lines.clone()).next().is_some())
    };
    let places = places::of_statements().into_iter().filter(|place| !is_seen(place) && !is_rare(&place.file));
    let is_known = |code: &str| UNSEEN.iter().any(|(known, _)| code.contains(known));
    places
        .filter(|place| !is_known(&place.code))
        .map(|place| format!("no journey reaches {}:{}: {}", place.file, place.lines.start(), place.code))
        .collect()
}

/// Whether the statements of a file run so rarely that they may look through a table.
fn is_rare(file: &str) -> bool {
    RARE.iter().any(|(rare, _)| *rare == file)
}

/// Whether few rows of a table have the same value in one of these columns.
fn is_few<'a>(context: &str, table: &str, mut columns: impl Iterator<Item = &'a str>) -> bool {
    columns.any(|column| {
        FEW.iter().any(|(known, of, by, _)| (*known == context || *known == "chassis") && (*of, *by) == (table, column))
    })
}

/// The plan of a statement in a context.
struct Plan<'a> {
    context: &'static str,
    statement: &'a Statement,
    found: BTreeSet<Finding>,
    text: String,
}
