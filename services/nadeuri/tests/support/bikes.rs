//! The requests of riders of bikes and those who look after bikes, one method each.

use contracts::bike::v1::{
    Bike, BikeState, GetBikeRequest, NearbyBike, RegisterBikeRequest, RemoveBikeRequest, SearchBikesRequest,
};
use contracts::billing::v1::{Bill, BillState, ListBillsRequest};
use contracts::mypage::v1::{BikeRide, GetBikeRideRequest};
use contracts::ride::v1::{GetRideRequest, RentBikeRequest, ReturnBikeRequest, Ride};
use tonic::Status;

use super::client::Client;
use super::taxis::{place, somewhere};
use super::{eventually, new_id};

type Answer<T> = Result<T, Status>;

/// A valid bike to register: charged, usable, at this position.
pub fn some_bike(name: &str, at: (f64, f64)) -> RegisterBikeRequest {
    RegisterBikeRequest {
        name: name.to_owned(),
        place: Some(place("The rack", at)),
        battery_percent: Some(100),
        ..Default::default()
    }
}

impl Client {
    /// Registers a bike at a random position.
    pub async fn new_bike(&self) -> Bike {
        self.new_bike_at(somewhere()).await
    }

    /// Registers a bike at a position.
    pub async fn new_bike_at(&self, at: (f64, f64)) -> Bike {
        let name = format!("S-{}", &new_id()[..8]);
        self.send(some_bike(&name, at)).await.unwrap().bike.unwrap()
    }

    /// Removes a bike, or writes it off.
    pub async fn remove_bike(&self, it: &Bike, written_off: bool) -> Answer<Bike> {
        let request = RemoveBikeRequest { bike_id: it.bike_id.clone(), written_off, ..Default::default() };
        Ok(self.send(request).await?.bike.unwrap())
    }

    /// Gets a bike.
    pub async fn bike(&self, it: &Bike) -> Bike {
        self.send(GetBikeRequest { bike_id: it.bike_id.clone() }).await.unwrap().bike.unwrap()
    }

    /// Waits until the bike is in the state.
    pub async fn sees_bike(&self, it: &Bike, state: BikeState) -> Bike {
        let what = format!("the bike to be {}", state.as_str_name());
        eventually(&what, async || Some(self.bike(it).await).filter(|found| found.state() == state)).await
    }

    /// The bikes that can be rented near a position.
    pub async fn bikes_near(&self, (latitude, longitude): (f64, f64), within_km: i32) -> Vec<NearbyBike> {
        let (latitude, longitude) = (Some(latitude), Some(longitude));
        let request = SearchBikesRequest { latitude, longitude, within_km, ..Default::default() };
        self.send(request).await.unwrap().bikes
    }

    /// Rents a bike.
    pub async fn take(&self, it: &Bike) -> Answer<Ride> {
        let request = RentBikeRequest { bike_id: it.bike_id.clone(), ..Default::default() };
        Ok(self.send(request).await?.ride.unwrap())
    }

    /// Returns the bike of a ride at a random position.
    pub async fn leave(&self, it: &Ride) -> Answer<Ride> {
        self.leave_at(it, somewhere()).await
    }

    /// Returns the bike of a ride at a position.
    pub async fn leave_at(&self, it: &Ride, at: (f64, f64)) -> Answer<Ride> {
        let place = Some(place("Seoul Forest", at));
        let request = ReturnBikeRequest { ride_id: it.ride_id.clone(), place, ..Default::default() };
        Ok(self.send(request).await?.ride.unwrap())
    }

    /// Gets a ride.
    pub async fn ride(&self, it: &Ride) -> Answer<Ride> {
        Ok(self.send(GetRideRequest { ride_id: it.ride_id.clone() }).await?.ride.unwrap())
    }

    /// Waits until the bill of a ride is in the state.
    pub async fn sees_bill(&self, it: &Ride, state: BillState) -> Bill {
        let what = format!("the bill to be {}", state.as_str_name());
        eventually(&what, async || {
            let bills = self.send(ListBillsRequest::default()).await.ok()?.bills;
            let mut of_ride = bills.into_iter().filter(|bill| bill.ride_id == it.ride_id);
            let bill = of_ride.next();
            assert!(of_ride.next().is_none(), "there is one bill for a ride");
            bill.filter(|found| found.state() == state)
        })
        .await
    }

    /// Gets the read model of a ride.
    pub async fn bike_page(&self, it: &Ride) -> Answer<BikeRide> {
        Ok(self.send(GetBikeRideRequest { ride_id: it.ride_id.clone() }).await?.bike_ride.unwrap())
    }

    /// Waits until the read model of a ride shows the bill in this state.
    pub async fn sees_bike_page(&self, it: &Ride, bill: BillState) -> BikeRide {
        let what = format!("the read model to show a bill that is {}", bill.as_str_name());
        eventually(&what, async || self.bike_page(it).await.ok().filter(|page| page.bill_state() == bill)).await
    }
}
