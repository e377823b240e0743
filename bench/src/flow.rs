//! The whole flow: reserve, pay, and read it from the read model; beside the sum of the raw steps that it needs.
//!
//! In sequence it needs: the reservation's commit, the payment's two commits (asked, approved), the rental's commit,
//! the relay's confirmed publish, the consumer's receipt, and the view's commit: five commits of PostgreSQL, one confirmed
//! publish and receipt of RabbitMQ. The raw parts are measured one at a time, without anything around them.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use contracts::mypage::v1::GetCarRentalRequest;
use contracts::rental::v1::{RentCarRequest, ReservationState};
use tonic::Status;
use tonic::transport::Channel;

use crate::load::{self, WARM_UP, call, closed_loop, register_cars};
use crate::product::{Product, Store};
use crate::report::{Goal, Measured, Table};
use crate::{events, raw};

/// Commits, one after the other.
const COMMITS: f64 = 5.0;

pub async fn measure(
    product: &Product,
    postgres: &str,
    amqp: &str,
    each: Duration,
    table: &mut Table,
) -> anyhow::Result<()> {
    let commit_ms = 1_000.0 / raw::pgbench(postgres, 1, each).await?;
    let event_ms = events::raw_round_trip_ms(amqp).await?;
    let raw_ms = COMMITS * commit_ms + event_ms;
    let flows = Flows::prepare(product).await?;
    for clients in [1, 16] {
        let measured = flows.run(product, clients, each).await?;
        let goal = (clients == 1).then_some(Goal::AtMost(3.0));
        table.latency("reserve, pay, see it", clients, &measured, raw_ms, goal);
        let mut parts = PARTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let medians = parts.each_mut().map(|part| {
            part.sort_unstable();
            let median = part.get(part.len() / 2).copied().unwrap_or_default();
            part.clear();
            median as f64 / 1_000.0
        });
        eprintln!(
            "  of it, at p50: {:.1} ms reserve, {:.1} ms pay, {:.1} ms until seen",
            medians[0], medians[1], medians[2]
        );
    }
    Ok(())
}

/// The flows of measurements: each with the next car, and after the last car at the next hour.
#[derive(Clone)]
pub struct Flows {
    cars: Arc<Vec<String>>,
    next: Arc<AtomicU64>,
}

impl Flows {
    /// Registers the cars.
    pub async fn prepare(product: &Product) -> anyhow::Result<Flows> {
        Ok(Flows { cars: register_cars(product, 2_000).await?, next: Arc::default() })
    }

    /// The number of flows so far.
    pub fn count(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Runs flows for a while.
    pub async fn run(&self, product: &Product, clients: usize, each: Duration) -> anyhow::Result<Measured> {
        let Flows { cars, next } = self.clone();
        // All clients together poll at most 1,000 times per second: polling is not what is measured.
        let look_again = Duration::from_millis(clients as u64);
        closed_loop(&product.address, clients, each, move |channel, _| {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let car = cars[number as usize % cars.len()].clone();
            flow(channel, car, 24 + number / cars.len() as u64, look_again)
        })
        .await
    }
}

/// The flow by one client on each of three replicas, beside one replica alone: whichever of them relays the events, a
/// customer of another one does not wait for it.
pub async fn replicas(
    binary: &Path,
    postgres: &str,
    amqp: &str,
    each: Duration,
    table: &mut Table,
) -> anyhow::Result<()> {
    let first = Product::start(binary, &Store::Postgres(postgres), amqp).await?;
    let flows = Flows::prepare(&first).await?;
    let measure = async |product: &Product| flows.run(product, 1, each).await;
    let mut row = |what: &str, ours: f64, other: f64, goal| {
        let cells = [format!("{ours:.1} ms"), format!("{other:.1} ms")];
        table.ratio(&format!("reserve, pay, see it: {what}"), &cells, ours / other, goal);
    };
    let alone = measure(&first).await?.millis(0.5);
    let second = first.replica(amqp).await?;
    let slowest = |all: &[f64]| all.iter().copied().fold(0.0, f64::max);
    let of_two = [measure(&first).await?.millis(0.5), measure(&second).await?.millis(0.5)];
    let goal = Some(Goal::AtMost(1.3));
    row("p50, 1 client, on the slower of two replicas, to one alone", slowest(&of_two), alone, goal);
    let third = first.replica(amqp).await?;
    let of_three = [&first, &second, &third].map(measure);
    let mut medians = Vec::new();
    for measured in of_three {
        medians.push(measured.await?.millis(0.5));
    }
    row("p50, 1 client, on the slowest of three replicas, to one alone", slowest(&medians), alone, goal);
    // The first has relayed the events since it started.
    let before = measure(&second).await?.millis(0.99);
    let killed = async {
        tokio::time::sleep(WARM_UP + each / 2).await;
        first.kill();
    };
    let (after, ()) = tokio::join!(measure(&second), killed);
    row("p99, 1 client, while another replica is killed, to before", after?.millis(0.99), before, None);
    drop(third);
    second.stop().await
}

/// The latency of each step in microseconds: reserve, pay, read model.
static PARTS: Mutex<[Vec<u64>; 3]> = Mutex::new([Vec::new(), Vec::new(), Vec::new()]);

pub async fn flow(channel: Channel, car: String, in_hours: u64, look_again: Duration) -> Result<(), Status> {
    let mut started = Instant::now();
    let mut part = |number: usize| {
        let took = std::mem::replace(&mut started, Instant::now()).elapsed().as_micros() as u64;
        PARTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())[number].push(took);
    };
    let who = load::rider();
    let reservation_id = load::reserve_once(channel.clone(), &who, car, in_hours).await?;
    part(0);
    let payment_method = "sandbox-approve".to_owned();
    let rent = RentCarRequest { request_id: String::new(), reservation_id: reservation_id.clone(), payment_method };
    call(&channel, load::by(&who, rent)).await?;
    part(1);
    loop {
        let request = GetCarRentalRequest { reservation_id: reservation_id.clone() };
        if let Ok(seen) = call(&channel, load::by(&who, request)).await
            && seen.car_rental.is_some_and(|rental| rental.rental_state() == ReservationState::Rented)
        {
            part(2);
            return Ok(());
        }
        tokio::time::sleep(look_again).await;
    }
}
