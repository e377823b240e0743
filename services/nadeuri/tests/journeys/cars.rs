//! Cars: registration, search, removal, and status.

use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::fleet::v1::{Car, CarStatus, GetCarRequest, ListCarsRequest, RemoveCarRequest};
use contracts::money::v1::Money;
use contracts::place::v1::Place;
use tonic::Code;

use crate::runner::{Suite, journeys};
use crate::support::cluster::Cluster;
use crate::support::verbs::{some_car, won};
use crate::support::{eventually, new_id, period, precondition, refused, wrong};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        c1_an_admin_registers_and_removes_cars,
        c1_a_customer_neither_registers_nor_removes_cars,
        c2_customers_find_cars_by_id_place_price_and_status,
        c2_a_car_is_found_for_the_periods_in_which_it_is_free,
        c2_pages_follow_each_other_and_a_page_token_is_valid_for_its_own_filter_only,
        c7_the_status_of_the_car_follows_its_rental,
        c9_stars_are_given_once,
    }
}

async fn c1_an_admin_registers_and_removes_cars(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), app.by("mina"));
    let place = Place { name: "Jeju Airport".to_owned(), latitude: Some(33.5), longitude: Some(126.5) };
    let expected = Car { place: Some(place), ..some_car("Kia Ray", won(41_000)) };
    let car = admin.register(expected.clone()).await.unwrap();
    assert_eq!((&car.model, &car.place, &car.daily_rate), (&expected.model, &expected.place, &expected.daily_rate));
    assert_eq!((car.status(), car.average_stars, car.rating_count), (CarStatus::Available, 0.0, 0));
    assert_eq!(mina.car(&car).await.unwrap(), car);

    let trip = mina.reserve(&car, period(0, 2)).await.unwrap();
    precondition(admin.remove(&car).await, "CAR_IN_USE");
    mina.rent(&trip).await.unwrap();
    precondition(admin.remove(&car).await, "CAR_IN_USE");
    mina.bring_back(&trip).await.unwrap();

    let removed = admin.remove(&car).await.unwrap();
    assert_eq!(removed.status(), CarStatus::Removed);
    assert_eq!(admin.remove(&car).await.unwrap().status(), CarStatus::Removed, "it stays removed");
    assert_eq!(mina.car(&car).await.unwrap().status(), CarStatus::Removed, "it can still be read");
    precondition(mina.reserve(&car, period(5, 1)).await, "CAR_RETIRED");
    let unknown = RemoveCarRequest { car_id: new_id(), ..Default::default() };
    refused(admin.send(unknown).await, Code::NotFound, "CAR_NOT_FOUND");
}

async fn c1_a_customer_neither_registers_nor_removes_cars(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), app.by("mina"));
    let car = admin.new_car("Kia Ray", 41_000).await;
    refused(mina.register(some_car("Mine", won(1))).await, Code::PermissionDenied, "ROLE_MISSING");
    refused(mina.remove(&car).await, Code::PermissionDenied, "ROLE_MISSING");
    assert_eq!(mina.car(&car).await.unwrap().status(), CarStatus::Available);
    refused(admin.reserve(&car, period(1, 1)).await, Code::PermissionDenied, "ROLE_MISSING");
}

/// Registers cars with these daily rates in won at a place.
async fn cars_at(app: &Cluster, place: &str, rates: &[i64]) -> Vec<Car> {
    let mut cars = Vec::new();
    for (index, rate) in rates.iter().enumerate() {
        let place = Place { name: place.to_owned(), ..Default::default() };
        let car = Car { place: Some(place), ..some_car(&format!("Car {index}"), won(*rate)) };
        cars.push(app.admin().register(car).await.unwrap());
    }
    cars
}

fn ids(cars: &[Car]) -> Vec<&str> {
    cars.iter().map(|car| car.car_id.as_str()).collect()
}

async fn c2_customers_find_cars_by_id_place_price_and_status(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let place = format!("Yeosu {}", new_id());
    let cars = cars_at(&app, &place, &[30_000, 50_000, 70_000]).await;
    let at = || ListCarsRequest { place_name: place.clone(), ..Default::default() };

    assert_eq!(mina.car(&cars[1]).await.unwrap(), cars[1]);
    refused(mina.send(GetCarRequest { car_id: new_id() }).await, Code::NotFound, "CAR_NOT_FOUND");
    assert_eq!(mina.send(at()).await.unwrap().cars, cars, "in the order of their registration");
    let found = mina.send(ListCarsRequest { place_name: place[1..].to_owned(), ..at() }).await.unwrap();
    assert_eq!(found.cars, [], "places are compared exactly");

    let prices = ListCarsRequest { min_daily_rate: Some(won(50_000)), ..at() };
    assert_eq!(mina.send(prices).await.unwrap().cars, cars[1..]);
    let prices = ListCarsRequest { max_daily_rate: Some(won(50_000)), ..at() };
    assert_eq!(mina.send(prices).await.unwrap().cars, cars[..2]);
    let prices = ListCarsRequest { min_daily_rate: Some(won(31_000)), max_daily_rate: Some(won(69_999)), ..at() };
    assert_eq!(mina.send(prices).await.unwrap().cars, cars[1..2]);
    let dollars = Some(Money { currency_code: "USD".to_owned(), amount_minor: 1 });
    let prices = ListCarsRequest { min_daily_rate: dollars.clone(), ..at() };
    assert_eq!(mina.send(prices).await.unwrap().cars, [], "won are no dollars");
    let mixed = ListCarsRequest { min_daily_rate: dollars, max_daily_rate: Some(won(1)), ..at() };
    wrong(mina.send(mixed).await, &["max_daily_rate.currency_code"]);
    let crossed = ListCarsRequest { min_daily_rate: Some(won(2)), max_daily_rate: Some(won(1)), ..at() };
    wrong(mina.send(crossed).await, &["max_daily_rate.amount_minor"]);

    mina.reserve(&cars[0], period(3, 1)).await.unwrap();
    mina.sees(&cars[0], CarStatus::Reserved).await;
    app.admin().remove(&cars[2]).await.unwrap();
    let of = |status: CarStatus| ListCarsRequest { status: status.into(), ..at() };
    for (status, car) in [(CarStatus::Reserved, 0), (CarStatus::Available, 1), (CarStatus::Removed, 2)] {
        assert_eq!(ids(&mina.send(of(status)).await.unwrap().cars), ids(&cars[car..=car]), "{status:?}");
    }
    assert_eq!(mina.send(of(CarStatus::Rented)).await.unwrap().cars, []);
    assert_eq!(ids(&mina.send(at()).await.unwrap().cars), ids(&cars[..2]), "removed ones only when asked for");
}

async fn c2_a_car_is_found_for_the_periods_in_which_it_is_free(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let place = format!("Busan {}", new_id());
    let cars = cars_at(&app, &place, &[30_000, 50_000]).await;
    let free = async |start, days| -> usize {
        let free_period = Some(period(start, days));
        let request = ListCarsRequest { place_name: place.clone(), free_period, ..Default::default() };
        mina.send(request).await.unwrap().cars.len()
    };
    assert_eq!(free(10, 10).await, 2);

    let trip = mina.reserve(&cars[0], period(10, 3)).await.unwrap();
    eventually("fleet receives the reservation", async || (free(10, 3).await == 1).then_some(())).await;
    assert_eq!((free(8, 3).await, free(12, 3).await, free(11, 1).await, free(1, 60).await), (1, 1, 1, 1), "overlaps");
    assert_eq!((free(5, 4).await, free(14, 3).await), (2, 2), "before and after");
    mina.rent(&trip).await.unwrap();
    mina.sees(&cars[0], CarStatus::Rented).await;
    assert_eq!(free(10, 3).await, 1);
    let rented = mina.reservation(&trip).await.unwrap();
    mina.cancel_payment(&rented.payment_id).await.unwrap();
    eventually("the car is free again", async || (free(10, 3).await == 2).then_some(())).await;
}

async fn c2_pages_follow_each_other_and_a_page_token_is_valid_for_its_own_filter_only(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let place = format!("Seoul {}", new_id());
    let cars = cars_at(&app, &place, &[1_000; 7]).await;
    let page = |page_size, page_token: &str| {
        let page_token = page_token.to_owned();
        ListCarsRequest { place_name: place.clone(), page_size, page_token, ..Default::default() }
    };
    let mut seen = Vec::new();
    let mut token = String::new();
    let mut sizes = Vec::new();
    loop {
        let answer = mina.send(page(3, &token)).await.unwrap();
        sizes.push(answer.cars.len());
        seen.extend(answer.cars);
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((seen, sizes), (cars.clone(), vec![3, 3, 1]));
    assert_eq!(mina.send(page(7, "")).await.unwrap().next_page_token, "", "the last page has no token");

    let token = mina.send(page(3, "")).await.unwrap().next_page_token;
    assert_eq!(mina.send(page(4, &token)).await.unwrap().cars, cars[3..], "the page size may change");
    let other = ListCarsRequest { place_name: "Elsewhere".to_owned(), ..page(3, &token) };
    wrong(mina.send(other).await, &["page_token"]);
    for bad in ["x", ".", "0.0", &token[1..], &format!("{token}x"), "\u{0}", &"9".repeat(500)] {
        wrong(mina.send(page(3, bad)).await, &["page_token"]);
    }
    wrong(mina.send(page(-1, "")).await, &["page_size"]);
    wrong(mina.send(page(1_001, "")).await, &["page_size"]);
    wrong(mina.send(page(i32::MIN, "x")).await, &["page_size", "page_token"]);

    let all = mina.send(ListCarsRequest { page_size: 1_000, ..Default::default() }).await.unwrap().cars;
    let distinct: BTreeSet<&str> = ids(&all).into_iter().collect();
    assert_eq!(distinct.len(), all.len());
}

async fn c7_the_status_of_the_car_follows_its_rental(app: Arc<Cluster>) {
    let (mina, jun) = (app.by("mina"), app.by("jun"));
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(0, 1)).await.unwrap();
    mina.sees(&car, CarStatus::Reserved).await;
    let later = jun.reserve(&car, period(4, 1)).await.unwrap();
    mina.rent(&trip).await.unwrap();
    mina.sees(&car, CarStatus::Rented).await;
    mina.bring_back(&trip).await.unwrap();
    mina.sees(&car, CarStatus::Reserved).await;
    jun.cancel(&later).await.unwrap();
    let car = mina.sees(&car, CarStatus::Available).await;
    assert!(car.update_time.unwrap().seconds >= car.create_time.unwrap().seconds);
}

async fn c9_stars_are_given_once(app: Arc<Cluster>) {
    let (mina, jun) = (app.by("mina"), app.by("jun"));
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let first = mina.reserve(&car, period(0, 1)).await.unwrap();
    precondition(mina.rate(&first, 5).await, "NOT_RETURNED");
    mina.rent(&first).await.unwrap();
    precondition(mina.rate(&first, 5).await, "NOT_RETURNED");
    mina.bring_back(&first).await.unwrap();
    for stars in [0, 6, -1, i32::MAX] {
        wrong(mina.rate(&first, stars).await, &["stars"]);
    }
    refused(jun.rate(&first, 1).await, Code::NotFound, "RESERVATION_NOT_FOUND");
    assert_eq!(mina.rate(&first, 5).await.unwrap().stars, 5);
    precondition(mina.rate(&first, 1).await, "ALREADY_RATED");

    let second = jun.reserve(&car, period(0, 1)).await.unwrap();
    jun.rent(&second).await.unwrap();
    jun.bring_back(&second).await.unwrap();
    jun.rate(&second, 2).await.unwrap();
    let rated = async || mina.car(&car).await.ok().filter(|car| car.rating_count == 2);
    assert!((eventually("two ratings", rated).await.average_stars - 3.5).abs() < 1e-9);
}
