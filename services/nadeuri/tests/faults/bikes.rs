//! Bikes under the same load: riders rent, return and are billed, and record the responses.

use std::cell::{Cell, RefCell};

use contracts::bike::v1::{Bike, BikeState, ListBikesRequest};
use contracts::billing::v1::{Bill, BillState, ListBillsRequest};
use contracts::mypage::v1::{BikeRide, ListBikeRidesRequest};
use contracts::payment::v1::PaymentState;
use contracts::ride::v1::{ListRidesRequest, RentBikeRequest, ReturnBikeRequest, Ride};
use contracts::wallet::v1::{CheckLedgerRequest, GetWalletRequest, TopUpRequest};
use tonic::{Code, Status};

use crate::audit::{Snapshot, all, by_id, ensure};
use crate::load::{seen, think};
use crate::support::client::Client;
use crate::support::cluster::Cluster;
use crate::support::taxis::{place, somewhere};
use crate::support::verbs::won;
use crate::support::{GOOD_CARD, below, new_id, reason};

const RIDERS: usize = 6;
/// Fewer than riders, so that they compete for them.
const BIKES: usize = 4;
/// The amount of a top-up, when the deposit may be too small.
const TOP_UP: i64 = 200;
/// The fee of a ride of less than two minutes.
const FEE: i64 = 100;

/// Riders and their bikes.
pub struct Bikes {
    riders: Vec<Client>,
    bikes: Vec<Bike>,
    /// The finished rides, as the rider's responses show them.
    pub ended: RefCell<Vec<Ride>>,
    /// The number of top-ups of each rider.
    topped_up: RefCell<Vec<usize>>,
}

impl Bikes {
    pub async fn new(cluster: &Cluster) -> Bikes {
        let mut bikes = Vec::new();
        for _ in 0..BIKES {
            bikes.push(cluster.admin().new_bike().await);
        }
        let riders = (0..RIDERS).map(|number| cluster.by(&format!("cyclist{number}"))).collect();
        Bikes { riders, bikes, ended: RefCell::default(), topped_up: RefCell::new(vec![0; RIDERS]) }
    }

    /// The expected number of payments.
    pub fn top_ups(&self) -> usize {
        self.topped_up.borrow().iter().sum()
    }

    /// Runs them until the workload is stopped.
    pub async fn run(&self, stopped: &Cell<bool>) {
        let riders = self.riders.iter().enumerate().map(async |(number, rider)| {
            while !stopped.get() {
                self.ride_once(number, rider).await.unwrap_or_else(|status| panic!("a bike ride: {status:?}"));
                think().await;
            }
        });
        futures::future::join_all(riders).await;
    }

    async fn ride_once(&self, number: usize, rider: &Client) -> Result<(), Status> {
        let bike_id = self.bikes[usize::try_from(below(BIKES as u64)).unwrap()].bike_id.clone();
        let rented = rider.insist(RentBikeRequest { request_id: new_id(), bike_id }).await;
        let ride = match rented {
            Ok(answer) => answer.ride.unwrap(),
            Err(status) if reason(&status) == "BILL_IN_ARREARS" => return self.top_up(number, rider).await,
            // Another rider has it, or the call was so slow that the ride was voided.
            Err(status) if status.code() == Code::FailedPrecondition => return Ok(()),
            Err(status) => return Err(status),
        };
        let place = Some(place("there", somewhere()));
        let request = ReturnBikeRequest { request_id: new_id(), ride_id: ride.ride_id, place, ..Default::default() };
        let ended = rider.insist(request).await?.ride.unwrap();
        self.ended.borrow_mut().push(ended.clone());
        seen("the rider's page shows the bill", async || {
            let newest = ListBikeRidesRequest { page_size: 1, ..Default::default() };
            let page = rider.insist(newest).await.ok()?.bike_rides.pop()?;
            let is_settled = matches!(page.bill_state(), BillState::Closed | BillState::Arrears);
            (page.ride_id == ended.ride_id && is_settled).then_some(())
        })
        .await;
        Ok(())
    }

    async fn top_up(&self, number: usize, rider: &Client) -> Result<(), Status> {
        let (amount, payment_method) = (Some(won(TOP_UP)), GOOD_CARD.to_owned());
        rider.insist(TopUpRequest { request_id: new_id(), amount, payment_method }).await?;
        self.topped_up.borrow_mut()[number] += 1;
        Ok(())
    }
}

/// Every ride is as its rider's last response says, was billed once, and the ledger matches.
pub async fn audit(bikes: &Bikes, snapshot: &Snapshot, admin: &Client) -> Result<(), String> {
    let ended = bikes.ended.borrow().clone();
    let rides = by_id(all!(admin, ListRidesRequest, rides), |ride: &Ride| ride.ride_id.clone())?;
    let bills = by_id(all!(admin, ListBillsRequest, bills), |bill: &Bill| bill.ride_id.clone())?;
    let pages = by_id(all!(admin, ListBikeRidesRequest, bike_rides), |page: &BikeRide| page.ride_id.clone())?;
    let counts = [rides.len(), bills.len(), pages.len()];
    ensure(counts == [ended.len(); 3], || format!("{} bike rides ended, there are {counts:?}", ended.len()))?;
    let mut billed = vec![(0, 0); RIDERS];
    for acknowledged in &ended {
        let (ride, bill, page) =
            (&rides[&acknowledged.ride_id], &bills[&acknowledged.ride_id], &pages[&acknowledged.ride_id]);
        ensure(ride == acknowledged, || format!("{acknowledged:?} became {ride:?}"))?;
        let is_settled = matches!(bill.state(), BillState::Closed | BillState::Arrears);
        ensure(is_settled && bill.fee == Some(won(FEE)), || format!("{acknowledged:?} was billed by {bill:?}"))?;
        ensure(page.bill_state() == bill.state() && page.fee == bill.fee, || format!("{bill:?} is shown as {page:?}"))?;
        let number: usize = acknowledged.customer_id.trim_start_matches("cyclist").parse().unwrap();
        if bill.state() == BillState::Closed { billed[number].0 += FEE } else { billed[number].1 += FEE }
    }
    for (number, (paid, owed)) in billed.into_iter().enumerate() {
        let request = GetWalletRequest { owner_id: format!("cyclist{number}") };
        let wallet = admin.insist(request).await.map_err(|status| format!("{status:?}"))?.wallet.unwrap();
        let deposit = TOP_UP * i64::try_from(bikes.topped_up.borrow()[number]).unwrap() - paid;
        let arrears = (owed > 0).then(|| won(owed));
        ensure(wallet.deposit == Some(won(deposit)) && wallet.arrears == arrears, || {
            format!("{wallet:?} should have {deposit}, and owe {owed}")
        })?;
    }
    let top_ups = snapshot.payments.values().filter(|payment| payment.seller_reference.starts_with("deposit/"));
    let settled = top_ups.filter(|payment| payment.state() == PaymentState::Settled).count();
    ensure(settled == bikes.top_ups(), || {
        format!("{settled} top-ups were paid, {} were acknowledged", bikes.top_ups())
    })?;
    let known = all!(admin, ListBikesRequest, bikes);
    let stuck = known.into_iter().find(|bike: &Bike| bike.state() != BikeState::Available);
    ensure(stuck.is_none(), || format!("{stuck:?} is not available, but has no ride"))?;
    let checked = admin.insist(CheckLedgerRequest {}).await.map_err(|status| format!("{status:?}"))?;
    ensure(checked.findings.is_empty(), || format!("the check of the ledger finds {:?}", checked.findings))
}
