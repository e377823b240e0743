//! Customers of a run. They try things at random, repeat what was not answered under the same request id, and remember
//! what they were promised.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::edge::Peers;
use chassis::world::World;
use contracts::fleet::v1::{Car, RegisterCarRequest, RemoveCarRequest, fleet_service_client::FleetServiceClient};
use contracts::money::v1::Money;
use contracts::payment::v1::{
    CancelPaymentRequest, ChargePaymentRequest, ListPaymentsRequest, payment_service_client::PaymentServiceClient,
};
use contracts::period::v1::Period;
use contracts::place::v1::Place;
use contracts::rental::v1::{
    CancelReservationRequest, RateRentalRequest, RentCarRequest, Reservation, ReserveCarRequest, ReturnCarRequest,
    rental_service_client::RentalServiceClient,
};
use prost::Message;
use tokio::task::JoinHandle;
use tonic::{Code, Request, Response, Status};

use crate::fate::Chance;
use crate::town::Town;

/// Customers of a run.
const CUSTOMERS: u64 = 4;
/// Cars that they compete for.
const CARS: u64 = 2;
/// Things that each of them tries.
const DEEDS: u64 = 9;

/// What a customer was answered.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// Who.
    pub customer: String,
    /// What for, to be repeated.
    pub call: Call,
    /// The request id.
    pub request_id: String,
    /// The answer, encoded.
    pub answer: Vec<u8>,
    /// The reservation in the answer, if it is about one.
    pub reservation: Option<Reservation>,
}

/// What can be asked for.
#[derive(Clone, Debug)]
pub enum Call {
    Reserve(ReserveCarRequest),
    Cancel(CancelReservationRequest),
    Rent(RentCarRequest),
    Return(ReturnCarRequest),
    Rate(RateRentalRequest),
    CancelPayment(CancelPaymentRequest),
    ChargePayment(ChargePaymentRequest),
    /// What an admin asks for.
    Remove(RemoveCarRequest),
}

/// Cars are registered, and customers begin.
pub fn arrive(town: &Town) -> Vec<JoinHandle<Vec<Acknowledged>>> {
    let start = |number: u64| {
        let customer = Customer {
            name: format!("customer-{number}"),
            chance: town.chance.clone(),
            world: town.environment.world.clone(),
            peers: town.environment.peers.clone(),
            verbose: town.verbose,
            reservations: BTreeMap::new(),
            acknowledged: Vec::new(),
        };
        tokio::spawn(customer.live())
    };
    (0..CUSTOMERS).map(start).collect()
}

/// Calls as somebody.
pub fn by<M>(who: &str, role: &str, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(10));
    request.metadata_mut().insert("x-user", who.parse().expect("a plain name"));
    request.metadata_mut().insert("x-roles", role.parse().expect("a plain name"));
    request
}

/// Makes a call once.
pub async fn call(peers: &Peers, who: &str, call: &Call) -> Result<(Vec<u8>, Option<Reservation>), Status> {
    let to = match call {
        Call::CancelPayment(_) | Call::ChargePayment(_) => "payment",
        Call::Remove(_) => "fleet",
        _ => "rental",
    };
    let transport = peers.here(to).ok_or_else(|| Status::unavailable("it is down"))?;
    let mut rental = RentalServiceClient::new(transport.clone());
    let mut payment = PaymentServiceClient::new(transport.clone());
    let mut fleet = FleetServiceClient::new(transport);
    macro_rules! about_reservation {
        ($answer:expr) => {{
            let answer = $answer.await?.into_inner();
            Ok((answer.encode_to_vec(), answer.reservation))
        }};
    }
    let answered = async {
        match call.clone() {
            Call::Reserve(request) => about_reservation!(rental.reserve_car(by(who, "customer", request))),
            Call::Cancel(request) => about_reservation!(rental.cancel_reservation(by(who, "customer", request))),
            Call::Rent(request) => about_reservation!(rental.rent_car(by(who, "customer", request))),
            Call::Return(request) => about_reservation!(rental.return_car(by(who, "customer", request))),
            Call::Rate(request) => about_reservation!(rental.rate_rental(by(who, "customer", request))),
            Call::CancelPayment(request) => {
                let answer = payment.cancel_payment(by(who, "customer", request)).await?;
                Ok((answer.into_inner().encode_to_vec(), None))
            }
            Call::ChargePayment(request) => {
                let answer = payment.charge_payment(by(who, "customer", request)).await?;
                Ok((answer.into_inner().encode_to_vec(), None))
            }
            Call::Remove(request) => {
                let answer = fleet.remove_car(by("admin", "admin", request)).await?;
                Ok((answer.into_inner().encode_to_vec(), None))
            }
        }
    };
    let answered = tokio::time::timeout(Duration::from_secs(12), answered).await;
    answered.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))
}

struct Customer {
    name: String,
    chance: Chance,
    world: World,
    peers: Peers,
    verbose: bool,
    reservations: BTreeMap<String, Reservation>,
    acknowledged: Vec<Acknowledged>,
}

impl Customer {
    async fn live(mut self) -> Vec<Acknowledged> {
        let cars = self.cars().await;
        for _ in 0..DEEDS {
            tokio::time::sleep(self.chance.pause(4_000)).await;
            let known: Vec<Reservation> = self.reservations.values().cloned().collect();
            let deed = self.chance.pick(0..14);
            if known.is_empty() || deed < 2 {
                let car = &cars[self.chance.pick(0..cars.len() as u64) as usize];
                self.attempt(Call::Reserve(self.reservation_of(car))).await;
                continue;
            }
            let reservation = &known[self.chance.pick(0..known.len() as u64) as usize];
            let reservation_id = reservation.reservation_id.clone();
            let request_id = String::new();
            match deed {
                2..=5 => {
                    let payment_method = self.method();
                    self.attempt(Call::Rent(RentCarRequest { request_id, reservation_id, payment_method })).await;
                }
                6 => self.attempt(Call::Cancel(CancelReservationRequest { request_id, reservation_id })).await,
                7 => {
                    self.attempt(Call::Return(ReturnCarRequest { request_id, reservation_id: reservation_id.clone() }))
                        .await;
                    let stars = self.chance.pick(1..6) as i32;
                    self.attempt(Call::Rate(RateRentalRequest { request_id: String::new(), reservation_id, stars }))
                        .await;
                }
                8 | 9 => self.through_payment(&reservation_id, deed == 8).await,
                // In two minds: `payment` knows that it is paid, and `rental` not yet.
                10 => {
                    self.through_payment(&reservation_id, false).await;
                    self.attempt(Call::Cancel(CancelReservationRequest { request_id, reservation_id })).await;
                }
                // With two devices at once.
                11 => {
                    let payment_method = self.method();
                    let (request, id) = (request_id.clone(), reservation_id.clone());
                    let rent = Call::Rent(RentCarRequest { request_id: request, reservation_id: id, payment_method });
                    let cancel = Call::Cancel(CancelReservationRequest { request_id, reservation_id });
                    let later = async {
                        tokio::time::sleep(self.chance.pause(200)).await;
                        self.ask(cancel).await
                    };
                    let (rented, cancelled) = tokio::join!(self.ask(rent), later);
                    self.keep(rented);
                    self.keep(cancelled);
                }
                // Wants the money back, and brings the car back before `rental` hears of it.
                12 => {
                    self.through_payment(&reservation_id, true).await;
                    self.attempt(Call::Return(ReturnCarRequest { request_id, reservation_id })).await;
                }
                _ if self.chance.pick(0..4) == 0 => {
                    let car_id = reservation.car_id.clone();
                    self.attempt(Call::Remove(RemoveCarRequest { request_id, car_id })).await;
                }
                _ => {}
            }
        }
        self.acknowledged
    }

    /// The cars, registered by whoever is first; the request ids make them the same for all.
    async fn cars(&self) -> Vec<String> {
        let mut cars = Vec::new();
        for number in 0..CARS {
            let request = RegisterCarRequest {
                request_id: uuid::Uuid::from_u128(u128::from(number) + 1).to_string(),
                car: Some(Car {
                    model: format!("car {number}"),
                    place: Some(Place { name: "town".to_owned(), ..Place::default() }),
                    daily_rate: Some(Money { currency_code: "KRW".to_owned(), amount_minor: 10_000 }),
                    ..Car::default()
                }),
            };
            loop {
                if let Some(transport) = self.peers.here("fleet") {
                    let mut fleet = FleetServiceClient::new(transport);
                    let registered = fleet.register_car(by("admin", "admin", request.clone()));
                    let registered = tokio::time::timeout(Duration::from_secs(10), registered).await;
                    if let Some(car) = registered.ok().and_then(Result::ok).and_then(|answer| answer.into_inner().car) {
                        cars.push(car.car_id);
                        break;
                    }
                }
                tokio::time::sleep(self.chance.pause(500)).await;
            }
        }
        cars
    }

    fn reservation_of(&self, car: &str) -> ReserveCarRequest {
        let hour = |hours: u64| (self.world.now() + Duration::from_secs(3_600 * hours)).to_proto();
        let start = 1 + self.chance.pick(0..5) * 24;
        let period =
            Period { start_time: Some(hour(start)), end_time: Some(hour(start + 24 * self.chance.pick(1..3))) };
        ReserveCarRequest { request_id: String::new(), car_id: car.to_owned(), period: Some(period) }
    }

    fn method(&self) -> String {
        if self.chance.pick(0..5) == 0 { "sandbox-decline" } else { "sandbox-approve" }.to_owned()
    }

    /// Pays, or cancels the payment, at `payment` instead of `rental`.
    async fn through_payment(&mut self, reservation_id: &str, cancels: bool) {
        let Some(transport) = self.peers.here("payment") else { return };
        let purchase_id = reservation_id.to_owned();
        let request = ListPaymentsRequest { purchase_id, ..ListPaymentsRequest::default() };
        let listed = PaymentServiceClient::new(transport).list_payments(by(&self.name, "customer", request)).await;
        let Some(payment) = listed.ok().and_then(|listed| listed.into_inner().payments.pop()) else { return };
        let (request_id, payment_id) = (String::new(), payment.payment_id);
        if cancels {
            self.attempt(Call::CancelPayment(CancelPaymentRequest { request_id, payment_id })).await;
        } else {
            let payment_method = self.method();
            self.attempt(Call::ChargePayment(ChargePaymentRequest { request_id, payment_id, payment_method })).await;
        }
    }

    async fn attempt(&mut self, what: Call) {
        let answer = self.ask(what).await;
        self.keep(answer);
    }

    fn keep(&mut self, answer: Option<Acknowledged>) {
        let Some(answer) = answer else { return };
        if let Some(reservation) = &answer.reservation {
            self.reservations.insert(reservation.reservation_id.clone(), reservation.clone());
        }
        self.acknowledged.push(answer);
    }

    /// Asks, and asks again under the same request id while there is no answer, up to a point.
    async fn ask(&self, mut what: Call) -> Option<Acknowledged> {
        let request_id = self.world.ids.uuid(self.world.now()).to_string();
        match &mut what {
            Call::Reserve(request) => request.request_id.clone_from(&request_id),
            Call::Cancel(request) => request.request_id.clone_from(&request_id),
            Call::Rent(request) => request.request_id.clone_from(&request_id),
            Call::Return(request) => request.request_id.clone_from(&request_id),
            Call::Rate(request) => request.request_id.clone_from(&request_id),
            Call::CancelPayment(request) => request.request_id.clone_from(&request_id),
            Call::ChargePayment(request) => request.request_id.clone_from(&request_id),
            Call::Remove(request) => request.request_id.clone_from(&request_id),
        }
        for _ in 0..6 {
            let answer = call(&self.peers, &self.name, &what).await;
            if self.verbose {
                let said = answer.as_ref().map(|_| "yes").map_err(|status| (status.code(), status.message()));
                println!("{} {} asks {what:?}: {said:?}", self.world.now(), self.name);
            }
            match answer {
                Ok((answer, reservation)) => {
                    let (customer, call) = (self.name.clone(), what);
                    return Some(Acknowledged { customer, call, request_id, answer, reservation });
                }
                Err(status) if is_no_answer(&status) => tokio::time::sleep(self.chance.pause(1_500)).await,
                Err(_) => return None,
            }
        }
        None
    }
}

fn is_no_answer(status: &Status) -> bool {
    !matches!(status.code(), Code::FailedPrecondition | Code::InvalidArgument | Code::NotFound | Code::PermissionDenied)
}

/// The message in an answer.
pub fn taken<R>(answer: Result<Response<R>, Status>) -> Result<R, String> {
    answer.map(Response::into_inner).map_err(|status| format!("{:?}: {}", status.code(), status.message()))
}
