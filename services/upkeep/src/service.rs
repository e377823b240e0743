//! The gRPC face of upkeep: parse, have the bike take the report, handle, answer.

use chassis::db::Database;
use chassis::idempotency::Key;
use chassis::page::Cursor;
use chassis::runtime::Runtime;
use chassis::{Call, PeerClient, Error, Fields, Loader, Page, Writer, all};
use contracts::Role;
use contracts::bike::v1::InspectBikeRequest;
use contracts::bike::v1::bike_service_client::BikeServiceClient;
use contracts::upkeep::v1 as proto;
use contracts::upkeep::v1::upkeep_service_server::UpkeepService;
use tonic::{Request, Response, Status};

use crate::domain::{Command, Finding, Manager, ManagerId, ReportId, manager_of};
use crate::store;

/// Serves upkeep.
#[derive(Clone)]
pub struct Service {
    /// Changes managers.
    pub writer: Writer<Manager>,
    /// Finds managers.
    pub loader: Loader<ManagerId, Manager>,
    /// Lists reports.
    pub database: Database,
    /// Takes reports.
    pub bike: PeerClient,
    /// Time and chance.
    pub runtime: Runtime,
    /// What a report earns.
    pub points: i64,
}

impl Service {
    async fn report(&self, call: &Call, finding: Finding, key: Option<Key>) -> Result<proto::Report, Error> {
        if let Some(first) = self.writer.first_answer(key).await? {
            return Ok(first);
        }
        // A request that is repeated meets the report of its first attempt.
        let id = self.runtime.id_for(key);
        self.inspect(call, id, finding).await?;
        let manager = call.caller.subject().to_owned();
        let command = Command::Record(manager, id, finding, self.points);
        self.writer.handle(call.command(manager_of(call.caller.subject()), command, key)).await
    }

    /// Has the bike take the report, and waits. Should this process die after that, the event `BikeInspected` does the rest.
    async fn inspect(&self, call: &Call, id: ReportId, finding: Finding) -> Result<(), Error> {
        let request = InspectBikeRequest {
            // The report makes it happen once.
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

#[tonic::async_trait]
impl UpkeepService for Service {
    async fn report_bike(
        &self,
        request: Request<proto::ReportBikeRequest>,
    ) -> Result<Response<proto::ReportBikeResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let bike = fields.id("bike_id", &request.bike_id);
        let battery = request.battery_percent.filter(|percent| (0..=100).contains(percent));
        let battery_percent = fields.take("battery_percent", battery.ok_or("must be set, 0 to 100"));
        let usable = fields.required("usable", request.usable);
        let (key, bike, battery_percent, usable) = fields.finish(all!(key, bike, battery_percent, usable))?;
        let report = Some(self.report(&call, Finding { bike, battery_percent, usable }, key).await?);
        Ok(Response::new(proto::ReportBikeResponse { report }))
    }

    async fn list_reports(
        &self,
        request: Request<proto::ListReportsRequest>,
    ) -> Result<Response<proto::ListReportsResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let manager = call.own();
        let filter = [b"reports", manager.unwrap_or_default().as_bytes()];
        let page = Page::<Cursor>::parse(&mut fields, request.page_size, &request.page_token, &filter);
        let page = fields.finish(page)?;
        let reader = self.database.reader().await?;
        let (reports, next_page_token) = store::list(reader.tx(), manager.map(manager_of), &page).await?;
        Ok(Response::new(proto::ListReportsResponse { reports, next_page_token }))
    }

    async fn get_manager(
        &self,
        request: Request<proto::GetManagerRequest>,
    ) -> Result<Response<proto::GetManagerResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let asked = fields.text("manager_id", &request.manager_id, 0..=128);
        let asked = fields.finish(asked)?;
        let own = call.caller.subject();
        let subject = if asked.is_empty() { own.to_owned() } else { asked };
        if subject != own && !call.caller.has(Role::Admin) {
            return Err(Error::not_found("manager", subject).into());
        }
        let found = self.loader.get(manager_of(&subject)).await?;
        let manager = Some((&found.unwrap_or_else(|| Manager::new(&subject))).into());
        Ok(Response::new(proto::GetManagerResponse { manager }))
    }
}
