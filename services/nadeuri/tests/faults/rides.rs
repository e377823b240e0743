//! Taxis under the same load: each driver serves one customer and records the rides.

use std::cell::{Cell, RefCell};

use contracts::dispatch::v1::{HailState, HailTaxiRequest, ListHailsRequest};
use contracts::driving::v1::{
    AcceptDriveRequest, Drive, DriveState, FareState, FinishDriveRequest, ListDrivesRequest, ListOffersRequest,
    StartDriveRequest, StartShiftRequest,
};
use contracts::mypage::v1::ListTaxiRidesRequest;
use contracts::payment::v1::PaymentState;
use tonic::Status;

use crate::audit::{Snapshot, all, by_id, ensure};
use crate::load::{seen, think};
use crate::support::client::Client;
use crate::support::cluster::Cluster;
use crate::support::taxis::{place, somewhere};
use crate::support::{GOOD_CARD, new_id};

const PAIRS: u64 = 6;

/// Customers and their drivers.
pub struct Rides {
    pairs: Vec<(Client, Client)>,
    /// The finished rides, as the driver's responses show them.
    pub ended: RefCell<Vec<Drive>>,
}

impl Rides {
    pub fn new(cluster: &Cluster) -> Rides {
        let pair = |number| (cluster.by(&format!("rider{number}")), cluster.driver(&format!("driver{number}")));
        Rides { pairs: (0..PAIRS).map(pair).collect(), ended: RefCell::default() }
    }

    /// Runs them until the workload is stopped.
    pub async fn run(&self, stopped: &Cell<bool>) {
        let pairs = self.pairs.iter().map(async |(rider, driver)| {
            while !stopped.get() {
                let drive = ride(rider, driver).await.unwrap_or_else(|status| panic!("a ride: {status:?}"));
                self.ended.borrow_mut().push(drive);
                think().await;
            }
        });
        futures::future::join_all(pairs).await;
    }
}

async fn ride(rider: &Client, driver: &Client) -> Result<Drive, Status> {
    let position = somewhere();
    let request = HailTaxiRequest {
        request_id: new_id(),
        pickup: Some(place("here", position)),
        destination: Some(place("there", position)),
        payment_method: GOOD_CARD.to_owned(),
    };
    driver.insist(StartShiftRequest { request_id: new_id() }).await?;
    // The ride before is open until `dispatch` hears of its end.
    let hail = seen("the customer may hail", async || rider.insist(request.clone()).await.ok()?.hail).await;
    // This needs an event, which may wait until a killed server is back.
    let offer = seen("the hail is offered", async || {
        let (latitude, longitude) = (Some(position.0), Some(position.1));
        let request = ListOffersRequest { latitude, longitude, within_km: 1, ..Default::default() };
        let offers = driver.insist(request).await.ok()?.offers;
        offers.into_iter().filter_map(|offer| offer.drive).find(|drive| drive.hail_id == hail.hail_id)
    });
    let drive_id = offer.await.drive_id;
    driver.insist(AcceptDriveRequest { request_id: new_id(), drive_id: drive_id.clone() }).await?;
    let (request_id, start_code) = (new_id(), hail.start_code);
    let start = StartDriveRequest { request_id, drive_id: drive_id.clone(), start_code, ..Default::default() };
    driver.insist(start).await?;
    let finish = FinishDriveRequest { request_id: new_id(), drive_id, ..Default::default() };
    Ok(driver.insist(finish).await?.drive.unwrap())
}

/// Every ride is as its driver's last response says, is the same in all contexts, and was paid once.
pub async fn audit(rides: &Rides, snapshot: &Snapshot, admin: &Client) -> Result<(), String> {
    let ended = rides.ended.borrow().clone();
    let hails = all!(admin, ListHailsRequest, hails);
    let hails = by_id(hails, |hail: &contracts::dispatch::v1::Hail| hail.hail_id.clone())?;
    let drives = by_id(all!(admin, ListDrivesRequest, drives), |drive: &Drive| drive.hail_id.clone())?;
    let pages = all!(admin, ListTaxiRidesRequest, taxi_rides);
    let pages = by_id(pages, |page: &contracts::mypage::v1::TaxiRide| page.hail_id.clone())?;
    let counts = [hails.len(), drives.len(), pages.len()];
    ensure(counts == [ended.len(); 3], || format!("{} rides ended, there are {counts:?}", ended.len()))?;
    for acknowledged in &ended {
        let (hail, drive, page) =
            (&hails[&acknowledged.hail_id], &drives[&acknowledged.hail_id], &pages[&acknowledged.hail_id]);
        let is_same = (&drive.fare, &drive.driver_id, &drive.finish_time)
            == (&acknowledged.fare, &acknowledged.driver_id, &acknowledged.finish_time);
        ensure(is_same && drive.fare_state() == FareState::Paid, || format!("{acknowledged:?} became {drive:?}"))?;
        ensure(hail.state() == HailState::Finished, || format!("{hail:?} is not finished"))?;
        let payment = snapshot
            .payments
            .get(&acknowledged.hail_id)
            .ok_or_else(|| format!("{acknowledged:?} was never charged"))?;
        let is_paid = payment.state() == PaymentState::Settled && payment.amount == acknowledged.fare;
        ensure(is_paid, || format!("{acknowledged:?} was paid by {payment:?}"))?;
        let shows = (page.drive_state(), page.payment_state(), &page.fare, &page.payment_id);
        let is = (DriveState::Finished, PaymentState::Settled, &acknowledged.fare, &payment.payment_id);
        ensure(shows == is, || format!("{acknowledged:?} is shown as {page:?}"))?;
    }
    Ok(())
}
