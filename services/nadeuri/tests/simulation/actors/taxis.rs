//! Customers who hail taxis, and drivers who accept the requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use contracts::dispatch::v1::{CancelHailRequest, Hail, HailTaxiRequest};
use contracts::driving::v1::{
    AcceptDriveRequest, CollectFareRequest, DeclineDriveRequest, Drive, DriveState, FareState, FinishDriveRequest,
    ListOffersRequest, ReleaseDriveRequest, StartDriveRequest, StartShiftRequest,
};
use contracts::payment::v1::{CancelPaymentRequest, ChargePaymentRequest, ListPaymentsRequest};
use contracts::place::v1::Place;
use tokio::task::JoinHandle;

use super::Actor;
use crate::invariants::taxis::Guarantee;

/// The number of customers.
const CUSTOMERS: u64 = 3;
/// The number of drivers.
const DRIVERS: u64 = 2;
/// The number of requests of each actor.
const STEPS: u64 = 6;

/// Starts the customers and drivers.
pub fn spawn(actor: impl Fn(String, &'static str) -> Actor) -> Vec<JoinHandle<()>> {
    let told = Told::default();
    let customer = |number: u64| {
        let me = actor(format!("rider-{number}"), "customer");
        tokio::spawn(Customer { me, hails: Vec::new(), told: told.clone() }.run())
    };
    let driver = |number: u64| {
        let me = actor(format!("driver-{number}"), "driver");
        tokio::spawn(Driver { me, drives: Mutex::default(), told: told.clone() }.run())
    };
    (0..CUSTOMERS).map(customer).chain((0..DRIVERS).map(driver)).collect()
}

struct Customer {
    me: Actor,
    hails: Vec<Hail>,
    told: Told,
}

/// The start codes that customers tell their drivers, by hail.
type Told = Arc<Mutex<BTreeMap<String, String>>>;

impl Customer {
    async fn run(mut self) {
        for _ in 0..STEPS {
            self.me.pause(4_000).await;
            match self.me.random.pick(0..8) {
                0..=3 => self.hail().await,
                _ if self.hails.is_empty() => self.hail().await,
                4 | 5 => self.cancel(self.me.pick(&self.hails)).await,
                6 => self.pay(self.me.pick(&self.hails), false).await,
                _ => self.pay(self.me.pick(&self.hails), true).await,
            }
        }
    }

    async fn hail(&mut self) {
        let place = |name: &str, north: u64| Place {
            name: name.to_owned(),
            latitude: Some(37.5 + north as f64 / 1_000.0),
            longitude: Some(127.0),
        };
        let method = if self.me.random.pick(0..5) == 0 { "sandbox-decline" } else { "sandbox-approve" };
        let request = HailTaxiRequest {
            pickup: Some(place("home", self.me.random.pick(0..20))),
            destination: Some(place("away", 100)),
            payment_method: method.to_owned(),
            ..Default::default()
        };
        let Some(hail) = self.me.ask(request).await.and_then(|answer| answer.hail) else { return };
        self.told.lock().expect("one thread").insert(hail.hail_id.clone(), hail.start_code.clone());
        self.promised(&hail, Guarantee::Known);
        self.hails.push(hail);
    }

    async fn cancel(&self, hail: &Hail) {
        let request = CancelHailRequest { hail_id: hail.hail_id.clone(), ..Default::default() };
        if self.me.ask(request).await.is_some() {
            self.promised(hail, Guarantee::CancelledOrRefused);
        }
    }

    /// Pays a declined fare, or tries to cancel the payment.
    async fn pay(&self, hail: &Hail, cancels: bool) {
        let request = ListPaymentsRequest { purchase_id: hail.hail_id.clone(), ..Default::default() };
        let listed = self.me.call(request).await;
        let Some(payment) = listed.ok().and_then(|mut listed| listed.payments.pop()) else { return };
        let payment_id = payment.payment_id;
        if cancels {
            self.me.ask(CancelPaymentRequest { payment_id, ..Default::default() }).await;
        } else {
            let payment_method = "sandbox-approve".to_owned();
            self.me.ask(ChargePaymentRequest { payment_id, payment_method, ..Default::default() }).await;
        }
    }

    fn promised(&self, hail: &Hail, guarantee: Guarantee) {
        let hail = hail.clone();
        self.me.promised(move |seen| seen.taxis.keeps_hail(&hail, guarantee));
    }
}

struct Driver {
    me: Actor,
    drives: Mutex<BTreeMap<String, Drive>>,
    told: Told,
}

impl Driver {
    async fn run(self) {
        self.me.ask(StartShiftRequest::default()).await;
        for _ in 0..STEPS {
            self.me.pause(4_000).await;
            self.look_for_work().await;
            self.drive_on().await;
        }
        // Finish the drives that have started.
        self.drive_on().await;
        self.drive_on().await;
    }

    async fn look_for_work(&self) {
        let (latitude, longitude) = (Some(37.5), Some(127.0));
        let Ok(offers) = self.me.call(ListOffersRequest { latitude, longitude, ..Default::default() }).await else {
            return;
        };
        let Some(drive) = offers.offers.into_iter().find_map(|offer| offer.drive) else { return };
        let drive_id = drive.drive_id;
        if self.me.random.pick(0..6) == 0 {
            self.me.ask(DeclineDriveRequest { drive_id, ..Default::default() }).await;
            return;
        }
        let accepted = self.me.ask(AcceptDriveRequest { drive_id, ..Default::default() }).await;
        self.keep(accepted.and_then(|answer| answer.drive));
    }

    /// Executes the next step of each own drive.
    async fn drive_on(&self) {
        let own: Vec<Drive> = self.drives.lock().expect("one thread").values().cloned().collect();
        for drive in own {
            let drive_id = drive.drive_id.clone();
            let state = (drive.state(), drive.fare_state());
            let changed = match state {
                (DriveState::Accepted, _) if self.me.random.pick(0..6) == 0 => {
                    let (me, reason) = match self.me.random.pick(0..2) {
                        0 => (self.me.clone(), String::new()),
                        _ => (self.me.with_role("taxi_staff"), "the driver is ill".to_owned()),
                    };
                    self.drives.lock().expect("one thread").remove(&drive.drive_id);
                    me.ask(ReleaseDriveRequest { drive_id, reason, ..Default::default() }).await;
                    None
                }
                (DriveState::Accepted, _) => {
                    let start_code = self.told.lock().expect("one thread").get(&drive.hail_id).cloned();
                    let start_code = start_code.unwrap_or_default();
                    let started = self.me.ask(StartDriveRequest { drive_id, start_code, ..Default::default() }).await;
                    started.and_then(|answer| answer.drive)
                }
                (DriveState::Started, _) if self.me.random.pick(0..8) == 0 => {
                    let reason = "the driver's phone is broken".to_owned();
                    let finish = FinishDriveRequest { drive_id, reason, ..Default::default() };
                    self.me.with_role("taxi_staff").ask(finish).await.and_then(|answer| answer.drive)
                }
                (DriveState::Started, _) => {
                    let finished = self.me.ask(FinishDriveRequest { drive_id, ..Default::default() }).await;
                    finished.and_then(|answer| answer.drive)
                }
                // An admin collects a fare that could not be charged.
                (_, FareState::Due) if self.me.random.pick(0..2) == 0 => {
                    let request = CollectFareRequest { drive_id, ..Default::default() };
                    self.me.with_role("admin").ask(request).await.and_then(|answer| answer.drive)
                }
                _ => None,
            };
            self.keep(changed);
        }
    }

    fn keep(&self, drive: Option<Drive>) {
        let Some(drive) = drive else { return };
        self.drives.lock().expect("one thread").insert(drive.drive_id.clone(), drive.clone());
        let driver = self.me.name.clone();
        self.me.promised(move |seen| seen.taxis.keeps_drive(&driver, &drive));
    }
}
