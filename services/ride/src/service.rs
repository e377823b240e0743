//! The gRPC face of rides: parse, take the bike, handle, answer.

use chassis::db::Database;
use chassis::idempotency::Key;
use chassis::page::Cursor;
use chassis::values::Place;
use chassis::runtime::Runtime;
use chassis::{Call, PeerClient, Error, Fields, Loader, Page, Writer, all, decode};
use contracts::Role;
use contracts::bike::v1::bike_service_client::BikeServiceClient;
use contracts::bike::v1::{Bike, TakeBikeRequest};
use contracts::ride::v1 as proto;
use contracts::ride::v1::ride_service_server::RideService;
use tonic::{Request, Response, Status};

use crate::domain::{BikeId, Command, RideId, Rider, RiderId, Taken, rider_of};
use crate::store::{self, Found};

/// Serves rides.
#[derive(Clone)]
pub struct Service {
    /// Changes riders.
    pub writer: Writer<Rider>,
    /// Finds riders with what is open of them.
    pub riders: Loader<RiderId, Rider>,
    /// Finds rides.
    pub rides: Loader<RideId, Found>,
    /// Lists rides.
    pub database: Database,
    /// Takes bikes.
    pub bike: PeerClient,
    /// Time and chance.
    pub runtime: Runtime,
    /// How many bikes one customer may ride at once.
    pub at_once: usize,
}

impl Service {
    async fn rent(&self, call: &Call, bike: BikeId, key: Option<Key>) -> Result<proto::Ride, Error> {
        if let Some(first) = self.writer.first_answer(key).await? {
            return Ok(first);
        }
        let customer = call.caller.subject().to_owned();
        let rider = rider_of(&customer);
        // A request that is repeated meets the bike that its first attempt took.
        let ride = self.runtime.id_for(key);
        let known = self.riders.get(rider).await?;
        if let Some(known) = known.filter(|known| !known.rides.contains_key(&ride)) {
            // No bike is taken for nothing.
            known.may_ride(self.at_once).map_err(|refusal| Error::refused(&refusal))?;
        }
        let bike = self.take(call, ride, bike).await?;
        let start = Command::Start { customer: customer.clone(), ride, bike: bike.clone(), at_once: self.at_once };
        match self.writer.handle(call.command(rider, start, key)).await {
            Err(refused @ Error::Refused { .. }) => {
                // Meanwhile the customer may not ride any more: the bike is free again.
                self.writer.handle(call.command(rider, Command::Abandon(customer, ride, bike), None)).await?;
                Err(refused)
            }
            outcome => outcome,
        }
    }

    /// Takes the bike for a ride, and waits. Should this process die after that, the bike's event has the ride abandoned.
    async fn take(&self, call: &Call, ride: RideId, bike: BikeId) -> Result<Taken, Error> {
        let request = TakeBikeRequest {
            // The ride makes it happen once.
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

    /// The ride, if it is the caller's own, or may be seen as an admin.
    async fn find(&self, call: &Call, id: RideId, for_admins: bool) -> Result<Found, Error> {
        let is_admin = for_admins && call.caller.has(Role::Admin);
        let sees = |found: &Found| is_admin || found.customer == call.caller.subject();
        let found = self.rides.get(id).await?.filter(Found::is_known).filter(sees);
        found.ok_or_else(|| Error::not_found("ride", id))
    }
}

/// What is kept of a bike; `None` if the answer breaks its contract.
fn taken_of(bike: Bike) -> Option<Taken> {
    let from = decode::place("place", bike.place).ok()?;
    Some(Taken { bike: bike.bike_id.parse().ok()?, name: bike.name, from })
}

#[tonic::async_trait]
impl RideService for Service {
    async fn rent_bike(
        &self,
        request: Request<proto::RentBikeRequest>,
    ) -> Result<Response<proto::RentBikeResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let bike = fields.id("bike_id", &request.bike_id);
        let (key, bike) = fields.finish(all!(key, bike))?;
        let ride = self.rent(&call, bike, key).await?;
        Ok(Response::new(proto::RentBikeResponse { ride: Some(ride) }))
    }

    async fn return_bike(
        &self,
        request: Request<proto::ReturnBikeRequest>,
    ) -> Result<Response<proto::ReturnBikeResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("ride_id", &request.ride_id);
        let place = Place::parse_located(&mut fields, "place", request.place.as_ref());
        let (key, id, place) = fields.finish(all!(key, id, place))?;
        self.find(&call, id, false).await?;
        let rider = rider_of(call.caller.subject());
        let ride = self.writer.handle(call.command(rider, Command::Return(id, place), key)).await?;
        Ok(Response::new(proto::ReturnBikeResponse { ride: Some(ride) }))
    }

    async fn get_ride(
        &self,
        request: Request<proto::GetRideRequest>,
    ) -> Result<Response<proto::GetRideResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let id = fields.id("ride_id", &request.ride_id);
        let id = fields.finish(id)?;
        let found = self.find(&call, id, true).await?;
        Ok(Response::new(proto::GetRideResponse { ride: Some(store::to_proto(id, &found.customer, &found.ride)) }))
    }

    async fn list_rides(
        &self,
        request: Request<proto::ListRidesRequest>,
    ) -> Result<Response<proto::ListRidesResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let customer = call.own();
        let filter = [customer.unwrap_or_default().as_bytes()];
        let page = Page::<Cursor>::parse(&mut fields, request.page_size, &request.page_token, &filter);
        let page = fields.finish(page)?;
        let reader = self.database.reader().await?;
        let (rides, next_page_token) = store::list(reader.tx(), customer, &page).await?;
        Ok(Response::new(proto::ListRidesResponse { rides, next_page_token }))
    }
}
