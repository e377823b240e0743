//! Customers who hail taxis, and drivers who take them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use contracts::dispatch::v1::{CancelHailRequest, Hail, HailTaxiRequest};
use contracts::driving::v1::{
    AcceptDriveRequest, CollectFareRequest, DeclineDriveRequest, Drive, DriveState, FareState, FinishDriveRequest,
    ListOffersRequest, StartDriveRequest,
};
use contracts::payment::v1::{CancelPaymentRequest, ChargePaymentRequest, ListPaymentsRequest};
use contracts::place::v1::Place;
use tokio::task::JoinHandle;

use super::Person;
use crate::invariants::taxis::Lasts;

/// Customers of a run.
const CUSTOMERS: u64 = 3;
/// Drivers of a run.
const DRIVERS: u64 = 2;
/// Things that each of them tries.
const DEEDS: u64 = 6;

/// Customers and drivers begin.
pub fn arrive(person: impl Fn(String, &'static str) -> Person) -> Vec<JoinHandle<()>> {
    let customer = |number: u64| {
        let me = person(format!("rider-{number}"), "customer");
        tokio::spawn(Customer { me, hails: Vec::new() }.live())
    };
    let driver = |number: u64| {
        let me = person(format!("driver-{number}"), "driver");
        tokio::spawn(Driver { me, drives: Mutex::default() }.live())
    };
    (0..CUSTOMERS).map(customer).chain((0..DRIVERS).map(driver)).collect()
}

struct Customer {
    me: Person,
    hails: Vec<Hail>,
}

impl Customer {
    async fn live(mut self) {
        for _ in 0..DEEDS {
            self.me.pause(4_000).await;
            match self.me.chance.pick(0..8) {
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
        let method = if self.me.chance.pick(0..5) == 0 { "sandbox-decline" } else { "sandbox-approve" };
        let request = HailTaxiRequest {
            pickup: Some(place("home", self.me.chance.pick(0..20))),
            destination: Some(place("away", 100)),
            payment_method: method.to_owned(),
            ..Default::default()
        };
        let Some(hail) = self.me.ask(request).await.and_then(|answer| answer.hail) else { return };
        self.promised(&hail, Lasts::Known);
        self.hails.push(hail);
    }

    async fn cancel(&self, hail: &Hail) {
        let request = CancelHailRequest { hail_id: hail.hail_id.clone(), ..Default::default() };
        if self.me.ask(request).await.is_some() {
            self.promised(hail, Lasts::CancelledOrTold);
        }
    }

    /// Pays what a declined card left open, or tries to get out of paying.
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

    fn promised(&self, hail: &Hail, lasts: Lasts) {
        let hail = hail.clone();
        self.me.promised(move |seen| seen.taxis.keeps_hail(&hail, lasts));
    }
}

struct Driver {
    me: Person,
    drives: Mutex<BTreeMap<String, Drive>>,
}

impl Driver {
    async fn live(self) {
        for _ in 0..DEEDS {
            self.me.pause(4_000).await;
            self.look_for_work().await;
            self.drive_on().await;
        }
        // Nobody is left standing.
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
        if self.me.chance.pick(0..6) == 0 {
            self.me.ask(DeclineDriveRequest { drive_id, ..Default::default() }).await;
            return;
        }
        let accepted = self.me.ask(AcceptDriveRequest { drive_id, ..Default::default() }).await;
        self.keep(accepted.and_then(|answer| answer.drive));
    }

    /// Does the next thing with each drive of one's own.
    async fn drive_on(&self) {
        let own: Vec<Drive> = self.drives.lock().expect("one thread").values().cloned().collect();
        for drive in own {
            let drive_id = drive.drive_id.clone();
            let state = (drive.state(), drive.fare_state());
            let changed = match state {
                (DriveState::Accepted, _) => {
                    let started = self.me.ask(StartDriveRequest { drive_id, ..Default::default() }).await;
                    started.and_then(|answer| answer.drive)
                }
                (DriveState::Started, _) => {
                    let finished = self.me.ask(FinishDriveRequest { drive_id, ..Default::default() }).await;
                    finished.and_then(|answer| answer.drive)
                }
                // Somebody at the office looks after what could not be charged.
                (_, FareState::Due) if self.me.chance.pick(0..2) == 0 => {
                    let request = CollectFareRequest { drive_id, ..Default::default() };
                    self.me.serving_as("admin").ask(request).await.and_then(|answer| answer.drive)
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
