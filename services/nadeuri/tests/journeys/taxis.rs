//! Taxis: hails, offers, drives, fares, and cancellation at every stage.

use std::sync::Arc;

use chassis::envelope::partition;
use contracts::dispatch::v1::{CancellationCause, Hail, HailState, HailTaxiRequest};
use contracts::driving::v1::{
    AcceptDriveRequest, Drive, DriveCancellationCause, DriveState, EndShiftRequest, FareState, FinishDriveRequest,
    GetShiftRequest, ListDrivesRequest, ListOffersRequest, StartDriveRequest, StartShiftRequest,
};
use contracts::mypage::v1::TaxiRide;
use contracts::payment::v1::{ListPaymentsRequest, Payment, PaymentState};
use futures::future::join_all;
use tonic::Code;

use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Who};
use crate::support::cluster::{Cluster, Setup};
use crate::support::taxis::{north_of, place, somewhere};
use crate::support::verbs::won;
use crate::support::{BAD_CARD, GOOD_CARD, eventually, new_id, precondition, refused, retry_delay, somebody, wrong};

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
        t10_a_driver_is_on_duty_to_look_for_and_accept_drives,
        t10_a_driver_has_one_drive_at_a_time,
        t10_a_released_drive_is_offered_to_others,
        t11_a_customer_has_one_open_hail,
        t11_a_customer_who_owes_a_fare_does_not_hail,
        t14_a_drive_starts_with_the_code_that_the_customer_has,
        t14_a_driver_who_waited_cancels_the_drive,
        x11_staff_of_taxis_end_what_driver_and_customer_do_not,
        x12_staff_of_other_lines_are_not_staff_of_taxis,
    }
    suite.own("x11_a_drive_that_does_not_end_is_listed_for_staff", x11_a_drive_that_does_not_end_is_listed_for_staff);
    suite.own("t8_a_processor_that_answers_late_is_charged_once", t8_a_processor_that_answers_late_is_charged_once);
    suite.own("t1_a_request_that_no_driver_takes_lapses", t1_a_request_that_no_driver_takes_lapses);
}

/// The payment of a ride, once there is one.
async fn payment_of(client: &Client, hail: &Hail, state: PaymentState) -> Payment {
    let request = ListPaymentsRequest { purchase_id: hail.hail_id.clone(), ..Default::default() };
    eventually("the payment", async || {
        let payments = client.send(request.clone()).await.unwrap().payments;
        assert!(payments.len() < 2, "there is one payment for a ride");
        payments.into_iter().find(|payment| payment.state() == state)
    })
    .await
}

/// A started ride.
async fn ride(app: &Cluster, customer: &Client, card: &str) -> (Client, Hail, Drive) {
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

async fn t10_a_driver_is_on_duty_to_look_for_and_accept_drives(app: Arc<Cluster>) {
    let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
    let hail = mina.hail().await;
    let drive = app.driver(&somebody("lee")).sees_offer(&hail).await;
    let (latitude, longitude) = (Some(37.5), Some(127.0));
    let look = ListOffersRequest { latitude, longitude, ..Default::default() };
    let accept = AcceptDriveRequest { drive_id: drive.drive_id.clone(), ..Default::default() };
    precondition(kim.send(look.clone()).await, "OFF_DUTY");
    precondition(kim.send(accept.clone()).await, "OFF_DUTY");
    assert!(!kim.send(GetShiftRequest {}).await.unwrap().shift.unwrap().on_duty);
    let shift = kim.send(StartShiftRequest::default()).await.unwrap().shift.unwrap();
    assert!(shift.on_duty && shift.driver_id.starts_with("kim-"));
    kim.send(look).await.unwrap();
    kim.send(accept.clone()).await.unwrap();
    assert!(!kim.send(EndShiftRequest::default()).await.unwrap().shift.unwrap().on_duty);
    precondition(kim.send(accept).await, "OFF_DUTY");
    assert_eq!(kim.depart(&drive).await.unwrap().state(), DriveState::Started, "the drive goes on");
}

async fn t10_a_driver_has_one_drive_at_a_time(app: Arc<Cluster>) {
    let kim = app.driver(&somebody("kim"));
    let mut drives = Vec::new();
    for _ in 0..20 {
        let hail = app.by(&somebody("mina")).hail().await;
        drives.push(kim.sees_offer(&hail).await);
    }
    let answers = join_all(drives.iter().map(|drive| kim.accept(drive))).await;
    let (mut taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((taken.len(), refused.len()), (1, 19));
    for answer in refused {
        precondition(answer, "ALREADY_DRIVING");
    }
    let taken = taken.pop().unwrap().unwrap();
    let other = drives.iter().find(|drive| drive.drive_id != taken.drive_id).unwrap();
    kim.depart(&taken).await.unwrap();
    precondition(kim.accept(other).await, "ALREADY_DRIVING");
    kim.arrive(&taken).await.unwrap();
    kim.accept(other).await.unwrap();
}

async fn t10_a_released_drive_is_offered_to_others(app: Arc<Cluster>) {
    let (mina, kim, lee) = (app.by(&somebody("mina")), app.driver(&somebody("kim")), app.driver(&somebody("lee")));
    let hail = mina.hail().await;
    let drive = kim.accept(&kim.sees_offer(&hail).await).await.unwrap();
    mina.sees_hail(&hail, HailState::Allocated).await;
    refused(lee.release(&drive, "").await, Code::NotFound, "DRIVE_NOT_FOUND");
    assert_eq!(kim.release(&drive, "").await.unwrap().state(), DriveState::Offered);
    let requested = mina.sees_hail(&hail, HailState::Requested).await;
    assert_eq!((requested.driver_id, requested.drive_id), (String::new(), String::new()));
    let nobody = |page: &TaxiRide| page.driver_id.is_empty() && page.hail_state() == HailState::Requested;
    mina.sees_ride_page(&hail, "the page names no driver", nobody).await;
    let pickup = hail.pickup.clone().unwrap();
    assert!(kim.offers((pickup.latitude.unwrap(), pickup.longitude.unwrap()), 1).await.is_empty());
    lee.sees_offer(&hail).await;
    lee.accept(&drive).await.unwrap();
    assert!(mina.sees_hail(&hail, HailState::Allocated).await.driver_id.starts_with("lee-"));
    lee.depart(&drive).await.unwrap();
    precondition(lee.release(&drive, "").await, "DRIVE_STARTED");
    mina.is_notified_of_flow(
        &hail.hail_id,
        &["TAXI_HAILED", "TAXI_ALLOCATED", "TAXI_RELEASED", "TAXI_ALLOCATED", "DRIVE_STARTED"],
    )
    .await;
}

async fn t11_a_customer_has_one_open_hail(app: Arc<Cluster>) {
    let mina = app.by(&somebody("mina"));
    let answers = join_all((0..50).map(|_| mina.hail_from(somewhere(), GOOD_CARD))).await;
    let (mut hailed, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((hailed.len(), refused.len()), (1, 49));
    for answer in refused {
        precondition(answer, "TOO_MANY_HAILS");
    }
    let hail = hailed.pop().unwrap().unwrap();
    mina.cancel_hail(&hail).await.unwrap();
    mina.sees_hail(&hail, HailState::Cancelled).await;
    mina.hail().await;
}

async fn t11_a_customer_who_owes_a_fare_does_not_hail(app: Arc<Cluster>) {
    let mina = app.by(&somebody("mina"));
    let (driver, hail, drive) = ride(&app, &mina, BAD_CARD).await;
    assert_eq!(driver.arrive(&drive).await.unwrap().fare_state(), FareState::Refused);
    eventually("the customer owes it", async || mina.hail_of(&hail).await.ok().filter(|hail| hail.fare_owed)).await;
    mina.sees_hail(&hail, HailState::Finished).await;
    precondition(mina.hail_from(somewhere(), GOOD_CARD).await, "FARE_OWED");
    let payment = payment_of(&mina, &hail, PaymentState::Refused).await;
    mina.charge(&payment.payment_id, GOOD_CARD).await.unwrap();
    eventually("the customer may hail", async || mina.hail_from(somewhere(), GOOD_CARD).await.ok()).await;
}

async fn t14_a_drive_starts_with_the_code_that_the_customer_has(app: Arc<Cluster>) {
    let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
    let hail = mina.hail().await;
    assert!(hail.start_code.len() == 4 && hail.start_code.bytes().all(|digit| digit.is_ascii_digit()));
    let drive = kim.accept(&kim.sees_offer(&hail).await).await.unwrap();
    let start =
        |code: String| StartDriveRequest { drive_id: drive.drive_id.clone(), start_code: code, ..Default::default() };
    let right: u32 = hail.start_code.parse().unwrap();
    for other in 1..=5 {
        precondition(kim.send(start(format!("{:04}", (right + other) % 10_000))).await, "WRONG_START_CODE");
    }
    precondition(kim.send(start(hail.start_code.clone())).await, "TOO_MANY_START_CODES");
    let sol = taxi_staff(&app);
    wrong(sol.send(start(String::new())).await, &["reason"]);
    let reason = "the driver mistyped it".to_owned();
    let started = sol.send(StartDriveRequest { reason, ..start(String::new()) }).await.unwrap().drive.unwrap();
    assert_eq!(started.state(), DriveState::Started);
    assert_eq!(started.intervention.unwrap().reason, "the driver mistyped it");
}

async fn t14_a_driver_who_waited_cancels_the_drive(app: Arc<Cluster>) {
    let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
    let hail = mina.hail().await;
    let drive = kim.accept(&kim.sees_offer(&hail).await).await.unwrap();
    let early = kim.cancel_drive(&drive, "").await;
    assert!(early.as_ref().is_err_and(|status| retry_delay(status).is_some()));
    precondition(early, "CUSTOMER_MAY_COME");
    refused(app.driver(&somebody("lee")).cancel_drive(&drive, "").await, Code::NotFound, "DRIVE_NOT_FOUND");
}

async fn x11_staff_of_taxis_end_what_driver_and_customer_do_not(app: Arc<Cluster>) {
    let (mina, sol) = (app.by(&somebody("mina")), taxi_staff(&app));
    // The driver does not come: staff release the drive, and then cancel it.
    let kim = app.driver(&somebody("kim"));
    let hail = mina.hail().await;
    let drive = kim.accept(&kim.sees_offer(&hail).await).await.unwrap();
    wrong(sol.release(&drive, "").await, &["reason"]);
    let released = sol.release(&drive, "the driver is ill").await.unwrap();
    assert_eq!(released.intervention.unwrap().reason, "the driver is ill");
    let cancelled = sol.cancel_drive(&drive, "no car is near").await.unwrap();
    assert_eq!(cancelled.state(), DriveState::Cancelled);
    let seen = mina.sees_hail(&hail, HailState::Cancelled).await;
    assert_eq!(seen.cancellation_cause(), CancellationCause::Staff);
    let intervention = seen.intervention.unwrap();
    assert!(intervention.staff_id.starts_with("sol-") && intervention.reason == "no car is near");
    let shows = |page: &TaxiRide| page.hail_state() == HailState::Cancelled && page.intervention.is_some();
    let page = mina.sees_ride_page(&hail, "the page says why", shows).await;
    assert_eq!(page.intervention, Some(intervention));
    let told = mina.is_told(&hail.hail_id, "TAXI_CANCELLED").await;
    assert!(told.contains("no car is near"), "{told}");

    // The driver does not finish the drive: staff do, and say what it costs.
    let (_, hail, drive) = ride(&app, &mina, GOOD_CARD).await;
    let finish = FinishDriveRequest {
        drive_id: drive.drive_id.clone(),
        reason: "the driver's phone is broken".to_owned(),
        fare: Some(won(7_000)),
        ..Default::default()
    };
    let finished = sol.send(finish).await.unwrap().drive.unwrap();
    assert_eq!((finished.state(), finished.fare), (DriveState::Finished, Some(won(7_000))));
    mina.sees_ride_page(&hail, "it is paid", |page| page.payment_state() == PaymentState::Settled).await;
}

async fn x11_a_drive_that_does_not_end_is_listed_for_staff(setup: Setup) {
    let settings = ["--set", "driving.no_show_seconds=0", "--set", "driving.accepted_seconds=1"];
    let app = Cluster::new(setup).with(&settings).started().await;
    let (mina, kim, sol) = (app.by("mina"), app.driver("kim"), taxi_staff(&app));
    let hail = mina.hail().await;
    let drive = kim.accept(&kim.sees_offer(&hail).await).await.unwrap();
    let overdue = async || sol.send(ListDrivesRequest { overdue: true, ..Default::default() }).await.unwrap().drives;
    let listed = eventually("it is overdue", async || overdue().await.pop()).await;
    assert_eq!(listed, drive);
    // A customer who did not come.
    let cancelled = kim.cancel_drive(&drive, "").await.unwrap();
    assert_eq!(cancelled.cancellation_cause(), DriveCancellationCause::NoShow);
    let seen = mina.sees_hail(&hail, HailState::Cancelled).await;
    assert_eq!(seen.cancellation_cause(), CancellationCause::NoShow);
    assert_eq!(overdue().await, []);
    app.down().await;
}

async fn x12_staff_of_other_lines_are_not_staff_of_taxis(app: Arc<Cluster>) {
    let mina = app.by(&somebody("mina"));
    let hail = mina.hail().await;
    let drive = app.driver(&somebody("kim")).sees_offer(&hail).await;
    for roles in ["car_staff", "resort_staff", "bike_staff", "shop_staff", "manager", "courier"] {
        let other = app.client(Who::Named { name: somebody("other"), roles });
        refused(other.cancel_drive(&drive, "I can").await, Code::PermissionDenied, "ROLE_MISSING");
        refused(other.hail_of(&hail).await, Code::PermissionDenied, "ROLE_MISSING");
    }
    // A driver who has another role, too, is a driver there.
    refused(
        app.driver(&somebody("lee")).cancel_drive(&drive, "x").await,
        Code::FailedPrecondition,
        "DRIVE_NOT_ACCEPTED",
    );
}

/// Staff of the taxi line.
fn taxi_staff(app: &Cluster) -> Client {
    app.client(Who::Named { name: somebody("sol"), roles: "taxi_staff" })
}
