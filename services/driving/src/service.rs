//! The gRPC API of drives: parse, handle, charge, answer.

use chassis::db::Database;
use chassis::geo::GeoQuery;
use chassis::{Call, Error, Loader, Page, Writer};
use contracts::Role;
use contracts::driving::v1::{self as proto, *};

use crate::collection::Collection;
use crate::domain::{Command, Drive, DriveId, State, Tariff};
use crate::store::{self, offers};

/// The radius of a search whose driver gives none.
const WITHIN_KM: i32 = 10;

/// Serves drives.
#[derive(Clone)]
pub struct Service {
    /// Changes drives.
    pub writer: Writer<Drive>,
    /// Loads drives.
    pub loader: Loader<DriveId, Drive>,
    /// Lists drives.
    pub database: Database,
    /// Charges fares.
    pub collection: Collection,
    /// What a ride costs.
    pub tariff: Tariff,
}

impl Service {
    /// Executes a step, tries once to charge the fare while the caller waits, and stores the answer. The step takes
    /// effect in any case: a fare that could not be charged now is charged later.
    async fn charge(&self, call: &Call, id: DriveId, step: Command) -> Result<proto::Drive, Error> {
        let drive = self.writer.state_after(call.command(id, step).without_key()).await?;
        let drive = drive.ok_or_else(|| Error::not_found("drive", id))?;
        let asked = self.collection.ask(&drive, Some(call)).await.unwrap_or_else(|error| {
            tracing::warn!(%id, error = %error.for_log(), "the fare is charged later");
            None
        });
        self.writer.handle(call.command(id, asked.unwrap_or(Command::Collect))).await
    }
}

impl DrivingApi for Service {
    type Call = Call;
    type Error = Error;

    async fn list_offers(&self, call: Call, request: ListOffersRequest) -> Result<ListOffersResponse, Error> {
        let ListOffersRequest { latitude, longitude, within_km, page_size, page_token } = request;
        let driver = call.caller.subject();
        let (around, page) = call.parse(|fields| {
            let around = GeoQuery::parse(fields, latitude, longitude, within_km, WITHIN_KM);
            let asked = around.map(|around| around.bytes()).unwrap_or_default();
            (around, Page::parse(fields, page_size, &page_token, &[driver.as_bytes(), &asked]))
        })?;
        let reader = self.database.reader().await?;
        let search = offers::Search { driver, around };
        let (offers, next_page_token) = offers::list(reader.tx(), &search, &page).await?;
        Ok(ListOffersResponse { offers, next_page_token })
    }

    async fn accept_drive(&self, call: Call, request: AcceptDriveRequest) -> Result<AcceptDriveResponse, Error> {
        let id = call.parse(|fields| fields.id("drive_id", &request.drive_id))?;
        let command = Command::Accept(call.caller.subject().to_owned());
        let drive = self.writer.handle(call.command(id, command)).await?;
        Ok(AcceptDriveResponse { drive: Some(drive) })
    }

    async fn decline_drive(&self, call: Call, request: DeclineDriveRequest) -> Result<DeclineDriveResponse, Error> {
        let id = call.parse(|fields| fields.id("drive_id", &request.drive_id))?;
        let command = Command::Decline(call.caller.subject().to_owned());
        let drive = self.writer.handle(call.command(id, command)).await?;
        Ok(DeclineDriveResponse { drive: Some(drive) })
    }

    async fn start_drive(&self, call: Call, request: StartDriveRequest) -> Result<StartDriveResponse, Error> {
        let id = call.parse(|fields| fields.id("drive_id", &request.drive_id))?;
        let command = Command::Start(call.caller.subject().to_owned());
        let drive = self.writer.handle(call.command(id, command)).await?;
        Ok(StartDriveResponse { drive: Some(drive) })
    }

    async fn finish_drive(&self, call: Call, request: FinishDriveRequest) -> Result<FinishDriveResponse, Error> {
        let id = call.parse(|fields| fields.id("drive_id", &request.drive_id))?;
        let step = Command::Finish(call.caller.subject().to_owned(), self.tariff);
        let drive = self.writer.once(call.key, self.charge(&call, id, step)).await?;
        Ok(FinishDriveResponse { drive: Some(drive) })
    }

    async fn collect_fare(&self, call: Call, request: CollectFareRequest) -> Result<CollectFareResponse, Error> {
        let id = call.parse(|fields| fields.id("drive_id", &request.drive_id))?;
        let drive = self.writer.once(call.key, self.charge(&call, id, Command::Retry)).await?;
        Ok(CollectFareResponse { drive: Some(drive) })
    }

    async fn get_drive(&self, call: Call, request: GetDriveRequest) -> Result<GetDriveResponse, Error> {
        let id = call.parse(|fields| fields.id("drive_id", &request.drive_id))?;
        let drive = self.loader.get(id).await?.filter(|drive| {
            let is_own = drive.driver.as_deref() == Some(call.caller.subject());
            is_own || call.caller.has(Role::Admin) || matches!(drive.state, State::Offered { .. })
        });
        let drive = drive.ok_or_else(|| Error::not_found("drive", id))?;
        Ok(GetDriveResponse { drive: Some((&drive).into()) })
    }

    async fn list_drives(&self, call: Call, request: ListDrivesRequest) -> Result<ListDrivesResponse, Error> {
        let driver = call.own();
        let filter = [driver.unwrap_or_default().as_bytes()];
        let page = call.parse(|fields| Page::parse(fields, request.page_size, &request.page_token, &filter))?;
        let reader = self.database.reader().await?;
        let (drives, next_page_token) = store::list(reader.tx(), driver, &page).await?;
        Ok(ListDrivesResponse { drives, next_page_token })
    }
}
