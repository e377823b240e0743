//! The gRPC face of drives: parse, handle, charge, answer.

use chassis::db::Database;
use chassis::idempotency::Key;
use chassis::geo::GeoQuery;
use chassis::{Call, Error, Fields, Loader, Page, Writer, all};
use contracts::Role;
use contracts::driving::v1 as proto;
use contracts::driving::v1::driving_service_server::DrivingService;
use tonic::{Request, Response, Status};

use crate::collection::Collection;
use crate::domain::{Command, Drive, DriveId, State, Tariff};
use crate::store::{self, offers};

/// How far customers may be, if the driver does not say.
const WITHIN_KM: i32 = 10;

/// Serves drives.
#[derive(Clone)]
pub struct Service {
    /// Changes drives.
    pub writer: Writer<Drive>,
    /// Finds drives.
    pub loader: Loader<DriveId, Drive>,
    /// Lists drives.
    pub database: Database,
    /// Charges fares.
    pub collection: Collection,
    /// What a ride costs.
    pub tariff: Tariff,
}

impl Service {
    /// Parses a request about one drive.
    fn parse<M: prost::Message + prost::Name>(
        call: &Call,
        request: &M,
        request_id: &str,
        drive_id: &str,
    ) -> Result<(Option<Key>, DriveId), Error> {
        let mut fields = Fields::new();
        let key = fields.key(call, request_id, request);
        let id = fields.id("drive_id", drive_id);
        fields.finish(all!(key, id))
    }

    async fn find(&self, id: DriveId) -> Result<Drive, Error> {
        self.loader.get(id).await?.ok_or_else(|| Error::not_found("drive", id))
    }

    /// Has a fare charged once, with the caller waiting, and keeps the answer for who repeats the request. Whatever comes
    /// of it, the drive is as it is: what could not be charged now is charged later.
    async fn charge(&self, call: &Call, id: DriveId, key: Option<Key>) -> Result<proto::Drive, Error> {
        let last: chassis::CommandMessage<Drive> = call.command(id, Command::Collect, key);
        if let Err(error) = self.collection.collect(id, Some(call), last.cause.clone()).await {
            tracing::warn!(%id, error = %error.for_log(), "the fare is charged later");
        }
        self.writer.handle(last).await
    }
}

#[tonic::async_trait]
impl DrivingService for Service {
    async fn list_offers(
        &self,
        request: Request<proto::ListOffersRequest>,
    ) -> Result<Response<proto::ListOffersResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let (latitude, longitude) = (request.latitude, request.longitude);
        let around = GeoQuery::parse(&mut fields, latitude, longitude, request.within_km, WITHIN_KM);
        let asked = around.map(|around| around.bytes()).unwrap_or_default();
        let filter = [call.caller.subject().as_bytes(), &asked];
        let page = Page::parse(&mut fields, request.page_size, &request.page_token, &filter);
        let (around, page) = fields.finish(all!(around, page))?;
        let search = offers::Search { driver: call.caller.subject(), around };
        let reader = self.database.reader().await?;
        let (offers, next_page_token) = offers::list(reader.tx(), &search, &page).await?;
        Ok(Response::new(proto::ListOffersResponse { offers, next_page_token }))
    }

    async fn accept_drive(
        &self,
        request: Request<proto::AcceptDriveRequest>,
    ) -> Result<Response<proto::AcceptDriveResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let (key, id) = Self::parse(&call, &request, &request.request_id, &request.drive_id)?;
        let command = Command::Accept(call.caller.subject().to_owned());
        let drive = self.writer.handle(call.command(id, command, key)).await?;
        Ok(Response::new(proto::AcceptDriveResponse { drive: Some(drive) }))
    }

    async fn decline_drive(
        &self,
        request: Request<proto::DeclineDriveRequest>,
    ) -> Result<Response<proto::DeclineDriveResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let (key, id) = Self::parse(&call, &request, &request.request_id, &request.drive_id)?;
        let command = Command::Decline(call.caller.subject().to_owned());
        let drive = self.writer.handle(call.command(id, command, key)).await?;
        Ok(Response::new(proto::DeclineDriveResponse { drive: Some(drive) }))
    }

    async fn start_drive(
        &self,
        request: Request<proto::StartDriveRequest>,
    ) -> Result<Response<proto::StartDriveResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let (key, id) = Self::parse(&call, &request, &request.request_id, &request.drive_id)?;
        let drive = self.writer.handle(call.command(id, Command::Start(call.caller.subject().to_owned()), key)).await?;
        Ok(Response::new(proto::StartDriveResponse { drive: Some(drive) }))
    }

    async fn finish_drive(
        &self,
        request: Request<proto::FinishDriveRequest>,
    ) -> Result<Response<proto::FinishDriveResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let (key, id) = Self::parse(&call, &request, &request.request_id, &request.drive_id)?;
        if let Some(first) = self.writer.first_answer(key).await? {
            return Ok(Response::new(proto::FinishDriveResponse { drive: Some(first) }));
        }
        let command = Command::Finish(call.caller.subject().to_owned(), self.tariff);
        self.writer.handle(call.command(id, command, None)).await?;
        let drive = self.charge(&call, id, key).await?;
        Ok(Response::new(proto::FinishDriveResponse { drive: Some(drive) }))
    }

    async fn collect_fare(
        &self,
        request: Request<proto::CollectFareRequest>,
    ) -> Result<Response<proto::CollectFareResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let (key, id) = Self::parse(&call, &request, &request.request_id, &request.drive_id)?;
        if let Some(first) = self.writer.first_answer(key).await? {
            return Ok(Response::new(proto::CollectFareResponse { drive: Some(first) }));
        }
        self.writer.handle(call.command(id, Command::Retry, None)).await?;
        let drive = self.charge(&call, id, key).await?;
        Ok(Response::new(proto::CollectFareResponse { drive: Some(drive) }))
    }

    async fn get_drive(
        &self,
        request: Request<proto::GetDriveRequest>,
    ) -> Result<Response<proto::GetDriveResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let id = fields.id("drive_id", &request.drive_id);
        let id = fields.finish(id)?;
        let drive = self.find(id).await?;
        let is_own = drive.driver.as_deref() == Some(call.caller.subject());
        if !is_own && !call.caller.has(Role::Admin) && !matches!(drive.state, State::Offered { .. }) {
            return Err(Error::not_found("drive", id).into());
        }
        Ok(Response::new(proto::GetDriveResponse { drive: Some((&drive).into()) }))
    }

    async fn list_drives(
        &self,
        request: Request<proto::ListDrivesRequest>,
    ) -> Result<Response<proto::ListDrivesResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let driver = call.own();
        let filter = [driver.unwrap_or_default().as_bytes()];
        let page = Page::parse(&mut fields, request.page_size, &request.page_token, &filter);
        let page = fields.finish(page)?;
        let reader = self.database.reader().await?;
        let (drives, next_page_token) = store::list(reader.tx(), driver, &page).await?;
        Ok(Response::new(proto::ListDrivesResponse { drives, next_page_token }))
    }
}
