//! Contexts that are down for a while, and what the others do meanwhile and afterwards, with one process per context.

use std::collections::BTreeSet;
use std::time::Duration;

use contracts::fleet::v1::{Car, CarStatus, GetCarRequest};
use contracts::payment::v1::PaymentState;
use contracts::rental::v1::{Reservation, ReservationState};
use tokio::sync::MutexGuard;
use tonic::Code;

use crate::breakers::PeerClient;
use crate::runner::{Suite, journeys};
use crate::support::client::Client;
use crate::support::cluster::Cluster;
use crate::support::stand_in::Behaviour;
use crate::support::{PATIENCE, eventually, eventually_within, new_id, period, refused, retry_delay};

type Fragile = MutexGuard<'static, Option<Cluster>>;

pub fn add(suite: &mut Suite) {
    journeys! { suite.fragile:
        c10_with_fleet_down_reservations_are_taken,
        c11_with_payment_hanging_or_down_the_breaker_opens_and_paying_later_works,
        c11_with_payment_overloaded_the_breaker_opens_and_paying_later_works,
        x1_a_flow_whose_contexts_stop_in_between_ends_completed_or_compensated,
        x6_a_context_that_was_down_gets_the_events_that_it_missed,
        x6_two_replicas_handle_each_event_once,
    }
}

async fn c10_with_fleet_down_reservations_are_taken(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (admin, mina) = (app.admin(), app.by("mina"));
    let car = admin.new_car("Hyundai Casper", 54_000).await;
    let known = mina.reserve(&car, period(9, 1)).await.unwrap();
    app.stop("fleet").await;
    assert_eq!(mina.car(&car).await.err().map(|status| status.code()), Some(Code::Unavailable));
    let trip = mina.reserve(&car, period(0, 3)).await.unwrap();
    mina.rent(&trip).await.unwrap();
    mina.cancel(&known).await.unwrap();
    app.start("fleet").await;
    mina.sees(&car, CarStatus::Rented).await;
    mina.bring_back(&trip).await.unwrap();
    mina.sees(&car, CarStatus::Available).await;

    // With `rental` down, `fleet` can't know whether a car is in use, so it refuses to remove it.
    app.stop("rental").await;
    let away = refused(admin.remove(&car).await, Code::Unavailable, "RENTAL_AWAY");
    assert!(retry_delay(&away).is_some());
    assert_eq!(mina.car(&car).await.unwrap().status(), CarStatus::Available);
    app.start("rental").await;
    eventually("the car can be removed", async || admin.remove(&car).await.ok()).await;
}

const RENT: PeerClient = PeerClient { caller: "rental", peer: "payment", reason: "PAYMENT_AWAY" };

async fn c11_with_payment_hanging_or_down_the_breaker_opens_and_paying_later_works(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    mina.payment_for(&trip).await;
    let peer = RENT.stand_in(app, Behaviour::Hangs).await;
    RENT.opens_when_calls_hang(&peer, async || mina.rent(&trip).await).await;
    peer.leave().await;
    for _ in 0..28 {
        RENT.is_away(mina.rent(&trip).await);
    }
    paying_later_works(app, &mina, &car, &trip).await;
}

async fn c11_with_payment_overloaded_the_breaker_opens_and_paying_later_works(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    mina.payment_for(&trip).await;
    let peer = RENT.stand_in(app, Behaviour::Overloaded).await;
    RENT.opens_when_overloaded(&peer, async || mina.rent(&trip).await).await;
    peer.leave().await;
    paying_later_works(app, &mina, &car, &trip).await;
}

/// The reservation stays while `payment` is down, and is paid when it is back.
async fn paying_later_works(app: &mut Cluster, mina: &Client, car: &Car, trip: &Reservation) {
    assert_eq!(mina.reservation(trip).await.unwrap().state(), ReservationState::Reserved, "the reservation stays");
    let other = mina.reserve(car, period(9, 1)).await.expect("reservations are taken meanwhile");
    app.start("payment").await;
    let rented = eventually_within(PATIENCE * 2, "paying works again", async || mina.rent(trip).await.ok()).await;
    assert_eq!(rented.state(), ReservationState::Rented);
    mina.sees_payment(&other, PaymentState::Requested).await;
    mina.sees_page(trip, ReservationState::Rented, PaymentState::Approved).await;
}

async fn x1_a_flow_whose_contexts_stop_in_between_ends_completed_or_compensated(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;

    // The processor's response is lost and `payment` is killed. The card was charged, so the rental follows later.
    let paid = mina.reserve(&car, period(1, 1)).await.unwrap();
    // Killed during the charge: mina's call fails, whatever its outcome.
    let patient = mina.within(Duration::from_millis(500));
    assert!(patient.rent_with(&paid, "sandbox-timeout-once").await.is_err());
    app.kill("payment");
    app.start("payment").await;
    mina.sees_reservation(&paid, ReservationState::Rented).await;

    // The payment is cancelled while `rental` is down: the rental is cancelled when it is back, and only then refunded.
    let rented = mina.reservation(&paid).await.unwrap();
    app.kill("rental");
    let asked = mina.cancel_payment(&rented.payment_id).await.unwrap();
    assert_eq!(asked.state(), PaymentState::Cancelling);
    app.start("rental").await;
    mina.sees_reservation(&paid, ReservationState::Cancelled).await;
    assert!(mina.sees_payment(&paid, PaymentState::Cancelled).await.refunded);

    // Paid through `payment` while `rental` is down: it becomes a rental.
    let through = mina.reserve(&car, period(3, 1)).await.unwrap();
    let payment = mina.payment_for(&through).await;
    app.stop("rental").await;
    mina.charge(&payment.payment_id, crate::support::GOOD_CARD).await.unwrap();
    app.start("rental").await;
    mina.sees_reservation(&through, ReservationState::Rented).await;

    // Cancelled while `payment` is down: the payment is cancelled when it is back.
    let cancelled = mina.reserve(&car, period(5, 1)).await.unwrap();
    app.kill("payment");
    mina.cancel(&cancelled).await.unwrap();
    app.start("payment").await;
    assert!(!mina.sees_payment(&cancelled, PaymentState::Cancelled).await.refunded);
    mina.sees_page(&paid, ReservationState::Cancelled, PaymentState::Cancelled).await;
    mina.sees_page(&through, ReservationState::Rented, PaymentState::Approved).await;
    mina.sees(&car, CarStatus::Rented).await;
}

async fn x6_a_context_that_was_down_gets_the_events_that_it_missed(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    app.stop("mypage").await;
    app.kill("notification");
    let trip = mina.reserve(&car, period(0, 1)).await.unwrap();
    mina.rent(&trip).await.unwrap();
    app.stop("chronicle").await;
    mina.bring_back(&trip).await.unwrap();
    let second = mina.reserve(&car, period(3, 1)).await.unwrap();
    mina.cancel(&second).await.unwrap();
    app.up().await;
    mina.sees_page(&trip, ReservationState::Returned, PaymentState::Settled).await;
    mina.sees_page(&second, ReservationState::Cancelled, PaymentState::Cancelled).await;
    mina.is_notified(&trip, &["CAR_RESERVED", "CAR_RENTED", "CAR_RETURNED"]).await;
    mina.is_notified(&second, &["CAR_RESERVED", "RESERVATION_CANCELLED"]).await;
    eventually("the chronicle has the return", async || {
        let story = app.admin().flow(&trip.reservation_id).await;
        story.iter().any(|event| event.r#type.ends_with("CarReturned")).then_some(())
    })
    .await;
}

async fn x6_two_replicas_handle_each_event_once(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    for context in ["notification", "mypage", "rental", "payment", "fleet", "chronicle"] {
        app.replicate(context).await;
    }
    let customers: Vec<_> = (0..12).map(|number| app.by(&format!("c{number}-{}", new_id()))).collect();
    let flows = customers.iter().zip(0..).map(|(customer, number)| {
        let admin = app.admin();
        async move {
            let car = admin.new_car("Hyundai Casper", 54_000).await;
            let trip = customer.reserve(&car, period(0, 1)).await.unwrap();
            customer.rent(&trip).await.unwrap();
            customer.bring_back(&trip).await.unwrap();
            customer.rate(&trip, 1 + (number % 5)).await.unwrap();
            trip
        }
    });
    let trips = futures::future::join_all(flows).await;
    for (customer, trip) in customers.iter().zip(&trips) {
        customer.sees_page(trip, ReservationState::Returned, PaymentState::Settled).await;
        customer.is_notified(trip, &["CAR_RESERVED", "CAR_RENTED", "CAR_RETURNED"]).await;
        let published = async || {
            let story = app.admin().flow(&trip.reservation_id).await;
            let ids: BTreeSet<&str> = story.iter().map(|event| event.event_id.as_str()).collect();
            assert_eq!(ids.len(), story.len(), "no event twice");
            // The status of the car changes for other customers too. All other events occur once.
            let kinds = story.iter().map(|event| &event.r#type).filter(|kind| !kind.contains(".fleet."));
            let (count, distinct) = (kinds.clone().count(), kinds.collect::<BTreeSet<_>>().len());
            assert_eq!(count, distinct, "{story:?}");
            // Reserved, requested, approved, rented, returned, settled, rated.
            (count == 7).then_some(())
        };
        eventually("all events are published", published).await;
    }
    for trip in &trips {
        let car = GetCarRequest { car_id: trip.car_id.clone() };
        let rated = async || {
            let car = app.admin().send(car.clone()).await.ok()?.car?;
            (car.rating_count >= 1).then_some(car.rating_count)
        };
        assert_eq!(eventually("the rating", rated).await, 1, "each counts once");
    }
    app.stop_replicas().await;
}
