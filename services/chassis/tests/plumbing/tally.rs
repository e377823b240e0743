//! A context of counters: `Place` events of others add the number in their name, `Dates` events publish the new count.

use std::ops::Range;
use std::sync::Arc;

use chassis::context::{Context, Host, StartError};
use chassis::db::{Migrations, prelude::*};
use chassis::error::RefusalCode;
use chassis::timers::{self, OnDue};
use chassis::{
    Aggregate, Envelope, Malformed, Personal, Policy, Projection, Publication, Store, Timestamp, Tx, bus::Subscription,
    db,
};
use contracts::money::v1::Money;
use contracts::period::v1::Dates;
use contracts::place::v1::Place;
use diesel_migrations::embed_migrations;
use prost::Name as _;

chassis::ids! {
    /// The id of a tally.
    TallyId = "tally";
}

/// The largest count.
pub const MOST: i64 = 1_000;

/// The tally that events of others add to.
pub fn shared() -> TallyId {
    TallyId::derived_from(uuid::Uuid::nil())
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    pub id: TallyId,
    pub count: i64,
    pub remind_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub enum Command {
    Add(TallyId, i64),
    RemindAt(TallyId, Timestamp),
    /// Adds one, when its timer is due.
    Remind,
    Panic,
}

#[derive(Clone, Debug)]
pub enum Event {
    Added(TallyId, i64),
    ReminderSet(TallyId, Timestamp),
    Reminded,
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("that is too much to count")]
pub struct TooMuch;

impl chassis::Refusal for TooMuch {
    fn code(&self) -> RefusalCode {
        RefusalCode::Precondition
    }
    fn reason(&self) -> &'static str {
        "TOO_MUCH"
    }
}

impl Aggregate for Tally {
    const NAME: &'static str = "tally";
    type Id = TallyId;
    type Command = Command;
    type Event = Event;
    type Refusal = TooMuch;

    fn decide(tally: Option<&Tally>, command: &Command, _: Timestamp) -> Result<Vec<Event>, TooMuch> {
        let count = tally.map_or(0, |tally| tally.count);
        match command {
            Command::Add(_, number) if count + number > MOST => Err(TooMuch),
            Command::Add(id, number) => Ok(vec![Event::Added(*id, *number)]),
            Command::RemindAt(id, at) => Ok(vec![Event::ReminderSet(*id, *at)]),
            Command::Remind => Ok(vec![Event::Reminded]),
            Command::Panic => panic!("the test has the rules panic"),
        }
    }

    fn evolve(tally: Option<Tally>, event: &Event) -> Tally {
        let new = |id| Tally { id, count: 0, remind_at: None };
        let mut tally = match (tally, event) {
            (Some(tally), _) => tally,
            (None, Event::Added(id, _) | Event::ReminderSet(id, _)) => new(*id),
            (None, Event::Reminded) => unreachable!("only what exists is reminded"),
        };
        match event {
            Event::Added(_, number) => tally.count += number,
            Event::ReminderSet(_, at) => tally.remind_at = Some(*at),
            Event::Reminded => (tally.count, tally.remind_at) = (tally.count + 1, None),
        }
        tally
    }

    fn due_at(&self) -> Option<(Timestamp, Command)> {
        self.remind_at.map(|at| (at, Command::Remind))
    }
}

chassis::table! {
    /// A tally.
    tallies (id) of Tally as Row with version, wake_at, last_event {
        id: TallyId as SqlUuid,
        count: i64 as BigInt,
    }
    fields |row, _corrupt| {
        remind_at: row.wake_at,
    }
}

impl Store for Tally {
    type Answer = Money;

    chassis::flat!(Row in tallies);

    chassis::due!(tallies, id);

    fn answer(&self, _: &Command) -> Money {
        Money { currency_code: "KRW".to_owned(), amount_minor: self.count }
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let dates = Dates { start_date: self.count.to_string(), ..Dates::default() };
        match event {
            Event::Added(..) | Event::Reminded => Publication::about(self.id, self.id.uuid()).publish(&dates),
            Event::ReminderSet(..) => None,
        }
    }
}

/// Panics for places with the name `panic`; those whose name is no number break the contract.
pub fn policy() -> Policy<Tally> {
    Policy::new().on(|event: Place, _| {
        assert_ne!(event.name, "panic", "the test has the policy panic");
        let number = event.name.parse().map_err(|_| Malformed("a bad name".into()))?;
        Ok(vec![(shared(), Command::Add(shared(), number))])
    })
}

/// The context.
pub const TALLY: Context = Context {
    name: "tally",
    about: "a count",
    migrations: Migrations {
        postgres: embed_migrations!("tests/plumbing/migrations/postgres"),
        sqlite: embed_migrations!("tests/plumbing/migrations/sqlite"),
    },
    calls: &[],
    personal: &[],
    start: |host| start(host),
};

fn start(host: &mut Host) -> Result<(), StartError> {
    let writer = host.writer::<Tally>();
    host.react(policy(), &writer);
    let by_writer = timers::by_writer(&writer);
    let on_due: OnDue<Tally> = Arc::new(move |id, command| {
        assert_ne!(id, panicking(), "the test has a timer panic");
        by_writer(id, command)
    });
    host.on_due::<Tally>(on_due);
    Ok(())
}

/// The tally whose timer panics.
pub fn panicking() -> TallyId {
    TallyId::derived_from(uuid::Uuid::max())
}

/// A projection that counts the places of each name. It panics for the name `panic`.
pub enum Seen {}

chassis::table! {
    /// The count of a name.
    seen (name) as SeenRow { name: String as Text, times: i64 as BigInt }
}

impl Projection for Seen {
    fn subscription() -> Subscription {
        Subscription::Kinds(vec![Place::full_name()])
    }

    async fn apply(tx: Tx<'_>, events: &[Envelope]) -> Result<(), chassis::Error> {
        for event in events {
            let name = event.decode::<Place>().unwrap().name;
            assert_ne!(name, "panic", "the test has the projection panic");
            let times = times(tx, &name).await?;
            db::upsert(tx, &[SeenRow { name, times: times + 1 }]).await?;
        }
        Ok(())
    }

    async fn clear(tx: Tx<'_>) -> Result<(), chassis::Error> {
        chassis::sql!(tx, |c| diesel::delete(seen::table).execute(c))?;
        Ok(())
    }
}

/// The count of a name.
pub async fn times(tx: Tx<'_>, name: &str) -> Result<i64, chassis::Error> {
    let query = seen::table.filter(seen::name.eq(name)).select(seen::times);
    let times: Option<i64> = chassis::sql!(tx, |c| query.first(c)).optional()?;
    Ok(times.unwrap_or_default())
}

/// The context of the projection.
pub const SEEN: Context = Context {
    name: "seen",
    about: "names of places that were seen",
    migrations: Migrations {
        postgres: embed_migrations!("tests/plumbing/migrations/postgres"),
        sqlite: embed_migrations!("tests/plumbing/migrations/sqlite"),
    },
    calls: &[],
    personal: &[Personal::details("seen", "name", &[], &[], &["times"])],
    start: |host| {
        host.projection::<Seen>(None);
        Ok(())
    },
};

fn rows(numbers: Range<i64>, times: i64) -> Vec<SeenRow> {
    numbers.map(|number| SeenRow { name: number.to_string(), times }).collect()
}

/// Inserts a row for each number; returns how many were new.
pub async fn insert_seen(tx: Tx<'_>, numbers: Range<i64>, times: i64) -> Result<usize, chassis::Error> {
    db::insert(tx, &rows(numbers, times)).await
}

/// Writes a row for each number.
pub async fn upsert_seen(tx: Tx<'_>, numbers: Range<i64>, times: i64) -> Result<(), chassis::Error> {
    db::upsert(tx, &rows(numbers, times)).await
}

/// Writes a row for each name.
pub async fn upsert_names(tx: Tx<'_>, names: &[&str], times: i64) -> Result<(), chassis::Error> {
    let rows: Vec<SeenRow> = names.iter().map(|name| SeenRow { name: (*name).to_owned(), times }).collect();
    db::upsert(tx, &rows).await
}
