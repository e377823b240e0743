//! The gRPC API of upkeep: parse, call the bike, handle, answer.

use chassis::db::Database;
use chassis::runtime::Runtime;
use chassis::{Call, Error, Loader, Page, PeerClient, Writer};
use contracts::Role;
use contracts::bike::v1::InspectBikeRequest;
use contracts::bike::v1::bike_service_client::BikeServiceClient;
use contracts::upkeep::v1::{self as proto, *};

use crate::domain::{Command, Finding, Manager, ManagerId, ReportId, manager_of};
use crate::store;

/// Serves upkeep.
#[derive(Clone)]
pub struct Service {
    /// Changes managers.
    pub writer: Writer<Manager>,
    /// Loads managers.
    pub loader: Loader<ManagerId, Manager>,
    /// Lists reports.
    pub database: Database,
    /// Applies reports.
    pub bike: PeerClient,
    /// The clock and ids.
    pub runtime: Runtime,
    /// Points that a report earns.
    pub points: i64,
}

impl Service {
    async fn report(&self, call: &Call, finding: Finding) -> Result<proto::Report, Error> {
        // A repeated request has the report id of its first attempt.
        let id = self.runtime.id_for(call.key);
        self.inspect(call, id, finding).await?;
        let manager = call.caller.subject().to_owned();
        let command = Command::Record(manager, id, finding, self.points);
        self.writer.handle(call.command(manager_of(call.caller.subject()), command)).await
    }

    /// Calls `bike` to apply the report. If this process crashes after that, the event `BikeInspected` completes it.
    async fn inspect(&self, call: &Call, id: ReportId, finding: Finding) -> Result<(), Error> {
        let request = InspectBikeRequest {
            // The report id is the idempotency key.
            request_id: String::new(),
            bike_id: finding.bike.to_string(),
            report_id: id.to_string(),
            manager_id: call.caller.subject().to_owned(),
            battery_percent: Some(finding.battery_percent),
            usable: Some(finding.usable),
        };
        let taken = self.bike.call(Some(call), request, |transport, request| async move {
            BikeServiceClient::new(transport).inspect_bike(request).await
        });
        let away = "bikes take no reports at the moment; report a little later, with the same request id";
        taken.await.map(drop).map_err(|none| none.into_error("BIKE_AWAY", away))
    }
}

impl UpkeepApi for Service {
    type Call = Call;
    type Error = Error;

    async fn report_bike(&self, call: Call, request: ReportBikeRequest) -> Result<ReportBikeResponse, Error> {
        let (bike, battery_percent, usable) = call.parse(|fields| {
            let bike = fields.id("bike_id", &request.bike_id);
            let battery = request.battery_percent.filter(|percent| (0..=100).contains(percent));
            let battery_percent = fields.take("battery_percent", battery.ok_or("must be set, 0 to 100"));
            (bike, battery_percent, fields.required("usable", request.usable))
        })?;
        let report = self.report(&call, Finding { bike, battery_percent, usable });
        Ok(ReportBikeResponse { report: Some(self.writer.once(call.key, report).await?) })
    }

    async fn list_reports(&self, call: Call, request: ListReportsRequest) -> Result<ListReportsResponse, Error> {
        let manager = (!call.caller.has(Role::Admin)).then(|| call.caller.subject());
        let filter = [b"reports", manager.unwrap_or_default().as_bytes()];
        let page = call.parse(|fields| Page::parse(fields, request.page_size, &request.page_token, &filter))?;
        let reader = self.database.reader().await?;
        let (reports, next_page_token) = store::list(reader.tx(), manager.map(manager_of), &page).await?;
        Ok(ListReportsResponse { reports, next_page_token })
    }

    async fn get_manager(&self, call: Call, request: GetManagerRequest) -> Result<GetManagerResponse, Error> {
        let asked = call.parse(|fields| fields.text("manager_id", &request.manager_id, 0..=128))?;
        let own = call.caller.subject();
        let subject = if asked.is_empty() { own.to_owned() } else { asked };
        if subject != own && !call.caller.has(Role::Admin) {
            return Err(Error::not_found("manager", subject));
        }
        let found = self.loader.get(manager_of(&subject)).await?;
        Ok(GetManagerResponse { manager: Some((&found.unwrap_or_else(|| Manager::new(&subject))).into()) })
    }
}
