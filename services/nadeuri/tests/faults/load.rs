//! Customers who reserve, pay, change their minds and bring cars back, and write down what they were told.
//!
//! They are good clients: each request has an id, and is repeated with it until there is an answer.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use contracts::fleet::v1::Car;
use contracts::payment::v1::CancelPaymentRequest;
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
/// Periods that a car can be reserved for.
const SLOTS: u64 = 200;

/// What a customer was told last of a reservation: it stays true.
#[derive(Clone, Debug)]
pub struct Told {
    /// The reservation as it was made.
    pub reservation: Reservation,
    /// Where it stands.
    pub state: ReservationState,
    /// It was paid at some time.
    pub paid: bool,
    /// The stars that were given.
    pub stars: i32,
    /// A card was declined.
    pub declined: bool,
}

/// Cars and customers.
pub struct Town {
    customers: Vec<Client>,
    /// The cars.
    pub cars: Vec<Car>,
    /// What the customers were told, a reservation each.
    pub told: RefCell<Vec<Told>>,
    /// Taxis beside them.
    pub rides: Rides,
    /// And stays.
    pub stays: Stays,
    /// And bikes.
    pub bikes: Bikes,
    /// And a shop.
    pub orders: Orders,
    closed: Cell<bool>,
}

impl Town {
    /// Cars are registered; the customers wait for [`Town::live`].
    pub async fn new(cluster: &Cluster) -> Town {
        let mut cars = Vec::new();
        for number in 0..CARS {
            cars.push(cluster.admin().new_car(&format!("Car {number}"), 10_000 + number as i64).await);
        }
        let customers = (0..CUSTOMERS).map(|number| cluster.by(&format!("c{number}"))).collect();
        let (rides, stays) = (Rides::new(cluster), Stays::new(cluster).await);
        let (bikes, orders) = (Bikes::new(cluster).await, Orders::new(cluster).await);
        Town { customers, cars, told: RefCell::default(), rides, stays, bikes, orders, closed: Cell::new(false) }
    }

    /// Customers begin no new flow from now on.
    pub fn close(&self) {
        self.closed.set(true);
    }

    /// Waits until so many flows more were finished.
    pub async fn flows(&self, count: usize) {
        let goal = self.told.borrow().len() + count;
        eventually_within(PATIENCE, "customers go about their business", async || {
            (self.told.borrow().len() >= goal).then_some(())
        })
        .await;
    }

    /// The customers live until the town closes.
    pub async fn live(&self) {
        let customers = futures::future::join_all(self.customers.iter().map(|customer| self.customer(customer)));
        let closed = &self.closed;
        let (rides, stays) = (self.rides.live(closed), self.stays.live(closed));
        futures::join!(customers, rides, stays, self.bikes.live(closed), self.orders.live(closed));
    }

    async fn customer(&self, me: &Client) {
        while !self.closed.get() {
            if let Some(told) = self.flow(me).await {
                self.told.borrow_mut().push(told);
            }
            think().await;
        }
    }

    async fn flow(&self, me: &Client) -> Option<Told> {
        let car_id = self.cars[usize::try_from(below(CARS as u64)).unwrap()].car_id.clone();
        let period = Some(period(1 + below(SLOTS) * 3, 2));
        let reserved = me.insist(ReserveCarRequest { request_id: new_id(), car_id, period }).await;
        let reservation = match reserved {
            Ok(answer) => answer.reservation.unwrap(),
            Err(status) if reason(&status) == "PERIOD_TAKEN" => return None,
            // `rental` has not heard of the car yet.
            Err(status) if status.code() == Code::NotFound => return None,
            Err(status) => panic!("reserving: {status:?}"),
        };
        let state = reservation.state();
        let mut told = Told { reservation, state, paid: false, stars: 0, declined: false };
        self.go_on(me, &mut told).await.unwrap_or_else(|status| panic!("{told:?}: {status:?}"));
        Some(told)
    }

    /// What the customer does with a reservation; after each answer, what was told is written down.
    async fn go_on(&self, me: &Client, told: &mut Told) -> Result<(), Status> {
        let reservation_id = || told.reservation.reservation_id.clone();
        let whim = below(10);
        if whim == 0 {
            return Ok(());
        }
        if whim == 1 {
            let request = CancelReservationRequest { request_id: new_id(), reservation_id: reservation_id() };
            told.state = me.insist(request).await?.reservation.unwrap().state();
            return Ok(());
        }
        let rent = |payment_method: &str| RentCarRequest {
            request_id: new_id(),
            reservation_id: told.reservation.reservation_id.clone(),
            payment_method: payment_method.to_owned(),
        };
        if whim == 2 {
            let declined = me.insist(rent(BAD_CARD)).await;
            let status = declined.expect_err("the card is declined");
            assert_eq!(reason(&status), "PAYMENT_REFUSED", "{status:?}");
            told.declined = true;
        }
        let rent = rent(GOOD_CARD);
        let rented = me.insist(rent).await?.reservation.unwrap();
        (told.state, told.paid) = (rented.state(), true);
        if whim == 3 {
            return Ok(());
        }
        if whim == 4 {
            me.insist(CancelPaymentRequest { request_id: new_id(), payment_id: rented.payment_id }).await?;
            // The answer is that it will be: the rental is cancelled, and the money goes back.
            told.state = ReservationState::Cancelled;
            return Ok(());
        }
        let reservation_id = told.reservation.reservation_id.clone();
        let bring_back = ReturnCarRequest { request_id: new_id(), reservation_id: reservation_id.clone() };
        told.state = me.insist(bring_back).await?.reservation.unwrap().state();
        if whim > 6 {
            let stars = 1 + i32::try_from(below(5)).unwrap();
            let rate = RateRentalRequest { request_id: new_id(), reservation_id, stars };
            told.stars = me.insist(rate).await?.reservation.unwrap().stars;
        }
        Ok(())
    }
}

/// People think; and the servers share two cores with us.
pub async fn think() {
    tokio::time::sleep(Duration::from_millis(200 + below(400))).await;
}
