//! Reservations and rentals: overlapping periods, prices, cancellation and return.

use std::sync::Arc;

use chassis::clock::Timestamp;
use contracts::fleet::v1::{Car, CarStatus, ListCarsRequest, RemoveCarRequest, TransferCarRequest};
use contracts::mypage::v1::ListCarRentalsRequest;
use contracts::payment::v1::PaymentState;
use contracts::rental::v1::{
    CancelReservationRequest, CancellationCause, ListReservationsRequest, Reservation, ReservationState,
    ReserveCarRequest, ReturnCarRequest,
};
use jiff::ToSpan as _;
use jiff::tz::TimeZone;
use tonic::{Code, Status};

use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Who};
use crate::support::cluster::{Cluster, Setup};
use crate::support::verbs::won;
use crate::support::{
    GOOD_CARD, between, eventually, new_id, now, period, precondition, reason, refused, somebody, wrong,
};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        c3_two_customers_never_get_overlapping_periods,
        c3_one_of_200_clients_gets_the_car,
        c3_the_price_is_the_servers_by_days_in_seoul,
        c4_a_cancelled_reservation_frees_the_period,
        c8_mypage_shows_where_the_rental_stands,
        c13_a_cancellation_shortly_before_the_rental_keeps_a_share,
        c13_after_the_begin_a_rental_is_not_cancelled,
        c14_a_return_before_the_period_is_refused,
        c14_a_late_return_costs_a_fee_and_who_is_next_gets_the_money_back,
        x11_staff_cancel_and_return_for_a_customer,
        x12_a_car_and_its_customers_are_its_owners,
    }
    suite.own("x13_a_customer_has_a_few_unpaid_reservations", x13_a_customer_has_a_few_unpaid_reservations);
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
    let trip = mina.reserve(&car, period(0, 3)).await.unwrap();
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

    let other = jun.reserve(&car, period(0, 1)).await.expect("the period is free again");
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
    let trip = mina.reserve(&car, period(0, 3)).await.unwrap();
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

/// Staff of car rental.
fn car_staff(app: &Cluster, name: &str) -> Client {
    app.client(Who::Named { name: somebody(name), roles: "car_staff" })
}

async fn c13_a_cancellation_shortly_before_the_rental_keeps_a_share(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let soon = now() + std::time::Duration::from_secs(6 * 3_600);
    let trip = mina.reserve(&car, between(soon, soon + std::time::Duration::from_secs(86_400))).await.unwrap();
    let rented = mina.rent(&trip).await.unwrap();
    mina.cancel_payment(&rented.payment_id).await.unwrap();
    let cancelled = mina.sees_reservation(&trip, ReservationState::Cancelled).await;
    assert_eq!(cancelled.cancellation_fee, Some(won(27_000)));
    let payment = mina.sees_payment(&trip, PaymentState::Cancelled).await;
    assert_eq!((payment.refunded, payment.refunded_amount), (true, Some(won(27_000))));
    let shows = async || mina.page(&trip).await.ok().filter(|page| page.cancellation_fee.is_some());
    assert_eq!(eventually("the page shows the fee", shows).await.cancellation_cause(), CancellationCause::Payment);
    let told = mina.is_told(&trip.reservation_id, "RESERVATION_CANCELLED").await;
    assert!(told.contains("We keep KRW 27,000") && told.contains("Hyundai Casper"), "{told}");
}

async fn c13_after_the_begin_a_rental_is_not_cancelled(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(0, 3)).await.unwrap();
    let rented = mina.rent(&trip).await.unwrap();
    mina.cancel_payment(&rented.payment_id).await.unwrap();
    mina.is_told(&trip.reservation_id, "CANCELLATION_REFUSED").await;
    assert_eq!(mina.reservation(&trip).await.unwrap().state(), ReservationState::Rented);
    mina.sees_payment(&trip, PaymentState::Approved).await;
}

async fn c14_a_return_before_the_period_is_refused(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    mina.rent(&trip).await.unwrap();
    precondition(mina.bring_back(&trip).await, "NOT_BEGUN");
}

async fn c14_a_late_return_costs_a_fee_and_who_is_next_gets_the_money_back(app: Arc<Cluster>) {
    let (mina, jun, sol) = (app.by(&somebody("mina")), app.by(&somebody("jun")), car_staff(&app, "sol"));
    let car = sol.new_car("Hyundai Casper", 54_000).await;
    let in_seconds = |seconds: u64| now() + std::time::Duration::from_secs(seconds);
    let (end, next) = (in_seconds(10), in_seconds(14));
    let begun = Timestamp::from_micros(now().micros() - 45 * 60 * 1_000_000);
    let late = mina.reserve(&car, between(begun, end)).await.unwrap();
    mina.rent(&late).await.unwrap();
    let missed = jun.reserve(&car, between(next, next + std::time::Duration::from_secs(7_200))).await.unwrap();
    jun.rent(&missed).await.unwrap();

    let overdue = async || {
        let request = ListReservationsRequest { overdue: true, ..Default::default() };
        sol.send(request).await.ok()?.reservations.into_iter().find(|it| it.reservation_id == late.reservation_id)
    };
    assert!(eventually("it is overdue", overdue).await.overdue);
    mina.is_told(&late.reservation_id, "RENTAL_OVERDUE").await;
    jun.is_told(&missed.reservation_id, "CAR_DELAYED").await;
    precondition(app.by("sora").reserve(&car, period(20, 1)).await, "CAR_OVERDUE");
    let free = ListCarsRequest { free_period: Some(period(20, 1)), page_size: 1_000, ..Default::default() };
    let is_hidden = async || {
        let (mut request, mut cars) = (free.clone(), Vec::new());
        loop {
            let page = mina.send(request.clone()).await.ok()?;
            cars.extend(page.cars);
            if page.next_page_token.is_empty() {
                return cars.iter().all(|listed: &Car| listed.car_id != car.car_id).then_some(());
            }
            request.page_token = page.next_page_token;
        }
    };
    eventually("it is offered to nobody", is_hidden).await;
    let cancelled = jun.sees_reservation(&missed, ReservationState::Cancelled).await;
    assert_eq!(cancelled.cancellation_cause(), CancellationCause::CarNotBack);
    assert_eq!(jun.sees_payment(&missed, PaymentState::Cancelled).await.refunded_amount, missed.price);

    let returned = mina.bring_back(&late).await.unwrap();
    assert_eq!((returned.late_fee.clone(), returned.late_fee_owed), (Some(won(10_000)), true));
    precondition(mina.reserve(&car, period(20, 1)).await, "LATE_FEE_OWED");
    let fee = Reservation { reservation_id: returned.late_fee_id.clone(), ..late.clone() };
    let payment = mina.sees_payment(&fee, PaymentState::Requested).await;
    assert_eq!(payment.amount, Some(won(10_000)));
    mina.charge(&payment.payment_id, GOOD_CARD).await.unwrap();
    let shows = async || mina.page(&late).await.ok().filter(|page| page.late_fee.is_some() && !page.late_fee_owed);
    eventually("the page shows that it is paid", shows).await;
    eventually("she may reserve", async || mina.reserve(&car, period(20, 1)).await.ok()).await;
}

async fn x11_staff_cancel_and_return_for_a_customer(app: Arc<Cluster>) {
    let (mina, sol) = (app.by("mina"), car_staff(&app, "sol"));
    let car = sol.new_car("Hyundai Casper", 54_000).await;
    let cancel = |trip: &Reservation, reason: &str| CancelReservationRequest {
        reservation_id: trip.reservation_id.clone(),
        reason: reason.to_owned(),
        ..Default::default()
    };
    // A rental that its customer can't cancel any more.
    let trip = mina.reserve(&car, period(0, 3)).await.unwrap();
    mina.rent(&trip).await.unwrap();
    wrong(sol.send(cancel(&trip, "")).await, &["reason"]);
    let cancelled = sol.send(cancel(&trip, "the car broke down")).await.unwrap().reservation.unwrap();
    assert_eq!(cancelled.cancellation_cause(), CancellationCause::Staff);
    assert_eq!(mina.sees_payment(&trip, PaymentState::Cancelled).await.refunded_amount, trip.price);
    let told = mina.is_told(&trip.reservation_id, "RESERVATION_CANCELLED").await;
    assert!(told.contains("the car broke down"), "{told}");
    let shows = async || mina.page(&trip).await.ok().and_then(|page| page.intervention);
    let intervention = eventually("the page says who did it", shows).await;
    assert!(intervention.staff_id.starts_with("sol-") && intervention.reason == "the car broke down");
    let story = app.admin().flow(&trip.reservation_id).await;
    assert!(story.iter().any(|event| event.r#type.ends_with(".ReservationCancelled")));

    let trip = mina.reserve(&car, period(0, 3)).await.unwrap();
    mina.rent(&trip).await.unwrap();
    let bring_back = ReturnCarRequest {
        reservation_id: trip.reservation_id.clone(),
        reason: "found at the airport".to_owned(),
        ..Default::default()
    };
    refused(app.by("jun").send(bring_back.clone()).await, Code::NotFound, "RESERVATION_NOT_FOUND");
    let returned = sol.send(bring_back).await.unwrap().reservation.unwrap();
    assert_eq!(
        (returned.state(), returned.intervention.unwrap().reason),
        (ReservationState::Returned, "found at the airport".to_owned(),)
    );
}

async fn x12_a_car_and_its_customers_are_its_owners(app: Arc<Cluster>) {
    let (mina, sol, hana) = (app.by("mina"), car_staff(&app, "sol"), car_staff(&app, "hana"));
    let car = sol.new_car("Hyundai Casper", 54_000).await;
    assert!(car.owner_id.starts_with("sol-"));
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    let listed = async |staff: &Client| {
        let request = ListReservationsRequest { page_size: 1_000, ..Default::default() };
        staff.send(request).await.unwrap().reservations.iter().any(|it| it.reservation_id == trip.reservation_id)
    };
    assert!(listed(&sol).await && !listed(&hana).await);
    assert_eq!(sol.reservation(&trip).await.unwrap(), trip);
    refused(hana.reservation(&trip).await, Code::NotFound, "RESERVATION_NOT_FOUND");
    let cancel = CancelReservationRequest {
        reservation_id: trip.reservation_id.clone(),
        reason: "I can".to_owned(),
        ..Default::default()
    };
    refused(hana.send(cancel).await, Code::NotFound, "RESERVATION_NOT_FOUND");
    let remove = RemoveCarRequest { car_id: car.car_id.clone(), ..Default::default() };
    refused(hana.send(remove).await, Code::NotFound, "CAR_NOT_FOUND");

    let owner_id = hana.name().to_owned();
    let transfer = TransferCarRequest { car_id: car.car_id.clone(), owner_id, ..Default::default() };
    refused(sol.send(transfer.clone()).await, Code::PermissionDenied, "ROLE_MISSING");
    assert!(app.admin().send(transfer).await.unwrap().car.unwrap().owner_id.starts_with("hana-"));
    eventually("it is hana's", async || listed(&hana).await.then_some(())).await;
    assert!(!listed(&sol).await);
}

async fn x13_a_customer_has_a_few_unpaid_reservations(setup: Setup) {
    let app = Cluster::new(setup).with(&["--set", "rental.unpaid_reservations=3"]).started().await;
    let mina = app.by("mina");
    let mut cars = Vec::new();
    for _ in 0..10 {
        cars.push(app.admin().new_car("Hyundai Casper", 54_000).await);
    }
    for car in &cars {
        app.by("jun")
            .reserve(car, period(9, 1))
            .await
            .map(drop)
            .or_else(|status| match reason(&status).as_str() {
                "TOO_MANY_RESERVATIONS" => Ok(()),
                _ => Err(status),
            })
            .unwrap();
    }
    let answers = futures::future::join_all(cars.iter().map(|car| mina.reserve(car, period(1, 1)))).await;
    let (mut reserved, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((reserved.len(), refused.len()), (3, 7));
    for answer in refused {
        precondition(answer, "TOO_MANY_RESERVATIONS");
    }
    // Who pays may reserve another one.
    mina.rent(&reserved.pop().unwrap().unwrap()).await.unwrap();
    mina.reserve(&cars[0], period(20, 1)).await.unwrap();
    precondition(mina.reserve(&cars[1], period(20, 1)).await, "TOO_MANY_RESERVATIONS");
    app.down().await;
}
