//! Payments of rentals and their cancellation, through `rental` and through `payment`.

use std::sync::Arc;
use std::time::Duration;

use contracts::fleet::v1::CarStatus;
use contracts::payment::v1::{CollectPaymentRequest, PaymentState, RefundPaymentRequest};
use contracts::rental::v1::{CancellationCause, Reservation, ReservationState};
use tonic::Code;

use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Who};
use crate::support::cluster::Cluster;
use crate::support::verbs::won;
use crate::support::{
    BAD_CARD, GOOD_CARD, about, eventually, new_id, period, precondition, refused, retry_delay, somebody, wrong,
};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        c5_renting_charges_and_an_unpaid_reservation_is_no_rental,
        c5_a_card_that_answers_late_is_charged_once,
        c5_a_card_that_never_answers_leaves_the_reservation,
        c4_a_payment_made_for_a_cancelled_reservation_is_refunded,
        c6_cancelling_the_payment_cancels_the_rental,
        c6_but_not_after_the_return,
        o7_paying_and_cancelling_through_payment,
        o7_a_payment_is_collected_by_contexts_only_and_once,
        x14_a_customer_whose_card_is_silent_pays_with_another_one,
        x14_a_refusal_names_its_payment,
        x14_staff_of_the_line_refund_a_part,
    }
}

async fn c5_renting_charges_and_an_unpaid_reservation_is_no_rental(app: Arc<Cluster>) {
    let (mina, jun) = (app.by("mina"), app.by("jun"));
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(0, 3)).await.unwrap();
    precondition(mina.bring_back(&trip).await, "NOT_RENTED");
    refused(jun.rent(&trip).await, Code::NotFound, "RESERVATION_NOT_FOUND");
    precondition(mina.rent_with(&trip, BAD_CARD).await, "PAYMENT_REFUSED");
    assert_eq!(mina.reservation(&trip).await.unwrap().state(), ReservationState::Reserved, "the reservation stays");
    let payment = mina.sees_payment(&trip, PaymentState::Refused).await;
    assert!(!payment.refusal.is_empty());

    let rented = mina.rent(&trip).await.unwrap();
    assert_eq!((rented.state(), &rented.payment_id), (ReservationState::Rented, &payment.payment_id));
    let paid = mina.payment(&payment.payment_id).await.unwrap();
    assert_eq!((paid.state(), &paid.amount, paid.refusal.as_str()), (PaymentState::Approved, &trip.price, ""));
    assert_eq!(mina.rent_with(&trip, BAD_CARD).await.unwrap(), rented, "it is paid already");
    mina.bring_back(&trip).await.unwrap();
    precondition(mina.rent(&trip).await, "ALREADY_RETURNED");
    mina.is_notified(&trip, &["CAR_RESERVED", "PAYMENT_REFUSED", "CAR_RENTED", "CAR_RETURNED"]).await;
}

/// Pays with a card whose first response is lost, and does not wait for the second.
async fn pay_without_waiting(mina: &Client, trip: &Reservation) {
    let paid = mina.within(Duration::from_millis(700)).rent_with(trip, "sandbox-timeout-once").await;
    // Either the server or the client notices the deadline first.
    let code = paid.expect_err("it takes longer").code();
    assert!(matches!(code, Code::DeadlineExceeded | Code::Cancelled), "{code:?}");
}

async fn c5_a_card_that_answers_late_is_charged_once(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    pay_without_waiting(&mina, &trip).await;
    assert_eq!(mina.reservation(&trip).await.unwrap().state(), ReservationState::Reserved);
    let processing = precondition(mina.rent(&trip).await, "PAYMENT_PROCESSING");
    assert!(retry_delay(&processing).is_some(), "the response has a retry delay");

    mina.sees_reservation(&trip, ReservationState::Rented).await;
    mina.sees_page(&trip, ReservationState::Rented, PaymentState::Approved).await;
    let approvals = async || {
        let flow = app.admin().flow(&trip.reservation_id).await;
        let count = flow.iter().filter(|event| event.r#type == "nadeuri.payment.v1.PaymentApproved").count();
        (count > 0).then_some(count)
    };
    assert_eq!(eventually("the approval is published", approvals).await, 1);
}

async fn c5_a_card_that_never_answers_leaves_the_reservation(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    let pending = refused(mina.rent_with(&trip, "sandbox-timeout").await, Code::Aborted, "PAYMENT_PENDING");
    assert!(retry_delay(&pending).is_some(), "the response has a retry delay");
    assert_eq!(mina.reservation(&trip).await.unwrap().state(), ReservationState::Reserved);
    assert_eq!(mina.payment_for(&trip).await.state(), PaymentState::Charging);
}

async fn c4_a_payment_made_for_a_cancelled_reservation_is_refunded(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    // The processor responds late. Meanwhile mina cancels.
    pay_without_waiting(&mina, &trip).await;
    mina.cancel(&trip).await.unwrap();
    let payment = mina.sees_payment(&trip, PaymentState::Cancelled).await;
    assert!(payment.refunded, "it was charged and refunded");
    let page = mina.sees_page(&trip, ReservationState::Cancelled, PaymentState::Cancelled).await;
    assert_eq!(page.rent_time, None);
    mina.sees(&car, CarStatus::Available).await;
    mina.is_notified(&trip, &["CAR_RESERVED", "RESERVATION_CANCELLED", "PAYMENT_REFUNDED"]).await;
    precondition(mina.charge(&payment.payment_id, GOOD_CARD).await, "PAYMENT_CANCELLED");
}

async fn c6_cancelling_the_payment_cancels_the_rental(app: Arc<Cluster>) {
    let (mina, jun) = (app.by("mina"), app.by("jun"));
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    let rented = mina.rent(&trip).await.unwrap();
    refused(jun.cancel_payment(&rented.payment_id).await, Code::NotFound, "PAYMENT_NOT_FOUND");
    let asked = mina.cancel_payment(&rented.payment_id).await.unwrap();
    assert!([PaymentState::Cancelling, PaymentState::Cancelled].contains(&asked.state()), "{asked:?}");
    let cancelled = mina.sees_reservation(&trip, ReservationState::Cancelled).await;
    assert_eq!(cancelled.cancellation_cause(), CancellationCause::Payment);
    assert!(mina.sees_payment(&trip, PaymentState::Cancelled).await.refunded);
    mina.sees(&car, CarStatus::Available).await;
    mina.sees_page(&trip, ReservationState::Cancelled, PaymentState::Cancelled).await;
    jun.reserve(&car, period(2, 1)).await.expect("the period is free");
    mina.is_notified(&trip, &["CAR_RESERVED", "CAR_RENTED", "RESERVATION_CANCELLED", "PAYMENT_REFUNDED"]).await;
}

async fn c6_but_not_after_the_return(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(0, 3)).await.unwrap();
    let rented = mina.rent(&trip).await.unwrap();
    mina.bring_back(&trip).await.unwrap();
    // If `payment` has not received the event of the return yet, it asks `rental`, which refuses.
    let _ = mina.cancel_payment(&rented.payment_id).await;
    mina.sees_payment(&trip, PaymentState::Settled).await;
    precondition(mina.cancel_payment(&rented.payment_id).await, "PAYMENT_SETTLED");
    mina.sees_page(&trip, ReservationState::Returned, PaymentState::Settled).await;
    assert_eq!(mina.reservation(&trip).await.unwrap().state(), ReservationState::Returned);
}

async fn o7_paying_and_cancelling_through_payment(app: Arc<Cluster>) {
    let (mina, jun) = (app.by("mina"), app.by("jun"));
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    let payment = mina.payment_for(&trip).await;
    assert_eq!((payment.state(), &payment.amount), (PaymentState::Requested, &trip.price));
    assert_eq!((&payment.purchase_id, payment.customer_id.as_str()), (&trip.reservation_id, "mina"));
    assert_eq!(payment.seller_reference, format!("car/{}", car.car_id));
    refused(jun.payment(&payment.payment_id).await, Code::NotFound, "PAYMENT_NOT_FOUND");
    refused(jun.charge(&payment.payment_id, GOOD_CARD).await, Code::NotFound, "PAYMENT_NOT_FOUND");
    precondition(mina.charge(&payment.payment_id, BAD_CARD).await, "PAYMENT_REFUSED");
    let paid = mina.charge(&payment.payment_id, GOOD_CARD).await.unwrap();
    assert_eq!(paid.state(), PaymentState::Approved);
    assert_eq!(mina.charge(&payment.payment_id, GOOD_CARD).await.unwrap(), paid, "a repetition changes nothing");
    mina.sees_reservation(&trip, ReservationState::Rented).await;

    mina.cancel_payment(&payment.payment_id).await.unwrap();
    mina.sees_reservation(&trip, ReservationState::Cancelled).await;
    assert!(mina.sees_payment(&trip, PaymentState::Cancelled).await.refunded);

    // An unpaid payment is cancelled at once, and the reservation with it.
    let second = jun.reserve(&car, period(1, 3)).await.unwrap();
    let payment = jun.payment_for(&second).await;
    let cancelled = jun.cancel_payment(&payment.payment_id).await.unwrap();
    assert_eq!((cancelled.state(), cancelled.refunded), (PaymentState::Cancelled, false));
    let dropped = jun.sees_reservation(&second, ReservationState::Cancelled).await;
    assert_eq!(dropped.cancellation_cause(), CancellationCause::Payment);
    precondition(jun.charge(&payment.payment_id, GOOD_CARD).await, "PAYMENT_CANCELLED");
}

async fn o7_a_payment_is_collected_by_contexts_only_and_once(app: Arc<Cluster>) {
    let request = CollectPaymentRequest {
        request_id: String::new(),
        purchase_id: new_id(),
        customer_id: "mina".to_owned(),
        amount: Some(won(7_000)),
        payment_method: GOOD_CARD.to_owned(),
        seller_reference: "order/1".to_owned(),
        used: false,
    };
    refused(app.by("mina").send(request.clone()).await, Code::PermissionDenied, "ROLE_MISSING");
    refused(app.admin().send(request.clone()).await, Code::PermissionDenied, "ROLE_MISSING");
    let seller = app.client(Who::Named { name: "order".to_owned(), roles: "service" });
    let paid = seller.send(request.clone()).await.unwrap().payment.unwrap();
    assert_eq!(paid.state(), PaymentState::Approved);
    assert_eq!(seller.send(request.clone()).await.unwrap().payment.unwrap(), paid, "charged once");
    let dearer = CollectPaymentRequest { amount: Some(won(7_001)), ..request.clone() };
    precondition(seller.send(dearer).await, "PURCHASE_DIFFERS");
    let others = CollectPaymentRequest { customer_id: "jun".to_owned(), ..request.clone() };
    precondition(seller.send(others).await, "PURCHASE_DIFFERS");
    let both = async || {
        let flow = app.admin().flow(&request.purchase_id).await;
        (flow.len() == 2).then_some(())
    };
    eventually("one request and one approval", both).await;
}

async fn x14_a_customer_whose_card_is_silent_pays_with_another_one(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    refused(mina.rent_with(&trip, "sandbox-timeout").await, Code::Aborted, "PAYMENT_PENDING");
    let shows = async || {
        let page = mina.page(&trip).await.ok()?;
        (page.payment_state() == PaymentState::Charging).then_some(())
    };
    eventually("the page says that the card is asked", shows).await;
    let rented = mina.rent_with(&trip, GOOD_CARD).await.unwrap();
    assert_eq!(rented.state(), ReservationState::Rented);
    assert_eq!(mina.payment(&rented.payment_id).await.unwrap().state(), PaymentState::Approved);
}

async fn x14_a_refusal_names_its_payment(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    let declined = precondition(mina.rent_with(&trip, BAD_CARD).await, "PAYMENT_REFUSED");
    let payment_id = about(&declined, "payment_id");
    assert_eq!(payment_id, mina.payment_for(&trip).await.payment_id);
    let pending = refused(mina.charge(&payment_id, "sandbox-timeout").await, Code::Aborted, "PAYMENT_PENDING");
    assert_eq!(about(&pending, "payment_id"), payment_id);
}

async fn x14_staff_of_the_line_refund_a_part(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(0, 3)).await.unwrap();
    let refund = |payment_id: &str, minor| RefundPaymentRequest {
        request_id: new_id(),
        payment_id: payment_id.to_owned(),
        amount: Some(won(minor)),
        reason: "the car was dirty".to_owned(),
    };
    let staff = |roles| app.client(Who::Named { name: somebody("sol"), roles });
    let sol = staff("car_staff");
    let unpaid = mina.payment_for(&trip).await.payment_id;
    precondition(sol.send(refund(&unpaid, 1)).await, "NOTHING_PAID");
    let payment_id = mina.rent(&trip).await.unwrap().payment_id;
    mina.bring_back(&trip).await.unwrap();
    mina.sees_payment(&trip, PaymentState::Settled).await;

    refused(mina.send(refund(&payment_id, 1)).await, Code::PermissionDenied, "ROLE_MISSING");
    refused(staff("taxi_staff").send(refund(&payment_id, 1)).await, Code::NotFound, "PAYMENT_NOT_FOUND");
    wrong(
        sol.send(RefundPaymentRequest { reason: String::new(), ..refund(&payment_id, 0) }).await,
        &["amount.amount_minor", "reason"],
    );
    let first = refund(&payment_id, 20_000);
    let refunded = sol.send(first.clone()).await.unwrap().payment.unwrap();
    assert_eq!((refunded.state(), refunded.refunded_amount), (PaymentState::Settled, Some(won(20_000))));
    assert_eq!(refunded.intervention.as_ref().unwrap().reason, "the car was dirty");
    assert_eq!(sol.send(first).await.unwrap().payment.unwrap().refunded_amount, Some(won(20_000)), "once");
    let all = 3 * 54_000;
    precondition(sol.send(refund(&payment_id, all - 19_999)).await, "REFUND_TOO_HIGH");
    let told = mina.is_told(&trip.reservation_id, "PAYMENT_PART_REFUNDED").await;
    assert!(told.contains("KRW 20,000") && told.contains("the car was dirty"), "{told}");
    // Many at once: no more goes back than was paid.
    let answers = futures::future::join_all((0..20).map(|_| sol.send(refund(&payment_id, 30_000)))).await;
    let done = answers.iter().filter(|answer| answer.is_ok()).count() as i64;
    let back = mina.payment(&payment_id).await.unwrap().refunded_amount.unwrap().amount_minor;
    assert_eq!(back, 20_000 + done * 30_000);
    assert!((1..=4).contains(&done), "{answers:?}");
}
