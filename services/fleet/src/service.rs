//! The gRPC API of cars: parse, handle, answer.

use chassis::db::Database;
use chassis::runtime::Runtime;
use chassis::values::{Money, Period, Place};
use chassis::{Call, Error, Fields, Loader, Page, PeerClient, Writer};
use contracts::fleet::v1::{self as proto, *};
use contracts::rental::v1::RetireCarRequest;
use contracts::rental::v1::rental_service_client::RentalServiceClient;
use prost::Message;

use crate::domain::{Car, CarId, Command, Listing};
use crate::store::{self, Filter};

/// Serves cars.
#[derive(Clone)]
pub struct Service {
    /// Changes cars.
    pub writer: Writer<Car>,
    /// Loads cars.
    pub loader: Loader<CarId, proto::Car>,
    /// Lists cars.
    pub database: Database,
    /// Calls `rental`, which keeps the calendars.
    pub rental: PeerClient,
    /// The clock and ids.
    pub runtime: Runtime,
}

impl Service {
    async fn find(&self, id: CarId) -> Result<proto::Car, Error> {
        self.loader.get(id).await?.ok_or_else(|| Error::not_found("car", id))
    }

    /// `rental` retires the car's calendar, or refuses. If this process crashes after that, the event `CarRetired`
    /// completes it.
    async fn retire(&self, call: &Call, car: CarId) -> Result<(), Error> {
        let request = RetireCarRequest { request_id: String::new(), car_id: car.to_string() };
        let retired = self.rental.call(Some(call), request, |transport, request| async move {
            RentalServiceClient::new(transport).retire_car(request).await
        });
        let away = "rental can't be asked at the moment whether the car is in use; try a little later";
        retired.await.map(drop).map_err(|none| none.into_error("RENTAL_AWAY", away))
    }

    async fn remove(&self, call: &Call, id: CarId) -> Result<proto::Car, Error> {
        let is_own = |car: &proto::Car| call.is_staff_of(&car.owner_id);
        self.loader.get(id).await?.filter(is_own).ok_or_else(|| Error::not_found("car", id))?;
        self.retire(call, id).await?;
        self.writer.handle(call.command(id, Command::Remove)).await
    }
}

impl FleetApi for Service {
    type Call = Call;
    type Error = Error;

    async fn register_car(&self, call: Call, request: RegisterCarRequest) -> Result<RegisterCarResponse, Error> {
        let listing = call.parse(|fields| {
            let car = fields.required("car", request.car)?;
            let model = fields.text("car.model", &car.model, 1..=100);
            let place = Place::parse(fields, "car.place", car.place.as_ref());
            let daily_rate = Money::price(fields, "car.daily_rate", car.daily_rate.as_ref());
            let plate = fields.text("car.plate", &car.plate, 0..=20);
            Some(Listing { model: model?, plate: plate?, place: place?, daily_rate: daily_rate? })
        })?;
        let id = self.runtime.ids.mint(self.runtime.now());
        let owner = call.caller.subject().to_owned();
        let car = self.writer.handle(call.command(id, Command::Register(id, listing, owner))).await?;
        Ok(RegisterCarResponse { car: Some(car) })
    }

    async fn remove_car(&self, call: Call, request: RemoveCarRequest) -> Result<RemoveCarResponse, Error> {
        let id = call.parse(|fields| fields.id("car_id", &request.car_id))?;
        let car = self.writer.once(call.key, self.remove(&call, id)).await?;
        Ok(RemoveCarResponse { car: Some(car) })
    }

    async fn transfer_car(&self, call: Call, request: TransferCarRequest) -> Result<TransferCarResponse, Error> {
        let (id, owner) = call.parse(|fields| {
            let id = fields.id("car_id", &request.car_id);
            (id, fields.subject("owner_id", &request.owner_id))
        })?;
        let car = self.writer.handle(call.command(id, Command::Transfer(owner))).await?;
        Ok(TransferCarResponse { car: Some(car) })
    }

    async fn get_car(&self, call: Call, request: GetCarRequest) -> Result<GetCarResponse, Error> {
        let id = call.parse(|fields| fields.id("car_id", &request.car_id))?;
        Ok(GetCarResponse { car: Some(self.find(id).await?) })
    }

    async fn list_cars(&self, call: Call, request: ListCarsRequest) -> Result<ListCarsResponse, Error> {
        let asked = ListCarsRequest { page_size: 0, page_token: String::new(), ..request.clone() }.encode_to_vec();
        let (page, filter) = call.parse(|fields| {
            let page = Page::parse(fields, request.page_size, &request.page_token, &[&asked]);
            (page, filter(fields, &request))
        })?;
        let reader = self.database.reader().await?;
        let (cars, next_page_token) = store::list(reader.tx(), &filter, &page).await?;
        Ok(ListCarsResponse { cars, next_page_token })
    }
}

fn filter(fields: &mut Fields, request: &ListCarsRequest) -> Option<Filter> {
    let status = fields.choice("status", request.status);
    let place_name = match request.place_name.as_str() {
        "" => Some(None),
        name => fields.text("place_name", name, 1..=100).map(Some),
    };
    let min_daily_rate = fields.optional("min_daily_rate", Money::amount, request.min_daily_rate.as_ref());
    let max_daily_rate = fields.optional("max_daily_rate", Money::amount, request.max_daily_rate.as_ref());
    if let (Some(Some(min)), Some(Some(max))) = (min_daily_rate, max_daily_rate) {
        if min.currency != max.currency {
            fields.violate("max_daily_rate.currency_code", "must be that of min_daily_rate");
        } else if min.minor > max.minor {
            fields.violate("max_daily_rate.amount_minor", "must not be less than that of min_daily_rate");
        }
    }
    let free = fields.optional("free_period", Period::parse, request.free_period.as_ref());
    Some(Filter {
        status: status?,
        place_name: place_name?,
        min_daily_rate: min_daily_rate?,
        max_daily_rate: max_daily_rate?,
        free: free?,
    })
}
