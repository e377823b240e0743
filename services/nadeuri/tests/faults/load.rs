//! The workload: customers who reserve, pay, cancel and return cars, and record the responses.
//!
//! They are correct clients: each request has a request id, and is repeated with it until there is a response.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use contracts::fleet::v1::Car;
use contracts::mypage::v1::ListCarRentalsRequest;
use contracts::payment::v1::{CancelPaymentRequest, PaymentState};
use contracts::rental::v1::{
    CancelReservationRequest, RateRentalRequest, RentCarRequest, Reservation, ReservationState, ReserveCarRequest,
    ReturnCarRequest,
};
use tonic::{Code, Status};

use crate::bikes::Bikes;
use crate::orders::Orders;
use crate::rides::Rides;
use crate::stays::Stays;
use crate::support::client::Client;
use crate::support::cluster::Cluster;
use crate::support::{BAD_CARD, GOOD_CARD, PATIENCE, below, eventually_within, new_id, period, reason};

const CUSTOMERS: u64 = 20;
const CARS: usize = 6;
/// The number of periods that a car can be reserved for.
const SLOTS: u64 = 200;

/// The last response that a customer got about a reservation. It must stay true.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// The reservation as it was made.
    pub reservation: Reservation,
    /// The last state.
    pub state: ReservationState,
    /// Whether it was ever paid.
    pub paid: bool,
    /// The stars of the rating, or 0.
    pub stars: i32,
    /// Whether a card was declined.
    pub declined: bool,
}

impl Acknowledged {
    /// The state that its payment gets.
    pub fn payment_state(&self) -> PaymentState {
        match self.state {
            ReservationState::Reserved => PaymentState::Requested,
            ReservationState::Rented => PaymentState::Approved,
            ReservationState::Returned => PaymentState::Settled,
            _ => PaymentState::Cancelled,
        }
    }
}

/// The customers of all lines of business.
pub struct Workload {
    customers: Vec<Client>,
    /// The cars.
    pub cars: Vec<Car>,
    /// The last response about each reservation.
    pub acknowledged: RefCell<Vec<Acknowledged>>,
    /// Taxi rides.
    pub rides: Rides,
    /// Stays.
    pub stays: Stays,
    /// Bike rides.
    pub bikes: Bikes,
    /// Orders.
    pub orders: Orders,
    /// Whether customers start no new flow.
    pub stopped: Cell<bool>,
}

impl Workload {
    /// Registers the cars. The customers start with [`Workload::run`].
    pub async fn new(cluster: &Cluster) -> Workload {
        let mut cars = Vec::new();
        for number in 0..CARS {
            cars.push(cluster.admin().new_car(&format!("Car {number}"), 10_000 + number as i64).await);
        }
        let customers = (0..CUSTOMERS).map(|number| cluster.by(&format!("c{number}"))).collect();
        let (rides, stays) = (Rides::new(cluster), Stays::new(cluster).await);
        let (bikes, orders) = (Bikes::new(cluster).await, Orders::new(cluster).await);
        Workload {
            customers,
            cars,
            acknowledged: RefCell::default(),
            rides,
            stays,
            bikes,
            orders,
            stopped: Cell::new(false),
        }
    }

    /// From now on customers start no new flow.
    pub fn stop(&self) {
        self.stopped.set(true);
    }

    /// Waits until so many more flows have finished.
    pub async fn wait_for_flows(&self, count: usize) {
        let goal = self.acknowledged.borrow().len() + count;
        eventually_within(PATIENCE * 4, "customers finish flows", async || {
            (self.acknowledged.borrow().len() >= goal).then_some(())
        })
        .await;
    }

    /// Runs the customers until the workload is stopped.
    pub async fn run(&self) {
        let customers = futures::future::join_all(self.customers.iter().map(|customer| self.customer(customer)));
        let stopped = &self.stopped;
        let (rides, stays) = (self.rides.run(stopped), self.stays.run(stopped));
        futures::join!(customers, rides, stays, self.bikes.run(stopped), self.orders.run(stopped));
    }

    async fn customer(&self, me: &Client) {
        while !self.stopped.get() {
            if let Some(acknowledged) = self.flow(me).await {
                self.acknowledged.borrow_mut().push(acknowledged.clone());
                seen("the customer's page shows the reservation", async || {
                    let newest = ListCarRentalsRequest { page_size: 1, ..Default::default() };
                    let page = me.insist(newest).await.ok()?.car_rentals.pop()?;
                    let is_it = page.reservation_id == acknowledged.reservation.reservation_id;
                    (is_it && page.payment_state() == acknowledged.payment_state()).then_some(())
                })
                .await;
            }
            think().await;
        }
    }

    async fn flow(&self, me: &Client) -> Option<Acknowledged> {
        let car_id = self.cars[usize::try_from(below(CARS as u64)).unwrap()].car_id.clone();
        let slot = below(SLOTS);
        let period = Some(period(slot * 3, 2));
        let reserved =
            me.insist(ReserveCarRequest { request_id: new_id(), car_id, period, ..Default::default() }).await;
        let reservation = match reserved {
            Ok(answer) => answer.reservation.unwrap(),
            Err(status) if reason(&status) == "PERIOD_TAKEN" => return None,
            // `rental` has not received the event of the car yet.
            Err(status) if status.code() == Code::NotFound => return None,
            Err(status) => panic!("reserving: {status:?}"),
        };
        let state = reservation.state();
        let mut acknowledged = Acknowledged { reservation, state, paid: false, stars: 0, declined: false };
        self.continue_flow(me, &mut acknowledged, slot == 0)
            .await
            .unwrap_or_else(|status| panic!("{acknowledged:?}: {status:?}"));
        Some(acknowledged)
    }

    /// What the customer does with a reservation. Each response is recorded.
    async fn continue_flow(&self, me: &Client, acknowledged: &mut Acknowledged, has_begun: bool) -> Result<(), Status> {
        let reservation_id = || acknowledged.reservation.reservation_id.clone();
        let choice = below(10);
        if choice == 0 {
            return Ok(());
        }
        if choice == 1 {
            let request = CancelReservationRequest {
                request_id: new_id(),
                reservation_id: reservation_id(),
                ..Default::default()
            };
            acknowledged.state = me.insist(request).await?.reservation.unwrap().state();
            return Ok(());
        }
        let rent = |payment_method: &str| RentCarRequest {
            request_id: new_id(),
            reservation_id: acknowledged.reservation.reservation_id.clone(),
            payment_method: payment_method.to_owned(),
        };
        if choice == 2 {
            let declined = me.insist(rent(BAD_CARD)).await;
            let status = declined.expect_err("the card is declined");
            assert_eq!(reason(&status), "PAYMENT_REFUSED", "{status:?}");
            acknowledged.declined = true;
        }
        let rent = rent(GOOD_CARD);
        let rented = me.insist(rent).await?.reservation.unwrap();
        (acknowledged.state, acknowledged.paid) = (rented.state(), true);
        if choice == 3 {
            return Ok(());
        }
        if choice == 4 || !has_begun {
            me.insist(CancelPaymentRequest { request_id: new_id(), payment_id: rented.payment_id }).await?;
            // It is accepted: the rental will be cancelled and the payment refunded.
            acknowledged.state = ReservationState::Cancelled;
            return Ok(());
        }
        let reservation_id = acknowledged.reservation.reservation_id.clone();
        let bring_back =
            ReturnCarRequest { request_id: new_id(), reservation_id: reservation_id.clone(), ..Default::default() };
        acknowledged.state = me.insist(bring_back).await?.reservation.unwrap().state();
        if choice > 6 {
            let stars = 1 + i32::try_from(below(5)).unwrap();
            let rate = RateRentalRequest { request_id: new_id(), reservation_id, stars };
            acknowledged.stars = me.insist(rate).await?.reservation.unwrap().stars;
        }
        Ok(())
    }
}

/// Waits until somebody sees the effect of what was done. So no more is under way than the servers can do, and the
/// faults meet work that is fresh.
pub async fn seen<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE * 4, what, ask).await
}

/// Waits for as long as a customer thinks. It also leaves CPU time to the servers.
pub async fn think() {
    tokio::time::sleep(Duration::from_millis(200 + below(400))).await;
}
