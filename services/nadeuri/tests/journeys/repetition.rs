//! Idempotency: all attempts with one request id are executed once.

use std::sync::Arc;

use contracts::Unary;
use contracts::fleet::v1::{Car, RegisterCarRequest, RemoveCarRequest};
use contracts::payment::v1::{CancelPaymentRequest, ChargePaymentRequest};
use contracts::rental::v1::{
    CancelReservationRequest, ListReservationsRequest, RateRentalRequest, RentCarRequest, ReserveCarRequest,
    ReturnCarRequest,
};
use tonic::Code;

use crate::runner::{Suite, journeys};
use crate::support::client::Client;
use crate::support::cluster::{Cluster, Setup};
use crate::support::verbs::{some_car, won};
use crate::support::{BAD_CARD, GOOD_CARD, new_id, period, precondition, refused, wrong};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        x6_a_repeated_request_gets_the_first_response,
        x6_a_request_repeated_at_the_same_time_is_executed_once,
        x6_a_refused_request_may_be_repeated_with_success,
        x6_a_request_id_belongs_to_one_request_of_one_caller,
        x6_ids_in_other_letters_are_the_same_request,
    }
    journeys! { suite.own:
        x6_the_first_response_survives_a_crash,
    }
}

/// A request for a day that starts so many days from now, with an id of its own.
fn reserve_request(car: &Car, start: u64) -> ReserveCarRequest {
    let (car_id, period) = (car.car_id.clone(), Some(period(start, 1)));
    ReserveCarRequest { request_id: new_id(), car_id, period, ..Default::default() }
}

/// Sends a request twice, and returns the response, which must be the same.
async fn twice<M: Unary>(client: &Client, request: M) -> M::Response {
    let first = client.send(request.clone()).await.unwrap();
    assert_eq!(client.send(request).await.unwrap(), first);
    first
}

async fn x6_ids_in_other_letters_are_the_same_request(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), app.by("mina"));
    let car = admin.new_car("Kia Ray", 41_000).await;
    let trip = mina.reserve(&car, period(1, 1)).await.unwrap();
    let cancel = |request_id: &str, reservation_id: &str| CancelReservationRequest {
        request_id: request_id.to_owned(),
        reservation_id: reservation_id.to_owned(),
        ..Default::default()
    };
    let (request_id, id) = (new_id(), &trip.reservation_id);
    let first = mina.send(cancel(&request_id, id)).await.unwrap();
    let bare = id.replace('-', "");
    for (request_id, id) in [(request_id.to_uppercase(), id.to_uppercase()), (request_id.clone(), bare)] {
        assert_eq!(mina.send(cancel(&request_id, &id)).await.unwrap(), first);
    }
    let another_trip = mina.reserve(&car, period(3, 1)).await.unwrap();
    let other = mina.send(cancel(&request_id, &another_trip.reservation_id)).await;
    refused(other, Code::InvalidArgument, "REQUEST_ID_REUSED");
}

async fn x6_a_repeated_request_gets_the_first_response(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), app.by("mina"));
    let register = RegisterCarRequest { request_id: new_id(), car: Some(some_car("Kia Ray", won(41_000))) };
    let car = twice(&admin, register).await.car.unwrap();
    mina.cancel(&mina.reserve(&car, period(9, 1)).await.unwrap()).await.unwrap();

    let reserve = |start| reserve_request(&car, start);
    let first = reserve(0);
    let trip = twice(&mina, first.clone()).await.reservation.unwrap();
    let reservation_id = trip.reservation_id.clone();
    let payment_id = mina.payment_for(&trip).await.payment_id;
    let (id, payment_method) = (reservation_id.clone(), GOOD_CARD.to_owned());
    twice(&mina, RentCarRequest { request_id: new_id(), reservation_id: id, payment_method }).await;
    twice(
        &mina,
        ReturnCarRequest { request_id: new_id(), reservation_id: reservation_id.clone(), ..Default::default() },
    )
    .await;
    twice(&mina, RateRentalRequest { request_id: new_id(), reservation_id, stars: 5 }).await;
    let again = mina.send(first).await.unwrap().reservation.unwrap();
    assert_eq!(again, trip, "the response is the first one, whatever happened since");

    let second = twice(&mina, reserve(3)).await.reservation.unwrap();
    let reservation_id = second.reservation_id.clone();
    twice(&mina, CancelReservationRequest { request_id: new_id(), reservation_id, ..Default::default() }).await;
    let third = twice(&mina, reserve(5)).await.reservation.unwrap();
    let third_payment = mina.payment_for(&third).await.payment_id;
    assert_ne!(third_payment, payment_id);
    let (id, payment_method) = (third_payment.clone(), GOOD_CARD.to_owned());
    twice(&mina, ChargePaymentRequest { request_id: new_id(), payment_id: id, payment_method }).await;
    twice(&mina, CancelPaymentRequest { request_id: new_id(), payment_id: third_payment }).await;
    mina.sees_reservation(&third, contracts::rental::v1::ReservationState::Cancelled).await;
    twice(&admin, RemoveCarRequest { request_id: new_id(), car_id: car.car_id.clone() }).await;
}

async fn x6_a_request_repeated_at_the_same_time_is_executed_once(app: Arc<Cluster>) {
    let name = format!("mina-{}", new_id());
    let (admin, mina) = (app.admin(), app.by(&name));
    let car = admin.new_car("Hyundai Casper", 54_000).await;
    mina.cancel(&mina.reserve(&car, period(9, 1)).await.unwrap()).await.unwrap();
    let request = reserve_request(&car, 1);
    let answers = futures::future::join_all((0..30).map(|_| mina.send(request.clone()))).await;
    let first = answers[0].as_ref().unwrap().reservation.clone().unwrap();
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().reservation.as_ref() == Some(&first)), "{answers:?}");
    let all = mina.send(ListReservationsRequest::default()).await.unwrap().reservations;
    assert_eq!(all.len(), 2, "the one that was cancelled, and this one");

    let (reservation_id, payment_method) = (first.reservation_id.clone(), GOOD_CARD.to_owned());
    let request = RentCarRequest { request_id: new_id(), reservation_id, payment_method };
    let answers = futures::future::join_all((0..30).map(|_| mina.send(request.clone()))).await;
    let rented = answers[0].as_ref().unwrap().clone();
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap() == &rented), "{answers:?}");
    mina.is_notified(&first, &["CAR_RESERVED", "CAR_RENTED"]).await;
}

async fn x6_a_refused_request_may_be_repeated_with_success(app: Arc<Cluster>) {
    let (mina, jun) = (app.by("mina"), app.by("jun"));
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let taken = jun.reserve(&car, period(1, 1)).await.unwrap();
    let request = reserve_request(&car, 1);
    precondition(mina.send(request.clone()).await, "PERIOD_TAKEN");
    jun.cancel(&taken).await.unwrap();
    twice(&mina, request).await;
}

async fn x6_a_request_id_belongs_to_one_request_of_one_caller(app: Arc<Cluster>) {
    let (mina, jun) = (app.by("mina"), app.by("jun"));
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    mina.cancel(&mina.reserve(&car, period(9, 1)).await.unwrap()).await.unwrap();
    let request = reserve_request(&car, 1);
    let trip = mina.send(request.clone()).await.unwrap().reservation.unwrap();
    let other = ReserveCarRequest { period: Some(period(3, 1)), ..request.clone() };
    refused(mina.send(other.clone()).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let reservation_id = trip.reservation_id.clone();
    let cancel =
        CancelReservationRequest { request_id: request.request_id.clone(), reservation_id, ..Default::default() };
    refused(mina.send(cancel).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    assert_eq!(mina.reservation(&trip).await.unwrap(), trip, "nothing was changed");
    jun.send(other).await.expect("request ids of callers are independent");

    let (reservation_id, request_id) = (trip.reservation_id.clone(), new_id());
    let payment_method = GOOD_CARD.to_owned();
    let rent = RentCarRequest { request_id: request_id.clone(), reservation_id, payment_method };
    mina.send(rent.clone()).await.unwrap();
    let other = RentCarRequest { payment_method: BAD_CARD.to_owned(), ..rent };
    refused(mina.send(other.clone()).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    wrong(mina.send(RentCarRequest { request_id: "7".to_owned(), ..other }).await, &["request_id"]);
}

async fn x6_the_first_response_survives_a_crash(setup: Setup) {
    let mut app = Cluster::new(setup).started().await;
    let (admin, mina) = (app.admin(), app.by("mina"));
    let car = admin.new_car("Hyundai Casper", 54_000).await;
    mina.cancel(&mina.reserve(&car, period(9, 1)).await.unwrap()).await.unwrap();
    let reserve = reserve_request(&car, 1);
    let trip = mina.send(reserve.clone()).await.unwrap();
    let reservation_id = trip.reservation.as_ref().unwrap().reservation_id.clone();
    let payment_method = GOOD_CARD.to_owned();
    let rent = RentCarRequest { request_id: new_id(), reservation_id, payment_method };
    let rented = mina.send(rent.clone()).await.unwrap();

    app.kill("rental");
    app.kill("payment");
    app.up().await;
    assert_eq!(mina.insist(reserve.clone()).await.unwrap(), trip);
    assert_eq!(mina.insist(rent).await.unwrap(), rented);
    let other = ReserveCarRequest { period: Some(period(3, 1)), ..reserve };
    refused(mina.send(other).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    mina.is_notified(&trip.reservation.unwrap(), &["CAR_RESERVED", "CAR_RENTED"]).await;
    app.down().await;
}
