//! Invalid input about stays: the response names every violation.

use std::sync::Arc;

use contracts::mypage::v1 as mypage;
use contracts::period::v1::Dates;
use contracts::resort::v1::{
    GetResortRequest, HoldDatesRequest, ListResortsRequest, OfferDatesRequest, RegisterResortRequest, Resort,
};
use contracts::stay::v1::{CancelStayRequest, GetStayRequest, ListStaysRequest, ReserveStayRequest};
use contracts::voucher::v1::{GetVoucherRequest, ListVouchersRequest, RedeemVoucherRequest};
use tonic::Code;

use crate::runner::{Suite, journeys};
use crate::support::client::Who;
use crate::support::cluster::Cluster;
use crate::support::stays::{nights, some_villa};
use crate::support::verbs::won;
use crate::support::{new_id, refused, wrong};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        hostile_resort_requests_name_every_wrong_field,
        hostile_stay_and_voucher_requests_name_every_wrong_field,
    }
}

async fn hostile_resort_requests_name_every_wrong_field(app: Arc<Cluster>) {
    let manager = app.client(Who::resort_staff());
    wrong(manager.send(RegisterResortRequest::default()).await, &["resort"]);
    let fields = ["resort.name", "resort.kind", "resort.nightly_rate", "resort.offered"];
    wrong(manager.register_resort(Resort::default()).await, &fields);
    let dates = |start: &str, end: &str| Dates { start_date: start.to_owned(), end_date: end.to_owned() };
    let offered = vec![dates("2026-02-30", "x"), nights(1, 1), dates("2027-01-02", "2027-01-02")];
    let all = Resort {
        name: "\u{0}".to_owned(),
        kind: "x".repeat(51),
        nightly_rate: Some(won(0)),
        time_zone: "Asia/Atlantis".to_owned(),
        offered,
        ..Default::default()
    };
    let fields = [
        "request_id",
        "resort.name",
        "resort.kind",
        "resort.nightly_rate.amount_minor",
        "resort.time_zone",
        "resort.offered[0].start_date",
        "resort.offered[0].end_date",
        "resort.offered[2].end_date",
    ];
    wrong(manager.send(RegisterResortRequest { request_id: "x".to_owned(), resort: Some(all) }).await, &fields);
    let many = Resort { offered: vec![nights(1, 1); 101], ..some_villa("Many", 1) };
    wrong(manager.register_resort(many).await, &["resort.offered"]);
    wrong(manager.send(OfferDatesRequest::default()).await, &["resort_id", "dates"]);
    let unknown = OfferDatesRequest { resort_id: new_id(), dates: Some(nights(1, 1)), ..Default::default() };
    refused(manager.send(unknown).await, Code::NotFound, "RESORT_NOT_FOUND");
    wrong(manager.send(GetResortRequest { resort_id: "'; DROP TABLE resorts; --".to_owned() }).await, &["resort_id"]);
    let list = ListResortsRequest {
        page_size: -1,
        page_token: "x".to_owned(),
        kind: "a\u{0}".to_owned(),
        max_nightly_rate: Some(won(-1)),
        free_dates: Some(dates("2026-01-02", "2026-01-01")),
    };
    let fields = ["page_size", "page_token", "kind", "max_nightly_rate.amount_minor", "free_dates.end_date"];
    wrong(manager.send(list).await, &fields);
    let service = app.client(Who::Named { name: "stay".to_owned(), roles: "service" });
    wrong(service.send(HoldDatesRequest::default()).await, &["resort_id", "stay_id", "customer_id", "dates"]);
    refused(manager.send(HoldDatesRequest::default()).await, Code::PermissionDenied, "ROLE_MISSING");
}

async fn hostile_stay_and_voucher_requests_name_every_wrong_field(app: Arc<Cluster>) {
    let (manager, mina) = (app.client(Who::resort_staff()), app.by("mina"));
    wrong(mina.send(ReserveStayRequest::default()).await, &["resort_id", "dates"]);
    let id = || "not-a-uuid".to_owned();
    let backwards = Dates { start_date: "9999-12-31".to_owned(), end_date: "0001-01-01".to_owned() };
    let all = ReserveStayRequest { request_id: id(), resort_id: id(), dates: Some(backwards), ..Default::default() };
    wrong(mina.send(all).await, &["request_id", "resort_id", "dates.end_date"]);
    let huge = Dates { start_date: "2".repeat(10_000), end_date: "+2026-07-01".to_owned() };
    let huge = ReserveStayRequest { resort_id: new_id(), dates: Some(huge), ..Default::default() };
    wrong(mina.send(huge).await, &["dates.start_date", "dates.end_date"]);
    wrong(
        mina.send(CancelStayRequest { request_id: id(), stay_id: id(), ..Default::default() }).await,
        &["request_id", "stay_id"],
    );
    wrong(mina.send(GetStayRequest { stay_id: id() }).await, &["stay_id"]);
    wrong(mina.send(mypage::GetStayRequest { stay_id: id() }).await, &["stay_id"]);
    let list = ListStaysRequest { page_size: 1_001, page_token: "x".to_owned(), state: 99 };
    wrong(mina.send(list).await, &["page_size", "page_token", "state"]);
    let pages = mypage::ListStaysRequest { page_size: 1_001, page_token: "x".to_owned() };
    wrong(mina.send(pages).await, &["page_size", "page_token"]);
    for code in ["", "7", "0000-0000-0000-000U", "\u{0}", &"0".repeat(10_000)] {
        wrong(manager.redeem(code).await, &["code"]);
    }
    let redeem = RedeemVoucherRequest { request_id: id(), code: id() };
    wrong(manager.send(redeem).await, &["request_id", "code"]);
    wrong(mina.send(GetVoucherRequest { voucher_id: id() }).await, &["voucher_id"]);
    let list = ListVouchersRequest { page_size: -1, page_token: "x".to_owned(), stay_id: id(), state: -1 };
    wrong(mina.send(list).await, &["page_size", "page_token", "stay_id", "state"]);
}
