//! A closed loop of clients: each sends its next call after the response to the last one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use chassis::clock::Clock;
use contracts::Unary;
use contracts::fleet::v1::{Car, GetCarRequest, RegisterCarRequest};
use contracts::money::v1::Money;
use contracts::period::v1::{Dates, Period};
use contracts::place::v1::Place;
use contracts::rental::v1::ReserveCarRequest;
use hdrhistogram::Histogram;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::product::{Product, connect};
use crate::report::Measured;

/// Cars that reservations are spread over.
pub const CARS: usize = 10_000;
/// Connections that the clients share, at most.
const CONNECTIONS: usize = 8;
/// The warm-up before each measurement, which is not counted.
pub const WARM_UP: Duration = Duration::from_secs(1);

/// Runs a closed loop of `clients` for a while. `call` gets a connection and a number that grows from call to call.
pub async fn closed_loop<F>(
    address: &str,
    clients: usize,
    each: Duration,
    call: impl Fn(Channel, u64) -> F + Send + Sync + 'static,
) -> anyhow::Result<Measured>
where
    F: Future<Output = Result<(), Status>> + Send,
{
    let mut channels = Vec::new();
    for _ in 0..clients.min(CONNECTIONS) {
        channels.push(connect(address).await?);
    }
    let (call, next) = (Arc::new(call), Arc::new(AtomicU64::new(0)));
    let begin = Instant::now() + WARM_UP;
    let end = begin + each;
    let client = |number: usize| {
        let (channel, call, next) = (channels[number % channels.len()].clone(), call.clone(), next.clone());
        tokio::spawn(async move {
            let mut times = Histogram::<u64>::new(3)?;
            loop {
                let started = Instant::now();
                if started >= end {
                    return anyhow::Ok(times);
                }
                call(channel.clone(), next.fetch_add(1, Ordering::Relaxed)).await?;
                if started >= begin {
                    times.record(started.elapsed().as_micros() as u64)?;
                }
            }
        })
    };
    let clients: Vec<_> = (0..clients).map(client).collect();
    let mut all = Histogram::<u64>::new(3)?;
    for client in clients {
        all.add(client.await??)?;
    }
    Ok(Measured { each: all, in_all: begin.elapsed() })
}

/// Makes one call, without retries: they would hide what is measured.
pub async fn call<M: Unary>(channel: &Channel, request: Request<M>) -> Result<M::Response, Status> {
    client::call(channel.clone(), request).await.map(Response::into_inner)
}

/// Registers cars, and waits until `rental` knows them.
pub async fn register_cars(product: &Product, count: usize) -> anyhow::Result<Arc<Vec<String>>> {
    let channel = connect(&product.address).await?;
    let mut cars = Vec::with_capacity(count);
    for chunk in (0..count).collect::<Vec<_>>().chunks(128) {
        cars.extend(futures::future::try_join_all(chunk.iter().map(|number| register_car(&channel, *number))).await?);
    }
    // Each of them, because events of different cars are not ordered.
    for chunk in cars.chunks(128) {
        futures::future::try_join_all(chunk.iter().map(|car| until_known(channel.clone(), car))).await?;
    }
    Ok(Arc::new(cars))
}

/// Registers a car; returns its id.
pub async fn register_car(channel: &Channel, number: usize) -> anyhow::Result<String> {
    let money = Money { currency_code: "KRW".to_owned(), amount_minor: 50_000 };
    let place = Place { name: "Gimpo Airport".to_owned(), ..Place::default() };
    let car = Car { model: format!("car {number}"), place: Some(place), daily_rate: Some(money), ..Car::default() };
    let request = RegisterCarRequest { request_id: String::new(), car: Some(car) };
    Ok(call(channel, Request::new(request)).await?.car.context("no car in the answer")?.car_id)
}

/// Waits until `rental` knows a car, by reserving it for an hour that no measurement uses.
pub async fn until_known(channel: Channel, car: &str) -> Result<(), Status> {
    const FAR: u64 = 4_000;
    known(|| async { reserve_once(channel.clone(), &rider(), car.to_owned(), FAR).await }).await.map(drop)
}

/// Repeats a call while what it needs is not yet known everywhere.
pub async fn known<T, F>(call: impl Fn() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        match call().await {
            Err(status) if status.code() == Code::NotFound && Instant::now() < limit => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            outcome => return outcome,
        }
    }
}

/// Reserves cars: each call uses the next car, and after the last car the next day.
pub async fn reserve(
    product: &Product,
    cars: &Arc<Vec<String>>,
    clients: usize,
    each: Duration,
) -> anyhow::Result<Measured> {
    static ROUND: AtomicU64 = AtomicU64::new(0);
    // The days of earlier measurements are already reserved.
    let first_hour = 24 + 24 * 60 * ROUND.fetch_add(1, Ordering::Relaxed);
    let cars = cars.clone();
    closed_loop(&product.address, clients, each, move |channel, number| {
        let car = cars[number as usize % cars.len()].clone();
        let hour = first_hour + number / cars.len() as u64;
        async move { reserve_once(channel, &rider(), car, hour).await.map(drop) }
    })
    .await
}

/// A customer who did nothing yet: one customer has a few unpaid reservations and open hails at most.
pub fn rider() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("rider-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A request of this caller.
pub fn by<M>(who: &str, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-user", who.parse().unwrap_or_else(|_| unreachable!("it is ASCII")));
    request
}

/// Reserves a car for an hour that starts this many hours from now. Returns the id of the reservation.
pub async fn reserve_once(channel: Channel, who: &str, car_id: String, in_hours: u64) -> Result<String, Status> {
    let period = period(in_hours);
    let request = ReserveCarRequest { car_id, period: Some(period), ..Default::default() };
    let reserved = call(&channel, by(who, request)).await?.reservation;
    Ok(reserved.unwrap_or_default().reservation_id)
}

/// An hour that starts this many hours from now.
pub fn period(in_hours: u64) -> Period {
    let start = Clock::system().now() + Duration::from_secs(in_hours * 3_600);
    let end = start + Duration::from_secs(3_500);
    Period { start_time: Some(start.to_proto()), end_time: Some(end.to_proto()) }
}

/// So many nights, from this number of days from now.
pub fn nights(in_days: u64, count: u64) -> Dates {
    let date = |days: u64| {
        let at = Clock::system().now() + Duration::from_secs(days * 86_400);
        at.to_string().chars().take("2026-07-01".len()).collect()
    };
    Dates { start_date: date(in_days), end_date: date(in_days + count) }
}

/// Gets cars, one after the other.
pub async fn get(address: &str, cars: &Arc<Vec<String>>, clients: usize, each: Duration) -> anyhow::Result<Measured> {
    let cars = cars.clone();
    closed_loop(address, clients, each, move |channel, number| {
        let car_id = cars[number as usize % cars.len()].clone();
        async move { call(&channel, Request::new(GetCarRequest { car_id })).await.map(drop) }
    })
    .await
}
