//! What a manager is, and what a report earns. Pure: no clock, no database, no network.
//!
//! There is one manager for a subject. A report is recorded after its bike took it, whether the bike's answer says so or
//! its event: whichever comes first, the other decides nothing. What is left of the points is `wallet`'s to know; here is
//! what it told last.

use std::collections::BTreeMap;

use chassis::{Aggregate, Timestamp, ids};

chassis::ids! {
    /// The id of a manager, made from the subject.
    ManagerId = "manager";
    /// The id of a report. It is the id of the flow.
    ReportId = "report";
    /// The id of a bike, which `bike` gave it.
    BikeId = "bike";
}

/// The manager of a subject.
pub fn manager_of(subject: &str) -> ManagerId {
    ManagerId::new(ids::hash(&[b"manager", subject.as_bytes()]))
}

/// Someone who looks after bikes.
#[derive(Clone, Debug, PartialEq)]
pub struct Manager {
    /// The id.
    pub id: ManagerId,
    /// Who it is.
    pub subject: String,
    /// How many reports bikes took.
    pub reports: i64,
    /// What they earned, all in all.
    pub points_earned: i64,
    /// What is left of that, as `wallet` told last.
    pub points: i64,
    /// Which of the wallet's events told it; 0 if none did yet.
    pub told_sequence: i64,
    /// The reports that are at hand.
    pub at_hand: BTreeMap<ReportId, Report>,
}

/// A report that a bike took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its id.
    pub id: ReportId,
    /// What the bike took.
    pub finding: Finding,
    /// What it earned.
    pub points: i64,
    /// When it was recorded.
    pub created_at: Timestamp,
}

/// How a bike was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which bike.
    pub bike: BikeId,
    /// How much its battery held, 0 to 100.
    pub battery_percent: i32,
    /// Whether it could be ridden.
    pub usable: bool,
}

/// What a manager is told. All of it names the subject, for it may be the first that is heard of.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A bike took the report of this subject, which earns so many points.
    Record(String, ReportId, Finding, i64),
    /// The wallet of this subject has so many points left, by its event of this sequence.
    Note {
        /// Whose wallet.
        subject: String,
        /// How many are left.
        points: i64,
        /// The version of the wallet.
        sequence: i64,
    },
}

impl Command {
    /// The report that it is about.
    pub fn report(&self) -> Option<ReportId> {
        if let Command::Record(_, id, ..) = self { Some(*id) } else { None }
    }
}

/// What happened to a manager.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It is the first that was heard of the subject.
    Met(String),
    /// A bike took a report.
    ReportTaken(Report),
    /// So many points are left, by the wallet's event of this sequence.
    PointsNoted(i64, i64),
}

impl Event {
    /// The report that it is about.
    pub fn report(&self) -> Option<ReportId> {
        if let Event::ReportTaken(report) = self { Some(report.id) } else { None }
    }
}

/// A manager says no to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {}

impl chassis::Refusal for Refusal {
    fn reason(&self) -> &'static str {
        match *self {}
    }
}

impl Aggregate for Manager {
    const NAME: &'static str = "manager";
    type Id = ManagerId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(manager: Option<&Manager>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let (subject, event) = match command {
            Command::Record(_, id, ..) if manager.is_some_and(|manager| manager.at_hand.contains_key(id)) => {
                return Ok(vec![]);
            }
            Command::Record(subject, id, finding, points) => {
                let report = Report { id: *id, finding: *finding, points: *points, created_at: now };
                (subject, Event::ReportTaken(report))
            }
            Command::Note { sequence, .. } if manager.is_some_and(|manager| manager.told_sequence >= *sequence) => {
                return Ok(vec![]);
            }
            Command::Note { subject, points, sequence } => (subject, Event::PointsNoted(*points, *sequence)),
        };
        let met = manager.is_none().then(|| Event::Met(subject.clone()));
        Ok(met.into_iter().chain([event]).collect())
    }

    fn evolve(manager: Option<Manager>, event: &Event) -> Manager {
        match (manager, event) {
            (None, Event::Met(subject)) => Manager::new(subject),
            (None, event) => unreachable!("{event:?} can't be the first event of a manager"),
            (Some(mut manager), event) => {
                manager.apply(event);
                manager
            }
        }
    }
}

impl Manager {
    /// One of whom nothing was heard yet.
    pub fn new(subject: &str) -> Manager {
        Manager {
            id: manager_of(subject),
            subject: subject.to_owned(),
            reports: 0,
            points_earned: 0,
            points: 0,
            told_sequence: 0,
            at_hand: BTreeMap::new(),
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Met(_) => {}
            Event::ReportTaken(report) => {
                self.reports += 1;
                self.points_earned += report.points;
                self.at_hand.insert(report.id, *report);
            }
            Event::PointsNoted(points, sequence) => {
                self.points = *points;
                self.told_sequence = *sequence;
            }
        }
    }
}
