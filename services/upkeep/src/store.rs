//! Managers and reports in tables, and what others hear of them.

use std::collections::BTreeMap;

use chassis::db::{self, prelude::*};
use chassis::page::Cursor;
use chassis::{Change, Error, Loaded, Page, Publication, Store, Timestamp, Tx, LoadRequest, newest, sql};
use contracts::upkeep::v1 as proto;

use crate::domain::{BikeId, Command, Event, Finding, Manager, ManagerId, Report, ReportId};

diesel::table! {
    use chassis::db::sql_types::*;
    managers (id) {
        id -> SqlUuid,
        version -> BigInt,
        subject -> Text,
        reports -> BigInt,
        points_earned -> BigInt,
        points -> BigInt,
        told_sequence -> BigInt,
    }
}

diesel::table! {
    use chassis::db::sql_types::*;
    reports (id) {
        id -> SqlUuid,
        subject -> Text,
        manager -> SqlUuid,
        bike -> SqlUuid,
        battery_percent -> Integer,
        usable -> Bool,
        points -> BigInt,
        created_at -> SqlTime,
    }
}

chassis::rows! {
    /// A manager without reports.
    struct ManagerRow in managers (id) {
        id: ManagerId,
        version: i64,
        subject: String,
        reports: i64,
        points_earned: i64,
        points: i64,
        told_sequence: i64,
    }
}

chassis::rows! {
    /// A report.
    struct ReportRow in reports (id) {
        id: ReportId,
        subject: String,
        manager: ManagerId,
        bike: BikeId,
        battery_percent: i32,
        usable: bool,
        points: i64,
        created_at: Timestamp,
    }
}

impl Store for Manager {
    type Answer = proto::Report;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let ids = request.ids();
        let about: Vec<ReportId> = request.commands().filter_map(Command::report).collect();
        let managers = async {
            let query = managers::table.filter(managers::id.eq_any(&ids));
            sql!(tx, |c| query.select(ManagerRow::as_select()).load::<ManagerRow>(c))
        };
        let reports = async {
            let query = reports::table.filter(reports::id.eq_any(&about));
            if about.is_empty() {
                return Ok(vec![]);
            }
            sql!(tx, |c| query.select(ReportRow::as_select()).load::<ReportRow>(c))
        };
        // The version first: what is read after it is at least as new, so what is decided on old rows is never written.
        let (managers, reports) = db::try_join!(managers, reports)?;
        let mut of_manager: BTreeMap<ManagerId, BTreeMap<ReportId, Report>> = BTreeMap::new();
        for row in reports {
            of_manager.entry(row.manager).or_default().insert(row.id, row.into());
        }
        let loaded = |row: ManagerRow| {
            let (id, version) = (row.id, row.version);
            Loaded { id, version, state: row.manager(of_manager.remove(&id).unwrap_or_default()) }
        };
        Ok(managers.into_iter().map(loaded).collect())
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        // The version of the manager guards the reports too.
        let new: Vec<ReportRow> = changes.iter().flat_map(new_reports).collect();
        let ((), inserted) = db::try_join!(db::save(tx, changes, ManagerRow::new), db::insert(tx, &new))?;
        if inserted < new.len() {
            // Nobody else wrote these managers, so it is not for trying again: two were told of one report.
            return Err(Error::Internal("a report is another manager's".into()));
        }
        Ok(())
    }

    fn answer(&self, command: &Command) -> proto::Report {
        let report = command.report().and_then(|id| self.at_hand.get(&id));
        report.map(|report| to_proto(&self.subject, report)).unwrap_or_default()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        match event {
            Event::ReportTaken(report) => {
                let flow = Some(report.id.uuid());
                let report = Some(to_proto(&self.subject, report));
                Some(Publication::of(&proto::ReportTaken { report }, self.id, flow))
            }
            // What we know of the points, we know from others.
            Event::Met(_) | Event::PointsNoted(..) => None,
        }
    }
}

fn new_reports(change: &Change<'_, Manager>) -> Vec<ReportRow> {
    let row = |event: &Event| match event {
        Event::ReportTaken(report) => Some(ReportRow::new(change.state, report)),
        Event::Met(_) | Event::PointsNoted(..) => None,
    };
    change.events.iter().filter_map(row).collect()
}

/// A page of reports, newest first: those of a manager, or all.
pub async fn list(
    tx: Tx<'_>,
    manager: Option<ManagerId>,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Report>, String), Error> {
    let (rows, next) = newest!(tx, page, ReportRow in reports by created_at; manager: reports::manager.eq(manager));
    let reports = rows.into_iter().map(|row| to_proto(&row.subject.clone(), &row.into()));
    Ok((reports.collect(), next))
}

impl ManagerRow {
    fn new(manager: &Manager, version: i64) -> ManagerRow {
        ManagerRow {
            id: manager.id,
            version,
            subject: manager.subject.clone(),
            reports: manager.reports,
            points_earned: manager.points_earned,
            points: manager.points,
            told_sequence: manager.told_sequence,
        }
    }

    fn manager(self, at_hand: BTreeMap<ReportId, Report>) -> Manager {
        let ManagerRow { id, subject, reports, points_earned, points, told_sequence, .. } = self;
        Manager { id, subject, reports, points_earned, points, told_sequence, at_hand }
    }
}

impl ReportRow {
    fn new(manager: &Manager, report: &Report) -> ReportRow {
        let Finding { bike, battery_percent, usable } = report.finding;
        ReportRow {
            id: report.id,
            subject: manager.subject.clone(),
            manager: manager.id,
            bike,
            battery_percent,
            usable,
            points: report.points,
            created_at: report.at,
        }
    }
}

impl From<ReportRow> for Report {
    fn from(row: ReportRow) -> Report {
        let finding = Finding { bike: row.bike, battery_percent: row.battery_percent, usable: row.usable };
        Report { id: row.id, finding, points: row.points, at: row.created_at }
    }
}

fn to_proto(subject: &str, report: &Report) -> proto::Report {
    proto::Report {
        report_id: report.id.to_string(),
        manager_id: subject.to_owned(),
        bike_id: report.finding.bike.to_string(),
        battery_percent: report.finding.battery_percent,
        usable: report.finding.usable,
        points: report.points,
        create_time: Some(report.at.to_proto()),
    }
}

impl From<&Manager> for proto::Manager {
    fn from(manager: &Manager) -> Self {
        proto::Manager {
            manager_id: manager.subject.clone(),
            reports: manager.reports,
            points_earned: manager.points_earned,
            points: manager.points,
        }
    }
}
