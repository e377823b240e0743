//! The gRPC face of bikes: parse, handle, answer.

use chassis::db::Database;
use chassis::idempotency::Key;
use chassis::geo::{GeoQuery, GeoCursor};
use chassis::page::Cursor;
use chassis::values::Place;
use chassis::runtime::Runtime;
use chassis::{Call, Error, Fields, Loader, Page, Writer, all};
use contracts::bike::v1 as proto;
use contracts::bike::v1::bike_service_server::BikeService;
use tonic::{Request, Response, Status};

use crate::domain::{Bike, BikeId, Command, Condition, ReportId};
use crate::store;

/// How far bikes may be, in kilometres, if the caller does not say: what people walk.
const WITHIN_KM: i32 = 2;

/// Serves bikes.
#[derive(Clone)]
pub struct Service {
    /// Changes bikes.
    pub writer: Writer<Bike>,
    /// Finds bikes.
    pub loader: Loader<BikeId, Bike>,
    /// Lists bikes.
    pub database: Database,
    /// Time and chance.
    pub runtime: Runtime,
}

fn battery(fields: &mut Fields, percent: Option<i32>) -> Option<u8> {
    let percent = fields.required("battery_percent", percent)?;
    let in_range = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
    fields.take("battery_percent", in_range.ok_or("must be 0 to 100"))
}

#[tonic::async_trait]
impl BikeService for Service {
    async fn register_bike(
        &self,
        request: Request<proto::RegisterBikeRequest>,
    ) -> Result<Response<proto::RegisterBikeResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let name = fields.text("name", &request.name, 1..=100);
        let place = Place::parse_located(&mut fields, "place", request.place.as_ref());
        let usable = match proto::BikeState::try_from(request.state) {
            Ok(proto::BikeState::Unspecified | proto::BikeState::Available) => Ok(true),
            Ok(proto::BikeState::OutOfOrder) => Ok(false),
            _ => Err("must be AVAILABLE or OUT_OF_ORDER"),
        };
        let usable = fields.take("state", usable);
        let battery = battery(&mut fields, request.battery_percent);
        let (key, name, place, usable, battery_percent) = fields.finish(all!(key, name, place, usable, battery))?;
        let id = self.runtime.ids.mint(self.runtime.now());
        let command = Command::Register(id, name, place, Condition { battery_percent, usable });
        let bike = self.writer.handle(call.command(id, command, key)).await?;
        Ok(Response::new(proto::RegisterBikeResponse { bike: Some(bike) }))
    }

    async fn remove_bike(
        &self,
        request: Request<proto::RemoveBikeRequest>,
    ) -> Result<Response<proto::RemoveBikeResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("bike_id", &request.bike_id);
        let (key, id) = fields.finish(all!(key, id))?;
        let command = Command::Remove { written_off: request.written_off };
        let bike = self.writer.handle(call.command(id, command, key)).await?;
        Ok(Response::new(proto::RemoveBikeResponse { bike: Some(bike) }))
    }

    async fn get_bike(
        &self,
        request: Request<proto::GetBikeRequest>,
    ) -> Result<Response<proto::GetBikeResponse>, Status> {
        let (_, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let id = fields.id("bike_id", &request.bike_id);
        let id = fields.finish(id)?;
        let bike = self.loader.get(id).await?.ok_or_else(|| Error::not_found("bike", id))?;
        Ok(Response::new(proto::GetBikeResponse { bike: Some((&bike).into()) }))
    }

    async fn list_bikes(
        &self,
        request: Request<proto::ListBikesRequest>,
    ) -> Result<Response<proto::ListBikesResponse>, Status> {
        let (_, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let filter = [&request.state.to_be_bytes()[..]];
        let page = Page::<Cursor>::parse(&mut fields, request.page_size, &request.page_token, &filter);
        let known = proto::BikeState::try_from(request.state);
        let state = fields.take("state", known.map_err(|_| "must be a value of BikeState"));
        let (page, state) = fields.finish(all!(page, state))?;
        let reader = self.database.reader().await?;
        let (bikes, next_page_token) = store::list(reader.tx(), state, &page).await?;
        Ok(Response::new(proto::ListBikesResponse { bikes, next_page_token }))
    }

    async fn search_bikes(
        &self,
        request: Request<proto::SearchBikesRequest>,
    ) -> Result<Response<proto::SearchBikesResponse>, Status> {
        let (_, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let (latitude, longitude) = (request.latitude, request.longitude);
        let around = GeoQuery::parse(&mut fields, latitude, longitude, request.within_km, WITHIN_KM);
        let asked = around.map(|around| around.bytes()).unwrap_or_default();
        let page = Page::<GeoCursor>::parse(&mut fields, request.page_size, &request.page_token, &[&asked]);
        let (around, page) = fields.finish(all!(around, page))?;
        let reader = self.database.reader().await?;
        let (bikes, next_page_token) = store::near(reader.tx(), &around, &page).await?;
        Ok(Response::new(proto::SearchBikesResponse { bikes, next_page_token }))
    }

    async fn take_bike(
        &self,
        request: Request<proto::TakeBikeRequest>,
    ) -> Result<Response<proto::TakeBikeResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("bike_id", &request.bike_id);
        let ride = fields.id("ride_id", &request.ride_id);
        let customer = fields.text("customer_id", &request.customer_id, 1..=128);
        let (key, id, ride, customer) = fields.finish(all!(key, id, ride, customer))?;
        let bike = self.writer.handle(call.command(id, Command::Take(ride, customer), key)).await?;
        Ok(Response::new(proto::TakeBikeResponse { bike: Some(bike) }))
    }

    async fn inspect_bike(
        &self,
        request: Request<proto::InspectBikeRequest>,
    ) -> Result<Response<proto::InspectBikeResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        fields.key(&call, &request.request_id, &request);
        let id = fields.id("bike_id", &request.bike_id);
        let report: Option<ReportId> = fields.id("report_id", &request.report_id);
        let manager = fields.text("manager_id", &request.manager_id, 1..=128);
        let battery = battery(&mut fields, request.battery_percent);
        let usable = fields.required("usable", request.usable);
        let (id, report, manager, battery_percent, usable) =
            fields.finish(all!(id, report, manager, battery, usable))?;
        // A report is taken once, whatever id the call has.
        let key = Key::request(
            &call.caller,
            report.uuid(),
            &proto::InspectBikeRequest { request_id: String::new(), ..request },
        );
        let command = Command::Inspect(report, manager, Condition { battery_percent, usable });
        let bike = self.writer.handle(call.command(id, command, Some(key))).await?;
        Ok(Response::new(proto::InspectBikeResponse { bike: Some(bike) }))
    }
}
