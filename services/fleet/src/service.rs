//! The gRPC face of cars: parse, handle, answer.

use chassis::db::Database;
use chassis::values::{Money, Period, Place};
use chassis::runtime::Runtime;
use chassis::{Call, PeerClient, Error, Fields, Loader, Page, Writer, all};
use contracts::fleet::v1 as proto;
use contracts::fleet::v1::fleet_service_server::FleetService;
use contracts::rental::v1::RetireCarRequest;
use contracts::rental::v1::rental_service_client::RentalServiceClient;
use prost::Message;
use tonic::{Request, Response, Status};

use crate::domain::{self, Car, CarId, Command, Listing};
use crate::store::{self, Filter};

/// Serves cars.
#[derive(Clone)]
pub struct Service {
    /// Changes cars.
    pub writer: Writer<Car>,
    /// Finds cars.
    pub loader: Loader<CarId, proto::Car>,
    /// Lists cars.
    pub database: Database,
    /// Asks `rental`, which keeps the calendars.
    pub rental: PeerClient,
    /// Time and chance.
    pub runtime: Runtime,
}

impl Service {
    async fn find(&self, id: CarId) -> Result<proto::Car, Error> {
        self.loader.get(id).await?.ok_or_else(|| Error::not_found("car", id))
    }

    /// `rental` takes the car out of its calendar, or says that it can't. Should this process die after that, the event
    /// `CarRetired` does the rest.
    async fn retire(&self, call: &Call, car: CarId) -> Result<(), Error> {
        let request = RetireCarRequest { request_id: String::new(), car_id: car.to_string() };
        let retired = self.rental.call(Some(call), request, |transport, request| async move {
            RentalServiceClient::new(transport).retire_car(request).await
        });
        let away = "rental can't be asked at the moment whether the car is in use; try a little later";
        retired.await.map(drop).map_err(|none| none.into_error("RENTAL_AWAY", away))
    }
}

#[tonic::async_trait]
impl FleetService for Service {
    async fn register_car(
        &self,
        request: Request<proto::RegisterCarRequest>,
    ) -> Result<Response<proto::RegisterCarResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let listing = fields.required("car", request.car).and_then(|car| {
            let model = fields.text("car.model", &car.model, 1..=100);
            let place = Place::parse(&mut fields, "car.place", car.place.as_ref());
            let daily_rate = Money::price(&mut fields, "car.daily_rate", car.daily_rate.as_ref());
            Some(Listing { model: model?, place: place?, daily_rate: daily_rate? })
        });
        let (key, listing) = fields.finish(all!(key, listing))?;
        let id = self.runtime.ids.mint(self.runtime.now());
        let car = self.writer.handle(call.command(id, Command::Register(id, listing), key)).await?;
        Ok(Response::new(proto::RegisterCarResponse { car: Some(car) }))
    }

    async fn remove_car(
        &self,
        request: Request<proto::RemoveCarRequest>,
    ) -> Result<Response<proto::RemoveCarResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("car_id", &request.car_id);
        let (key, id) = fields.finish(all!(key, id))?;
        if let Some(car) = self.writer.first_answer(key).await? {
            return Ok(Response::new(proto::RemoveCarResponse { car: Some(car) }));
        }
        self.find(id).await?;
        self.retire(&call, id).await?;
        let car = self.writer.handle(call.command(id, Command::Remove, key)).await?;
        Ok(Response::new(proto::RemoveCarResponse { car: Some(car) }))
    }

    async fn get_car(&self, request: Request<proto::GetCarRequest>) -> Result<Response<proto::GetCarResponse>, Status> {
        let (_, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let id = fields.id("car_id", &request.car_id);
        let car = self.find(fields.finish(id)?).await?;
        Ok(Response::new(proto::GetCarResponse { car: Some(car) }))
    }

    async fn list_cars(
        &self,
        request: Request<proto::ListCarsRequest>,
    ) -> Result<Response<proto::ListCarsResponse>, Status> {
        let (_, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let asked = proto::ListCarsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
        let page = Page::parse(&mut fields, request.page_size, &request.page_token, &[&asked.encode_to_vec()]);
        let filter = filter(&mut fields, &request);
        let (page, filter) = fields.finish(all!(page, filter))?;
        let reader = self.database.reader().await?;
        let (cars, next_page_token) = store::list(reader.tx(), &filter, &page).await?;
        Ok(Response::new(proto::ListCarsResponse { cars, next_page_token }))
    }
}

fn filter(fields: &mut Fields, request: &proto::ListCarsRequest) -> Option<Filter> {
    let status = match proto::CarStatus::try_from(request.status) {
        Ok(proto::CarStatus::Unspecified) => Some(None),
        Ok(proto::CarStatus::Available) => Some(Some(domain::Status::Available)),
        Ok(proto::CarStatus::Reserved) => Some(Some(domain::Status::Reserved)),
        Ok(proto::CarStatus::Rented) => Some(Some(domain::Status::Rented)),
        Ok(proto::CarStatus::Removed) => Some(Some(domain::Status::Removed)),
        Err(_) => fields.take("status", Err("must be a value of CarStatus")),
    };
    let place_name = match request.place_name.as_str() {
        "" => Some(None),
        name => fields.text("place_name", name, 1..=100).map(Some),
    };
    let mut rate = |path: &str, money: Option<&contracts::money::v1::Money>| match money {
        Some(_) => Money::amount(fields, path, money).map(Some),
        None => Some(None),
    };
    let min_daily_rate = rate("min_daily_rate", request.min_daily_rate.as_ref());
    let max_daily_rate = rate("max_daily_rate", request.max_daily_rate.as_ref());
    if let (Some(Some(min)), Some(Some(max))) = (min_daily_rate, max_daily_rate)
        && min.currency != max.currency
    {
        fields.violate("max_daily_rate.currency_code", "must be that of min_daily_rate");
    }
    let free = match &request.free_period {
        None => Some(None),
        period => Period::parse(fields, "free_period", period.as_ref()).map(Some),
    };
    Some(Filter {
        status: status?,
        place_name: place_name?,
        min_daily_rate: min_daily_rate?,
        max_daily_rate: max_daily_rate?,
        free: free?,
    })
}
