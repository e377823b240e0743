//! The gRPC API of drives: parse, handle, charge, answer.

use chassis::db::Database;
use chassis::geo::GeoQuery;
use chassis::runtime::Runtime;
use chassis::values::Money;
use chassis::{Call, Error, Loader, Page, Writer};
use contracts::driving::v1::{self as proto, *};

use crate::collection::Collection;
use crate::domain::{By, Command, Drive, DriveId, Limits, State, Tariff};
use crate::shift::{self, Shift, ShiftId, shift_of};
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
    /// Changes shifts.
    pub shift_writer: Writer<Shift>,
    /// Loads shifts.
    pub shifts: Loader<ShiftId, Shift>,
    /// The clock.
    pub runtime: Runtime,
    /// What a ride costs.
    pub tariff: Tariff,
    /// How long its parts may take.
    pub limits: Limits,
}

impl Service {
    /// The drive as whom the caller takes a step of it: its driver, or staff in their place.
    async fn by(&self, call: &Call, id: DriveId, reason: &str) -> Result<By, Error> {
        let caller = call.caller.subject();
        if !call.is_staff {
            return Ok(By::Driver(caller.to_owned()));
        }
        let drive = self.loader.get(id).await?.ok_or_else(|| Error::not_found("drive", id))?;
        let intervention =
            call.intervention(drive.driver.as_deref().unwrap_or_default(), reason, self.runtime.now())?;
        Ok(intervention.map_or_else(|| By::Driver(caller.to_owned()), By::Staff))
    }

    /// Refuses drivers who are off duty.
    async fn require_duty(&self, call: &Call) -> Result<(), Error> {
        let shift = self.shifts.get(shift_of(call.caller.subject())).await?;
        let on_duty = shift.is_some_and(|shift| shift.on_duty);
        if on_duty { Ok(()) } else { Err(Error::refused(&shift::Refusal::OffDuty)) }
    }

    async fn change_shift(&self, call: &Call, command: fn(String) -> shift::Command) -> Result<proto::Shift, Error> {
        let driver = call.caller.subject();
        self.shift_writer.handle(call.command(shift_of(driver), command(driver.to_owned()))).await
    }

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

/// The drive, if it has started; else the start code was wrong, which is counted.
fn started(drive: proto::Drive) -> Result<proto::Drive, Error> {
    if drive.state() == proto::DriveState::Started {
        return Ok(drive);
    }
    Err(Error::precondition("WRONG_START_CODE", "the start code is another one: ask the customer for it"))
}

impl DrivingApi for Service {
    type Call = Call;
    type Error = Error;

    async fn start_shift(&self, call: Call, _: StartShiftRequest) -> Result<StartShiftResponse, Error> {
        call.parse(|_| Some(()))?;
        Ok(StartShiftResponse { shift: Some(self.change_shift(&call, shift::Command::Start).await?) })
    }

    async fn end_shift(&self, call: Call, _: EndShiftRequest) -> Result<EndShiftResponse, Error> {
        call.parse(|_| Some(()))?;
        Ok(EndShiftResponse { shift: Some(self.change_shift(&call, shift::Command::End).await?) })
    }

    async fn get_shift(&self, call: Call, _: GetShiftRequest) -> Result<GetShiftResponse, Error> {
        let driver = call.caller.subject();
        let known = self.shifts.get(shift_of(driver)).await?;
        let none = || proto::Shift { driver_id: driver.to_owned(), ..proto::Shift::default() };
        Ok(GetShiftResponse { shift: Some(known.as_ref().map_or_else(none, Into::into)) })
    }

    async fn list_offers(&self, call: Call, request: ListOffersRequest) -> Result<ListOffersResponse, Error> {
        let ListOffersRequest { latitude, longitude, within_km, page_size, page_token } = request;
        let driver = call.caller.subject();
        let (around, page) = call.parse(|fields| {
            let around = GeoQuery::parse(fields, latitude, longitude, within_km, WITHIN_KM);
            let asked = around.map(|around| around.bytes()).unwrap_or_default();
            (around, Page::parse(fields, page_size, &page_token, &[driver.as_bytes(), &asked]))
        })?;
        self.require_duty(&call).await?;
        let reader = self.database.reader().await?;
        let search = offers::Search { driver, around };
        let (offers, next_page_token) = offers::list(reader.tx(), &search, &page).await?;
        Ok(ListOffersResponse { offers, next_page_token })
    }

    async fn accept_drive(&self, call: Call, request: AcceptDriveRequest) -> Result<AcceptDriveResponse, Error> {
        let id = call.parse(|fields| fields.id("drive_id", &request.drive_id))?;
        let command = Command::Accept(call.caller.subject().to_owned(), self.limits);
        if self.writer.first_answer(call.key).await?.is_none() {
            self.require_duty(&call).await?;
        }
        let drive = self.writer.handle(call.command(id, command)).await?;
        Ok(AcceptDriveResponse { drive: Some(drive) })
    }

    async fn decline_drive(&self, call: Call, request: DeclineDriveRequest) -> Result<DeclineDriveResponse, Error> {
        let id = call.parse(|fields| fields.id("drive_id", &request.drive_id))?;
        let command = Command::Decline(call.caller.subject().to_owned());
        let drive = self.writer.handle(call.command(id, command)).await?;
        Ok(DeclineDriveResponse { drive: Some(drive) })
    }

    async fn release_drive(&self, call: Call, request: ReleaseDriveRequest) -> Result<ReleaseDriveResponse, Error> {
        let id = call.parse(|fields| fields.id("drive_id", &request.drive_id))?;
        let by = self.by(&call, id, &request.reason).await?;
        let drive = self.writer.handle(call.command(id, Command::Release(by, self.limits))).await?;
        Ok(ReleaseDriveResponse { drive: Some(drive) })
    }

    async fn cancel_drive(&self, call: Call, request: CancelDriveRequest) -> Result<CancelDriveResponse, Error> {
        let id = call.parse(|fields| fields.id("drive_id", &request.drive_id))?;
        let by = self.by(&call, id, &request.reason).await?;
        let drive = self.writer.handle(call.command(id, Command::Cancel(by, self.limits))).await?;
        Ok(CancelDriveResponse { drive: Some(drive) })
    }

    async fn start_drive(&self, call: Call, request: StartDriveRequest) -> Result<StartDriveResponse, Error> {
        let (id, code) = call.parse(|fields| {
            let id = fields.id("drive_id", &request.drive_id);
            (id, fields.text("start_code", &request.start_code, 0..=10))
        })?;
        let by = self.by(&call, id, &request.reason).await?;
        let drive = self.writer.handle(call.command(id, Command::Start(by, code, self.limits))).await?;
        Ok(StartDriveResponse { drive: Some(started(drive)?) })
    }

    async fn finish_drive(&self, call: Call, request: FinishDriveRequest) -> Result<FinishDriveResponse, Error> {
        let (id, fare) = call.parse(|fields| {
            let id = fields.id("drive_id", &request.drive_id);
            if request.fare.is_some() && !call.is_staff {
                fields.violate("fare", "must not be set: only staff set a fare");
            }
            (id, fields.optional("fare", Money::amount, request.fare.as_ref()))
        })?;
        let by = self.by(&call, id, &request.reason).await?;
        let step = Command::Finish { by, tariff: self.tariff, fare };
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
            let is_customers = drive.trip.as_ref().is_some_and(|trip| call.caller.is(&trip.customer));
            is_own || is_customers || call.is_staff || matches!(drive.state, State::Offered { .. })
        });
        let drive = drive.ok_or_else(|| Error::not_found("drive", id))?;
        Ok(GetDriveResponse { drive: Some((&drive).into()) })
    }

    async fn list_drives(&self, call: Call, request: ListDrivesRequest) -> Result<ListDrivesResponse, Error> {
        let driver = call.own();
        let filter = [driver.unwrap_or_default().as_bytes(), &[u8::from(request.overdue)]];
        let page = call.parse(|fields| Page::parse(fields, request.page_size, &request.page_token, &filter))?;
        let reader = self.database.reader().await?;
        let overdue = request.overdue.then(|| self.runtime.now());
        let (drives, next_page_token) = store::list(reader.tx(), driver, overdue, &page).await?;
        Ok(ListDrivesResponse { drives, next_page_token })
    }
}
