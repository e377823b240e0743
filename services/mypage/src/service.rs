//! The gRPC face of the pages: customers read what is theirs.

use chassis::db::Database;
use chassis::ids::Kind;
use chassis::page::Cursor;
use chassis::{Call, Error, Fields, Loader, Id};
use contracts::Role;
use contracts::mypage::v1 as proto;
use contracts::mypage::v1::mypage_service_server::MypageService;
use tonic::{Request, Response, Status};

use crate::bike_rides::BikeRide;
use crate::car_rentals::CarRental;
use crate::orders::Order;
use crate::pages::{FlowId, Page};
use crate::stays::Stay;
use crate::taxi_rides::TaxiRide;
use crate::wallets::{self, Wallet};

/// Serves the pages.
#[derive(Clone)]
pub(crate) struct Service {
    /// Finds car rentals.
    pub car_rentals: Loader<FlowId, CarRental>,
    /// Finds taxi rides.
    pub taxi_rides: Loader<FlowId, TaxiRide>,
    /// Finds stays.
    pub stays: Loader<FlowId, Stay>,
    /// Finds bike rides.
    pub bike_rides: Loader<FlowId, BikeRide>,
    /// Finds wallets.
    pub wallets: Loader<FlowId, Wallet>,
    /// Finds orders.
    pub orders: Loader<FlowId, Order>,
    /// Lists pages.
    pub database: Database,
}

/// What the id of a car rental is the id of, for who gives a wrong one.
enum ReservationKind {}
impl Kind for ReservationKind {
    const NAME: &'static str = "reservation";
}

/// The same of a taxi ride.
enum HailKind {}
impl Kind for HailKind {
    const NAME: &'static str = "hail";
}

/// What the id of a stay is the id of.
enum StayKind {}
impl Kind for StayKind {
    const NAME: &'static str = "stay";
}

/// What the id of a bike ride is the id of.
enum RideKind {}
impl Kind for RideKind {
    const NAME: &'static str = "ride";
}

/// What the id of an order is the id of.
enum OrderKind {}
impl Kind for OrderKind {
    const NAME: &'static str = "order";
}

/// The stay as the caller may see it: the code of its voucher is for its customer.
fn shown(call: &Call, stay: proto::Stay) -> proto::Stay {
    if stay.customer_id == call.caller.subject() { stay } else { proto::Stay { voucher_code: String::new(), ..stay } }
}

/// The page of this id, if the caller may see it: their own, an admin any. One of which only others' events were heard
/// has no owner yet, so nobody sees it.
async fn find<P: Page + Clone, K: Kind>(
    pages: &Loader<FlowId, P>,
    call: &Call,
    (field, id): (&str, &str),
    what: &'static str,
) -> Result<P, Error> {
    let mut fields = Fields::new();
    let id: Option<Id<K>> = fields.id(field, id);
    let id = fields.finish(id)?;
    let is_visible =
        |page: &P| page.customer().is_some_and(|owner| owner == call.caller.subject() || call.caller.has(Role::Admin));
    let page = pages.get(FlowId::new(id.uuid())).await?.filter(is_visible);
    page.ok_or_else(|| Error::not_found(what, id))
}

/// Whose pages the caller may list (everyone's, if there is nobody), and which of them are asked for.
fn listing<'a>(
    call: &'a Call,
    of: &str,
    size: i32,
    token: &str,
) -> Result<(Option<&'a str>, chassis::Page<Cursor>), Error> {
    let mut fields = Fields::new();
    let customer = call.own();
    let page =
        chassis::Page::parse(&mut fields, size, token, &[of.as_bytes(), customer.unwrap_or_default().as_bytes()]);
    Ok((customer, fields.finish(page)?))
}

#[tonic::async_trait]
impl MypageService for Service {
    async fn get_car_rental(
        &self,
        request: Request<proto::GetCarRentalRequest>,
    ) -> Result<Response<proto::GetCarRentalResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let id = ("reservation_id", request.reservation_id.as_str());
        let page = find::<_, ReservationKind>(&self.car_rentals, &call, id, "car rental").await?;
        Ok(Response::new(proto::GetCarRentalResponse { car_rental: Some(page.into()) }))
    }

    async fn list_car_rentals(
        &self,
        request: Request<proto::ListCarRentalsRequest>,
    ) -> Result<Response<proto::ListCarRentalsResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let (customer, page) = listing(&call, "car rentals", request.page_size, &request.page_token)?;
        let reader = self.database.reader().await?;
        let (pages, next_page_token) = CarRental::list(reader.tx(), customer, &page).await?;
        let car_rentals = pages.into_iter().map(Into::into).collect();
        Ok(Response::new(proto::ListCarRentalsResponse { car_rentals, next_page_token }))
    }

    async fn get_taxi_ride(
        &self,
        request: Request<proto::GetTaxiRideRequest>,
    ) -> Result<Response<proto::GetTaxiRideResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let id = ("hail_id", request.hail_id.as_str());
        let page = find::<_, HailKind>(&self.taxi_rides, &call, id, "taxi ride").await?;
        Ok(Response::new(proto::GetTaxiRideResponse { taxi_ride: Some(page.into()) }))
    }

    async fn list_taxi_rides(
        &self,
        request: Request<proto::ListTaxiRidesRequest>,
    ) -> Result<Response<proto::ListTaxiRidesResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let (customer, page) = listing(&call, "taxi rides", request.page_size, &request.page_token)?;
        let reader = self.database.reader().await?;
        let (pages, next_page_token) = TaxiRide::list(reader.tx(), customer, &page).await?;
        let taxi_rides = pages.into_iter().map(Into::into).collect();
        Ok(Response::new(proto::ListTaxiRidesResponse { taxi_rides, next_page_token }))
    }

    async fn get_stay(
        &self,
        request: Request<proto::GetStayRequest>,
    ) -> Result<Response<proto::GetStayResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let id = ("stay_id", request.stay_id.as_str());
        let page = find::<_, StayKind>(&self.stays, &call, id, "stay").await?;
        Ok(Response::new(proto::GetStayResponse { stay: Some(shown(&call, page.into())) }))
    }

    async fn list_stays(
        &self,
        request: Request<proto::ListStaysRequest>,
    ) -> Result<Response<proto::ListStaysResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let (customer, page) = listing(&call, "stays", request.page_size, &request.page_token)?;
        let reader = self.database.reader().await?;
        let (pages, next_page_token) = Stay::list(reader.tx(), customer, &page).await?;
        let stays = pages.into_iter().map(|stay| shown(&call, stay.into())).collect();
        Ok(Response::new(proto::ListStaysResponse { stays, next_page_token }))
    }
    async fn get_bike_ride(
        &self,
        request: Request<proto::GetBikeRideRequest>,
    ) -> Result<Response<proto::GetBikeRideResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let id = ("ride_id", request.ride_id.as_str());
        let page = find::<_, RideKind>(&self.bike_rides, &call, id, "bike ride").await?;
        Ok(Response::new(proto::GetBikeRideResponse { bike_ride: Some(page.into()) }))
    }

    async fn list_bike_rides(
        &self,
        request: Request<proto::ListBikeRidesRequest>,
    ) -> Result<Response<proto::ListBikeRidesResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let (customer, page) = listing(&call, "bike rides", request.page_size, &request.page_token)?;
        let wallet = match customer {
            Some(owner) => self.wallets.get(wallets::page_of(owner)).await?.map(Into::into),
            None => None,
        };
        let reader = self.database.reader().await?;
        let (pages, next_page_token) = BikeRide::list(reader.tx(), customer, &page).await?;
        let bike_rides = pages.into_iter().map(Into::into).collect();
        Ok(Response::new(proto::ListBikeRidesResponse { bike_rides, next_page_token, wallet }))
    }

    async fn get_order(
        &self,
        request: Request<proto::GetOrderRequest>,
    ) -> Result<Response<proto::GetOrderResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let id = ("order_id", request.order_id.as_str());
        let page = find::<_, OrderKind>(&self.orders, &call, id, "order").await?;
        Ok(Response::new(proto::GetOrderResponse { order: Some(page.into()) }))
    }

    async fn list_orders(
        &self,
        request: Request<proto::ListOrdersRequest>,
    ) -> Result<Response<proto::ListOrdersResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let (customer, page) = listing(&call, "orders", request.page_size, &request.page_token)?;
        let reader = self.database.reader().await?;
        let (pages, next_page_token) = Order::list(reader.tx(), customer, &page).await?;
        let orders = pages.into_iter().map(Into::into).collect();
        Ok(Response::new(proto::ListOrdersResponse { orders, next_page_token }))
    }
}
