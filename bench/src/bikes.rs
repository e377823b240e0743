//! Bikes: the flow from the rent to the settled bill, beside the sum of the raw steps that it needs.
//!
//! One after the other a ride needs: the commits of taking the bike, of the start and of the return, then three times the
//! relay's confirmed publish, the consumer's receipt and its commit: the bill, the deduction, and that it is settled. Six
//! commits, three events.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contracts::bike::v1::RegisterBikeRequest;
use contracts::billing::v1::{BillState, ListBillsRequest};
use contracts::money::v1::Money;
use contracts::place::v1::Place;
use contracts::ride::v1::{RentBikeRequest, ReturnBikeRequest};
use contracts::wallet::v1::TopUpRequest;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::load::{call, closed_loop};
use crate::product::{Product, connect};
use crate::report::Table;
use crate::{events, raw};

/// Commits of a ride, one after the other.
const COMMITS: f64 = 6.0;
/// Events of a ride, one after the other.
const EVENTS: f64 = 3.0;
/// The number of customers, each with a bike: more than concurrent clients, so that each bike is available and billed.
const CUSTOMERS: u64 = 256;

/// The ride.
pub async fn ride(
    product: &Product,
    postgres: &str,
    amqp: &str,
    each: Duration,
    table: &mut Table,
) -> anyhow::Result<()> {
    let commit_ms = 1_000.0 / raw::pgbench(postgres, 1, each).await?;
    let raw_ms = COMMITS * commit_ms + EVENTS * events::raw_round_trip_ms(amqp).await?;
    let bikes = std::sync::Arc::new(prepare(product).await?);
    for clients in [1, 16] {
        let look_again = Duration::from_millis(clients as u64);
        let bikes = bikes.clone();
        let measured = closed_loop(&product.address, clients, each, move |channel, _| {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed) % CUSTOMERS;
            ride_once(channel, number, bikes[number as usize].clone(), look_again)
        })
        .await?;
        table.latency("rent a bike, return it, billed and settled", clients, &measured, raw_ms, None);
    }
    Ok(())
}

/// Registers a bike for each customer, and tops up their deposits. Returns the ids of the bikes.
pub async fn prepare(product: &Product) -> anyhow::Result<Vec<String>> {
    let channel = connect(&product.address).await?;
    let each = (0..CUSTOMERS).map(|number| {
        let channel = &channel;
        async move {
            let amount = Some(Money { currency_code: "KRW".to_owned(), amount_minor: 1_000_000_000 });
            let payment_method = "sandbox-approve".to_owned();
            let top_up = TopUpRequest { amount, payment_method, ..Default::default() };
            call(channel, by(number, top_up)).await?;
            let place = Some(Place { name: "here".to_owned(), latitude: Some(37.5), longitude: Some(127.0) });
            let (name, battery_percent) = (format!("S-{number}"), Some(100));
            let request = RegisterBikeRequest { name, place, battery_percent, ..Default::default() };
            let bike = call(channel, by(number, request)).await?.bike;
            Ok::<_, Status>(bike.unwrap_or_default().bike_id)
        }
    });
    Ok(futures::future::try_join_all(each).await?)
}

pub async fn ride_once(channel: Channel, number: u64, bike_id: String, look_again: Duration) -> Result<(), Status> {
    let rent = RentBikeRequest { request_id: String::new(), bike_id };
    let ride_id = call(&channel, by(number, rent)).await?.ride.unwrap_or_default().ride_id;
    let place = Some(Place { name: "there".to_owned(), latitude: Some(37.5), longitude: Some(127.0) });
    let bring_back = ReturnBikeRequest { ride_id: ride_id.clone(), place, ..Default::default() };
    call(&channel, by(number, bring_back)).await?;
    loop {
        let request = ListBillsRequest { page_size: 1, state: BillState::Closed.into(), ..Default::default() };
        let mut request = by(number, request);
        request.metadata_mut().insert("x-roles", "customer".parse().unwrap_or_else(|_| unreachable!("it is ASCII")));
        let bills = call(&channel, request).await?.bills;
        if bills.first().is_some_and(|bill| bill.ride_id == ride_id) {
            return Ok(());
        }
        tokio::time::sleep(look_again).await;
    }
}

fn by<M>(number: u64, message: M) -> Request<M> {
    let mut request = Request::new(message);
    let name = format!("cyclist-{number}").parse().unwrap_or_else(|_| unreachable!("it is ASCII"));
    request.metadata_mut().insert("x-user", name);
    request
}
