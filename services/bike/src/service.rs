//! The gRPC API of bikes: parse, handle, answer.

use chassis::db::Database;
use chassis::geo::GeoQuery;
use chassis::idempotency::Key;
use chassis::runtime::Runtime;
use chassis::values::Place;
use chassis::{Call, CommandMessage, Error, Fields, Loader, Page, Writer};
use contracts::bike::v1::{self as proto, *};

use crate::domain::{Bike, BikeId, Command, Condition, ReportId};
use crate::store;

/// The radius of a search that gives none, in kilometres: a walking distance.
const WITHIN_KM: i32 = 2;

/// Serves bikes.
#[derive(Clone)]
pub struct Service {
    /// Changes bikes.
    pub writer: Writer<Bike>,
    /// Loads bikes.
    pub loader: Loader<BikeId, Bike>,
    /// Lists bikes.
    pub database: Database,
    /// The clock and ids.
    pub runtime: Runtime,
}

fn battery(fields: &mut Fields, percent: Option<i32>) -> Option<u8> {
    let percent = fields.required("battery_percent", percent)?;
    let in_range = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
    fields.take("battery_percent", in_range.ok_or("must be 0 to 100"))
}

impl BikeApi for Service {
    type Call = Call;
    type Error = Error;

    async fn register_bike(&self, call: Call, request: RegisterBikeRequest) -> Result<RegisterBikeResponse, Error> {
        let (name, place, usable, battery_percent) = call.parse(|fields| {
            let name = fields.text("name", &request.name, 1..=100);
            let place = Place::parse_located(fields, "place", request.place.as_ref());
            let usable = match proto::BikeState::try_from(request.state) {
                Ok(proto::BikeState::Unspecified | proto::BikeState::Available) => Ok(true),
                Ok(proto::BikeState::OutOfOrder) => Ok(false),
                _ => Err("must be AVAILABLE or OUT_OF_ORDER"),
            };
            (name, place, fields.take("state", usable), battery(fields, request.battery_percent))
        })?;
        let id = self.runtime.ids.mint(self.runtime.now());
        let (owner, condition) = (call.caller.subject().to_owned(), Condition { battery_percent, usable });
        let command = Command::Register(id, name, owner, place, condition);
        let bike = self.writer.handle(call.command(id, command)).await?;
        Ok(RegisterBikeResponse { bike: Some(bike) })
    }

    async fn remove_bike(&self, call: Call, request: RemoveBikeRequest) -> Result<RemoveBikeResponse, Error> {
        let id = call.parse(|fields| fields.id("bike_id", &request.bike_id))?;
        let own = self.loader.get(id).await?.filter(|bike| call.is_staff_of(&bike.owner));
        own.ok_or_else(|| Error::not_found("bike", id))?;
        let command = Command::Remove { written_off: request.written_off };
        let bike = self.writer.handle(call.command(id, command)).await?;
        Ok(RemoveBikeResponse { bike: Some(bike) })
    }

    async fn transfer_bike(&self, call: Call, request: TransferBikeRequest) -> Result<TransferBikeResponse, Error> {
        let (id, owner) = call.parse(|fields| {
            let id = fields.id("bike_id", &request.bike_id);
            (id, fields.subject("owner_id", &request.owner_id))
        })?;
        let bike = self.writer.handle(call.command(id, Command::Transfer(owner))).await?;
        Ok(TransferBikeResponse { bike: Some(bike) })
    }

    async fn get_bike(&self, call: Call, request: GetBikeRequest) -> Result<GetBikeResponse, Error> {
        let id = call.parse(|fields| fields.id("bike_id", &request.bike_id))?;
        let bike = self.loader.get(id).await?.ok_or_else(|| Error::not_found("bike", id))?;
        Ok(GetBikeResponse { bike: Some((&bike).into()) })
    }

    async fn list_bikes(&self, call: Call, request: ListBikesRequest) -> Result<ListBikesResponse, Error> {
        let (page, state) = call.parse(|fields| {
            let page = Page::parse(fields, request.page_size, &request.page_token, &[&request.state.to_be_bytes()]);
            (page, fields.value("state", request.state))
        })?;
        let reader = self.database.reader().await?;
        let (bikes, next_page_token) = store::list(reader.tx(), state, &page).await?;
        Ok(ListBikesResponse { bikes, next_page_token })
    }

    async fn search_bikes(&self, call: Call, request: SearchBikesRequest) -> Result<SearchBikesResponse, Error> {
        let (query, page) = call.parse(|fields| {
            let (latitude, longitude) = (request.latitude, request.longitude);
            let query = GeoQuery::parse(fields, latitude, longitude, request.within_km, WITHIN_KM);
            let filter = query.map(|query| query.bytes()).unwrap_or_default();
            (query, Page::parse(fields, request.page_size, &request.page_token, &[&filter]))
        })?;
        let reader = self.database.reader().await?;
        let (bikes, next_page_token) = store::nearest(reader.tx(), &query, &page).await?;
        Ok(SearchBikesResponse { bikes, next_page_token })
    }

    async fn take_bike(&self, call: Call, request: TakeBikeRequest) -> Result<TakeBikeResponse, Error> {
        let (id, ride, customer) = call.parse(|fields| {
            let (id, ride) = (fields.id("bike_id", &request.bike_id), fields.id("ride_id", &request.ride_id));
            (id, ride, fields.text("customer_id", &request.customer_id, 1..=128))
        })?;
        let bike = self.writer.handle(call.command(id, Command::Take(ride, customer))).await?;
        Ok(TakeBikeResponse { bike: Some(bike) })
    }

    async fn inspect_bike(&self, call: Call, request: InspectBikeRequest) -> Result<InspectBikeResponse, Error> {
        let (id, report, manager, battery_percent, usable) = call.parse(|fields| {
            let id = fields.id("bike_id", &request.bike_id);
            let report: Option<ReportId> = fields.id("report_id", &request.report_id);
            let manager = fields.text("manager_id", &request.manager_id, 1..=128);
            let battery = battery(fields, request.battery_percent);
            (id, report, manager, battery, fields.required("usable", request.usable))
        })?;
        // A report is applied once, whatever request id the call has.
        let request = InspectBikeRequest { request_id: String::new(), ..request };
        let key = Some(Key::request(&call.caller, report.uuid(), &request));
        let command = Command::Inspect(report, manager, Condition { battery_percent, usable });
        let bike = self.writer.handle(CommandMessage { key, ..call.command(id, command) }).await?;
        Ok(InspectBikeResponse { bike: Some(bike) })
    }
}
