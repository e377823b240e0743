//! Customers who rent bikes, managers who report on them, and an admin who registers them and writes them off.

use contracts::bike::v1::{
    Bike, BikeState, ListBikesRequest, RegisterBikeRequest, RemoveBikeRequest, TransferBikeRequest,
};
use contracts::money::v1::Money;
use contracts::payment::v1::{CancelPaymentRequest, ChargePaymentRequest, ListPaymentsRequest};
use contracts::place::v1::Place;
use contracts::ride::v1::{RentBikeRequest, ReturnBikeRequest, Ride};
use contracts::upkeep::v1::ReportBikeRequest;
use contracts::wallet::v1::{ConvertPointsRequest, TopUpRequest};
use tokio::task::JoinHandle;

use super::Actor;

/// The number of bikes at the start.
const BIKES: u128 = 3;
/// The maximum number of bikes that are written off, most of them during a ride.
const WRITTEN_OFF: u128 = 4;
/// The number of customers.
const RIDERS: u64 = 3;
/// The number of managers.
const MANAGERS: u64 = 2;
/// The number of requests of each actor.
const STEPS: u64 = 8;

fn rider_name(number: u64) -> String {
    format!("cyclist-{number}")
}

fn manager_name(number: u64) -> String {
    format!("keeper-{number}")
}

/// The actors who have a wallet.
pub fn names() -> impl Iterator<Item = String> {
    (0..RIDERS).map(rider_name).chain((0..MANAGERS).map(manager_name))
}

/// Starts the riders, the managers and the admin.
pub fn spawn(actor: impl Fn(String, &'static str) -> Actor) -> Vec<JoinHandle<()>> {
    let admin = actor("admin".to_owned(), "admin");
    let rider = |number: u64| {
        let me = actor(rider_name(number), "customer");
        tokio::spawn(Rider { me, rides: Vec::new() }.run())
    };
    let manager = |number: u64| tokio::spawn(report_bikes(actor(manager_name(number), "bike_staff")));
    let actors = (0..RIDERS).map(rider).chain((0..MANAGERS).map(manager));
    actors.chain([tokio::spawn(run_admin(admin))]).collect()
}

fn place(name: &str, north: u64) -> Place {
    Place { name: name.to_owned(), latitude: Some(37.5 + north as f64 / 1_000.0), longitude: Some(127.0) }
}

/// All bikes, in any state.
async fn bikes(me: &Actor) -> Vec<Bike> {
    me.call(ListBikesRequest::default()).await.map(|answer| answer.bikes).unwrap_or_default()
}

async fn register(me: &Actor, number: u128) {
    let request = RegisterBikeRequest {
        name: format!("S-{number}"),
        place: Some(place("the rack", 0)),
        battery_percent: Some(100),
        ..Default::default()
    };
    let bike = me.insist(request, 0xb1ce_0000 + number).await.bike;
    let (bike_id, owner_id) = (bike.unwrap_or_default().bike_id, "sol".to_owned());
    let transfer = TransferBikeRequest { bike_id, owner_id, ..Default::default() };
    me.insist(transfer, 0xb1ce_1000 + number).await;
}

async fn run_admin(me: Actor) {
    for number in 0..BIKES {
        register(&me, number).await;
    }
    for number in BIKES..BIKES + WRITTEN_OFF {
        me.pause(12_000).await;
        let known = bikes(&me).await;
        let ridden: Vec<&Bike> = known.iter().filter(|bike| bike.state() == BikeState::InUse).collect();
        let target = ridden.first().copied().or_else(|| known.first().filter(|_| me.random.pick(0..3) == 0));
        let Some(bike_id) = target.map(|bike| bike.bike_id.clone()) else { continue };
        let request = RemoveBikeRequest { bike_id, written_off: true, ..Default::default() };
        if let Some(bike) = me.ask(request).await.and_then(|answer| answer.bike) {
            me.promised(move |seen| seen.bikes.is_gone(&bike.bike_id));
            register(&me, number).await;
        }
    }
}

struct Rider {
    me: Actor,
    rides: Vec<Ride>,
}

impl Rider {
    async fn run(mut self) {
        for _ in 0..STEPS {
            self.me.pause(6_000).await;
            match self.me.random.pick(0..9) {
                0..=3 => self.rent().await,
                4..=6 if !self.rides.is_empty() => self.bring_back().await,
                7 => self.cancel_or_pay().await,
                _ => self.top_up().await,
            }
        }
        // Most bikes are returned at the end.
        while !self.rides.is_empty() && self.me.random.pick(0..5) > 0 {
            self.bring_back().await;
        }
    }

    async fn rent(&mut self) {
        let known = bikes(&self.me).await;
        if known.is_empty() {
            return;
        }
        let bike_id = self.me.pick(&known).bike_id.clone();
        if self.me.random.pick(0..5) == 0 {
            return self.me.call_and_cancel(RentBikeRequest { bike_id, ..Default::default() }).await;
        }
        let rented = self.me.ask(RentBikeRequest { bike_id, ..Default::default() }).await;
        let Some(ride) = rented.and_then(|answer| answer.ride) else { return };
        let promised = ride.clone();
        self.me.promised(move |seen| seen.bikes.keeps(&promised));
        self.rides.push(ride);
    }

    async fn bring_back(&mut self) {
        let ride = self.rides.remove(self.me.random.pick(0..self.rides.len() as u64) as usize);
        let place = Some(place("the other rack", self.me.random.pick(1..20)));
        let request = ReturnBikeRequest { ride_id: ride.ride_id, place, ..Default::default() };
        let Some(ride) = self.me.ask(request).await.and_then(|answer| answer.ride) else { return };
        self.me.promised(move |seen| seen.bikes.keeps(&ride));
    }

    async fn top_up(&self) {
        let methods = ["sandbox-approve", "sandbox-approve", "sandbox-approve", "sandbox-decline"];
        let amount_minor = 50 + 50 * self.me.random.pick(0..6) as i64;
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

    /// Tries to cancel the payment of a top-up, or pays a declined one.
    async fn cancel_or_pay(&self) {
        let Ok(listed) = self.me.call(ListPaymentsRequest::default()).await else { return };
        let Some(payment) = listed.payments.last() else { return };
        let payment_id = payment.payment_id.clone();
        if self.me.random.pick(0..2) == 0 {
            self.me.ask(CancelPaymentRequest { payment_id, ..Default::default() }).await;
        } else {
            let payment_method = "sandbox-approve".to_owned();
            self.me.ask(ChargePaymentRequest { payment_id, payment_method, ..Default::default() }).await;
        }
    }
}

async fn report_bikes(me: Actor) {
    for _ in 0..STEPS {
        me.pause(6_000).await;
        if me.random.pick(0..3) == 0 {
            convert(&me).await;
            continue;
        }
        let known = bikes(&me).await;
        if known.is_empty() {
            continue;
        }
        let bike = me.pick(&known);
        // A broken bike is repaired, so that bikes stay available.
        let usable = bike.state() == BikeState::OutOfOrder || me.random.pick(0..4) > 0;
        let battery_percent = me.random.pick(0..101) as i32;
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

async fn convert(me: &Actor) {
    let points = 500 * (1 + me.random.pick(0..3) as i64);
    if me.ask(ConvertPointsRequest { points, ..Default::default() }).await.is_some() {
        let owner = me.name.clone();
        me.promised(move |seen| seen.bikes.was_converted(&owner, points));
    }
}
