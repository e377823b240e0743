//! The erasure of people from a context's store: a pseudonym replaces their subject, and what is stored beside it about
//! them is cleared.
//!
//! A context declares where it stores what about people ([`Personal`]). An event asks for an erasure
//! ([`contracts::personal::Erasure`]); every context subscribes to it, and from then on:
//!
//! 1. The guard refuses calls of the subject: nothing more is to be written about them.
//! 2. After a delay, in which the last events about them arrive, their rows are swept, with the outbox and dead letters.
//! 3. When the idempotency keys of their last requests have expired, and with them the stored answers, the tables are
//!    swept once more, for what arrived late. Then the erasure itself is removed, and the subject is free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use contracts::personal::{ERASED_TEXT, Erasure};
use diesel::sql_types::{BigInt, Binary, Text};
use futures::future::BoxFuture;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::bus::Subscription;
use crate::consumer::{Outcomes, React};
use crate::context::Environment;
use crate::db::prelude::*;
use crate::db::sql_types::SqlUuid;
use crate::db::{self, Durability, Tx, Unit, in_time};
use crate::dead_letters;
use crate::decode::Malformed;
use crate::envelope::Envelope;
use crate::error::Error;
use crate::ids::Id;
use crate::runtime::Tasks;
use crate::sql;
use crate::writer::Resources;

/// The longest pause between two looks for erasures that are due, or that another replica took.
const PERIOD: Duration = Duration::from_secs(60);
/// Events that are read together.
const EVENTS_AT_ONCE: i64 = 1_000;

/// Where a context stores something about people.
#[derive(Clone, Copy)]
pub struct Personal(What);

/// Names of columns.
type Columns = &'static [&'static str];

#[derive(Clone, Copy)]
enum What {
    Subject { table: &'static str, column: &'static str, texts: Columns, nullable: Columns, numbers: Columns },
    Derived { table: &'static str, column: &'static str, id: fn(&str) -> Uuid, is_key: bool },
    Events { table: &'static str, number: &'static str },
}

impl Personal {
    /// A column with a subject.
    pub const fn subject(table: &'static str, column: &'static str) -> Personal {
        Personal::details(table, column, &[], &[], &[])
    }

    /// The same, with columns of the row that tell something about the subject: texts, others that can be null, and numbers
    /// that can't.
    pub const fn details(
        table: &'static str,
        column: &'static str,
        texts: Columns,
        nullable: Columns,
        numbers: Columns,
    ) -> Personal {
        Personal(What::Subject { table, column, texts, nullable, numbers })
    }

    /// A column with an id that is made from a subject. It becomes that of the pseudonym.
    pub const fn derived(table: &'static str, column: &'static str, id: fn(&str) -> Uuid) -> Personal {
        Personal(What::Derived { table, column, id, is_key: false })
    }

    /// The same for the primary key of a table.
    pub const fn key(table: &'static str, column: &'static str, id: fn(&str) -> Uuid) -> Personal {
        Personal(What::Derived { table, column, id, is_key: true })
    }

    /// A table of events: see [`envelope_table!`](crate::envelope_table). A column numbers them.
    pub const fn events(table: &'static str, number: &'static str) -> Personal {
        Personal(What::Events { table, number })
    }

    /// The columns that an erasure changes, as `table.column`.
    pub fn columns(&self) -> Vec<String> {
        let (table, columns) = match self.0 {
            What::Subject { table, column, texts, nullable, numbers } => {
                (table, [&[column], texts, nullable, numbers].concat())
            }
            What::Derived { table, column, .. } => (table, vec![column]),
            What::Events { table, .. } => (table, vec!["body"]),
        };
        columns.into_iter().map(|column| format!("{table}.{column}")).collect()
    }

    async fn sweep(self, resources: &Resources, erasure: &Erasure) -> Result<(), Error> {
        match self.0 {
            What::Subject { table, column, texts, nullable, numbers } => {
                let clear_text = |text: &&str| {
                    format!(", {text} = CASE WHEN {text} IS NULL OR {text} = '' THEN {text} ELSE '{ERASED_TEXT}' END")
                };
                let texts: String = texts.iter().map(clear_text).collect();
                let nullable: String = nullable.iter().map(|column| format!(", {column} = NULL")).collect();
                let numbers: String = numbers.iter().map(|column| format!(", {column} = 0")).collect();
                let statement =
                    format!("UPDATE {table} SET {column} = $1{texts}{nullable}{numbers} WHERE {column} = $2");
                let Erasure { subject, pseudonym } = erasure.clone();
                let query = diesel::sql_query(statement).bind::<Text, _>(pseudonym).bind::<Text, _>(subject);
                write(resources, |tx| Box::pin(async move { Ok(sql!(tx, |c| query.execute(c)).map(drop)?) })).await
            }
            What::Derived { table, column, id, is_key } => {
                // What came late for the old id stays beside what has the new one already.
                let is_free = if is_key {
                    format!(" AND NOT EXISTS (SELECT 1 FROM {table} AS taken WHERE taken.{column} = $1)")
                } else {
                    String::new()
                };
                let statement = format!("UPDATE {table} SET {column} = $1 WHERE {column} = $2{is_free}");
                let (old, new): (Id<()>, Id<()>) = (Id::new(id(&erasure.subject)), Id::new(id(&erasure.pseudonym)));
                let query = diesel::sql_query(statement).bind::<SqlUuid, _>(new).bind::<SqlUuid, _>(old);
                write(resources, |tx| Box::pin(async move { Ok(sql!(tx, |c| query.execute(c)).map(drop)?) })).await
            }
            What::Events { table, number } => sweep_events(resources, erasure, table, number).await,
        }
    }
}

/// Runs a unit of work in a transaction.
async fn write<F>(resources: &Resources, work: F) -> Result<(), Error>
where
    F: for<'t> FnOnce(Tx<'t>) -> BoxFuture<'t, Result<(), Error>> + Send + 'static,
{
    let unit: Unit<'static, ()> = Box::new(work);
    resources.database.write(Durability::Full, unit).await
}

/// An event of a table, with its number.
#[derive(diesel::QueryableByName)]
struct EventRow {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Binary)]
    body: Vec<u8>,
}

async fn sweep_events(
    resources: &Resources,
    erasure: &Erasure,
    table: &'static str,
    number: &'static str,
) -> Result<(), Error> {
    let mut after = i64::MIN;
    loop {
        let page = format!(
            "SELECT {number} AS number, kind, body FROM {table} WHERE {number} > $1 ORDER BY {number} LIMIT {EVENTS_AT_ONCE}"
        );
        let rows: Vec<EventRow> = {
            let reader = resources.database.reader().await?;
            let query = diesel::sql_query(page).bind::<BigInt, _>(after);
            in_time(async { Ok(sql!(reader.tx(), |c| query.load(c))?) }).await?
        };
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.number;
        let erased = rows.into_iter().filter_map(|row| Some((row.number, erased(erasure, &row.kind, &row.body)?)));
        let erased: Vec<(i64, Vec<u8>)> = erased.collect();
        if erased.is_empty() {
            continue;
        }
        let statement = format!("UPDATE {table} SET body = $1 WHERE {number} = $2");
        write(resources, move |tx| {
            Box::pin(async move {
                for (number, body) in erased {
                    let query = diesel::sql_query(&statement).bind::<Binary, _>(body).bind::<BigInt, _>(number);
                    sql!(tx, |c| query.execute(c))?;
                }
                Ok(())
            })
        })
        .await?;
    }
}

/// The event without the subject; `None` if it does not name them.
fn erased(erasure: &Erasure, kind: &str, body: &[u8]) -> Option<Vec<u8>> {
    match erasure.erased(kind, body) {
        Ok(erased) => erased,
        Err(error) => {
            tracing::error!(kind, %error, "an event can't be decoded, so nobody was erased from it");
            None
        }
    }
}

async fn sweep_dead_letters(resources: &Resources, erasure: &Erasure) -> Result<(), Error> {
    let erasure = erasure.clone();
    write(resources, move |tx| {
        Box::pin(async move {
            for mut letter in dead_letters::list(tx, None, i64::MAX).await? {
                if let Some(body) = erased(&erasure, &letter.event.kind, &letter.event.body) {
                    letter.event.body = body;
                    dead_letters::dead_letter(tx, letter).await?;
                }
            }
            Ok(())
        })
    })
    .await
}

crate::table! {
    /// An erasure that has not ended.
    erasures (subject) as ErasureRow {
        subject: String as Text,
        pseudonym: String as Text,
        at: crate::Timestamp as SqlTime,
        swept: bool as Bool,
    }
}

/// The subjects whose erasure has not ended, by the context that erases them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused(Arc<RwLock<BTreeMap<&'static str, BTreeSet<String>>>>);

impl Refused {
    pub fn contains(&self, subject: &str) -> bool {
        let refused = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        refused.values().any(|subjects| subjects.contains(subject))
    }

    fn set(&self, context: &'static str, subjects: BTreeSet<String>) {
        let mut refused = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if subjects.is_empty() {
            refused.remove(context);
        } else {
            refused.insert(context, subjects);
        }
    }
}

/// Erases people from the store of a context.
#[derive(Clone)]
pub(crate) struct Eraser {
    resources: Resources,
    personal: &'static [Personal],
    refused: Refused,
    /// From the request of an erasure to the first sweep.
    delay: Duration,
    /// From the request to the last sweep.
    end: Duration,
    /// An erasure was stored.
    wanted: Arc<Notify>,
}

impl Eraser {
    pub fn new(resources: &Resources, personal: &'static [Personal], environment: &Environment) -> Eraser {
        Eraser {
            resources: resources.clone(),
            personal,
            refused: environment.guard.refused(),
            delay: environment.erasure_delay,
            end: environment.erasure_delay.max(environment.key_retention),
            wanted: Arc::default(),
        }
    }

    /// The event that asks for erasures.
    pub fn subscription() -> Subscription {
        Subscription::Kinds(vec![Erasure::event()])
    }

    /// Stores what an event asks for. There are few of them, and one that can't be read concerns no other.
    async fn store(&self, event: &Envelope) -> Result<(), Error> {
        let erasure =
            Erasure::read(&event.body).map_err(|error| Error::Internal(Malformed::from(error).to_string()))?;
        let Some(Erasure { subject, pseudonym }) = erasure else { return Ok(()) };
        let row = ErasureRow { subject, pseudonym, at: event.at, swept: false };
        // One that is under way already is kept.
        write(&self.resources, |tx| Box::pin(async move { db::insert(tx, &[row]).await.map(drop) })).await?;
        self.wanted.notify_one();
        Ok(())
    }

    pub async fn run(&self, tasks: &Tasks) {
        let context = self.resources.context;
        loop {
            let pause = match self.sweep_due().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(context, error = %error.for_log(), "an erasure is not done; retrying");
                    PERIOD
                }
            };
            tokio::select! {
                biased;
                () = tasks.stopping() => return,
                () = self.wanted.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sweeps for the erasures that are due. Returns the pause until the next look.
    async fn sweep_due(&self) -> Result<Duration, Error> {
        let rows = {
            let reader = self.resources.database.reader().await?;
            in_time(all(reader.tx())).await?
        };
        self.refused.set(self.resources.context, rows.iter().map(|row| row.subject.clone()).collect());
        let mut pause = PERIOD;
        for row in rows {
            let due = row.at + if row.swept { self.end } else { self.delay };
            let now = self.resources.runtime.now();
            if now < due {
                pause = pause.min(due.since(now));
                continue;
            }
            self.sweep(&row).await?;
            if row.swept {
                write(&self.resources, |tx| Box::pin(remove(tx, row.subject))).await?;
            } else {
                let swept = ErasureRow { swept: true, ..row };
                write(&self.resources, |tx| Box::pin(async move { db::upsert(tx, &[swept]).await })).await?;
                tracing::info!(context = self.resources.context, "a person was erased");
            }
            // It is in the list of the next look, or gone from it.
            pause = Duration::ZERO;
        }
        Ok(pause)
    }

    async fn sweep(&self, row: &ErasureRow) -> Result<(), Error> {
        let erasure = Erasure { subject: row.subject.clone(), pseudonym: row.pseudonym.clone() };
        let outbox = Personal::events("outbox", "seq");
        for personal in self.personal.iter().chain([&outbox]) {
            personal.sweep(&self.resources, &erasure).await?;
        }
        sweep_dead_letters(&self.resources, &erasure).await
    }
}

async fn all(tx: Tx<'_>) -> Result<Vec<ErasureRow>, Error> {
    Ok(sql!(tx, |c| erasures::table.select(ErasureRow::as_select()).order(erasures::subject).load(c))?)
}

async fn remove(tx: Tx<'_>, subject: String) -> Result<(), Error> {
    sql!(tx, |c| diesel::delete(erasures::table.filter(erasures::subject.eq(subject))).execute(c))?;
    Ok(())
}

impl React for Eraser {
    fn react<'a>(&'a self, events: &'a [Envelope]) -> BoxFuture<'a, Outcomes> {
        Box::pin(async move {
            let mut outcomes = Vec::with_capacity(events.len());
            for event in events {
                outcomes.push(self.store(event).await);
            }
            outcomes
        })
    }
}
