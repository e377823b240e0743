//! Records the statements that run, for the test that looks at their plans.
//!
//! Only a build with debug assertions does it, and only if the variable `NADEURI_STATEMENTS` names a folder. Each
//! process then adds every statement to a file of its own in that folder, once, as a line of JSON.

#[cfg(debug_assertions)]
mod recorder {
    use std::collections::HashSet;
    use std::fs::File;
    use std::io::Write as _;
    use std::panic::Location;
    use std::sync::{LazyLock, Mutex};

    use serde_json::json;

    static RECORDER: LazyLock<Option<Mutex<Recorder>>> = LazyLock::new(|| {
        let folder = std::path::PathBuf::from(std::env::var_os("NADEURI_STATEMENTS")?);
        let file = File::options().create(true).append(true).open(folder.join(std::process::id().to_string()));
        Some(Mutex::new(Recorder { seen: HashSet::new(), file: file.expect("NADEURI_STATEMENTS names a folder") }))
    });

    struct Recorder {
        seen: HashSet<(&'static Location<'static>, String)>,
        file: File,
    }

    /// Records a statement, if it is recorded at all; then `statement` makes its text and the types of its parameters.
    pub fn record(place: &'static Location<'static>, database: &str, statement: impl FnOnce() -> (String, Vec<u32>)) {
        let Some(recorder) = &*RECORDER else { return };
        let (text, types) = statement();
        let text = shortened(&text);
        let mut recorder = recorder.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !recorder.seen.insert((place, text.clone())) {
            return;
        }
        let line = json!({
            "database": database, "file": place.file(), "line": place.line(), "text": text, "types": types,
        });
        // At once, because the process may be killed at any time.
        recorder.file.write_all(format!("{line}\n").as_bytes()).expect("the file of statements can be written");
    }

    /// The statement with at most two values in each list: longer lists have the same plan. Empty ones may not.
    fn shortened(text: &str) -> String {
        const LIST: &str = " IN (";
        let mut parts = text.split(LIST);
        let mut short = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c| !"?, ".contains(c)).unwrap_or(part.len());
            short += LIST;
            short += if part[..end].len() > "?, ?".len() { "?, ?" } else { &part[..end] };
            short += &part[end..];
        }
        short
    }

    #[cfg(test)]
    mod tests {
        use super::shortened;

        #[test]
        fn lists_of_any_length_are_one_statement_but_an_empty_one() {
            assert_eq!(shortened("a IN (?, ?, ?, ?) OR b IN (?)"), "a IN (?, ?) OR b IN (?)");
            assert_eq!(shortened("a IN (SELECT 1) AND b = ?"), "a IN (SELECT 1) AND b = ?");
            assert_eq!(shortened("INSERT INTO t VALUES (?, ?, ?)"), "INSERT INTO t VALUES (?, ?, ?)");
        }
    }
}

/// Records a statement on PostgreSQL.
#[cfg(debug_assertions)]
pub fn on_postgres(
    place: &'static std::panic::Location<'static>,
    statement: &dyn diesel::query_builder::QueryFragment<diesel::pg::Pg>,
) {
    use diesel::pg::{Pg, PgMetadataLookup, PgQueryBuilder, PgTypeMetadata};
    use diesel::query_builder::{QueryBuilder as _, bind_collector::RawBytesBindCollector};

    /// All types are the server's own, whose numbers are known without a query.
    struct NoLookup;
    impl PgMetadataLookup for NoLookup {
        fn lookup_type(&mut self, _: &str, _: Option<&str>) -> PgTypeMetadata {
            PgTypeMetadata::new(0, 0)
        }
    }

    recorder::record(place, "postgres", || {
        let (mut text, mut binds) = (PgQueryBuilder::default(), RawBytesBindCollector::<Pg>::new());
        let made =
            statement.to_sql(&mut text, &Pg).and_then(|()| statement.collect_binds(&mut binds, &mut NoLookup, &Pg));
        made.expect("a statement has a text");
        (text.finish(), binds.metadata.iter().filter_map(|kind| kind.oid().ok()).collect())
    });
}

/// Records a statement on SQLite.
#[cfg(debug_assertions)]
pub fn on_sqlite(
    place: &'static std::panic::Location<'static>,
    statement: &dyn diesel::query_builder::QueryFragment<diesel::sqlite::Sqlite>,
) {
    use diesel::backend::Backend;
    use diesel::query_builder::QueryBuilder as _;
    use diesel::sqlite::Sqlite;

    recorder::record(place, "sqlite", || {
        let mut text = <Sqlite as Backend>::QueryBuilder::default();
        statement.to_sql(&mut text, &Sqlite).expect("a statement has a text");
        (text.finish(), Vec::new())
    });
}

/// Other builds record nothing.
#[cfg(not(debug_assertions))]
pub use ignored::{ignore as on_postgres, ignore as on_sqlite};

#[cfg(not(debug_assertions))]
mod ignored {
    /// Does nothing.
    pub fn ignore<T: ?Sized>(_: &'static std::panic::Location<'static>, _: &T) {}
}
