//! A day out: a car is reserved, paid, rented, returned and rated, and a taxi brings its driver home.
//!
//! ```sh
//! cargo run --release                                  # the server, in another terminal
//! cargo run -p nadeuri-client --example outing         # on http://127.0.0.1:50051, or the URL in NADEURI_SERVER
//! ```

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use client::{Client, Error, Options};
use contracts::chronicle::v1::WatchEventsRequest;
use contracts::dispatch::v1::HailTaxiRequest;
use contracts::driving::v1::{
    AcceptDriveRequest, Drive, FareState, FinishDriveRequest, ListOffersRequest, StartDriveRequest, StartShiftRequest,
};
use contracts::fleet::v1::{Car, RegisterCarRequest};
use contracts::money::v1::Money;
use contracts::period::v1::Period;
use contracts::place::v1::Place;
use contracts::rental::v1::{
    RateRentalRequest, RentCarRequest, Reservation, ReservationState, ReserveCarRequest, ReturnCarRequest,
};
use futures::TryStreamExt as _;

const CITY_HALL: (Option<f64>, Option<f64>) = (Some(37.5663), Some(126.9779));
const DAY: Duration = Duration::from_secs(86_400);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let reservation = rent_a_car().await?;
    let drive = take_a_taxi().await?;
    println!("the chronicle: {}", first_events_of(&reservation.reservation_id).await?.join(", "));
    ensure!(reservation.state() == ReservationState::Returned && drive.fare_state() == FareState::Paid);
    println!("done: the car is back with {} stars, and the taxi is paid", reservation.stars);
    Ok(())
}

/// Connects as a user with a role. These headers are for a server with auth off; with auth on, use a token instead.
fn connect_as(user: &str, role: &str) -> Result<Client, Error> {
    let server = std::env::var("NADEURI_SERVER").unwrap_or_else(|_| "http://127.0.0.1:50051".to_owned());
    Client::connect(&server, Options::default().header("x-user", user).header("x-roles", role))
}

/// Polls until there is a value: contexts receive each other's events a moment later.
async fn eventually<T>(look: impl AsyncFn() -> Result<Option<T>, Error>) -> anyhow::Result<T> {
    for _ in 0..200 {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("it did not happen within ten seconds")
}

async fn rent_a_car() -> anyhow::Result<Reservation> {
    let car = Car {
        model: "Hyundai Casper".to_owned(),
        place: Some(Place { name: "Gimpo Airport".to_owned(), ..Place::default() }),
        daily_rate: Some(Money { currency_code: "KRW".to_owned(), amount_minor: 54_000 }),
        ..Car::default()
    };
    let register = RegisterCarRequest { car: Some(car), ..RegisterCarRequest::default() };
    let car = connect_as("admin", "admin")?.send(register).await?.car.context("no car")?;
    println!("the company has a {}", car.model);

    #[expect(clippy::disallowed_methods, reason = "an app has the machine's clock")]
    let now = SystemTime::now();
    let period = Some(Period { start_time: Some(now.into()), end_time: Some((now + 3 * DAY).into()) });
    let reserve = ReserveCarRequest { car_id: car.car_id, period, ..ReserveCarRequest::default() };
    let mina = connect_as("mina", "customer")?;
    let reserved = eventually(async || match mina.send(reserve.clone()).await {
        // rental has not received the event of the new car yet
        Err(error) if error.reason() == "CAR_NOT_FOUND" => Ok(None),
        reserved => reserved.map(Some),
    });
    let reservation = reserved.await?.reservation.context("no reservation")?;
    let price = reservation.price.as_ref().map_or(0, |price| price.amount_minor);
    println!("mina reserves it for {} days: {price} won", reservation.days);

    let jun = connect_as("jun", "customer")?;
    let refused = jun.send(reserve).await.err().context("two customers got one car")?;
    println!("jun is refused: {}", refused.reason());
    let wrong = ReserveCarRequest { car_id: "the red one".to_owned(), ..ReserveCarRequest::default() };
    for violation in jun.send(wrong).await.err().context("there is no such car")?.violations() {
        println!("jun is told what is wrong with {}", violation.field);
    }

    let (reservation_id, payment_method) = (reservation.reservation_id, "sandbox-approve".to_owned());
    let pay = RentCarRequest { reservation_id: reservation_id.clone(), payment_method, ..Default::default() };
    mina.send(pay).await?;
    println!("mina pays and drives off");
    mina.send(ReturnCarRequest { reservation_id: reservation_id.clone(), ..Default::default() }).await?;
    let rated = mina.send(RateRentalRequest { reservation_id, stars: 5, ..Default::default() }).await?;
    rated.reservation.context("no reservation")
}

async fn take_a_taxi() -> anyhow::Result<Drive> {
    let (latitude, longitude) = CITY_HALL;
    let hail = HailTaxiRequest {
        pickup: Some(Place { name: "City Hall".to_owned(), latitude, longitude }),
        destination: Some(Place { name: "Mapo".to_owned(), ..Place::default() }),
        payment_method: "sandbox-approve".to_owned(),
        ..HailTaxiRequest::default()
    };
    let hail = connect_as("mina", "customer")?.send(hail).await?.hail.context("no hail")?;
    println!("mina hails a taxi at {}", hail.pickup.unwrap_or_default().name);

    let kim = connect_as("driver:kim", "driver")?;
    kim.send(StartShiftRequest::default()).await?;
    let offered = eventually(async || {
        let mut offers = kim.items(ListOffersRequest { latitude, longitude, ..ListOffersRequest::default() });
        while let Some(offer) = offers.try_next().await? {
            if let Some(drive) = offer.drive.filter(|drive| drive.hail_id == hail.hail_id) {
                return Ok(Some(drive));
            }
        }
        Ok(None)
    });
    let drive_id = offered.await?.drive_id;
    kim.send(AcceptDriveRequest { drive_id: drive_id.clone(), ..Default::default() }).await?;
    let start_code = hail.start_code;
    kim.send(StartDriveRequest { drive_id: drive_id.clone(), start_code, ..Default::default() }).await?;
    let finished = kim.send(FinishDriveRequest { drive_id, ..Default::default() }).await?;
    let drive = finished.drive.context("no drive")?;
    println!("kim brings her home for {} won", drive.fare.as_ref().map_or(0, |fare| fare.amount_minor));
    Ok(drive)
}

/// The first events of a flow, as a live watch returns them.
async fn first_events_of(flow_id: &str) -> anyhow::Result<Vec<String>> {
    let from_the_first = WatchEventsRequest { after_position: Some(0), ..WatchEventsRequest::default() };
    let mut events = connect_as("admin", "admin")?.watch(from_the_first);
    let mut seen = Vec::new();
    while let Some(event) = events.try_next().await? {
        if event.flow_id == flow_id {
            seen.extend(event.r#type.rsplit('.').next().map(str::to_owned));
        }
        if seen.last().is_some_and(|name| name == "RentalRated") {
            break;
        }
    }
    Ok(seen)
}
