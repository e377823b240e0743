//! The gRPC API of rides: parse, take the bike, handle, answer.

use std::time::Duration;

use chassis::db::Database;
use chassis::runtime::Runtime;
use chassis::values::Place;
use chassis::{Call, Error, Loader, Page, PeerClient, Writer, decode};
use contracts::bike::v1::bike_service_client::BikeServiceClient;
use contracts::bike::v1::{Bike, TakeBikeRequest};
use contracts::ride::v1::{self as proto, *};

use crate::domain::{BikeId, Command, RideId, Rider, RiderId, Taken, rider_of};
use crate::store::{self, Found};

/// Serves rides.
#[derive(Clone)]
pub struct Service {
    /// Changes riders.
    pub writer: Writer<Rider>,
    /// Loads riders with their open rides and bills.
    pub riders: Loader<RiderId, Rider>,
    /// Loads rides.
    pub rides: Loader<RideId, Found>,
    /// Lists rides.
    pub database: Database,
    /// Takes bikes.
    pub bike: PeerClient,
    /// The clock and ids.
    pub runtime: Runtime,
    /// How many bikes one customer may ride at once.
    pub at_once: usize,
    /// After this time a ride is overdue.
    pub overdue_after: Duration,
}

impl Service {
    async fn rent(&self, call: &Call, bike: BikeId) -> Result<proto::Ride, Error> {
        let customer = call.caller.subject().to_owned();
        let rider = rider_of(&customer);
        // A repeated request finds the bike that its first attempt took.
        let ride = self.runtime.id_for(call.key);
        let known = self.riders.get(rider).await?;
        if let Some(known) = known.filter(|known| !known.rides.contains_key(&ride)) {
            // Checked first, so that no bike is taken in vain.
            known.may_ride(None, self.at_once).map_err(|refusal| Error::refused(&refusal))?;
        }
        let bike = self.take(call, ride, bike).await?;
        let start = Command::Start { customer: customer.clone(), ride, bike: bike.clone(), at_once: self.at_once };
        let started = self.writer.handle(call.command(rider, start)).await;
        if let Err(Error::Refused { .. }) = &started {
            // The customer may no longer rent: give the bike back.
            let abandon = Command::Abandon(customer, ride, bike);
            self.writer.handle(call.command(rider, abandon).without_key()).await?;
        }
        started
    }

    /// Calls `bike` to take the bike for a ride. If this process crashes after that, the bike's event has the ride
    /// abandoned.
    async fn take(&self, call: &Call, ride: RideId, bike: BikeId) -> Result<Taken, Error> {
        let request = TakeBikeRequest {
            // The ride id is the idempotency key.
            request_id: String::new(),
            bike_id: bike.to_string(),
            ride_id: ride.to_string(),
            customer_id: call.caller.subject().to_owned(),
        };
        let taken = self.bike.call(Some(call), request, |transport, request| async move {
            BikeServiceClient::new(transport).take_bike(request).await
        });
        let away = "bikes can't be rented at the moment: try a little later, with the same request id";
        let bike = taken.await.map_err(|none| none.into_error("BIKE_AWAY", away))?.bike;
        let bike = bike.and_then(taken_of);
        bike.ok_or_else(|| Error::Internal("bike answered without a bike".into()))
    }

    /// The ride, if it is the caller's own, or the caller is of the staff.
    async fn find(&self, call: &Call, id: RideId) -> Result<Found, Error> {
        let sees = |found: &Found| call.is_staff || call.caller.is(&found.customer);
        let found = self.rides.get(id).await?.filter(|found| found.ride.state.is_known()).filter(sees);
        found.ok_or_else(|| Error::not_found("ride", id))
    }
}

/// What a ride stores of its bike; `None` if the answer breaks its contract.
fn taken_of(bike: Bike) -> Option<Taken> {
    let from = decode::place("place", bike.place).ok()?;
    Some(Taken { bike: bike.bike_id.parse().ok()?, name: bike.name, from })
}

impl RideApi for Service {
    type Call = Call;
    type Error = Error;

    async fn rent_bike(&self, call: Call, request: RentBikeRequest) -> Result<RentBikeResponse, Error> {
        let bike = call.parse(|fields| fields.id("bike_id", &request.bike_id))?;
        let ride = self.writer.once(call.key, self.rent(&call, bike)).await?;
        Ok(RentBikeResponse { ride: Some(ride) })
    }

    async fn return_bike(&self, call: Call, request: ReturnBikeRequest) -> Result<ReturnBikeResponse, Error> {
        let (id, place) = call.parse(|fields| {
            let id = fields.id("ride_id", &request.ride_id);
            (id, Place::parse_located(fields, "place", request.place.as_ref()))
        })?;
        let customer = self.find(&call, id).await?.customer;
        let by = call.intervention(&customer, &request.reason, self.runtime.now())?;
        let command = call.command(rider_of(&customer), Command::Return(id, place, by));
        let ride = self.writer.handle(command).await?;
        Ok(ReturnBikeResponse { ride: Some(ride) })
    }

    async fn get_ride(&self, call: Call, request: GetRideRequest) -> Result<GetRideResponse, Error> {
        let id = call.parse(|fields| fields.id("ride_id", &request.ride_id))?;
        let found = self.find(&call, id).await?;
        Ok(GetRideResponse { ride: Some(store::to_proto(id, &found.customer, &found.ride)) })
    }

    async fn list_rides(&self, call: Call, request: ListRidesRequest) -> Result<ListRidesResponse, Error> {
        let customer = call.own();
        let filter = [customer.unwrap_or_default().as_bytes(), &[u8::from(request.overdue)]];
        let page = call.parse(|fields| Page::parse(fields, request.page_size, &request.page_token, &filter))?;
        let reader = self.database.reader().await?;
        let overdue = request.overdue.then(|| self.runtime.now() - self.overdue_after);
        let (rides, next_page_token) = store::list(reader.tx(), customer, overdue, &page).await?;
        Ok(ListRidesResponse { rides, next_page_token })
    }
}
