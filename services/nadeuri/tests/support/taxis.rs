//! The requests of customers and drivers of taxis, one method each.

use std::collections::BTreeMap;
use std::sync::Mutex;

use contracts::dispatch::v1::{CancelHailRequest, GetHailRequest, Hail, HailState, HailTaxiRequest};
use contracts::driving::v1::{
    AcceptDriveRequest, CancelDriveRequest, DeclineDriveRequest, Drive, FinishDriveRequest, GetDriveRequest,
    ListOffersRequest, Offer, ReleaseDriveRequest, StartDriveRequest, StartShiftRequest,
};
use contracts::mypage::v1::{GetTaxiRideRequest, TaxiRide};
use contracts::place::v1::Place;
use tonic::Status;

use super::client::Client;
use super::{GOOD_CARD, below, eventually};

type Answer<T> = Result<T, Status>;

/// What customers tell their drivers when they board: the start code of each hail.
static TOLD: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// The start code of a hail that this process made.
pub fn start_code(hail_id: &str) -> String {
    TOLD.lock().unwrap().get(hail_id).cloned().unwrap_or_default()
}

/// A random position far from all others, so that trials don't see each other's offers.
pub fn somewhere() -> (f64, f64) {
    (below(160_000) as f64 / 1_000.0 - 80.0, below(358_000) as f64 / 1_000.0 - 179.0)
}

/// A position this many kilometres north of another.
pub fn north_of((latitude, longitude): (f64, f64), km: f64) -> (f64, f64) {
    (latitude + km / 111.195, longitude)
}

/// A place with this name and position.
pub fn place(name: &str, (latitude, longitude): (f64, f64)) -> Place {
    Place { name: name.to_owned(), latitude: Some(latitude), longitude: Some(longitude) }
}

impl Client {
    /// Hails a taxi from a random position.
    pub async fn hail(&self) -> Hail {
        self.hail_from(somewhere(), GOOD_CARD).await.unwrap()
    }

    /// Hails a taxi from this position, with this payment method.
    pub async fn hail_from(&self, position: (f64, f64), payment_method: &str) -> Answer<Hail> {
        let request = HailTaxiRequest {
            pickup: Some(place("City Hall", position)),
            destination: Some(place("Gimpo Airport", north_of(position, 12.0))),
            payment_method: payment_method.to_owned(),
            ..Default::default()
        };
        let hail = self.send(request).await?.hail.unwrap();
        TOLD.lock().unwrap().insert(hail.hail_id.clone(), hail.start_code.clone());
        Ok(hail)
    }

    /// Starts the driver's shift.
    pub async fn starts_shift(&self) {
        self.send(StartShiftRequest::default()).await.unwrap();
    }

    /// Cancels a hail.
    pub async fn cancel_hail(&self, it: &Hail) -> Answer<Hail> {
        let request = CancelHailRequest { hail_id: it.hail_id.clone(), ..Default::default() };
        Ok(self.send(request).await?.hail.unwrap())
    }

    /// Gets a hail.
    pub async fn hail_of(&self, it: &Hail) -> Answer<Hail> {
        Ok(self.send(GetHailRequest { hail_id: it.hail_id.clone() }).await?.hail.unwrap())
    }

    /// Waits until a hail is in the state.
    pub async fn sees_hail(&self, it: &Hail, state: HailState) -> Hail {
        let what = format!("the hail to be {}", state.as_str_name());
        eventually(&what, async || self.hail_of(it).await.ok().filter(|found| found.state() == state)).await
    }

    /// The offers near a position.
    pub async fn offers(&self, (latitude, longitude): (f64, f64), within_km: i32) -> Vec<Offer> {
        let (latitude, longitude) = (Some(latitude), Some(longitude));
        let request = ListOffersRequest { latitude, longitude, within_km, ..Default::default() };
        self.send(request).await.unwrap().offers
    }

    /// Waits until the hail is offered as a drive.
    pub async fn sees_offer(&self, it: &Hail) -> Drive {
        self.starts_shift().await;
        let pickup = it.pickup.clone().unwrap();
        let position = (pickup.latitude.unwrap(), pickup.longitude.unwrap());
        eventually("the hail is offered", async || {
            let drives = self.offers(position, 0).await.into_iter().filter_map(|offer| offer.drive);
            drives.into_iter().find(|drive| drive.hail_id == it.hail_id)
        })
        .await
    }

    /// Accepts a drive, on duty.
    pub async fn accept(&self, it: &Drive) -> Answer<Drive> {
        self.starts_shift().await;
        let request = AcceptDriveRequest { drive_id: it.drive_id.clone(), ..Default::default() };
        Ok(self.send(request).await?.drive.unwrap())
    }

    /// Declines a drive.
    pub async fn decline(&self, it: &Drive) -> Answer<Drive> {
        let request = DeclineDriveRequest { drive_id: it.drive_id.clone(), ..Default::default() };
        Ok(self.send(request).await?.drive.unwrap())
    }

    /// Releases a drive; staff say why.
    pub async fn release(&self, it: &Drive, reason: &str) -> Answer<Drive> {
        let (drive_id, reason) = (it.drive_id.clone(), reason.to_owned());
        Ok(self.send(ReleaseDriveRequest { drive_id, reason, ..Default::default() }).await?.drive.unwrap())
    }

    /// Cancels a drive; staff say why.
    pub async fn cancel_drive(&self, it: &Drive, reason: &str) -> Answer<Drive> {
        let (drive_id, reason) = (it.drive_id.clone(), reason.to_owned());
        Ok(self.send(CancelDriveRequest { drive_id, reason, ..Default::default() }).await?.drive.unwrap())
    }

    /// Starts a drive, with the code that the customer tells.
    pub async fn depart(&self, it: &Drive) -> Answer<Drive> {
        let (drive_id, start_code) = (it.drive_id.clone(), start_code(&it.hail_id));
        let request = StartDriveRequest { drive_id, start_code, ..Default::default() };
        Ok(self.send(request).await?.drive.unwrap())
    }

    /// Finishes a drive.
    pub async fn arrive(&self, it: &Drive) -> Answer<Drive> {
        let request = FinishDriveRequest { drive_id: it.drive_id.clone(), ..Default::default() };
        Ok(self.send(request).await?.drive.unwrap())
    }

    /// Gets a drive.
    pub async fn drive(&self, it: &Drive) -> Answer<Drive> {
        Ok(self.send(GetDriveRequest { drive_id: it.drive_id.clone() }).await?.drive.unwrap())
    }

    /// Waits until a drive satisfies `is_so`.
    pub async fn sees_drive(&self, it: &Drive, what: &str, is_so: impl Fn(&Drive) -> bool) -> Drive {
        eventually(what, async || self.drive(it).await.ok().filter(&is_so)).await
    }

    /// Gets the read model of a ride.
    pub async fn ride_page(&self, it: &Hail) -> Answer<TaxiRide> {
        Ok(self.send(GetTaxiRideRequest { hail_id: it.hail_id.clone() }).await?.taxi_ride.unwrap())
    }

    /// Waits until the read model of a ride satisfies `is_so`.
    pub async fn sees_ride_page(&self, it: &Hail, what: &str, is_so: impl Fn(&TaxiRide) -> bool) -> TaxiRide {
        eventually(what, async || self.ride_page(it).await.ok().filter(&is_so)).await
    }
}
