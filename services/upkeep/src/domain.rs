//! A manager, and the points that a report earns. Pure: no clock, no database, no network.
//!
//! There is one manager per subject. A report is recorded after its bike applied it; the bike's answer and its event
//! both lead to that, and the second of them decides nothing. `wallet` owns the balance of points; the manager has a
//! copy from its newest event.

use std::collections::BTreeMap;

use chassis::{Aggregate, Timestamp, ids};

chassis::ids! {
    /// The id of a manager, made from the subject.
    ManagerId = "manager";
    /// The id of a report. It is the id of the flow.
    ReportId = "report";
    /// The id of a bike, assigned by `bike`.
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
    /// The subject.
    pub subject: String,
    /// The number of reports that bikes applied.
    pub reports: i64,
    /// The points earned in total.
    pub points_earned: i64,
    /// The balance of points in the newest event of `wallet`.
    pub points: i64,
    /// The sequence of that event; 0 if there is none yet.
    pub told_sequence: i64,
    /// The reports that a command is about.
    pub loaded_reports: BTreeMap<ReportId, Report>,
}

/// A report that a bike applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its id.
    pub id: ReportId,
    /// The finding.
    pub finding: Finding,
    /// The points that it earned.
    pub points: i64,
    /// When it was recorded.
    pub created_at: Timestamp,
}

/// The condition in which a bike was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The bike.
    pub bike: BikeId,
    /// The charge of its battery, 0 to 100.
    pub battery_percent: i32,
    /// Whether it could be ridden.
    pub usable: bool,
}

/// Commands of a manager. Each has the subject, because it may be the first for that manager.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A bike applied the report of this subject, which earns this number of points.
    Record(String, ReportId, Finding, i64),
    /// The balance of points in an event of the subject's wallet.
    Note {
        /// The subject of the wallet.
        subject: String,
        /// The balance.
        points: i64,
        /// The sequence of the event.
        sequence: i64,
    },
}

impl Command {
    /// The report that the command or event is about.
    pub fn report(&self) -> Option<ReportId> {
        if let Command::Record(_, id, ..) = self { Some(*id) } else { None }
    }
}

/// Events of a manager.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The manager of this subject was created.
    Created(String),
    /// A bike applied a report.
    ReportTaken(Report),
    /// The balance of points, and the sequence of the wallet's event.
    PointsNoted(i64, i64),
}

impl Event {
    /// The report that the command or event is about.
    pub fn report(&self) -> Option<ReportId> {
        if let Event::ReportTaken(report) = self { Some(report.id) } else { None }
    }
}

/// A manager refuses nothing.
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
            Command::Record(_, id, ..) if manager.is_some_and(|manager| manager.loaded_reports.contains_key(id)) => {
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
        let met = manager.is_none().then(|| Event::Created(subject.clone()));
        Ok(met.into_iter().chain([event]).collect())
    }

    fn evolve(manager: Option<Manager>, event: &Event) -> Manager {
        match (manager, event) {
            (None, Event::Created(subject)) => Manager::new(subject),
            (None, event) => unreachable!("{event:?} can't be the first event of a manager"),
            (Some(mut manager), event) => {
                manager.apply(event);
                manager
            }
        }
    }
}

impl Manager {
    /// A manager without reports.
    pub fn new(subject: &str) -> Manager {
        Manager {
            id: manager_of(subject),
            subject: subject.to_owned(),
            reports: 0,
            points_earned: 0,
            points: 0,
            told_sequence: 0,
            loaded_reports: BTreeMap::new(),
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Created(_) => {}
            Event::ReportTaken(report) => {
                self.reports += 1;
                self.points_earned += report.points;
                self.loaded_reports.insert(report.id, *report);
            }
            Event::PointsNoted(points, sequence) => {
                self.points = *points;
                self.told_sequence = *sequence;
            }
        }
    }
}
