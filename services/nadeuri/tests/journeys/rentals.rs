//! Reservations and rentals: overlapping periods, prices, cancellation and return.

use std::sync::Arc;

use chassis::clock::Timestamp;
use contracts::fleet::v1::CarStatus;
use contracts::mypage::v1::ListCarRentalsRequest;
use contracts::payment::v1::PaymentState;
use contracts::rental::v1::{CancellationCause, ListReservationsRequest, ReservationState, ReserveCarRequest};
use jiff::ToSpan as _;
use jiff::tz::TimeZone;
use tonic::{Code, Status};

use crate::runner::{Suite, journeys};
use crate::support::cluster::Cluster;
use crate::support::verbs::won;
use crate::support::{between, new_id, now, period, precondition, reason, refused, wrong};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        c3_two_customers_never_get_overlapping_periods,
        c3_one_of_200_clients_gets_the_car,
        c3_the_price_is_the_servers_by_days_in_seoul,
        c4_a_cancelled_reservation_frees_the_period,
        c8_mypage_shows_where_the_rental_stands,
    }
}

async fn c3_two_customers_never_get_overlapping_periods(app: Arc<Cluster>) {
    let (mina, jun) = (app.by("mina"), app.by("jun"));
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let (start, hour) = (now() + std::time::Duration::from_secs(864_000), std::time::Duration::from_secs(3_600));
    let hours = |from: u32, to: u32| between(start + hour * from, start + hour * to);
    let trip = mina.reserve(&car, hours(24, 72)).await.unwrap();
    assert_eq!((trip.state(), trip.customer_id.as_str()), (ReservationState::Reserved, "mina"));
    for taken in [hours(24, 72), hours(0, 25), hours(71, 90), hours(30, 31), hours(0, 100)] {
        precondition(jun.reserve(&car, taken).await, "PERIOD_TAKEN");
    }
    precondition(mina.reserve(&car, hours(24, 25)).await, "PERIOD_TAKEN");
    jun.reserve(&car, hours(0, 24)).await.expect("periods may touch");
    jun.reserve(&car, hours(72, 73)).await.expect("periods may touch");

    let unknown = ReserveCarRequest { car_id: new_id(), period: Some(hours(0, 1)), ..Default::default() };
    refused(mina.send(unknown).await, Code::NotFound, "CAR_NOT_FOUND");
    let today = now();
    let at = |days: i64| Timestamp::from_micros(today.micros() + days * 86_400_000_000);
    let day = |from: i64, to: i64| between(at(from), at(to));
    wrong(mina.reserve(&car, day(-1, 1)).await, &["period"]);
    wrong(mina.reserve(&car, day(-3, -2)).await, &["period"]);
    wrong(mina.reserve(&car, day(100, 191)).await, &["period"]);
    wrong(mina.reserve(&car, day(729, 731)).await, &["period"]);
    wrong(mina.reserve(&car, day(5, 5)).await, &["period.end_time"]);
    wrong(mina.reserve(&car, day(6, 5)).await, &["period.end_time"]);
}

async fn c3_one_of_200_clients_gets_the_car(app: Arc<Cluster>) {
    const CLIENTS: usize = 200;
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    app.by("mina").reserve(&car, period(1, 1)).await.unwrap();
    let expected = period(5, 2);
    let clients = (0..CLIENTS).map(|number| {
        // Every fourth client has its own connections, the others share them, to limit the load of this machine.
        let client = if number % 4 == 0 { app.stranger(&format!("c{number}")) } else { app.by(&format!("c{number}")) };
        let (client, car) = (client.within(crate::support::PATIENCE), car.clone());
        async move { client.reserve(&car, expected).await }
    });
    let answers = futures::future::join_all(clients).await;
    let won: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    let taken = |status: &Status| status.code() == Code::FailedPrecondition && reason(status) == "PERIOD_TAKEN";
    let lost: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    let strange: Vec<_> = lost.iter().filter(|status| !taken(status)).collect();
    assert_eq!((won.len(), lost.len()), (1, CLIENTS - 1), "{strange:?}");
    assert!(strange.is_empty(), "{strange:?}");
    let all = app.admin().send(ListReservationsRequest { page_size: 1_000, ..Default::default() }).await.unwrap();
    let open = all.reservations.iter().filter(|found| found.car_id == car.car_id);
    assert_eq!(open.count(), 2, "there is no other reservation");
}

async fn c3_the_price_is_the_servers_by_days_in_seoul(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_321).await;
    let seoul = TimeZone::get("Asia/Seoul").unwrap();
    let today = jiff::Timestamp::from_microsecond(now().micros()).unwrap().to_zoned(seoul);
    let ten = today.start_of_day().unwrap() + 10.days() + 10.hours();
    let mut next = ten;
    let cases = [
        (30.minutes(), 1),
        (24.hours(), 1),
        (24.hours().seconds(1), 2),
        (47.hours().minutes(59), 2),
        (72.hours(), 3),
        (89.days().hours(23), 90),
    ];
    for (length, days) in cases {
        let end = &next + length;
        let at = |time: &jiff::Zoned| Timestamp::from_micros(time.timestamp().as_microsecond());
        let trip = mina.reserve(&car, between(at(&next), at(&end))).await.unwrap();
        assert_eq!((trip.days, trip.price), (days, Some(won(54_321 * i64::from(days)))), "{length:?}");
        next = end;
    }
    // Who was shown another price reserves nothing.
    let seen = |price| ReserveCarRequest {
        car_id: car.car_id.clone(),
        period: Some(period(400, 2)),
        expected_price: Some(won(price)),
        ..Default::default()
    };
    precondition(mina.send(seen(54_321)).await, "PRICE_CHANGED");
    // The price is frozen: the payment has the same amount.
    let trip = mina.send(seen(2 * 54_321)).await.unwrap().reservation.unwrap();
    assert_eq!(mina.payment_for(&trip).await.amount, trip.price);
}

async fn c4_a_cancelled_reservation_frees_the_period(app: Arc<Cluster>) {
    let (mina, jun) = (app.by("mina"), app.by("jun"));
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    refused(jun.cancel(&trip).await, Code::NotFound, "RESERVATION_NOT_FOUND");
    let cancelled = mina.cancel(&trip).await.unwrap();
    assert_eq!(
        (cancelled.state(), cancelled.cancellation_cause()),
        (ReservationState::Cancelled, CancellationCause::Customer)
    );
    assert_eq!(mina.cancel(&trip).await.unwrap(), cancelled, "a repetition changes nothing");
    let payment = mina.sees_payment(&trip, PaymentState::Cancelled).await;
    assert!(!payment.refunded, "nothing was charged");
    mina.sees(&car, CarStatus::Available).await;
    precondition(mina.rent(&trip).await, "RESERVATION_CANCELLED");
    precondition(mina.bring_back(&trip).await, "RESERVATION_CANCELLED");
    assert_eq!(
        mina.payment(&payment.payment_id).await.unwrap().state(),
        PaymentState::Cancelled,
        "nothing was charged"
    );

    let other = jun.reserve(&car, period(2, 1)).await.expect("the period is free again");
    jun.rent(&other).await.unwrap();
    precondition(jun.cancel(&other).await, "ALREADY_RENTED");
    jun.bring_back(&other).await.unwrap();
    precondition(jun.cancel(&other).await, "ALREADY_RETURNED");
    mina.is_notified(&trip, &["CAR_RESERVED", "RESERVATION_CANCELLED"]).await;
    jun.is_notified(&other, &["CAR_RESERVED", "CAR_RENTED", "CAR_RETURNED"]).await;
}

async fn c8_mypage_shows_where_the_rental_stands(app: Arc<Cluster>) {
    let name = format!("mina-{}", new_id());
    let mina = app.by(&name);
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    let page = mina.sees_page(&trip, ReservationState::Reserved, PaymentState::Requested).await;
    assert_eq!((&page.customer_id, &page.car_id, &page.price), (&name, &car.car_id, &trip.price));
    assert_eq!((page.period, page.reserve_time, page.stars), (trip.period, trip.create_time, 0));
    assert_eq!((page.rent_time, page.return_time, page.cancel_time), (None, None, None));
    assert_eq!(page.payment_id, mina.payment_for(&trip).await.payment_id);

    let time = |time: Option<_>| Timestamp::from_proto(&time.expect("it happened")).unwrap();
    mina.rent(&trip).await.unwrap();
    let page = mina.sees_page(&trip, ReservationState::Rented, PaymentState::Approved).await;
    assert!(time(page.rent_time) > time(trip.create_time) && page.return_time.is_none());
    mina.bring_back(&trip).await.unwrap();
    let page = mina.sees_page(&trip, ReservationState::Returned, PaymentState::Settled).await;
    assert!(time(page.return_time) > time(page.rent_time) && page.cancel_time.is_none());
    mina.rate(&trip, 4).await.unwrap();
    crate::support::eventually("the stars", async || (mina.page(&trip).await.ok()?.stars == 4).then_some(())).await;

    let second = mina.reserve(&car, period(9, 3)).await.unwrap();
    mina.cancel(&second).await.unwrap();
    let page = mina.sees_page(&second, ReservationState::Cancelled, PaymentState::Cancelled).await;
    assert!(page.cancel_time.is_some());
    let pages = mina.send(ListCarRentalsRequest::default()).await.unwrap().car_rentals;
    let listed: Vec<&str> = pages.iter().map(|page| page.reservation_id.as_str()).collect();
    assert_eq!(listed, [&second.reservation_id, &trip.reservation_id], "newest first, and only the caller's");
    refused(app.by("jun").page(&trip).await, Code::NotFound, "CAR_RENTAL_NOT_FOUND");
}
