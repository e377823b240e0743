//! The whole way: reserve, pay, and see it on one's page; beside the sum of the raw parts that it can't do without.
//!
//! One after the other it needs: the reservation's commit, the payment's two commits (asked, approved), the rental's commit,
//! the relay's confirmed publish, the consumer's receipt, and the view's commit: five commits of PostgreSQL, one confirmed
//! publish and receipt of RabbitMQ. The raw parts are measured one at a time, without anything around them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contracts::mypage::v1::GetCarRentalRequest;
use contracts::mypage::v1::mypage_service_client::MypageServiceClient;
use contracts::rental::v1::rental_service_client::RentalServiceClient;
use contracts::rental::v1::{RentCarRequest, ReservationState};
use tonic::Status;
use tonic::transport::Channel;

use crate::load::{self, closed_loop, register_cars};
use crate::product::Product;
use crate::report::Table;
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
    let cars = register_cars(product, 2_000).await?;
    static NEXT: AtomicU64 = AtomicU64::new(0);
    for clients in [1, 16] {
        let cars = cars.clone();
        let measured = closed_loop(&product.address, clients, each, move |channel, _| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let car = cars[number as usize % cars.len()].clone();
            flow(channel, car, 24 + number / cars.len() as u64)
        })
        .await?;
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            let ours_ms = measured.millis(quantile);
            let what = format!("reserve, pay, see it: {name}, {clients} clients, to the sum of the raw parts");
            table.line(
                &what,
                &format!("{ours_ms:.1} ms"),
                &format!("{raw_ms:.1} ms"),
                &format!("{:.1}×", ours_ms / raw_ms),
                "",
            );
            eprintln!("  {what}: {ours_ms:.1} ms to {raw_ms:.1} ms");
        }
    }
    Ok(())
}

async fn flow(channel: Channel, car: String, in_hours: u64) -> Result<(), Status> {
    let reservation_id = load::reserve_once(channel.clone(), car, in_hours).await?;
    let payment_method = "sandbox-approve".to_owned();
    let rent = RentCarRequest { request_id: String::new(), reservation_id: reservation_id.clone(), payment_method };
    RentalServiceClient::new(channel.clone()).rent_car(rent).await?;
    let mut page = MypageServiceClient::new(channel);
    loop {
        let request = GetCarRentalRequest { reservation_id: reservation_id.clone() };
        if let Ok(seen) = page.get_car_rental(request).await
            && seen.into_inner().car_rental.is_some_and(|rental| rental.rental_state() == ReservationState::Rented)
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
