//! Taxis: the flow from the hail to the paid fare, beside the sum of the raw steps that it needs; and the search of the
//! nearest of 100,000 offered drives, beside the same search in a plain PostgreSQL table.
//!
//! One after the other a ride needs: the hail's commit, the relay's confirmed publish and the consumer's receipt, the
//! offer's commit, those of acceptance, start and finish, the payment's two, and that of the fare: eight commits, one event.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use contracts::dispatch::v1::{Hail, HailTaxiRequest};
use contracts::driving::v1::{
    AcceptDriveRequest, FareState, FinishDriveRequest, ListOffersRequest, Offer, StartDriveRequest, StartShiftRequest,
};
use contracts::place::v1::Place;
use tonic::Status;
use tonic::transport::Channel;

use crate::load::{by, call, closed_loop, rider};
use crate::product::{Product, Store, connect};
use crate::report::Table;
use crate::{events, raw};

/// Commits of a ride, one after the other.
const COMMITS: f64 = 8.0;
/// The number of offered drives during the search.
const OFFERS: u64 = 100_000;
/// The area of a city that they are spread over: degrees north and east of its corner.
const CORNER: (f64, f64) = (37.40, 126.80);
const CITY: (f64, f64) = (0.30, 0.35);
/// The number of offers that a driver gets.
const PAGE_SIZE: i32 = 20;

/// The ride.
pub async fn ride(
    product: &Product,
    postgres: &str,
    amqp: &str,
    each: Duration,
    table: &mut Table,
) -> anyhow::Result<()> {
    let commit_ms = 1_000.0 / raw::pgbench(postgres, 1, each).await?;
    let raw_ms = COMMITS * commit_ms + events::raw_round_trip_ms(amqp).await?;
    for clients in [1, 16] {
        let look_again = Duration::from_millis(clients as u64);
        let measured = closed_loop(&product.address, clients, each, move |channel, _| {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            ride_once(channel, NEXT.fetch_add(1, Ordering::Relaxed), look_again)
        })
        .await?;
        table.latency("hail, accept, start, finish and pay", clients, &measured, raw_ms, None);
    }
    Ok(())
}

pub async fn ride_once(channel: Channel, number: u64, look_again: Duration) -> Result<(), Status> {
    // Each at another position, so that no search sees the others' offers: the search is measured separately.
    let position = (-60.0 + (number % 120) as f64, -170.0 + (number / 120 % 340) as f64);
    let hail = hail(channel.clone(), position).await?;
    let driver = format!("driver-{number}");
    call(&channel, by(&driver, StartShiftRequest::default())).await?;
    let drive_id = loop {
        let offers = call(&channel, by(&driver, search(position))).await?.offers;
        let own = |offer: Offer| offer.drive.filter(|drive| drive.hail_id == hail.hail_id);
        if let Some(drive) = offers.into_iter().find_map(own) {
            break drive.drive_id;
        }
        tokio::time::sleep(look_again).await;
    };
    let request_id = String::new;
    let accept = AcceptDriveRequest { request_id: request_id(), drive_id: drive_id.clone() };
    call(&channel, by(&driver, accept)).await?;
    let start_code = hail.start_code;
    let start = StartDriveRequest { drive_id: drive_id.clone(), start_code, ..Default::default() };
    call(&channel, by(&driver, start)).await?;
    let finish = FinishDriveRequest { drive_id, ..Default::default() };
    let drive = call(&channel, by(&driver, finish)).await?.drive.unwrap_or_default();
    if drive.fare_state() == FareState::Paid { Ok(()) } else { Err(Status::internal("the fare is not paid")) }
}

/// The search.
pub async fn search_offers(
    binary: &std::path::Path,
    postgres: &str,
    each: Duration,
    table: &mut Table,
) -> anyhow::Result<()> {
    let product = Product::start(binary, &Store::Postgres(postgres), "local").await?;
    call(&connect(&product.address).await?, by("kim", StartShiftRequest::default())).await?;
    let started = Instant::now();
    fill(&product).await?;
    eprintln!("  {OFFERS} hails were offered after {:.0} s", started.elapsed().as_secs_f64());
    for clients in [1, 16] {
        let raw = raw::nearest(postgres, clients, each, OFFERS, CORNER, CITY, PAGE_SIZE).await?;
        let measured = closed_loop(&product.address, clients, each, |channel, number| async move {
            match call(&channel, by("kim", search(position(number)))).await?.offers.len() {
                20 => Ok(()),
                other => Err(Status::internal(format!("{other} offers"))),
            }
        })
        .await?;
        let what = format!("the nearest 20 of {OFFERS} offers, {clients} clients, to pgbench on a bare table");
        table.row(&what, measured.per_second(), raw, None, &measured);
    }
    product.stop().await
}

/// Hails taxis all over the city, and waits until all are offered.
async fn fill(product: &Product) -> anyhow::Result<()> {
    let channel = connect(&product.address).await?;
    for chunk in (0..OFFERS).collect::<Vec<_>>().chunks(256) {
        let hails = chunk.iter().map(|number| hail(channel.clone(), position(*number)));
        futures::future::try_join_all(hails).await?;
    }
    // The last hails are offered last, but not in order: wait until the offers at the corner of the city are complete.
    let limit = Instant::now() + Duration::from_secs(300);
    for number in (0..OFFERS).rev().take(200) {
        let position = position(number);
        loop {
            let found = call(&channel, by("kim", search(position))).await?.offers;
            if found.first().is_some_and(|offer| offer.distance_km < 0.000_1) {
                break;
            }
            anyhow::ensure!(Instant::now() < limit, "the hails are not offered in time");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// A position in the city for each number. Two irrational steps spread them evenly.
fn position(number: u64) -> (f64, f64) {
    let (north, east) = ((number as f64 * 0.754_877_666_2).fract(), (number as f64 * 0.569_840_290_9).fract());
    (CORNER.0 + CITY.0 * north, CORNER.1 + CITY.1 * east)
}

async fn hail(channel: Channel, (latitude, longitude): (f64, f64)) -> Result<Hail, Status> {
    let request = HailTaxiRequest {
        request_id: String::new(),
        pickup: Some(Place { name: "here".to_owned(), latitude: Some(latitude), longitude: Some(longitude) }),
        destination: Some(Place { name: "there".to_owned(), ..Place::default() }),
        payment_method: "sandbox-approve".to_owned(),
    };
    let hail = call(&channel, by(&rider(), request)).await?.hail;
    hail.context("no hail").map_err(|error| Status::internal(error.to_string()))
}

fn search((latitude, longitude): (f64, f64)) -> ListOffersRequest {
    let (latitude, longitude) = (Some(latitude), Some(longitude));
    ListOffersRequest { page_size: PAGE_SIZE, latitude, longitude, ..Default::default() }
}
