//! Taxis: hails, offers, drives, fares, and cancellation at every stage.

use std::sync::Arc;

use chassis::envelope::partition;
use contracts::dispatch::v1::{CancellationCause, Hail, HailState, HailTaxiRequest};
use contracts::driving::v1::{Drive, DriveState, FareState, ListOffersRequest};
use contracts::payment::v1::{ListPaymentsRequest, Payment, PaymentState};
use futures::future::join_all;
use tonic::Code;

use crate::runner::{Suite, journeys};
use crate::support::client::Client;
use crate::support::cluster::{Cluster, Setup};
use crate::support::taxis::{north_of, place, somewhere};
use crate::support::verbs::won;
use crate::support::{BAD_CARD, GOOD_CARD, eventually, new_id, precondition, refused, somebody, wrong};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        t1_a_customer_asks_for_a_taxi,
        t2_drivers_see_what_is_offered_nearest_first,
        t2_a_driver_who_declines_does_not_see_it_again,
        t2_a_driver_does_not_take_their_own_request,
        t2_of_many_drivers_exactly_one_gets_a_request,
        t3_a_drive_starts_when_the_customer_boards,
        t4_the_fare_is_computed_and_charged_at_the_destination,
        t4_a_declined_fare_is_paid_through_payment,
        t4_a_fare_can_not_be_cancelled,
        t5_a_cancelled_request_is_offered_to_nobody,
        t5_cancelling_removes_the_drive_of_the_driver_who_accepted,
        t5_after_the_start_a_cancellation_is_refused,
        t5_a_cancellation_that_crosses_an_acceptance_has_one_outcome_for_all,
        t6_the_customer_is_notified_of_each_step_and_of_no_cancelled_request,
        t9_one_read_model_shows_request_drive_fare_and_payment,
        hostile_taxi_requests_name_every_wrong_field,
        x6_a_repeated_finish_gets_the_first_response,
    }
    suite.own("t8_a_processor_that_answers_late_is_charged_once", t8_a_processor_that_answers_late_is_charged_once);
    suite.own("t1_a_request_that_no_driver_takes_lapses", t1_a_request_that_no_driver_takes_lapses);
}

/// The payment of a ride, once there is one.
pub async fn payment_of(client: &Client, hail: &Hail, state: PaymentState) -> Payment {
    let request = ListPaymentsRequest { purchase_id: hail.hail_id.clone(), ..Default::default() };
    eventually("the payment", async || {
        let payments = client.send(request.clone()).await.unwrap().payments;
        assert!(payments.len() < 2, "there is one payment for a ride");
        payments.into_iter().find(|payment| payment.state() == state)
    })
    .await
}

/// A started ride.
pub async fn ride(app: &Cluster, customer: &Client, card: &str) -> (Client, Hail, Drive) {
    let driver = app.driver(&somebody("kim"));
    let hail = customer.hail_from(somewhere(), card).await.unwrap();
    let drive = driver.sees_offer(&hail).await;
    driver.accept(&drive).await.unwrap();
    let drive = driver.depart(&drive).await.unwrap();
    (driver, hail, drive)
}

async fn t1_a_customer_asks_for_a_taxi(app: Arc<Cluster>) {
    let (mina, jun) = (app.by(&somebody("mina")), app.by(&somebody("jun")));
    let hail = mina.hail().await;
    assert!(hail.state() == HailState::Requested && hail.customer_id.starts_with("mina-"));
    assert_eq!(mina.hail_of(&hail).await.unwrap(), hail);
    refused(jun.hail_of(&hail).await, Code::NotFound, "HAIL_NOT_FOUND");
    refused(jun.cancel_hail(&hail).await, Code::NotFound, "HAIL_NOT_FOUND");
    let seen = Hail { payment_method: String::new(), start_code: String::new(), ..hail.clone() };
    assert_eq!(app.admin().hail_of(&hail).await.unwrap(), seen, "an admin sees all but how it is paid, and the code");
    refused(
        app.driver(&somebody("kim")).hail_from(somewhere(), GOOD_CARD).await,
        Code::PermissionDenied,
        "ROLE_MISSING",
    );
}

async fn t1_a_request_that_no_driver_takes_lapses(setup: Setup) {
    let app = Cluster::new(setup).with(&["--set", "driving.offered_seconds=3"]).started().await;
    let mina = app.by(&somebody("mina"));
    let hail = mina.hail().await;
    let drive = app.driver(&somebody("kim")).sees_offer(&hail).await;
    let lapsed = mina.sees_hail(&hail, HailState::Cancelled).await;
    assert_eq!(lapsed.cancellation_cause(), CancellationCause::NoDriver);
    precondition(app.driver(&somebody("kim")).accept(&drive).await, "DRIVE_LAPSED");
    mina.is_notified_of_flow(&hail.hail_id, &["TAXI_HAILED", "NO_TAXI_FREE"]).await;
    app.down().await;
}

async fn t2_drivers_see_what_is_offered_nearest_first(app: Arc<Cluster>) {
    let kim = app.driver(&somebody("kim"));
    let here = somewhere();
    let mut hails = Vec::new();
    for km in [4.0, 0.5, 9.0, 2.0, 30.0] {
        let customer = app.by(&somebody("mina"));
        hails.push(customer.hail_from(north_of(here, km), GOOD_CARD).await.unwrap());
    }
    for hail in &hails {
        kim.sees_offer(hail).await;
    }
    let order = |offers: &[contracts::driving::v1::Offer]| -> Vec<usize> {
        let hail_of = |offer: &contracts::driving::v1::Offer| offer.drive.clone().unwrap().hail_id;
        offers.iter().map(|offer| hails.iter().position(|hail| hail.hail_id == hail_of(offer)).unwrap()).collect()
    };
    let near = kim.offers(here, 0).await;
    assert_eq!(order(&near), [1, 3, 0, 2], "within 10 km, nearest first");
    assert!((near[0].distance_km - 0.5).abs() < 0.01, "{}", near[0].distance_km);
    assert_eq!(order(&kim.offers(here, 100).await), [1, 3, 0, 2, 4]);
    assert_eq!(order(&kim.offers(here, 3).await), [1, 3]);

    // In pages.
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    for _ in 0..3 {
        let (latitude, longitude) = (Some(here.0), Some(here.1));
        let request = ListOffersRequest { page_size: 2, page_token, latitude, longitude, within_km: 50 };
        let page = kim.send(request).await.unwrap();
        seen.extend(order(&page.offers));
        page_token = page.next_page_token;
    }
    assert_eq!((seen, page_token), (vec![1, 3, 0, 2, 4], String::new()));
}

async fn t2_a_driver_who_declines_does_not_see_it_again(app: Arc<Cluster>) {
    let (mina, kim, lee) = (app.by(&somebody("mina")), app.driver(&somebody("kim")), app.driver(&somebody("lee")));
    let hail = mina.hail().await;
    let drive = kim.sees_offer(&hail).await;
    assert_eq!(kim.decline(&drive).await.unwrap().state(), DriveState::Offered);
    let pickup = hail.pickup.clone().unwrap();
    let position = (pickup.latitude.unwrap(), pickup.longitude.unwrap());
    assert!(kim.offers(position, 1).await.is_empty());
    lee.sees_offer(&hail).await;
    lee.accept(&drive).await.unwrap();
    precondition(kim.decline(&drive).await, "DRIVE_TAKEN");
    assert!(lee.offers(position, 1).await.is_empty(), "what is taken is offered no more");
}

async fn t2_a_driver_does_not_take_their_own_request(app: Arc<Cluster>) {
    let name = somebody("kim");
    let (customer, driver, lee) = (app.by(&name), app.driver(&name), app.driver(&somebody("lee")));
    let hail = customer.hail().await;
    let drive = lee.sees_offer(&hail).await;
    let pickup = hail.pickup.clone().unwrap();
    let position = (pickup.latitude.unwrap(), pickup.longitude.unwrap());
    driver.starts_shift().await;
    assert!(driver.offers(position, 1).await.is_empty(), "it is not offered to them");
    precondition(driver.accept(&drive).await, "OWN_HAIL");
    assert!(lee.accept(&drive).await.unwrap().driver_id.starts_with("lee-"));
}

async fn t2_of_many_drivers_exactly_one_gets_a_request(app: Arc<Cluster>) {
    let mina = app.by(&somebody("mina"));
    let hail = mina.hail().await;
    let drive = app.driver(&somebody("kim")).sees_offer(&hail).await;
    let tries = (0..200).map(|_| {
        let (driver, drive) = (app.driver(&somebody("driver")), drive.clone());
        async move { driver.accept(&drive).await }
    });
    let (won, lost): (Vec<_>, Vec<_>) = join_all(tries).await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 199));
    for answer in lost {
        precondition(answer, "DRIVE_TAKEN");
    }
    let allocated = mina.sees_hail(&hail, HailState::Allocated).await;
    assert_eq!(allocated.driver_id, won.into_iter().flatten().next().unwrap().driver_id);
}

async fn t3_a_drive_starts_when_the_customer_boards(app: Arc<Cluster>) {
    let (mina, kim, lee) = (app.by(&somebody("mina")), app.driver(&somebody("kim")), app.driver(&somebody("lee")));
    let hail = mina.hail().await;
    let drive = kim.sees_offer(&hail).await;
    precondition(kim.depart(&drive).await, "DRIVE_NOT_ACCEPTED");
    let accepted = kim.accept(&drive).await.unwrap();
    assert!(accepted.state() == DriveState::Accepted && accepted.driver_id.starts_with("kim-"));
    assert_eq!(kim.accept(&drive).await.unwrap(), accepted, "a repetition changes nothing");
    precondition(kim.arrive(&drive).await, "DRIVE_NOT_STARTED");
    refused(lee.depart(&drive).await, Code::NotFound, "DRIVE_NOT_FOUND");
    refused(lee.drive(&drive).await, Code::NotFound, "DRIVE_NOT_FOUND");
    let started = kim.depart(&drive).await.unwrap();
    assert!(started.state() == DriveState::Started && started.start_time.is_some());
    assert_eq!(kim.depart(&drive).await.unwrap(), started);
    mina.sees_hail(&hail, HailState::UnderWay).await;
}

async fn t4_the_fare_is_computed_and_charged_at_the_destination(app: Arc<Cluster>) {
    let mina = app.by(&somebody("mina"));
    let (driver, hail, drive) = ride(&app, &mina, GOOD_CARD).await;
    let finished = driver.arrive(&drive).await.unwrap();
    assert_eq!((finished.state(), finished.fare_state()), (DriveState::Finished, FareState::Paid));
    assert_eq!(finished.fare, Some(won(1_000)), "at least one minute");
    let payment = mina.payment(&finished.payment_id).await.unwrap();
    assert_eq!((payment.state(), payment.amount, payment.used), (PaymentState::Settled, Some(won(1_000)), true));
    assert_eq!(payment.purchase_id, hail.hail_id);
    mina.sees_hail(&hail, HailState::Finished).await;
}

async fn t4_a_declined_fare_is_paid_through_payment(app: Arc<Cluster>) {
    let mina = app.by(&somebody("mina"));
    let (driver, hail, drive) = ride(&app, &mina, BAD_CARD).await;
    let finished = driver.arrive(&drive).await.unwrap();
    assert_eq!((finished.state(), finished.fare_state()), (DriveState::Finished, FareState::Refused));
    let payment = payment_of(&mina, &hail, PaymentState::Refused).await;
    precondition(mina.cancel_payment(&payment.payment_id).await, "PAYMENT_SETTLED");
    mina.charge(&payment.payment_id, GOOD_CARD).await.unwrap();
    let paid = driver.sees_drive(&drive, "the fare is paid", |drive| drive.fare_state() == FareState::Paid).await;
    assert_eq!((paid.fare, paid.payment_id), (finished.fare, payment.payment_id));
}

async fn t4_a_fare_can_not_be_cancelled(app: Arc<Cluster>) {
    let mina = app.by(&somebody("mina"));
    let (driver, _, drive) = ride(&app, &mina, GOOD_CARD).await;
    let finished = driver.arrive(&drive).await.unwrap();
    precondition(mina.cancel_payment(&finished.payment_id).await, "PAYMENT_SETTLED");
}

async fn t8_a_processor_that_answers_late_is_charged_once(setup: Setup) {
    // The deadline ends long before the retry, so the response says that the fare is still due.
    let app = Cluster::new(setup).with(&["--set", "payment.processor_deadline_ms=300"]).started().await;
    let mina = app.by(&somebody("mina"));
    let (driver, hail, drive) = ride(&app, &mina, "sandbox-timeout-once").await;
    let finished = driver.arrive(&drive).await.unwrap();
    assert_eq!((finished.state(), finished.fare_state()), (DriveState::Finished, FareState::Due));
    let paid = driver.sees_drive(&drive, "the fare is paid", |drive| drive.fare_state() == FareState::Paid).await;
    assert_eq!(paid.fare, finished.fare);
    payment_of(&mina, &hail, PaymentState::Settled).await;
    app.down().await;
}

async fn t5_a_cancelled_request_is_offered_to_nobody(app: Arc<Cluster>) {
    let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
    let hail = mina.hail().await;
    let drive = kim.sees_offer(&hail).await;
    let cancelled = mina.cancel_hail(&hail).await.unwrap();
    assert!(matches!(cancelled.state(), HailState::Cancelling | HailState::Cancelled));
    let cancelled = mina.sees_hail(&hail, HailState::Cancelled).await;
    assert_eq!(cancelled.cancellation_cause(), CancellationCause::Customer);
    precondition(kim.accept(&drive).await, "DRIVE_CANCELLED");
    assert_eq!(mina.cancel_hail(&hail).await.unwrap(), cancelled, "a repetition changes nothing");
}

async fn t5_cancelling_removes_the_drive_of_the_driver_who_accepted(app: Arc<Cluster>) {
    let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
    let hail = mina.hail().await;
    let drive = kim.sees_offer(&hail).await;
    kim.accept(&drive).await.unwrap();
    mina.sees_hail(&hail, HailState::Allocated).await;
    mina.cancel_hail(&hail).await.unwrap();
    kim.sees_drive(&drive, "the drive is cancelled", |drive| drive.state() == DriveState::Cancelled).await;
    precondition(kim.depart(&drive).await, "DRIVE_CANCELLED");
    mina.sees_hail(&hail, HailState::Cancelled).await;
}

async fn t5_after_the_start_a_cancellation_is_refused(app: Arc<Cluster>) {
    let mina = app.by(&somebody("mina"));
    let (driver, hail, drive) = ride(&app, &mina, GOOD_CARD).await;
    mina.sees_hail(&hail, HailState::UnderWay).await;
    precondition(mina.cancel_hail(&hail).await, "DRIVE_STARTED");
    driver.arrive(&drive).await.unwrap();
    mina.sees_hail(&hail, HailState::Finished).await;
    precondition(mina.cancel_hail(&hail).await, "DRIVE_FINISHED");
}

async fn t5_a_cancellation_that_crosses_an_acceptance_has_one_outcome_for_all(app: Arc<Cluster>) {
    let crossings = (0..10).map(|_| {
        let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
        async move {
            let hail = mina.hail().await;
            let drive = kim.sees_offer(&hail).await;
            // A race between the driver who accepts and starts, and the customer who cancels.
            let drives = async {
                let accepted = kim.accept(&drive).await.is_ok();
                accepted && kim.depart(&drive).await.is_ok()
            };
            let (has_started, cancelled) = tokio::join!(drives, mina.cancel_hail(&hail));
            let state = if has_started { HailState::UnderWay } else { HailState::Cancelled };
            // If the drive had started, a message refuses the accepted cancellation.
            let was_taken = cancelled.is_ok();
            mina.sees_hail(&hail, state).await;
            let shows = |page: &contracts::mypage::v1::TaxiRide| page.hail_state() == state;
            mina.sees_ride_page(&hail, "the page shows the same", shows).await;
            if has_started && was_taken {
                eventually("the customer is notified", async || {
                    let story = mina.messages_of(&hail.hail_id).await;
                    story.iter().any(|message| message.topic == "TAXI_CANCELLATION_REFUSED").then_some(())
                })
                .await;
            }
        }
    });
    join_all(crossings).await;
}

async fn t6_the_customer_is_notified_of_each_step_and_of_no_cancelled_request(app: Arc<Cluster>) {
    let mina = app.by(&somebody("mina"));
    let (driver, hail, drive) = ride(&app, &mina, GOOD_CARD).await;
    driver.arrive(&drive).await.unwrap();
    mina.sees_hail(&hail, HailState::Finished).await;
    let topics = ["TAXI_HAILED", "TAXI_ALLOCATED", "DRIVE_STARTED", "DRIVE_FINISHED", "PAYMENT_RECEIVED"];
    mina.is_notified_of_flow(&hail.hail_id, &topics).await;

    let hail = mina.hail().await;
    mina.cancel_hail(&hail).await.unwrap();
    mina.sees_hail(&hail, HailState::Cancelled).await;
    // A stream is handled in order, in batches. The message about a later request in the same stream shows that the
    // batch with the cancellation has started, and the message about the next request that it has ended.
    let stream = |hail: &Hail| partition(hail.hail_id.parse().unwrap());
    for _ in 0..2 {
        let (customer, later) = loop {
            let customer = app.by(&somebody("jun"));
            let later = customer.hail().await;
            if stream(&later) == stream(&hail) {
                break (customer, later);
            }
        };
        customer.is_notified_of_flow(&later.hail_id, &["TAXI_HAILED"]).await;
    }
    let messages = mina.messages_of(&hail.hail_id).await;
    assert_eq!(messages.iter().map(|message| message.topic.as_str()).collect::<Vec<_>>(), ["TAXI_HAILED"]);
}

async fn t9_one_read_model_shows_request_drive_fare_and_payment(app: Arc<Cluster>) {
    let mina = app.by(&somebody("mina"));
    let (driver, hail, drive) = ride(&app, &mina, GOOD_CARD).await;
    let page = mina.sees_ride_page(&hail, "it is under way", |page| page.drive_state() == DriveState::Started).await;
    assert_eq!((page.hail_state(), page.fare, page.finish_time), (HailState::UnderWay, None, None));
    let finished = driver.arrive(&drive).await.unwrap();
    let page = mina.sees_ride_page(&hail, "it is paid", |page| page.payment_state() == PaymentState::Settled).await;
    let page = if page.fare.is_some() {
        page
    } else {
        mina.sees_ride_page(&hail, "the fare", |page| page.fare.is_some()).await
    };
    assert_eq!((page.hail_state(), page.drive_state()), (HailState::Finished, DriveState::Finished));
    assert_eq!((&page.customer_id, &page.destination), (&hail.customer_id, &hail.destination));
    assert_eq!((&page.drive_id, &page.driver_id), (&finished.drive_id, &finished.driver_id));
    assert_eq!((page.start_time, page.finish_time), (finished.start_time, finished.finish_time));
    assert_eq!((page.fare, page.payment_id), (finished.fare, finished.payment_id));
    refused(app.by(&somebody("jun")).ride_page(&hail).await, Code::NotFound, "TAXI_RIDE_NOT_FOUND");
}

async fn hostile_taxi_requests_name_every_wrong_field(app: Arc<Cluster>) {
    let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
    let nothing = HailTaxiRequest { request_id: "x".to_owned(), ..Default::default() };
    wrong(mina.send(nothing).await, &["request_id", "pickup", "destination", "payment_method"]);
    let mut nowhere = place("\u{0}", (f64::NAN, 181.0));
    let request = |pickup| HailTaxiRequest {
        pickup: Some(pickup),
        destination: Some(place(&"x".repeat(101), (0.0, 0.0))),
        payment_method: "x".repeat(101),
        ..Default::default()
    };
    let fields = ["pickup.name", "pickup.latitude", "pickup.longitude", "destination.name", "payment_method"];
    wrong(mina.send(request(nowhere.clone())).await, &fields);
    (nowhere.latitude, nowhere.longitude) = (None, None);
    wrong(mina.send(request(nowhere)).await, &["pickup.name", "pickup.latitude", "destination.name", "payment_method"]);

    let offers = ListOffersRequest { page_size: -1, page_token: "x".to_owned(), within_km: 101, ..Default::default() };
    wrong(kim.send(offers).await, &["latitude", "longitude", "within_km", "page_size", "page_token"]);
    let pole = ListOffersRequest { latitude: Some(90.0), longitude: Some(f64::INFINITY), ..Default::default() };
    wrong(kim.send(pole).await, &["latitude", "longitude"]);
    let drive = Drive { drive_id: "x".to_owned(), ..Default::default() };
    wrong(kim.accept(&drive).await, &["drive_id"]);
    wrong(kim.drive(&drive).await, &["drive_id"]);
    let unknown = Drive { drive_id: new_id(), ..Default::default() };
    refused(kim.accept(&unknown).await, Code::NotFound, "DRIVE_NOT_FOUND");
    refused(kim.arrive(&unknown).await, Code::NotFound, "DRIVE_NOT_FOUND");
}

async fn x6_a_repeated_finish_gets_the_first_response(app: Arc<Cluster>) {
    let mina = app.by(&somebody("mina"));
    let (driver, hail, drive) = ride(&app, &mina, BAD_CARD).await;
    let request = contracts::driving::v1::FinishDriveRequest {
        request_id: new_id(),
        drive_id: drive.drive_id.clone(),
        ..Default::default()
    };
    let first = driver.send(request.clone()).await.unwrap();
    let payment = payment_of(&mina, &hail, PaymentState::Refused).await;
    mina.charge(&payment.payment_id, GOOD_CARD).await.unwrap();
    driver.sees_drive(&drive, "the fare is paid", |drive| drive.fare_state() == FareState::Paid).await;
    assert_eq!(driver.send(request).await.unwrap(), first, "the response of the first attempt, which was refused");
}
