//! A good customer while others take all that they can get: the time in which a car is reserved and paid, and the memory
//! of the product, on SQLite in one process. An attack that shuts the customer out fails the benchmark.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use contracts::Request as _;
use contracts::chronicle::v1::WatchEventsRequest;
use contracts::rental::v1::{ListReservationsRequest, RentCarRequest, ReserveCarRequest};
use futures::future::BoxFuture;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::load::{self, call, closed_loop, period, rider};
use crate::product::{Product, Store, connect};
use crate::report::{Measured, Table};

/// The good customer's calls at once.
const CLIENTS: usize = 4;
/// The pause of an attacker who was refused.
const PAUSE: Duration = Duration::from_millis(100);
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Something that never ends by itself.
type Attack = fn(SocketAddr) -> BoxFuture<'static, anyhow::Result<()>>;

/// The attacks, each with its name.
const ATTACKS: [(&str, Attack); 5] = [
    ("4 connections with 1,000 calls each that send headers alone", |address| {
        Box::pin(streams(address, 4, 1_000, ListReservationsRequest::RPC.path, false))
    }),
    ("2,000 watches of health", |address| Box::pin(streams(address, 2, 1_000, HEALTH_WATCH, true))),
    ("1,000 watches of events that are not read", |address| {
        Box::pin(streams(address, 1, 1_000, WatchEventsRequest::RPC.path, true))
    }),
    ("400 connections that say nothing", |address| Box::pin(silence(address, 400))),
    ("300 charges of one reservation by a card that hangs", |address| Box::pin(charges(address, 300))),
];

pub async fn measure(nadeuri: &Path, each: Duration, table: &mut Table) -> anyhow::Result<()> {
    let mut usual = None;
    for (what, attack) in [("no attack", None)].into_iter().chain(ATTACKS.map(|(what, attack)| (what, Some(attack)))) {
        let product = Product::start(nadeuri, &Store::Sqlite, "local").await?;
        let cars = load::register_cars(&product, 64).await?;
        let address: SocketAddr = product.address.trim_start_matches("http://").parse()?;
        let attacker = attack.map(|attack| tokio::spawn(attack(address)));
        let measured = customer(&product, cars, each).await.with_context(|| format!("the customer during {what}"))?;
        if let Some(attacker) = attacker {
            anyhow::ensure!(!attacker.is_finished(), "the attack ended: {:?}", attacker.await);
            attacker.abort();
        }
        say(table, what, &measured, usual.get_or_insert(measured.millis(0.5)), product.resident()?);
        product.stop().await?;
    }
    Ok(())
}

fn say(table: &mut Table, what: &str, measured: &Measured, usual: &f64, memory: u64) {
    let (p50, p99, memory) = (measured.millis(0.5), measured.millis(0.99), memory as f64 / f64::from(1 << 20));
    let ours = format!("p50 {p50:.1} ms, p99 {p99:.1} ms, {memory:.0} MiB");
    let usually = format!("p50 {usual:.1} ms");
    table.ratio(&format!("reserve and pay during: {what}"), &[ours, usually], p50 / usual, None);
}

/// Signs a request of a customer.
fn of<M>(name: &str, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(10));
    let metadata = request.metadata_mut();
    metadata.insert("x-user", name.parse().unwrap_or_else(|_| unreachable!("it is ASCII")));
    metadata.insert("x-roles", tonic::metadata::MetadataValue::from_static("customer"));
    request
}

/// Reserves and pays cars, one hour after the other.
async fn customer(product: &Product, cars: Arc<Vec<String>>, each: Duration) -> anyhow::Result<Measured> {
    closed_loop(&product.address, CLIENTS, each, move |channel, number| {
        let (car, hour) = (cars[number as usize % cars.len()].clone(), 24 + number / cars.len() as u64);
        async move {
            let who = rider();
            let reservation_id = reserve(&channel, &who, car, hour).await?;
            let payment_method = "sandbox-approve".to_owned();
            let rent = RentCarRequest { reservation_id, payment_method, ..Default::default() };
            call(&channel, of(&who, rent)).await.map(drop)
        }
    })
    .await
}

async fn reserve(channel: &Channel, name: &str, car_id: String, hour: u64) -> Result<String, Status> {
    let request = ReserveCarRequest { car_id, period: Some(period(hour)), ..Default::default() };
    Ok(call(channel, of(name, request)).await?.reservation.unwrap_or_default().reservation_id)
}

/// Holds as many streams as it can get, on connections that it opens again when they end.
async fn streams(
    address: SocketAddr,
    connections: usize,
    each: usize,
    path: &'static str,
    with_message: bool,
) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(async move {
            loop {
                let (requests, connection) = h2::client::handshake(TcpStream::connect(address).await?).await?;
                let mut held = JoinSet::new();
                for _ in 0..each {
                    let requests = requests.clone();
                    held.spawn(async move {
                        while hold(requests.clone(), path, with_message).await.is_ok() {
                            tokio::time::sleep(PAUSE).await;
                        }
                    });
                }
                // Either side may end it: the client's library does if too much is not read.
                let _ = connection.await;
            }
        });
    }
    tasks.join_next().await.context("there are connections")??
}

/// Opens a stream, and holds it until the server ends it. The events that it is sent are not read.
async fn hold(
    requests: h2::client::SendRequest<tonic::codegen::Bytes>,
    path: &str,
    with_message: bool,
) -> anyhow::Result<()> {
    let request = tonic::codegen::http::Request::post(format!("http://nadeuri{path}"));
    let request = request.header("content-type", "application/grpc");
    let request = request.header("x-user", "mallory").header("x-roles", "customer,admin").body(())?;
    let mut requests = requests.ready().await?;
    let (response, mut body) = requests.send_request(request, false)?;
    if with_message {
        // An empty message: five bytes of frame.
        body.send_data(tonic::codegen::Bytes::from_static(&[0; 5]), true)?;
    }
    let mut response = response.await?.into_body();
    if !response.is_end_stream() {
        // The end of the stream shows only behind what is not read: only a reset does.
        poll_fn(|cx| response.poll_data(cx)).await.transpose()?;
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// Holds connections without a byte; opens another for each that is closed.
async fn silence(address: SocketAddr, connections: usize) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(async move {
            loop {
                let mut connection = TcpStream::connect(address).await?;
                // The server greets first. Whether it closes or resets the connection does not matter.
                let _ = connection.read_to_end(&mut Vec::new()).await;
            }
        });
    }
    tasks.join_next().await.context("there are connections")??
}

/// Charges one reservation, many times at once.
async fn charges(address: SocketAddr, at_once: usize) -> anyhow::Result<()> {
    let channel = connect(&format!("http://{address}")).await?;
    let car = load::register_car(&channel, 0).await?;
    load::until_known(channel.clone(), &car).await?;
    let reservation_id = reserve(&channel, "mallory", car, 24).await?;
    let mut tasks = JoinSet::new();
    for _ in 0..at_once {
        let (channel, reservation_id) = (channel.clone(), reservation_id.clone());
        tasks.spawn(async move {
            loop {
                let payment_method = "sandbox-timeout".to_owned();
                let rent =
                    RentCarRequest { reservation_id: reservation_id.clone(), payment_method, ..Default::default() };
                // Refused, or still pending.
                let _ = call(&channel, of("mallory", rent)).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    tasks.join_next().await.context("there are charges")?.map_err(Into::into)
}
