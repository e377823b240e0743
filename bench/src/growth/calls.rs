//! The calls: the main ones of each line of business, each with a customer of its own, so that all have a history.

use std::sync::Arc;

use anyhow::Context as _;
use contracts::bike::v1::RegisterBikeRequest;
use contracts::billing::v1::{BillState, ListBillsRequest};
use contracts::chronicle::v1::ListEventsRequest;
use contracts::dispatch::v1::{CancelHailRequest, HailTaxiRequest};
use contracts::money::v1::Money;
use contracts::mypage::v1::{GetCarRentalRequest, ListBikeRidesRequest, ListCarRentalsRequest};
use contracts::notification::v1::ListMessagesRequest;
use contracts::order::v1::{CreateOrderRequest, GetOrderRequest};
use contracts::place::v1::Place;
use contracts::product::v1::{CreateProductRequest, Product as Goods};
use contracts::rental::v1::{
    CancelReservationRequest, GetReservationRequest, ListReservationsRequest, ReservationState, ReserveCarRequest,
};
use contracts::ride::v1::{RentBikeRequest, ReturnBikeRequest};
use contracts::stay::v1::{CancelStayRequest, ReserveStayRequest};
use contracts::wallet::v1::TopUpRequest;
use futures::future::BoxFuture;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::load::{self, call, known, nights};
use crate::product::{Product, connect};
use crate::stays;

/// Customers, each with a car, a bike, a resort and a product that they use.
const CUSTOMERS: u64 = 64;
/// Nights that a resort offers, from tomorrow on.
const NIGHTS: u64 = 700;

/// What the calls use.
pub struct World {
    cars: Vec<String>,
    bikes: Vec<String>,
    resorts: Vec<String>,
    products: Vec<String>,
    reservations: Vec<String>,
    orders: Vec<String>,
}

/// A call of the customer with a number.
pub type Call = fn(Arc<World>, Channel, u64) -> BoxFuture<'static, Result<(), Status>>;

/// The calls by name.
pub const CALLS: &[(&str, Call)] = &[
    ("reserve a car and cancel", |world, channel, number| {
        Box::pin(async move { car(&world, &channel, number).await.map(drop) })
    }),
    ("rent a bike and return it", |world, channel, number| {
        Box::pin(async move { bike(&world, &channel, number).await })
    }),
    ("reserve a stay and cancel", |world, channel, number| {
        Box::pin(async move { stay(&world, &channel, number).await })
    }),
    ("hail a taxi and cancel", |_, channel, number| Box::pin(async move { taxi(&channel, number).await })),
    ("order a product", |world, channel, number| {
        Box::pin(async move { order(&world, &channel, number).await.map(drop) })
    }),
    ("get a reservation", |world, channel, number| {
        let reservation_id = of(&world.reservations, number);
        send(channel, number, GetReservationRequest { reservation_id })
    }),
    ("get an order", |world, channel, number| {
        let order_id = of(&world.orders, number);
        send(channel, number, GetOrderRequest { order_id })
    }),
    ("get a car rental of mypage", |world, channel, number| {
        let reservation_id = of(&world.reservations, number);
        send(channel, number, GetCarRentalRequest { reservation_id })
    }),
    ("list 20 own reservations", |_, channel, number| {
        send(channel, number, ListReservationsRequest { page_size: 20, ..Default::default() })
    }),
    ("list own reservations that wait for payment", |_, channel, number| {
        let state = ReservationState::Reserved.into();
        send(channel, number, ListReservationsRequest { page_size: 20, state, ..Default::default() })
    }),
    ("list 20 own closed bills", |_, channel, number| {
        let state = BillState::Closed.into();
        send(channel, number, ListBillsRequest { page_size: 20, state, ..Default::default() })
    }),
    ("list 20 own messages", |_, channel, number| {
        send(channel, number, ListMessagesRequest { page_size: 20, ..Default::default() })
    }),
    ("list 20 car rentals of mypage", |_, channel, number| {
        send(channel, number, ListCarRentalsRequest { page_size: 20, ..Default::default() })
    }),
    ("list 20 bike rides of mypage", |_, channel, number| {
        send(channel, number, ListBikeRidesRequest { page_size: 20, ..Default::default() })
    }),
    ("list 20 events of two types", |_, channel, _| {
        let types = ["nadeuri.rental.v1.CarReserved", "nadeuri.ride.v1.RideStarted"].map(str::to_owned).to_vec();
        let request = ListEventsRequest { page_size: 20, types, ..Default::default() };
        Box::pin(async move { call(&channel, Request::new(request)).await.map(drop) })
    }),
];

fn of(ids: &[String], number: u64) -> String {
    ids[(number % ids.len() as u64) as usize].clone()
}

/// A request of one of the customers.
fn by<M>(number: u64, message: M) -> Request<M> {
    let mut request = Request::new(message);
    let text = |text: &str| text.parse().unwrap_or_else(|_| unreachable!("it is ASCII"));
    request.metadata_mut().insert("x-user", text(&format!("customer-{}", number % CUSTOMERS)));
    request.metadata_mut().insert("x-roles", text("customer"));
    request
}

fn send<M: contracts::Unary>(channel: Channel, number: u64, message: M) -> BoxFuture<'static, Result<(), Status>>
where
    M::Response: Send,
{
    Box::pin(async move { call(&channel, by(number, message)).await.map(drop) })
}

async fn car(world: &World, channel: &Channel, number: u64) -> Result<String, Status> {
    let period = Some(load::period(24 + number / CUSTOMERS));
    let reserve = ReserveCarRequest { car_id: of(&world.cars, number), period, ..Default::default() };
    let reservation_id = call(channel, by(number, reserve)).await?.reservation.unwrap_or_default().reservation_id;
    let cancel = CancelReservationRequest { reservation_id: reservation_id.clone(), ..Default::default() };
    call(channel, by(number, cancel)).await?;
    Ok(reservation_id)
}

async fn bike(world: &World, channel: &Channel, number: u64) -> Result<(), Status> {
    let rent = RentBikeRequest { bike_id: of(&world.bikes, number), ..Default::default() };
    let ride_id = call(channel, by(number, rent)).await?.ride.unwrap_or_default().ride_id;
    let give_back = ReturnBikeRequest { ride_id, place: Some(here()), ..Default::default() };
    call(channel, by(number, give_back)).await.map(drop)
}

async fn stay(world: &World, channel: &Channel, number: u64) -> Result<(), Status> {
    let dates = Some(nights(1 + number / CUSTOMERS % NIGHTS, 1));
    let reserve = ReserveStayRequest { resort_id: of(&world.resorts, number), dates, ..Default::default() };
    let stay_id = call(channel, by(number, reserve)).await?.stay.unwrap_or_default().stay_id;
    call(channel, by(number, CancelStayRequest { stay_id, ..Default::default() })).await.map(drop)
}

async fn taxi(channel: &Channel, number: u64) -> Result<(), Status> {
    let request = HailTaxiRequest {
        pickup: Some(here()),
        destination: Some(here()),
        payment_method: "sandbox-approve".to_owned(),
        ..Default::default()
    };
    let hail_id = call(channel, by(number, request)).await?.hail.unwrap_or_default().hail_id;
    call(channel, by(number, CancelHailRequest { hail_id, ..Default::default() })).await.map(drop)
}

async fn order(world: &World, channel: &Channel, number: u64) -> Result<String, Status> {
    let request = CreateOrderRequest {
        product_id: of(&world.products, number),
        quantity: 1,
        address: "1 Sejong-daero, Seoul".to_owned(),
        payment_method: "sandbox-approve".to_owned(),
        ..Default::default()
    };
    Ok(call(channel, by(number, request)).await?.order.unwrap_or_default().order_id)
}

fn here() -> Place {
    Place { name: "here".to_owned(), latitude: Some(37.5), longitude: Some(127.0) }
}

impl World {
    /// Registers all that the calls use, and uses each once.
    pub async fn prepare(product: &Product) -> anyhow::Result<World> {
        let channel = &connect(&product.address).await?;
        let mut world = World {
            cars: Vec::new(),
            bikes: Vec::new(),
            resorts: Vec::new(),
            products: Vec::new(),
            reservations: Vec::new(),
            orders: Vec::new(),
        };
        for number in 0..CUSTOMERS {
            world.cars.push(load::register_car(channel, number as usize).await?);
            let place = Some(here());
            let bike = RegisterBikeRequest {
                name: format!("S-{number}"),
                place,
                battery_percent: Some(100),
                ..Default::default()
            };
            world.bikes.push(call(channel, Request::new(bike)).await?.bike.context("no bike")?.bike_id);
            world.resorts.push(stays::register_resort(channel, number, nights(0, NIGHTS + 5)).await?);
            let goods = Goods {
                name: format!("product {number}"),
                price: Some(won(12_000)),
                stock: 1_000_000_000,
                ..Default::default()
            };
            let goods = CreateProductRequest { product: Some(goods), ..Default::default() };
            world.products.push(call(channel, Request::new(goods)).await?.product.context("no product")?.product_id);
            let payment_method = "sandbox-approve".to_owned();
            let top_up = TopUpRequest { amount: Some(won(1_000_000_000)), payment_method, ..Default::default() };
            call(channel, by(number, top_up)).await?;
        }
        for number in 0..CUSTOMERS {
            let reservation = known(|| car(&world, channel, number)).await?;
            let order = known(|| order(&world, channel, number)).await?;
            known(|| bike(&world, channel, number)).await?;
            known(|| stay(&world, channel, number)).await?;
            taxi(channel, number).await?;
            world.reservations.push(reservation);
            world.orders.push(order);
        }
        world.until_finished(channel).await?;
        Ok(world)
    }

    /// Waits until the last bike ride is billed and settled, and the last reservation is shown.
    async fn until_finished(&self, channel: &Channel) -> anyhow::Result<()> {
        for number in 0..CUSTOMERS {
            let is_settled = || async move {
                let request = ListBillsRequest { state: BillState::Closed.into(), ..Default::default() };
                let bills = call(channel, by(number, request)).await?.bills;
                if bills.is_empty() { Err(Status::not_found("no closed bill")) } else { Ok(()) }
            };
            known(is_settled).await?;
            let request = GetCarRentalRequest { reservation_id: of(&self.reservations, number) };
            known(|| call(channel, by(number, request.clone()))).await?;
        }
        Ok(())
    }
}

fn won(amount_minor: i64) -> Money {
    Money { currency_code: "KRW".to_owned(), amount_minor }
}
