//! Stays at resorts: overlapping dates, prices, vouchers and cancellation.

use std::sync::Arc;

use contracts::mypage::v1 as mypage;
use contracts::payment::v1::PaymentState;
use contracts::period::v1::Dates;
use contracts::resort::v1::{
    HoldDatesRequest, HoldState, ListResortsRequest, OfferDatesRequest, Resort, TransferResortRequest,
};
use contracts::stay::v1::{CancelStayRequest, CancellationCause, ListStaysRequest, ReserveStayRequest, StayState};
use contracts::voucher::v1::{GetVoucherRequest, ListVouchersRequest, RedeemVoucherRequest, VoucherState};
use tonic::{Code, Status};

use crate::runner::{Suite, journeys};
use crate::support::client::Who;
use crate::support::cluster::{Cluster, Setup};
use crate::support::stays::{nights, some_villa};
use crate::support::verbs::won;
use crate::support::{BAD_CARD, GOOD_CARD, eventually, new_id, precondition, reason, refused, wrong};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        r1_a_manager_registers_a_resort_and_offers_dates,
        r1_resorts_are_listed_by_kind_price_and_free_dates,
        r2_a_stay_at_another_price_than_the_customer_saw_is_not_reserved,
        r2_two_customers_never_get_the_same_night,
        r16_a_hold_makes_way_for_the_next_try_of_its_own_customer,
        r2_one_of_200_customers_gets_the_night,
        r2_a_repeated_request_reserves_once,
        r3_a_stay_waits_for_its_payment,
        r4_a_confirmed_stay_is_booked_at_the_resort,
        r5_a_paid_stay_has_a_voucher_that_is_sent,
        r5_a_voucher_is_redeemed_once_while_the_stay_lasts,
        r6_r7_r8_r9_a_cancelled_stay_loses_voucher_payment_and_nights,
        r6_a_stay_that_is_near_is_not_cancelled_any_more,
        r10_mypage_shows_reservation_payment_and_voucher,
        x11_staff_cancel_a_stay_that_its_customer_can_not,
        x12_a_resort_is_changed_by_its_owner,
    }
    journeys! { suite.own:
        r2_r3_holds_and_unpaid_stays_end_by_themselves,
        r10_the_read_model_of_stays_is_rebuilt_from_the_events,
        x13_a_customer_has_a_few_unpaid_stays,
    }
}

async fn r1_a_manager_registers_a_resort_and_offers_dates(app: Arc<Cluster>) {
    let (manager, mina) = (app.client(Who::resort_staff()), app.by("mina"));
    let offered = vec![nights(10, 2), nights(20, 5), nights(12, 3)];
    let villa = Resort { offered, time_zone: "Europe/Berlin".to_owned(), ..some_villa("Sea View", 90_000) };
    let villa = manager.register_resort(villa).await.unwrap();
    assert_eq!(villa.offered, [nights(10, 5), nights(20, 5)], "adjacent ranges are merged");
    assert_eq!((villa.nightly_rate.clone(), villa.time_zone.as_str()), (Some(won(90_000)), "Europe/Berlin"));
    let request =
        OfferDatesRequest { resort_id: villa.resort_id.clone(), dates: Some(nights(15, 5)), ..Default::default() };
    let wider = manager.send(request).await.unwrap().resort.unwrap();
    assert_eq!(wider.offered, [nights(10, 15)]);
    assert_eq!(mina.resort(&villa).await, wider);
    precondition(mina.book(&villa, nights(24, 2)).await, "DATES_NOT_OFFERED");
    assert_eq!(manager.new_villa("Zone", 1).await.time_zone, "Asia/Seoul", "the setting");
    let refusal = mina.register_resort(some_villa("Mine", 1)).await;
    refused(refusal, Code::PermissionDenied, "ROLE_MISSING");
}

async fn r1_resorts_are_listed_by_kind_price_and_free_dates(app: Arc<Cluster>) {
    let (manager, mina) = (app.client(Who::resort_staff()), app.by("mina"));
    let kind = new_id();
    let of_kind = |name: &str, price| Resort { kind: kind.clone(), ..some_villa(name, price) };
    let cheap = manager.register_resort(of_kind("cheap", 50_000)).await.unwrap();
    let dear = manager.register_resort(of_kind("dear", 200_000)).await.unwrap();
    mina.book(&cheap, nights(5, 2)).await.unwrap();
    let list = async |max: Option<i64>, free_dates: Option<Dates>| {
        let max_nightly_rate = max.map(won);
        let request = ListResortsRequest { kind: kind.clone(), max_nightly_rate, free_dates, ..Default::default() };
        let listed = mina.send(request).await.unwrap().resorts;
        listed.into_iter().map(|resort| resort.name).collect::<Vec<_>>()
    };
    assert_eq!(list(None, None).await, ["cheap", "dear"]);
    assert_eq!(list(Some(50_000), None).await, ["cheap"]);
    assert_eq!(list(None, Some(nights(6, 3))).await, ["dear"]);
    assert_eq!(list(None, Some(nights(7, 3))).await, ["cheap", "dear"]);
    assert_eq!(list(None, Some(nights(790, 20))).await, [""; 0], "not all of it is offered");
    let request = ListResortsRequest { kind: kind.clone(), page_size: 1, ..Default::default() };
    let first = mina.send(request.clone()).await.unwrap();
    assert_eq!(first.resorts[0].resort_id, cheap.resort_id);
    let second = mina.send(ListResortsRequest { page_token: first.next_page_token, ..request }).await.unwrap();
    assert_eq!((second.resorts[0].resort_id.as_str(), second.next_page_token.as_str()), (&*dear.resort_id, ""));
}

async fn r2_a_stay_at_another_price_than_the_customer_saw_is_not_reserved(app: Arc<Cluster>) {
    let mina = app.by(&format!("mina-{}", new_id()));
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    let seen = |price| ReserveStayRequest {
        resort_id: villa.resort_id.clone(),
        dates: Some(nights(10, 3)),
        expected_price: Some(won(price)),
        ..Default::default()
    };
    precondition(mina.send(seen(90_000)).await, "PRICE_CHANGED");
    let free = mina.resort(&villa).await;
    assert_eq!(free.occupied, [], "nothing is held");
    assert_eq!(mina.send(seen(270_000)).await.unwrap().stay.unwrap().price, Some(won(270_000)));
}

async fn r16_a_hold_makes_way_for_the_next_try_of_its_own_customer(app: Arc<Cluster>) {
    let name = format!("mina-{}", new_id());
    let (mina, jun) = (app.by(&name), app.by("jun"));
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    // What `stay` does for a call that nobody waited for to the end.
    let service = app.client(Who::Named { name: "stay".to_owned(), roles: "service" });
    let hold = HoldDatesRequest {
        resort_id: villa.resort_id.clone(),
        stay_id: new_id(),
        customer_id: name.clone(),
        dates: Some(nights(10, 2)),
        ..Default::default()
    };
    service.send(hold).await.unwrap();
    precondition(jun.book(&villa, nights(10, 2)).await, "DATES_TAKEN");
    let stay = eventually("the hold makes way", async || mina.book(&villa, nights(11, 2)).await.ok()).await;
    assert_eq!(stay.state(), StayState::Reserved);
    jun.book(&villa, nights(10, 1)).await.expect("the rest of the first hold is free");
}

async fn r2_two_customers_never_get_the_same_night(app: Arc<Cluster>) {
    let (mina, jun) = (app.by("mina"), app.by("jun"));
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    let stay = mina.book(&villa, nights(10, 3)).await.unwrap();
    assert_eq!((stay.state(), stay.customer_id.as_str()), (StayState::Reserved, "mina"));
    assert_eq!((stay.price.clone(), stay.resort_name.as_str()), (Some(won(270_000)), "Sea View"));
    for taken in [nights(10, 3), nights(9, 2), nights(12, 1), nights(5, 20)] {
        precondition(jun.book(&villa, taken).await, "DATES_TAKEN");
    }
    precondition(mina.book(&villa, nights(11, 1)).await, "DATES_TAKEN");
    jun.book(&villa, nights(8, 2)).await.expect("stays may touch");
    jun.book(&villa, nights(13, 1)).await.expect("stays may touch");
    jun.book(&villa, nights(0, 1)).await.expect("tonight can be reserved");

    let nowhere = Resort { resort_id: new_id(), ..villa.clone() };
    refused(mina.book(&nowhere, nights(10, 1)).await, Code::NotFound, "RESORT_NOT_FOUND");
    refused(mina.book(&villa, nights(-1, 1)).await, Code::InvalidArgument, "DATES_PAST");
    refused(mina.book(&villa, nights(100, 31)).await, Code::InvalidArgument, "STAY_TOO_LONG");
    refused(mina.book(&villa, nights(730, 1)).await, Code::InvalidArgument, "DATES_TOO_FAR");
    // Others see the occupied dates, but not the customer.
    let seen = jun.resort(&villa).await;
    let taken: Vec<_> = seen.occupied.iter().filter_map(|occupancy| occupancy.dates.clone()).collect();
    assert_eq!(taken, [nights(0, 1), nights(8, 2), nights(10, 3), nights(13, 1)]);
    refused(jun.stay(&stay).await, Code::NotFound, "STAY_NOT_FOUND");
    refused(jun.cancel_stay(&stay).await, Code::NotFound, "STAY_NOT_FOUND");
}

async fn r2_one_of_200_customers_gets_the_night(app: Arc<Cluster>) {
    const CUSTOMERS: usize = 200;
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    let customers = (0..CUSTOMERS).map(|number| {
        // Every fourth client has its own connections, the others share them, to limit the load of this machine.
        let client = if number % 4 == 0 { app.stranger(&format!("c{number}")) } else { app.by(&format!("c{number}")) };
        let (client, villa) = (client.within(crate::support::PATIENCE), villa.clone());
        async move { client.book(&villa, nights(10, 1 + (number % 2) as i64)).await }
    });
    let answers = futures::future::join_all(customers).await;
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    let lost: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    let taken = |status: &Status| status.code() == Code::FailedPrecondition && reason(status) == "DATES_TAKEN";
    let strange: Vec<_> = lost.iter().filter(|status| !taken(status)).collect();
    assert_eq!((won, lost.len()), (1, CUSTOMERS - 1), "{strange:?}");
    assert!(strange.is_empty(), "{strange:?}");
    assert_eq!(app.by("mina").resort(&villa).await.occupied.len(), 1, "there is no other reservation");
}

async fn r2_a_repeated_request_reserves_once(app: Arc<Cluster>) {
    let name = format!("mina-{}", new_id());
    let mina = app.by(&name);
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    let request = ReserveStayRequest {
        request_id: new_id(),
        resort_id: villa.resort_id.clone(),
        dates: Some(nights(10, 2)),
        ..Default::default()
    };
    let attempts = futures::future::join_all((0..8).map(|_| mina.send(request.clone()))).await;
    let stay = attempts[0].as_ref().unwrap().stay.clone().unwrap();
    for attempt in attempts {
        assert_eq!(attempt.unwrap().stay.unwrap(), stay, "all attempts have one effect");
    }
    mina.cancel_stay(&stay).await.unwrap();
    assert_eq!(
        mina.send(request.clone()).await.unwrap().stay.unwrap(),
        stay,
        "the response is the first one, whatever happened since"
    );
    let other = ReserveStayRequest { dates: Some(nights(20, 2)), ..request };
    refused(mina.send(other).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let all = mina.send(ListStaysRequest::default()).await.unwrap().stays;
    assert_eq!(all.len(), 1);
}

async fn r3_a_stay_waits_for_its_payment(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    let stay = mina.book(&villa, nights(10, 2)).await.unwrap();
    assert!(stay.expire_time.is_some() && stay.payment_id.is_empty());
    let payment = mina.sees_stay_payment(&stay, PaymentState::Requested).await;
    assert_eq!(payment.amount, Some(won(180_000)), "the server's price");
    precondition(mina.charge(&payment.payment_id, BAD_CARD).await, "PAYMENT_REFUSED");
    assert_eq!(
        mina.stay(&stay).await.unwrap().state(),
        StayState::Reserved,
        "the reservation stays: another card may be approved"
    );
    mina.charge(&payment.payment_id, GOOD_CARD).await.unwrap();
    let confirmed = mina.sees_stay(&stay, StayState::Confirmed).await;
    assert_eq!((confirmed.payment_id, confirmed.expire_time), (payment.payment_id, None));

    // Cancelling an unpaid payment releases the nights.
    let dropped = mina.book(&villa, nights(20, 2)).await.unwrap();
    let payment = mina.sees_stay_payment(&dropped, PaymentState::Requested).await;
    mina.cancel_payment(&payment.payment_id).await.unwrap();
    let cancelled = mina.sees_stay(&dropped, StayState::Cancelled).await;
    assert_eq!(cancelled.cancellation_cause(), CancellationCause::Payment);
    eventually("the nights are free", async || mina.book(&villa, nights(20, 2)).await.ok()).await;
    mina.is_notified_of_flow(&dropped.stay_id, &["STAY_RESERVED", "STAY_CANCELLED"]).await;
}

async fn r4_a_confirmed_stay_is_booked_at_the_resort(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    let stay = mina.book(&villa, nights(10, 2)).await.unwrap();
    let becomes = async |state: HoldState| {
        eventually(&format!("the nights to be {}", state.as_str_name()), async || {
            let occupied = mina.resort(&villa).await.occupied;
            assert_eq!(occupied.len(), 1, "they are occupied all the time");
            (occupied[0].state() == state).then_some(())
        })
        .await;
    };
    becomes(HoldState::Reserved).await;
    mina.pay_stay(&stay).await;
    becomes(HoldState::Booked).await;
    let kinds = ["DatesHeld", "StayReserved", "PaymentApproved", "StayConfirmed", "DatesBooked", "VoucherIssued"];
    eventually("the events", async || {
        let story = app.admin().flow(&stay.stay_id).await;
        kinds.iter().all(|kind| story.iter().any(|event| event.r#type.ends_with(kind))).then_some(())
    })
    .await;
}

async fn r5_a_paid_stay_has_a_voucher_that_is_sent(app: Arc<Cluster>) {
    let (manager, mina, jun) = (app.client(Who::resort_staff()), app.by("mina"), app.by("jun"));
    let villa = manager.new_villa("Sea View", 90_000).await;
    let stay = mina.book(&villa, nights(10, 2)).await.unwrap();
    let request = ListVouchersRequest { stay_id: stay.stay_id.clone(), ..Default::default() };
    assert_eq!(mina.send(request.clone()).await.unwrap().vouchers, [], "none before it is paid");
    mina.pay_stay(&stay).await;
    let voucher = mina.sees_voucher(&stay, VoucherState::Sent).await;
    assert_eq!((voucher.code.len(), &voucher.dates), (19, &stay.dates));
    assert_eq!((voucher.begin_time, voucher.end_time), (stay.begin_time, stay.end_time));
    mina.is_notified_of_flow(&stay.stay_id, &["STAY_RESERVED", "STAY_CONFIRMED", "VOUCHER_ISSUED"]).await;
    let messages = mina.messages_of(&stay.stay_id).await;
    assert!(messages.iter().any(|message| message.text.contains(&voucher.code)), "the code reaches its customer");

    // Nobody else sees the code: not other customers, not managers, not the log.
    let get = || GetVoucherRequest { voucher_id: voucher.voucher_id.clone() };
    refused(jun.send(get()).await, Code::NotFound, "VOUCHER_NOT_FOUND");
    assert_eq!(jun.send(request.clone()).await.unwrap().vouchers, []);
    assert_eq!(mina.send(get()).await.unwrap().voucher.unwrap().code, voucher.code);
    assert_eq!(manager.send(get()).await.unwrap().voucher.unwrap().code, "");
    assert_eq!(manager.send(request).await.unwrap().vouchers[0].code, "");
    assert!(!app.logs().contains(&voucher.code), "a log shows a code");
}

async fn r5_a_voucher_is_redeemed_once_while_the_stay_lasts(app: Arc<Cluster>) {
    let (manager, mina) = (app.client(Who::resort_staff()), app.by("mina"));
    let villa = manager.new_villa("Sea View", 90_000).await;
    let tonight = mina.book(&villa, nights(0, 1)).await.unwrap();
    let later = mina.book(&villa, nights(10, 1)).await.unwrap();
    mina.pay_stay(&tonight).await;
    mina.pay_stay(&later).await;
    let early = mina.sees_voucher(&later, VoucherState::Sent).await;
    precondition(manager.redeem(&early.code).await, "TOO_EARLY");
    let voucher = mina.sees_voucher(&tonight, VoucherState::Sent).await;
    let request = RedeemVoucherRequest { request_id: new_id(), code: voucher.code.replace('-', " ").to_lowercase() };
    let redeemed = manager.send(request.clone()).await.unwrap();
    assert_eq!(redeemed.voucher.as_ref().map(|voucher| voucher.state()), Some(VoucherState::Redeemed));
    assert_eq!(manager.send(request).await.unwrap(), redeemed, "a repeated request gets the first response");
    precondition(manager.redeem(&voucher.code).await, "ALREADY_REDEEMED");
    refused(manager.redeem("0000-0000-0000-0000").await, Code::NotFound, "VOUCHER_NOT_FOUND");
    refused(mina.redeem(&early.code).await, Code::PermissionDenied, "ROLE_MISSING");
}

async fn r6_r7_r8_r9_a_cancelled_stay_loses_voucher_payment_and_nights(app: Arc<Cluster>) {
    let (manager, mina, jun) = (app.client(Who::resort_staff()), app.by("mina"), app.by("jun"));
    let villa = manager.new_villa("Sea View", 90_000).await;
    let stay = mina.book(&villa, nights(10, 2)).await.unwrap();
    mina.pay_stay(&stay).await;
    let voucher = mina.sees_voucher(&stay, VoucherState::Sent).await;
    precondition(jun.book(&villa, nights(11, 2)).await, "DATES_TAKEN");

    let cancelled = mina.cancel_stay(&stay).await.unwrap();
    assert_eq!(
        (cancelled.state(), cancelled.cancellation_cause()),
        (StayState::Cancelled, CancellationCause::Customer)
    );
    assert_eq!(mina.cancel_stay(&stay).await.unwrap(), cancelled, "a repetition changes nothing");
    mina.sees_voucher(&stay, VoucherState::Deactivated).await;
    precondition(manager.redeem(&voucher.code).await, "VOUCHER_DEACTIVATED");
    assert!(mina.sees_stay_payment(&stay, PaymentState::Cancelled).await.refunded);
    eventually("the nights are free again", async || jun.book(&villa, nights(11, 2)).await.ok()).await;
    let topics = ["STAY_RESERVED", "STAY_CONFIRMED", "VOUCHER_ISSUED", "STAY_CANCELLED", "PAYMENT_REFUNDED"];
    mina.is_notified_of_flow(&stay.stay_id, &topics).await;

    // The same through `payment`.
    let stay = mina.book(&villa, nights(20, 2)).await.unwrap();
    let payment_id = mina.pay_stay(&stay).await.payment_id;
    mina.cancel_payment(&payment_id).await.unwrap();
    let cancelled = mina.sees_stay(&stay, StayState::Cancelled).await;
    assert_eq!(cancelled.cancellation_cause(), CancellationCause::Payment);
    assert!(mina.sees_stay_payment(&stay, PaymentState::Cancelled).await.refunded);
    mina.sees_voucher(&stay, VoucherState::Deactivated).await;
}

async fn r6_a_stay_that_is_near_is_not_cancelled_any_more(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    let unpaid = mina.book(&villa, nights(1, 1)).await.unwrap();
    assert_eq!(
        mina.cancel_stay(&unpaid).await.unwrap().state(),
        StayState::Cancelled,
        "an unpaid stay can always be cancelled"
    );
    let tonight = mina.book(&villa, nights(0, 1)).await.unwrap();
    let payment_id = mina.pay_stay(&tonight).await.payment_id;
    precondition(mina.cancel_stay(&tonight).await, "STAY_TOO_NEAR");
    mina.cancel_payment(&payment_id).await.unwrap();
    let topics = ["STAY_RESERVED", "STAY_CONFIRMED", "VOUCHER_ISSUED", "STAY_CANCELLATION_REFUSED"];
    mina.is_notified_of_flow(&tonight.stay_id, &topics).await;
    mina.sees_stay_payment(&tonight, PaymentState::Approved).await;
    assert_eq!(mina.stay(&tonight).await.unwrap().state(), StayState::Confirmed);
}

async fn r10_mypage_shows_reservation_payment_and_voucher(app: Arc<Cluster>) {
    use VoucherState as V;
    let name = format!("mina-{}", new_id());
    let mina = app.by(&name);
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    let stay = mina.book(&villa, nights(10, 2)).await.unwrap();
    let page = mina.sees_stay_page(&stay, StayState::Reserved, PaymentState::Requested, V::Unspecified).await;
    assert_eq!((&page.customer_id, &page.dates, &page.price), (&name, &stay.dates, &stay.price));
    assert_eq!((page.resort_name.as_str(), page.voucher_code.as_str()), ("Sea View", ""));
    mina.charge(&page.payment_id, GOOD_CARD).await.unwrap();
    let page = mina.sees_stay_page(&stay, StayState::Confirmed, PaymentState::Approved, V::Sent).await;
    let voucher = mina.sees_voucher(&stay, V::Sent).await;
    assert_eq!((&page.voucher_id, &page.voucher_code), (&voucher.voucher_id, &voucher.code));
    assert!(page.confirm_time.is_some() && page.cancel_time.is_none());
    let get = mypage::GetStayRequest { stay_id: stay.stay_id.clone() };
    assert_eq!(app.admin().send(get).await.unwrap().stay.unwrap().voucher_code, "", "only its customer sees the code");
    mina.cancel_stay(&stay).await.unwrap();
    mina.sees_stay_page(&stay, StayState::Cancelled, PaymentState::Cancelled, V::Deactivated).await;

    let second = mina.book(&villa, nights(20, 2)).await.unwrap();
    mina.sees_stay_page(&second, StayState::Reserved, PaymentState::Requested, V::Unspecified).await;
    let pages = mina.send(mypage::ListStaysRequest::default()).await.unwrap().stays;
    let listed: Vec<&str> = pages.iter().map(|page| page.stay_id.as_str()).collect();
    assert_eq!(listed, [&second.stay_id, &stay.stay_id], "newest first, and only the caller's");
    refused(app.by("jun").stay_page(&stay).await, Code::NotFound, "STAY_NOT_FOUND");
}

async fn r2_r3_holds_and_unpaid_stays_end_by_themselves(setup: Setup) {
    let settings = ["--set", "resort.hold_seconds=1", "--set", "stay.pay_within_seconds=1"];
    let app = Cluster::new(setup).with(&settings).started().await;
    let mina = app.by("mina");
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    // What `stay` does before a crash: the hold is never used.
    let service = app.client(Who::Named { name: "stay".to_owned(), roles: "service" });
    let hold = HoldDatesRequest {
        resort_id: villa.resort_id.clone(),
        stay_id: new_id(),
        customer_id: "jun".to_owned(),
        dates: Some(nights(10, 2)),
        ..Default::default()
    };
    let held = service.send(hold.clone()).await.unwrap().hold.unwrap();
    assert_eq!(held.price, Some(won(180_000)));
    let other = HoldDatesRequest { dates: Some(nights(10, 3)), ..hold };
    precondition(service.send(other).await, "DATES_DIFFER");
    let stay = eventually("the hold ends", async || mina.book(&villa, nights(10, 2)).await.ok()).await;

    let lapsed = mina.sees_stay(&stay, StayState::Cancelled).await;
    assert_eq!(lapsed.cancellation_cause(), CancellationCause::Unpaid);
    let payment = mina.sees_stay_payment(&stay, PaymentState::Cancelled).await;
    assert!(!payment.refunded, "nothing was charged");
    precondition(mina.charge(&payment.payment_id, GOOD_CARD).await, "PAYMENT_CANCELLED");
    eventually("the nights are free", async || mina.resort(&villa).await.occupied.is_empty().then_some(())).await;
    mina.is_notified_of_flow(&stay.stay_id, &["STAY_RESERVED", "STAY_CANCELLED"]).await;
    app.down().await;
}

async fn r10_the_read_model_of_stays_is_rebuilt_from_the_events(setup: Setup) {
    let app = Cluster::new(setup).started().await;
    let mina = app.by("mina");
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    let (paid, cancelled) = (mina.book(&villa, nights(10, 1)).await, mina.book(&villa, nights(20, 1)).await);
    let (paid, cancelled) = (paid.unwrap(), cancelled.unwrap());
    mina.pay_stay(&paid).await;
    mina.cancel_stay(&cancelled).await.unwrap();
    mina.sees_stay_page(&paid, StayState::Confirmed, PaymentState::Approved, VoucherState::Sent).await;
    let nothing = VoucherState::Unspecified;
    mina.sees_stay_page(&cancelled, StayState::Cancelled, PaymentState::Cancelled, nothing).await;
    let pages = async || mina.send(mypage::ListStaysRequest::default()).await.unwrap().stays;
    let before = pages().await;
    let rebuild = app.run(&["rebuild", "mypage", "--server", &app.url("mypage")]);
    assert!(rebuild.status.success(), "{rebuild:?}");
    let after = pages().await;
    assert!(before.len() == 2 && before[1].voucher_code.len() == 19 && after == before, "{after:?}");
    app.down().await;
}

async fn x11_staff_cancel_a_stay_that_its_customer_can_not(app: Arc<Cluster>) {
    let (mina, hana) = (app.by("mina"), app.client(Who::resort_staff()));
    let villa = hana.new_villa("Sea View", 90_000).await;
    let tonight = mina.book(&villa, nights(0, 1)).await.unwrap();
    mina.pay_stay(&tonight).await;
    let cancel = |reason: &str| CancelStayRequest {
        stay_id: tonight.stay_id.clone(),
        reason: reason.to_owned(),
        ..Default::default()
    };
    precondition(mina.cancel_stay(&tonight).await, "STAY_TOO_NEAR");
    wrong(hana.send(cancel(" ")).await, &["reason"]);
    refused(app.client(Who::shop_staff()).send(cancel("I can")).await, Code::PermissionDenied, "ROLE_MISSING");
    let cancelled = hana.send(cancel("the boiler broke")).await.unwrap().stay.unwrap();
    assert_eq!(cancelled.cancellation_cause(), CancellationCause::Staff);
    let intervention = cancelled.intervention.unwrap();
    assert_eq!((intervention.staff_id.as_str(), intervention.reason.as_str()), ("hana", "the boiler broke"));
    assert!(mina.sees_stay_payment(&tonight, PaymentState::Cancelled).await.refunded);
    mina.sees_voucher(&tonight, VoucherState::Deactivated).await;
    let told = mina.is_told(&tonight.stay_id, "STAY_CANCELLED").await;
    assert!(told.contains("the boiler broke"), "{told}");
}

async fn x12_a_resort_is_changed_by_its_owner(app: Arc<Cluster>) {
    let staff = |name: &str| Who::Named { name: format!("{name}-{}", new_id()), roles: "resort_staff" };
    let (sol, hana) = (app.client(staff("sol")), app.client(staff("hana")));
    let villa = sol.new_villa("Sea View", 90_000).await;
    assert_eq!(villa.owner_id, sol.name());
    let (resort_id, dates) = (villa.resort_id.clone(), Some(nights(900, 7)));
    let offer = OfferDatesRequest { resort_id: resort_id.clone(), dates, ..Default::default() };
    refused(hana.send(offer.clone()).await, Code::NotFound, "RESORT_NOT_FOUND");
    let transfer = TransferResortRequest { resort_id, owner_id: hana.name().to_owned(), ..Default::default() };
    refused(sol.send(transfer.clone()).await, Code::PermissionDenied, "ROLE_MISSING");
    assert_eq!(app.admin().send(transfer).await.unwrap().resort.unwrap().owner_id, hana.name());
    refused(sol.send(offer.clone()).await, Code::NotFound, "RESORT_NOT_FOUND");
    hana.send(offer).await.unwrap();
    wrong(app.admin().send(TransferResortRequest::default()).await, &["resort_id", "owner_id"]);
}

async fn x13_a_customer_has_a_few_unpaid_stays(setup: Setup) {
    let app = Cluster::new(setup).with(&["--set", "stay.unpaid_stays=3"]).started().await;
    let (mina, villa) = (app.by("mina"), app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await);
    let tries = futures::future::join_all((1..=10).map(|day| mina.book(&villa, nights(day, 1)))).await;
    let (mut reserved, refused): (Vec<_>, Vec<_>) = tries.into_iter().partition(Result::is_ok);
    assert_eq!((reserved.len(), refused.len()), (3, 7));
    for answer in refused {
        precondition(answer, "TOO_MANY_STAYS");
    }
    // Others may, who pays may again, and nothing is held for who may not.
    app.by("jun").book(&villa, nights(30, 1)).await.unwrap();
    mina.pay_stay(&reserved.pop().unwrap().unwrap()).await;
    mina.book(&villa, nights(31, 1)).await.unwrap();
    precondition(mina.book(&villa, nights(32, 1)).await, "TOO_MANY_STAYS");
    app.by("jun").book(&villa, nights(32, 1)).await.unwrap();
    app.down().await;
}
