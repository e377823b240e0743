//! Customers who ride bikes, managers who look after them, and an office that registers and writes off.

use contracts::bike::v1::{Bike, BikeState, ListBikesRequest, RegisterBikeRequest, RemoveBikeRequest};
use contracts::money::v1::Money;
use contracts::payment::v1::{CancelPaymentRequest, ChargePaymentRequest, ListPaymentsRequest};
use contracts::place::v1::Place;
use contracts::ride::v1::{RentBikeRequest, ReturnBikeRequest, Ride};
use contracts::upkeep::v1::ReportBikeRequest;
use contracts::wallet::v1::{ConvertPointsRequest, TopUpRequest};
use tokio::task::JoinHandle;

use super::Person;

/// Bikes of a run, at first.
const BIKES: u128 = 3;
/// Bikes that are lost, most of them under their riders; at most.
const LOST: u128 = 4;
/// Customers of a run.
const RIDERS: u64 = 3;
/// Managers of a run.
const MANAGERS: u64 = 2;
/// Things that each of them tries.
const DEEDS: u64 = 8;

fn rider_name(number: u64) -> String {
    format!("cyclist-{number}")
}

fn keeper_name(number: u64) -> String {
    format!("keeper-{number}")
}

/// Those who have wallets.
pub fn names() -> impl Iterator<Item = String> {
    (0..RIDERS).map(rider_name).chain((0..MANAGERS).map(keeper_name))
}

/// Riders, managers and the office begin.
pub fn arrive(person: impl Fn(String, &'static str) -> Person) -> Vec<JoinHandle<()>> {
    let office = person("admin".to_owned(), "admin");
    let rider = |number: u64| {
        let me = person(rider_name(number), "customer");
        tokio::spawn(Rider { me, rides: Vec::new() }.live())
    };
    let manager = |number: u64| tokio::spawn(look_after(person(keeper_name(number), "manager")));
    let people = (0..RIDERS).map(rider).chain((0..MANAGERS).map(manager));
    people.chain([tokio::spawn(run_the_office(office))]).collect()
}

fn place(name: &str, north: u64) -> Place {
    Place { name: name.to_owned(), latitude: Some(37.5 + north as f64 / 1_000.0), longitude: Some(127.0) }
}

/// The bikes that there are, in any state.
async fn bikes(me: &Person) -> Vec<Bike> {
    me.call(ListBikesRequest::default()).await.map(|answer| answer.bikes).unwrap_or_default()
}

async fn register(me: &Person, number: u128) {
    let request = RegisterBikeRequest {
        name: format!("S-{number}"),
        place: Some(place("the rack", 0)),
        battery_percent: Some(100),
        ..Default::default()
    };
    me.insist(request, 0xb1ce_0000 + number).await;
}

async fn run_the_office(me: Person) {
    for number in 0..BIKES {
        register(&me, number).await;
    }
    for number in BIKES..BIKES + LOST {
        me.pause(12_000).await;
        let known = bikes(&me).await;
        let ridden: Vec<&Bike> = known.iter().filter(|bike| bike.state() == BikeState::InUse).collect();
        let lost = ridden.first().copied().or_else(|| known.first().filter(|_| me.chance.pick(0..3) == 0));
        let Some(bike_id) = lost.map(|bike| bike.bike_id.clone()) else { continue };
        let request = RemoveBikeRequest { bike_id, written_off: true, ..Default::default() };
        if let Some(bike) = me.ask(request).await.and_then(|answer| answer.bike) {
            me.promised(move |seen| seen.bikes.is_gone(&bike.bike_id));
            register(&me, number).await;
        }
    }
}

struct Rider {
    me: Person,
    rides: Vec<Ride>,
}

impl Rider {
    async fn live(mut self) {
        for _ in 0..DEEDS {
            self.me.pause(6_000).await;
            match self.me.chance.pick(0..9) {
                0..=3 => self.rent().await,
                4..=6 if !self.rides.is_empty() => self.bring_back().await,
                7 => self.get_out().await,
                _ => self.top_up().await,
            }
        }
        // Most bring back what they ride, in the end.
        while !self.rides.is_empty() && self.me.chance.pick(0..5) > 0 {
            self.bring_back().await;
        }
    }

    async fn rent(&mut self) {
        let known = bikes(&self.me).await;
        if known.is_empty() {
            return;
        }
        let bike_id = self.me.pick(&known).bike_id.clone();
        if self.me.chance.pick(0..5) == 0 {
            return self.me.walk_away_from(RentBikeRequest { bike_id, ..Default::default() }).await;
        }
        let rented = self.me.ask(RentBikeRequest { bike_id, ..Default::default() }).await;
        let Some(ride) = rented.and_then(|answer| answer.ride) else { return };
        let promised = ride.clone();
        self.me.promised(move |seen| seen.bikes.keeps(&promised));
        self.rides.push(ride);
    }

    async fn bring_back(&mut self) {
        let ride = self.rides.remove(self.me.chance.pick(0..self.rides.len() as u64) as usize);
        let place = Some(place("the other rack", self.me.chance.pick(1..20)));
        let request = ReturnBikeRequest { ride_id: ride.ride_id, place, ..Default::default() };
        let Some(ride) = self.me.ask(request).await.and_then(|answer| answer.ride) else { return };
        self.me.promised(move |seen| seen.bikes.keeps(&ride));
    }

    async fn top_up(&self) {
        let methods = ["sandbox-approve", "sandbox-approve", "sandbox-approve", "sandbox-decline"];
        let amount_minor = 50 + 50 * self.me.chance.pick(0..6) as i64;
        let request = TopUpRequest {
            amount: Some(Money { currency_code: "KRW".to_owned(), amount_minor }),
            payment_method: (*self.me.pick(&methods)).to_owned(),
            ..Default::default()
        };
        if self.me.ask(request).await.is_some() {
            let owner = self.me.name.clone();
            self.me.promised(move |seen| seen.bikes.was_topped_up(&owner, amount_minor));
        }
    }

    /// Tries to have back what was paid into the deposit, or pays what was declined.
    async fn get_out(&self) {
        let Ok(listed) = self.me.call(ListPaymentsRequest::default()).await else { return };
        let Some(payment) = listed.payments.last() else { return };
        let payment_id = payment.payment_id.clone();
        if self.me.chance.pick(0..2) == 0 {
            self.me.ask(CancelPaymentRequest { payment_id, ..Default::default() }).await;
        } else {
            let payment_method = "sandbox-approve".to_owned();
            self.me.ask(ChargePaymentRequest { payment_id, payment_method, ..Default::default() }).await;
        }
    }
}

async fn look_after(me: Person) {
    for _ in 0..DEEDS {
        me.pause(6_000).await;
        if me.chance.pick(0..3) == 0 {
            convert(&me).await;
            continue;
        }
        let known = bikes(&me).await;
        if known.is_empty() {
            continue;
        }
        let bike = me.pick(&known);
        // What is broken is mended, so that there is something to ride.
        let usable = bike.state() == BikeState::OutOfOrder || me.chance.pick(0..4) > 0;
        let battery_percent = me.chance.pick(0..101) as i32;
        let request = ReportBikeRequest {
            bike_id: bike.bike_id.clone(),
            battery_percent: Some(battery_percent),
            usable: Some(usable),
            ..Default::default()
        };
        let Some(report) = me.ask(request).await.and_then(|answer| answer.report) else { continue };
        me.promised(move |seen| seen.bikes.keeps_report(&report));
    }
}

async fn convert(me: &Person) {
    let points = 500 * (1 + me.chance.pick(0..3) as i64);
    if me.ask(ConvertPointsRequest { points, ..Default::default() }).await.is_some() {
        let owner = me.name.clone();
        me.promised(move |seen| seen.bikes.was_converted(&owner, points));
    }
}
