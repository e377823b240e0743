//! Managers and reports in tables, and the events that they publish.

use std::collections::BTreeMap;

use chassis::db::{self, prelude::*};
use chassis::page::Cursor;
use chassis::{Change, Error, LoadRequest, Loaded, Page, Publication, Store, Timestamp, Tx, loaded, newest, read};
use contracts::upkeep::v1 as proto;

use crate::domain::{BikeId, Command, Event, Finding, Manager, ManagerId, Report, ReportId};

chassis::table! {
    /// A manager without reports.
    managers (id) of Manager as ManagerRow with version {
        id: ManagerId as SqlUuid,
        subject: String as Text,
        reports: i64 as BigInt,
        points_earned: i64 as BigInt,
        points: i64 as BigInt,
        told_sequence: i64 as BigInt,
    }
    fields |row, corrupt, loaded_reports: BTreeMap<ReportId, Report>| { loaded_reports: loaded_reports }
}

chassis::table! {
    /// A report.
    reports (id) of Report as ReportRow given (subject: String as Text, manager: ManagerId as SqlUuid) {
        id: ReportId as SqlUuid,
        points: i64 as BigInt,
        created_at: Timestamp as SqlTime,
    }
    columns |report| {
        bike: BikeId as SqlUuid = report.finding.bike,
        battery_percent: i32 as Integer = report.finding.battery_percent,
        usable: bool as Bool = report.finding.usable,
    }
    fields |row, corrupt| {
        finding: Finding { bike: row.bike, battery_percent: row.battery_percent, usable: row.usable },
    }
}

impl Store for Manager {
    type Answer = proto::Report;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let ids = request.ids();
        let about: Vec<ReportId> = request.commands().filter_map(Command::report).collect();
        // The version is read first: later reads are at least as new, so no decision on stale rows is written.
        let (managers, reports) = db::try_join!(
            read!(tx, ManagerRow in managers where managers::id.eq_any(&ids)),
            read!(tx, ReportRow in reports where reports::id.eq_any(&about); of about),
        )?;
        let mut reports = db::grouped(reports, |row| Ok((row.manager, (row.id, row.read()?))))?;
        loaded!(managers, |row, id| row.read(reports.take(id))?)
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        // The version of the manager guards the reports too.
        let new: Vec<ReportRow> = db::changed_parts(changes, Event::report, |change, id| {
            Some(ReportRow::of(change.state.loaded_reports.get(&id)?, change.state.subject.clone(), change.id))
        });
        let ((), inserted) = db::try_join!(db::save(tx, changes, ManagerRow::of), db::insert(tx, &new))?;
        if inserted < new.len() {
            // No concurrent transaction wrote these managers, so a retry would not help: two of them have the same
            // report.
            return Err(Error::Internal("a report is another manager's".into()));
        }
        Ok(())
    }

    fn answer(&self, command: &Command) -> proto::Report {
        let report = command.report().and_then(|id| self.loaded_reports.get(&id));
        report.map(|report| to_proto(&self.subject, report)).unwrap_or_default()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        match event {
            Event::ReportTaken(report) => {
                let about = Publication::about(self.id, report.id.uuid());
                about.publish(&proto::ReportTaken { report: Some(to_proto(&self.subject, report)) })
            }
            // `wallet` publishes the points.
            Event::Created(_) | Event::PointsNoted(..) => None,
        }
    }
}

/// A page of reports, newest first: those of a manager, or all.
pub async fn list(
    tx: Tx<'_>,
    manager: Option<ManagerId>,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Report>, String), Error> {
    newest!(
        tx, page, ReportRow in reports by created_at; manager: reports::manager.eq(manager);
        |row| to_proto(&row.subject.clone(), &row.read()?)
    )
}

fn to_proto(subject: &str, report: &Report) -> proto::Report {
    proto::Report {
        report_id: report.id.to_string(),
        manager_id: subject.to_owned(),
        bike_id: report.finding.bike.to_string(),
        battery_percent: report.finding.battery_percent,
        usable: report.finding.usable,
        points: report.points,
        create_time: Some(report.created_at.to_proto()),
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
