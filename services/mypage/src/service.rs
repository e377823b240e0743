//! The gRPC API of the summaries: customers read their own.

use chassis::db::Database;
use chassis::runtime::Runtime;
use chassis::sealing::SealingKeys;
use chassis::{Call, Error, Id, Loader, Page, Writer};
use contracts::mypage::v1::*;
use contracts::{RPCS, Role};

use crate::bike_rides::BikeRide;
use crate::car_rentals::CarRental;
use crate::domain::{Erasure, Request};
use crate::orders::Order;
use crate::registry;
use crate::stays::Stay;
use crate::summary::Summary;
use crate::taxi_rides::TaxiRide;
use crate::wallets::{self, Wallet};

/// Open flows that an error names, at most.
const NAMED: usize = 10;

/// Serves the summaries.
#[derive(Clone)]
pub(crate) struct Service {
    /// Loads car rentals.
    pub car_rentals: Loader<Id<CarRental>, CarRental>,
    /// Loads taxi rides.
    pub taxi_rides: Loader<Id<TaxiRide>, TaxiRide>,
    /// Loads stays.
    pub stays: Loader<Id<Stay>, Stay>,
    /// Loads bike rides.
    pub bike_rides: Loader<Id<BikeRide>, BikeRide>,
    /// Loads wallets.
    pub wallets: Loader<Id<Wallet>, Wallet>,
    /// Loads orders.
    pub orders: Loader<Id<Order>, Order>,
    /// Writes erasures.
    pub erasures: Writer<Erasure>,
    /// Unseals what customers read.
    pub sealing: SealingKeys,
    /// The ids of erasures.
    pub runtime: Runtime,
    /// Lists summaries.
    pub database: Database,
}

/// The summary of this id, if the caller may see it: a customer their own, an admin any. One without a customer is not
/// visible yet.
async fn visible<S: Summary>(summaries: &Loader<Id<S>, S>, call: &Call, id: &str) -> Result<S, Error> {
    let id = call.parse(|fields| fields.id(&format!("{}_id", S::NAME), id))?;
    let (caller, is_admin) = (call.caller.subject(), call.caller.has(Role::Admin));
    let is_visible = |summary: &S| summary.customer().is_some_and(|owner| owner == caller || is_admin);
    summaries.get(id).await?.filter(is_visible).ok_or_else(|| Error::not_found(S::LABEL, id))
}

impl Service {
    /// A page of the caller's summaries, or of everyone's for an admin.
    async fn list<S: Summary, P: From<S>>(
        &self,
        call: &Call,
        size: i32,
        token: &str,
    ) -> Result<(Vec<P>, String), Error> {
        let customer = call.own();
        // Part of page tokens, so it must not change.
        let listed = format!("{}s", S::LABEL);
        let filter = [listed.as_bytes(), customer.unwrap_or_default().as_bytes()];
        let page = call.parse(|fields| Page::parse(fields, size, token, &filter))?;
        let reader = self.database.reader().await?;
        let (summaries, next_page_token) = S::list(reader.tx(), customer, &page).await?;
        Ok((summaries.into_iter().map(P::from).collect(), next_page_token))
    }
}

impl MypageApi for Service {
    type Call = Call;
    type Error = Error;

    async fn get_car_rental(&self, call: Call, request: GetCarRentalRequest) -> Result<GetCarRentalResponse, Error> {
        let rental = visible(&self.car_rentals, &call, &request.reservation_id).await?;
        Ok(GetCarRentalResponse { car_rental: Some(rental.into()) })
    }

    async fn list_car_rentals(
        &self,
        call: Call,
        request: ListCarRentalsRequest,
    ) -> Result<ListCarRentalsResponse, Error> {
        let (car_rentals, next_page_token) =
            self.list::<CarRental, _>(&call, request.page_size, &request.page_token).await?;
        Ok(ListCarRentalsResponse { car_rentals, next_page_token })
    }

    async fn get_taxi_ride(&self, call: Call, request: GetTaxiRideRequest) -> Result<GetTaxiRideResponse, Error> {
        let ride = visible(&self.taxi_rides, &call, &request.hail_id).await?;
        Ok(GetTaxiRideResponse { taxi_ride: Some(ride.into()) })
    }

    async fn list_taxi_rides(&self, call: Call, request: ListTaxiRidesRequest) -> Result<ListTaxiRidesResponse, Error> {
        let (taxi_rides, next_page_token) =
            self.list::<TaxiRide, _>(&call, request.page_size, &request.page_token).await?;
        Ok(ListTaxiRidesResponse { taxi_rides, next_page_token })
    }

    async fn get_stay(&self, call: Call, request: GetStayRequest) -> Result<GetStayResponse, Error> {
        let stay = visible(&self.stays, &call, &request.stay_id).await?;
        Ok(self.sealing.show(GetStayResponse { stay: Some(stay.into()) }, call.caller.subject()))
    }

    async fn list_stays(&self, call: Call, request: ListStaysRequest) -> Result<ListStaysResponse, Error> {
        let (stays, next_page_token) = self.list::<Stay, _>(&call, request.page_size, &request.page_token).await?;
        Ok(self.sealing.show(ListStaysResponse { stays, next_page_token }, call.caller.subject()))
    }

    async fn get_bike_ride(&self, call: Call, request: GetBikeRideRequest) -> Result<GetBikeRideResponse, Error> {
        let ride = visible(&self.bike_rides, &call, &request.ride_id).await?;
        Ok(GetBikeRideResponse { bike_ride: Some(ride.into()) })
    }

    async fn list_bike_rides(&self, call: Call, request: ListBikeRidesRequest) -> Result<ListBikeRidesResponse, Error> {
        let (bike_rides, next_page_token) =
            self.list::<BikeRide, _>(&call, request.page_size, &request.page_token).await?;
        let wallet = match call.own() {
            Some(owner) => self.wallets.get(wallets::id_of(owner)).await?.map(Into::into),
            None => None,
        };
        Ok(ListBikeRidesResponse { bike_rides, next_page_token, wallet })
    }

    async fn get_order(&self, call: Call, request: GetOrderRequest) -> Result<GetOrderResponse, Error> {
        let order = visible(&self.orders, &call, &request.order_id).await?;
        Ok(GetOrderResponse { order: Some(order.into()) })
    }

    async fn list_orders(&self, call: Call, request: ListOrdersRequest) -> Result<ListOrdersResponse, Error> {
        let (orders, next_page_token) = self.list::<Order, _>(&call, request.page_size, &request.page_token).await?;
        Ok(ListOrdersResponse { orders, next_page_token })
    }

    async fn erase_customer(&self, call: Call, request: EraseCustomerRequest) -> Result<EraseCustomerResponse, Error> {
        let (customer, reason) = call.parse(|fields| {
            let customer = fields.subject("customer_id", &request.customer_id);
            // Calls of whoever is erased are refused.
            let is_context = RPCS.iter().any(|rpc| rpc.context == request.customer_id);
            if is_context || call.caller.is(&request.customer_id) {
                fields.violate("customer_id", "must be a customer, not a context or the caller");
            }
            (customer, fields.text("reason", &request.reason, 1..=200))
        })?;
        let id = self.runtime.id_for(call.key);
        let admin = call.caller.subject().to_owned();
        let open = registry::open(self.database.reader().await?.tx(), &customer).await?;
        if !open.is_empty() {
            return Err(flows_open(&open));
        }
        let erasure = self.erasures.handle(call.command(id, Request { id, customer, admin, reason })).await?;
        Ok(EraseCustomerResponse { erasure: Some(erasure) })
    }
}

/// The customer has flows that have to end before.
fn flows_open(open: &[String]) -> Error {
    let some = open.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let others = open.len().saturating_sub(NAMED);
    let others = if others > 0 { format!(" and {others} more") } else { String::new() };
    Error::precondition("FLOWS_OPEN", format!("the customer has open flows; end or pay them first: {some}{others}"))
}
