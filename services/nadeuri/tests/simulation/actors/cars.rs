//! Customers who rent cars.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use contracts::fleet::v1::{Car, RegisterCarRequest, RemoveCarRequest};
use contracts::money::v1::Money;
use contracts::payment::v1::{CancelPaymentRequest, ChargePaymentRequest, ListPaymentsRequest};
use contracts::period::v1::Period;
use contracts::place::v1::Place;
use contracts::rental::v1::{
    CancelReservationRequest, RateRentalRequest, RentCarRequest, Reservation, ReserveCarRequest, ReturnCarRequest,
};
use tokio::task::JoinHandle;

use super::Person;
use crate::invariants::cars::Lasts;

/// Customers of a run.
const CUSTOMERS: u64 = 4;
/// Cars that they compete for.
const CARS: u64 = 2;
/// Things that each of them tries.
const DEEDS: u64 = 9;

/// Cars are registered, and customers begin.
pub fn arrive(person: impl Fn(String, &'static str) -> Person) -> Vec<JoinHandle<()>> {
    let start = |number: u64| {
        let me = person(format!("customer-{number}"), "customer");
        tokio::spawn(Customer { me, reservations: Mutex::default() }.live())
    };
    (0..CUSTOMERS).map(start).collect()
}

struct Customer {
    me: Person,
    reservations: Mutex<BTreeMap<String, Reservation>>,
}

impl Customer {
    async fn live(self) {
        let cars = self.cars().await;
        for _ in 0..DEEDS {
            self.me.pause(4_000).await;
            let known: Vec<Reservation> = self.reservations.lock().expect("one thread").values().cloned().collect();
            let deed = self.me.chance.pick(0..14);
            if known.is_empty() || deed < 2 {
                let car = self.me.pick(&cars);
                self.reserve(car).await;
            } else {
                self.deed(deed, self.me.pick(&known)).await;
            }
        }
    }

    async fn deed(&self, deed: u64, reservation: &Reservation) {
        let id = &reservation.reservation_id;
        match deed {
            2..=5 => self.rent(id).await,
            6 => self.cancel(id).await,
            7 => {
                self.bring_back(id).await;
                self.rate(id).await;
            }
            8 | 9 => self.through_payment(id, deed == 8).await,
            // In two minds: `payment` knows that it is paid, and `rental` not yet.
            10 => {
                self.through_payment(id, false).await;
                self.cancel(id).await;
            }
            // With two devices at once.
            11 => {
                let later = async {
                    self.me.pause(200).await;
                    self.cancel(id).await;
                };
                tokio::join!(self.rent(id), later);
            }
            // Wants the money back, and brings the car back before `rental` hears of it.
            12 => {
                self.through_payment(id, true).await;
                self.bring_back(id).await;
            }
            _ if self.me.chance.pick(0..4) == 0 => {
                let request = RemoveCarRequest { car_id: reservation.car_id.clone(), ..Default::default() };
                self.me.serving_as("admin").ask(request).await;
            }
            _ => {}
        }
    }

    /// The cars, registered by whoever is first; the request ids make them the same for all.
    async fn cars(&self) -> Vec<String> {
        let mut cars = Vec::new();
        for number in 0..CARS {
            let car = Car {
                model: format!("car {number}"),
                place: Some(Place { name: "harness".to_owned(), ..Place::default() }),
                daily_rate: Some(Money { currency_code: "KRW".to_owned(), amount_minor: 10_000 }),
                ..Car::default()
            };
            let request = RegisterCarRequest { car: Some(car), ..Default::default() };
            let registered = self.me.serving_as("admin").insist(request, u128::from(number) + 1).await;
            cars.extend(registered.car.map(|car| car.car_id));
        }
        cars
    }

    async fn reserve(&self, car: &str) {
        let hour = |hours: u64| (self.me.runtime.now() + Duration::from_secs(3_600 * hours)).to_proto();
        let start = 1 + self.me.chance.pick(0..5) * 24;
        let end = start + 24 * self.me.chance.pick(1..3);
        let period = Period { start_time: Some(hour(start)), end_time: Some(hour(end)) };
        let request = ReserveCarRequest { car_id: car.to_owned(), period: Some(period), ..Default::default() };
        let answer = self.me.ask(request).await;
        self.keep(answer.and_then(|answer| answer.reservation), Lasts::AsPromised);
    }

    async fn rent(&self, id: &str) {
        let (reservation_id, payment_method) = (id.to_owned(), self.method());
        let request = RentCarRequest { reservation_id, payment_method, ..Default::default() };
        let answer = self.me.ask(request).await;
        self.keep(answer.and_then(|answer| answer.reservation), Lasts::Paid);
    }

    async fn cancel(&self, id: &str) {
        let request = CancelReservationRequest { reservation_id: id.to_owned(), ..Default::default() };
        let answer = self.me.ask(request).await;
        self.keep(answer.and_then(|answer| answer.reservation), Lasts::Cancelled);
    }

    async fn bring_back(&self, id: &str) {
        let request = ReturnCarRequest { reservation_id: id.to_owned(), ..Default::default() };
        let answer = self.me.ask(request).await;
        self.keep(answer.and_then(|answer| answer.reservation), Lasts::Returned);
    }

    async fn rate(&self, id: &str) {
        let (reservation_id, stars) = (id.to_owned(), self.me.chance.pick(1..6) as i32);
        let answer = self.me.ask(RateRentalRequest { reservation_id, stars, ..Default::default() }).await;
        self.keep(answer.and_then(|answer| answer.reservation), Lasts::Rated);
    }

    fn method(&self) -> String {
        if self.me.chance.pick(0..5) == 0 { "sandbox-decline" } else { "sandbox-approve" }.to_owned()
    }

    /// Pays, or cancels the payment, at `payment` instead of `rental`.
    async fn through_payment(&self, reservation_id: &str, cancels: bool) {
        let request = ListPaymentsRequest { purchase_id: reservation_id.to_owned(), ..Default::default() };
        let listed = self.me.call(request).await;
        let Some(payment) = listed.ok().and_then(|mut listed| listed.payments.pop()) else { return };
        let payment_id = payment.payment_id;
        if cancels {
            self.me.ask(CancelPaymentRequest { payment_id, ..Default::default() }).await;
        } else {
            let payment_method = self.method();
            self.me.ask(ChargePaymentRequest { payment_id, payment_method, ..Default::default() }).await;
        }
    }

    /// Remembers what was promised.
    fn keep(&self, reservation: Option<Reservation>, lasts: Lasts) {
        let Some(promised) = reservation else { return };
        let id = promised.reservation_id.clone();
        self.reservations.lock().expect("one thread").insert(id, promised.clone());
        let customer = self.me.name.clone();
        self.me.promised(move |seen| seen.cars.keeps(&customer, &promised, lasts));
    }
}
