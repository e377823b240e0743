//! Customers who rent cars.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use contracts::fleet::v1::{Car, RegisterCarRequest, RemoveCarRequest, TransferCarRequest};
use contracts::money::v1::Money;
use contracts::payment::v1::{CancelPaymentRequest, ChargePaymentRequest, ListPaymentsRequest, RefundPaymentRequest};
use contracts::period::v1::Period;
use contracts::place::v1::Place;
use contracts::rental::v1::{
    CancelReservationRequest, ListReservationsRequest, RateRentalRequest, RentCarRequest, Reservation,
    ReserveCarRequest, ReturnCarRequest,
};
use tokio::task::JoinHandle;

use super::{Actor, REASONS, by};
use crate::harness::Harness;
use crate::invariants::cars::Guarantee;
use crate::invariants::{Outcome, all_pages, read};

/// The number of customers.
const CUSTOMERS: u64 = 4;
/// The number of cars that they compete for.
const CARS: u64 = 2;
/// The number of requests of each actor.
const STEPS: u64 = 9;

/// Registers the cars and starts the customers.
pub fn spawn(actor: impl Fn(String, &'static str) -> Actor) -> Vec<JoinHandle<()>> {
    let start = |number: u64| {
        let me = actor(format!("customer-{number}"), "customer");
        tokio::spawn(Customer { me, reservations: Mutex::default() }.run())
    };
    (0..CUSTOMERS).map(start).collect()
}

/// Days later, when nothing fails any more: some of the cars that should be back come back, and some of those who had
/// them pay what that costs.
pub async fn bring_back_late(harness: &Harness) -> Outcome {
    let mut overdue = all_pages::<ListReservationsRequest>(harness).await?;
    overdue.retain(|reservation| reservation.overdue);
    for Reservation { reservation_id, .. } in overdue.into_iter().filter(|_| harness.random.pick(0..3) > 0) {
        let reason = REASONS[1].to_owned();
        read(harness, ReturnCarRequest { reservation_id, reason, ..Default::default() }).await?;
    }
    harness.wait_until_idle().await?;
    let mut returned = all_pages::<ListReservationsRequest>(harness).await?;
    returned.retain(|reservation| reservation.late_fee_owed);
    let payments = all_pages::<ListPaymentsRequest>(harness).await?;
    for Reservation { late_fee_id, customer_id, .. } in returned.iter().filter(|_| harness.random.pick(0..3) > 0) {
        let fee = payments.iter().find(|payment| payment.purchase_id == *late_fee_id);
        let payment_id = fee.ok_or_else(|| format!("the late fee {late_fee_id} has no payment"))?.payment_id.clone();
        let payment_method = "sandbox-approve".to_owned();
        let charge = ChargePaymentRequest { payment_id, payment_method, ..Default::default() };
        let channel = harness.environment().peers.local("payment").ok_or("payment is down")?;
        client::call(channel, by(customer_id, "customer", charge)).await.map_err(|status| format!("{status:?}"))?;
    }
    harness.wait_until_idle().await
}

struct Customer {
    me: Actor,
    reservations: Mutex<BTreeMap<String, Reservation>>,
}

impl Customer {
    async fn run(self) {
        let cars = self.cars().await;
        for _ in 0..STEPS {
            self.me.pause(4_000).await;
            let known: Vec<Reservation> = self.reservations.lock().expect("one thread").values().cloned().collect();
            let step = self.me.random.pick(0..14);
            if known.is_empty() || step < 2 {
                let car = self.me.pick(&cars);
                self.reserve(car).await;
            } else {
                self.step(step, self.me.pick(&known)).await;
            }
        }
    }

    async fn step(&self, step: u64, reservation: &Reservation) {
        let id = &reservation.reservation_id;
        match step {
            // Staff refund a part.
            3 if self.me.random.pick(0..4) == 0 => self.refund_a_part(id).await,
            2..=5 => self.rent(id).await,
            6 => self.cancel(id).await,
            7 => {
                self.bring_back(id).await;
                self.rate(id).await;
            }
            9 if self.me.random.pick(0..2) == 0 => {
                let (reservation_id, reason) = (id.clone(), REASONS[0].to_owned());
                let (staff, is_return) = (self.me.with_role("admin"), self.me.random.pick(0..2) == 0);
                if is_return {
                    staff.ask(ReturnCarRequest { reservation_id, reason, ..Default::default() }).await;
                } else {
                    staff.ask(CancelReservationRequest { reservation_id, reason, ..Default::default() }).await;
                }
            }
            8 | 9 => self.through_payment(id, step == 8).await,
            // Pays and cancels: `payment` has the payment, but `rental` does not know it yet.
            10 => {
                self.through_payment(id, false).await;
                self.cancel(id).await;
            }
            // With two devices at the same time.
            11 => {
                let later = async {
                    self.me.pause(200).await;
                    self.cancel(id).await;
                };
                tokio::join!(self.rent(id), later);
            }
            // Cancels the payment, and returns the car before `rental` receives the event.
            12 => {
                self.through_payment(id, true).await;
                self.bring_back(id).await;
            }
            _ if self.me.random.pick(0..4) == 0 => {
                let request = RemoveCarRequest { car_id: reservation.car_id.clone(), ..Default::default() };
                self.me.with_role("admin").ask(request).await;
            }
            _ => {}
        }
    }

    /// The cars, registered by the first actor; fixed request ids make them the same for all.
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
            let registered = self.me.with_role("admin").insist(request, u128::from(number) + 1).await;
            cars.extend(registered.car.map(|car| car.car_id));
        }
        let (car_id, owner_id) = (cars[0].clone(), "sol".to_owned());
        let transfer = TransferCarRequest { car_id, owner_id, ..Default::default() };
        self.me.with_role("admin").insist(transfer, 50).await;
        cars
    }

    async fn reserve(&self, car: &str) {
        let hour = |hours: u64| (self.me.runtime.now() + Duration::from_secs(3_600 * hours)).to_proto();
        // One that begins now can be brought back in this run.
        let start = self.me.random.pick(0..5).saturating_sub(2) * 24;
        let end = start + 24 * self.me.random.pick(1..3);
        let period = Period { start_time: Some(hour(start)), end_time: Some(hour(end)) };
        let request = ReserveCarRequest { car_id: car.to_owned(), period: Some(period), ..Default::default() };
        let answer = self.me.ask(request).await;
        self.keep(answer.and_then(|answer| answer.reservation), Guarantee::AsPromised);
    }

    async fn rent(&self, id: &str) {
        let (reservation_id, payment_method) = (id.to_owned(), self.method());
        let request = RentCarRequest { reservation_id, payment_method, ..Default::default() };
        let answer = self.me.ask(request).await;
        self.keep(answer.and_then(|answer| answer.reservation), Guarantee::Paid);
    }

    async fn cancel(&self, id: &str) {
        let request = CancelReservationRequest { reservation_id: id.to_owned(), ..Default::default() };
        let answer = self.me.ask(request).await;
        self.keep(answer.and_then(|answer| answer.reservation), Guarantee::Cancelled);
    }

    async fn bring_back(&self, id: &str) {
        let request = ReturnCarRequest { reservation_id: id.to_owned(), ..Default::default() };
        let answer = self.me.ask(request).await;
        self.keep(answer.and_then(|answer| answer.reservation), Guarantee::Returned);
    }

    async fn rate(&self, id: &str) {
        let (reservation_id, stars) = (id.to_owned(), self.me.random.pick(1..6) as i32);
        let answer = self.me.ask(RateRentalRequest { reservation_id, stars, ..Default::default() }).await;
        self.keep(answer.and_then(|answer| answer.reservation), Guarantee::Rated);
    }

    fn method(&self) -> String {
        if self.me.random.pick(0..5) == 0 { "sandbox-decline" } else { "sandbox-approve" }.to_owned()
    }

    async fn refund_a_part(&self, reservation_id: &str) {
        let request = ListPaymentsRequest { purchase_id: reservation_id.to_owned(), ..Default::default() };
        let Some(payment) = self.me.call(request).await.ok().and_then(|mut listed| listed.payments.pop()) else {
            return;
        };
        let amount = Some(Money { currency_code: "KRW".to_owned(), amount_minor: 3_000 });
        let (payment_id, reason) = (payment.payment_id, "the car was dirty".to_owned());
        let refund = RefundPaymentRequest { payment_id, amount, reason, ..Default::default() };
        self.me.with_role("admin").ask(refund).await;
    }

    /// Pays or cancels through `payment` instead of `rental`.
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

    /// Records what the response promises.
    fn keep(&self, reservation: Option<Reservation>, guarantee: Guarantee) {
        let Some(promised) = reservation else { return };
        let id = promised.reservation_id.clone();
        self.reservations.lock().expect("one thread").insert(id, promised.clone());
        let customer = self.me.name.clone();
        self.me.promised(move |seen| seen.cars.keeps(&customer, &promised, guarantee));
    }
}
