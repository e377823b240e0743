//! Invalid input: the response names every violation, and nothing is changed.

use std::sync::Arc;

use contracts::Request as _;
use contracts::chronicle::v1::{GetFlowRequest, ListEventsRequest};
use contracts::dispatch::v1::HailTaxiRequest;
use contracts::fleet::v1::{
    Car, CarStatus, GetCarRequest, GetCarResponse, ListCarsRequest, RegisterCarRequest, RegisterCarResponse,
    RemoveCarRequest,
};
use contracts::money::v1::Money;
use contracts::mypage::v1::{GetCarRentalRequest, ListCarRentalsRequest};
use contracts::notification::v1::ListMessagesRequest;
use contracts::order::v1::CreateOrderRequest;
use contracts::payment::v1::{
    CancelPaymentRequest, ChargePaymentRequest, CollectPaymentRequest, GetPaymentRequest, ListPaymentsRequest,
};
use contracts::period::v1::{Dates, Period};
use contracts::place::v1::Place;
use contracts::rental::v1::{
    CancelReservationRequest, GetReservationRequest, ListReservationsRequest, RateRentalRequest, RentCarRequest,
    ReserveCarRequest, RetireCarRequest, ReturnCarRequest,
};
use contracts::resort::v1::{RegisterResortRequest, Resort};
use contracts::wallet::v1::TopUpRequest;
use prost_types::Timestamp;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Status};

use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Who};
use crate::support::cluster::Cluster;
use crate::support::verbs::{some_car, won};
use crate::support::{new_id, period, refused, wrong, wrong_fields};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        hostile_empty_requests_name_every_missing_field,
        hostile_cars_are_not_registered,
        hostile_reservations_are_not_made,
        hostile_payments_are_not_taken,
        hostile_numbers_of_cards_are_refused_by_all_who_take_a_payment_method,
        hostile_ids_are_named,
        hostile_texts_are_refused_before_they_are_read,
        hostile_messages_that_are_none_are_the_callers_fault,
        hostile_requests_with_hundreds_of_violations_name_the_first_of_them,
        hostile_pages_are_refused,
        hostile_callers_are_refused,
    }
}

/// Invalid ids.
const BAD_IDS: [&str; 6] =
    ["7", "not-a-uuid", "00000000-0000-0000-0000-00000000000g", " ", "\u{0}", "'; DROP TABLE reservations; --"];

async fn hostile_empty_requests_name_every_missing_field(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), app.by("mina"));
    wrong(admin.send(RegisterCarRequest::default()).await, &["car"]);
    let empty = RegisterCarRequest { car: Some(Car::default()), ..Default::default() };
    wrong(admin.send(empty).await, &["car.model", "car.place", "car.daily_rate"]);
    wrong(admin.send(RemoveCarRequest::default()).await, &["car_id"]);
    wrong(mina.send(GetCarRequest::default()).await, &["car_id"]);
    wrong(mina.send(ReserveCarRequest::default()).await, &["car_id", "period"]);
    let empty = ReserveCarRequest { period: Some(Period::default()), ..Default::default() };
    wrong(mina.send(empty).await, &["car_id", "period.start_time", "period.end_time"]);
    wrong(mina.send(CancelReservationRequest::default()).await, &["reservation_id"]);
    wrong(mina.send(RentCarRequest::default()).await, &["reservation_id", "payment_method"]);
    wrong(mina.send(ReturnCarRequest::default()).await, &["reservation_id"]);
    wrong(mina.send(RateRentalRequest::default()).await, &["reservation_id", "stars"]);
    wrong(mina.send(GetReservationRequest::default()).await, &["reservation_id"]);
    wrong(mina.send(GetPaymentRequest::default()).await, &["payment_id"]);
    wrong(mina.send(ChargePaymentRequest::default()).await, &["payment_id", "payment_method"]);
    wrong(mina.send(CancelPaymentRequest::default()).await, &["payment_id"]);
    wrong(mina.send(GetCarRentalRequest::default()).await, &["reservation_id"]);
    wrong(admin.send(GetFlowRequest::default()).await, &["flow_id"]);
    let service = app.client(Who::Named { name: "fleet".to_owned(), roles: "service" });
    wrong(service.send(RetireCarRequest::default()).await, &["car_id"]);
    let fields = ["purchase_id", "customer_id", "amount", "payment_method", "seller_reference"];
    let service = app.client(Who::Named { name: "order".to_owned(), roles: "service" });
    wrong(service.send(CollectPaymentRequest::default()).await, &fields);
}

async fn hostile_cars_are_not_registered(app: Arc<Cluster>) {
    let admin = app.admin();
    let place = new_id();
    let good = || Car { place: Some(Place { name: place.clone(), ..Default::default() }), ..some_car("A car", won(1)) };
    let rate = |currency_code: &str, amount_minor| Car {
        daily_rate: Some(Money { currency_code: currency_code.to_owned(), amount_minor }),
        ..good()
    };
    let at = |latitude, longitude| Car { place: Some(Place { name: place.clone(), latitude, longitude }), ..good() };
    let model = |model: &str| Car { model: model.to_owned(), ..good() };
    let (minor, currency) = ("car.daily_rate.amount_minor", "car.daily_rate.currency_code");
    let cases: Vec<(Car, Vec<&str>)> = vec![
        (rate("KRW", 0), vec![minor]),
        (rate("KRW", -1), vec![minor]),
        (rate("KRW", i64::MIN), vec![minor]),
        (rate("KRW", i64::MAX), vec![minor]),
        (rate("KRW", 1_000_000_000_001), vec![minor]),
        (rate("krw", 1), vec![currency]),
        (rate("", 1), vec![currency]),
        (rate("₩₩₩", -5), vec![currency, minor]),
        (rate("K\u{0}W", 1), vec![currency]),
        (rate("XYZ", 1), vec![currency]),
        (rate("XXX", 1), vec![currency]),
        (at(Some(91.0), Some(0.0)), vec!["car.place.latitude"]),
        (at(Some(f64::NAN), Some(f64::INFINITY)), vec!["car.place.latitude", "car.place.longitude"]),
        (at(Some(1.0), None), vec!["car.place"]),
        (model(""), vec!["car.model"]),
        (model("a\u{0}b"), vec!["car.model"]),
        (model("a\nb"), vec!["car.model"]),
        (model("   "), vec!["car.model"]),
        (model("\u{200b}\u{200d}"), vec!["car.model"]),
        (model("\u{202e}yaR aiK"), vec!["car.model"]),
        (model(&"x".repeat(101)), vec!["car.model"]),
        (model(&"é".repeat(10_000)), vec!["car.model"]),
    ];
    for (car, fields) in cases {
        wrong(admin.register(car).await, &fields);
    }
    let all = Car {
        model: "\u{7f}".to_owned(),
        place: Some(Place { name: "x".repeat(10_000), latitude: Some(-91.0), longitude: Some(181.0) }),
        daily_rate: Some(Money { currency_code: "won".to_owned(), amount_minor: i64::MIN }),
        ..Default::default()
    };
    let request = RegisterCarRequest { request_id: "x".to_owned(), car: Some(all) };
    let place_fields = ["car.place.name", "car.place.latitude", "car.place.longitude"];
    let fields = [&["request_id", "car.model"], &place_fields[..], &[currency, minor]].concat();
    wrong(admin.send(request).await, &fields);

    let listed = ListCarsRequest { place_name: place.clone(), ..Default::default() };
    assert_eq!(admin.send(listed).await.unwrap().cars, [], "nothing was changed");
    let most = admin.register(Car { model: "🚗".repeat(100), ..rate("KRW", 1_000_000_000_000) }).await.unwrap();
    assert_eq!(
        (most.model.chars().count(), most.status()),
        (100, CarStatus::Available),
        "values at the limits are valid"
    );
    let two_days = app.by("mina").reserve(&most, period(1, 2)).await;
    crate::support::precondition(two_days, "PRICE_TOO_HIGH");
}

async fn hostile_reservations_are_not_made(app: Arc<Cluster>) {
    let name = format!("mina-{}", new_id());
    let (admin, mina) = (app.admin(), app.by(&name));
    let car = admin.new_car("Hyundai Casper", 54_000).await;
    let reserve = |start: Timestamp, end: Timestamp| {
        let period = Some(Period { start_time: Some(start), end_time: Some(end) });
        ReserveCarRequest { car_id: car.car_id.clone(), period, ..Default::default() }
    };
    let good = period(1, 1);
    let (start, end) = (good.start_time.unwrap(), good.end_time.unwrap());
    let at = |seconds, nanos| Timestamp { seconds, nanos };
    let (starts, ends) = ("period.start_time", "period.end_time");
    wrong(mina.send(reserve(at(i64::MAX, 0), end)).await, &[starts]);
    wrong(mina.send(reserve(at(i64::MIN, i32::MIN), at(i64::MAX, i32::MAX))).await, &[starts, ends]);
    wrong(mina.send(reserve(start, at(end.seconds, -1))).await, &[ends]);
    wrong(mina.send(reserve(start, at(end.seconds, 1_000_000_000))).await, &[ends]);
    wrong(mina.send(reserve(start, at(253_402_300_799, 999_999_999))).await, &["period"]);
    wrong(mina.send(reserve(at(-62_135_596_800, 0), end)).await, &["period"]);
    wrong(mina.send(reserve(end, start)).await, &[ends]);
    for moment in [at(start.seconds + 1, start.nanos), at(start.seconds + 1_799, start.nanos)] {
        wrong(mina.send(reserve(start, moment)).await, &["period"]);
    }
    let all = ReserveCarRequest {
        request_id: "x".to_owned(),
        car_id: "y".to_owned(),
        period: Some(Period::default()),
        ..Default::default()
    };
    wrong(mina.send(all).await, &["request_id", "car_id", starts, ends]);
    let mine = mina.send(ListReservationsRequest::default()).await.unwrap().reservations;
    assert_eq!(mine, [], "nothing was changed");
    mina.reserve(&car, good).await.expect("the car is free still");
}

async fn hostile_payments_are_not_taken(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 1)).await.unwrap();
    let payment = mina.payment_for(&trip).await;
    for method in ["", "\u{0}", "a\tb", &"x".repeat(101), &"x".repeat(10_000)] {
        wrong(mina.rent_with(&trip, method).await, &["payment_method"]);
        wrong(mina.charge(&payment.payment_id, method).await, &["payment_method"]);
    }
    assert_eq!(mina.payment(&payment.payment_id).await.unwrap(), payment, "nothing was changed");

    let service = app.client(Who::Named { name: "order".to_owned(), roles: "service" });
    let collect = CollectPaymentRequest {
        request_id: "x".to_owned(),
        purchase_id: "y".to_owned(),
        customer_id: "z".repeat(129),
        amount: Some(Money { currency_code: "€".to_owned(), amount_minor: i64::MIN }),
        payment_method: "\u{0}".to_owned(),
        seller_reference: String::new(),
        used: false,
    };
    let amount = ["amount.currency_code", "amount.amount_minor"];
    let fields = [&["request_id", "purchase_id", "customer_id"], &amount[..], &["payment_method", "seller_reference"]];
    wrong(service.send(collect).await, &fields.concat());
}

async fn hostile_numbers_of_cards_are_refused_by_all_who_take_a_payment_method(app: Arc<Cluster>) {
    let (mina, order) = (app.by("mina"), app.client(Who::Named { name: "order".to_owned(), roles: "service" }));
    for card in ["4111111111111111", "4111-1111-1111-1111", "5555 5555 5555 4444"] {
        let payment_method = card.to_owned();
        let refusals = [
            mina.send(RentCarRequest { payment_method: payment_method.clone(), ..Default::default() }).await.err(),
            mina.send(HailTaxiRequest { payment_method: payment_method.clone(), ..Default::default() }).await.err(),
            mina.send(CreateOrderRequest { payment_method: payment_method.clone(), ..Default::default() }).await.err(),
            mina.send(TopUpRequest { payment_method: payment_method.clone(), ..Default::default() }).await.err(),
            mina.send(ChargePaymentRequest { payment_method: payment_method.clone(), ..Default::default() })
                .await
                .err(),
            order.send(CollectPaymentRequest { payment_method, ..Default::default() }).await.err(),
        ];
        for status in refusals.map(Option::unwrap) {
            assert!(wrong_fields(&status).iter().any(|field| field == "payment_method"), "{status}");
            assert!(!format!("{status:?}").contains(card), "the number is not repeated");
        }
    }
}

async fn hostile_ids_are_named(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), app.by("mina"));
    for bad in BAD_IDS {
        let id = || bad.to_owned();
        wrong(mina.send(GetCarRequest { car_id: id() }).await, &["car_id"]);
        let remove = RemoveCarRequest { request_id: id(), car_id: id() };
        wrong(admin.send(remove).await, &["request_id", "car_id"]);
        let cancel = CancelReservationRequest { request_id: id(), reservation_id: id(), ..Default::default() };
        wrong(mina.send(cancel).await, &["request_id", "reservation_id"]);
        let bring_back = ReturnCarRequest { request_id: id(), reservation_id: id(), ..Default::default() };
        wrong(mina.send(bring_back).await, &["request_id", "reservation_id"]);
        let rate = RateRentalRequest { request_id: id(), reservation_id: id(), stars: i32::MIN };
        wrong(mina.send(rate).await, &["request_id", "reservation_id", "stars"]);
        wrong(mina.send(GetReservationRequest { reservation_id: id() }).await, &["reservation_id"]);
        wrong(mina.send(GetPaymentRequest { payment_id: id() }).await, &["payment_id"]);
        wrong(
            mina.send(CancelPaymentRequest { request_id: id(), payment_id: id() }).await,
            &["request_id", "payment_id"],
        );
        wrong(mina.send(GetCarRentalRequest { reservation_id: id() }).await, &["reservation_id"]);
        wrong(admin.send(GetFlowRequest { flow_id: id() }).await, &["flow_id"]);
        let payments = ListPaymentsRequest { purchase_id: id(), ..Default::default() };
        wrong(mina.send(payments).await, &["purchase_id"]);
        let messages = ListMessagesRequest { flow_id: id(), ..Default::default() };
        wrong(mina.send(messages).await, &["flow_id"]);
    }
}

async fn hostile_texts_are_refused_before_they_are_read(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), app.by("mina"));
    let huge = || "x".repeat(300_000);
    let too_large = |status: Option<Status>| {
        refused(Err::<(), _>(status.expect("it is too large")), Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    };
    let answer: Result<RegisterCarResponse, Status> =
        admin.send(RegisterCarRequest { car: Some(some_car(&huge(), won(1))), ..Default::default() }).await;
    too_large(answer.err());
    too_large(mina.send(GetCarRequest { car_id: huge() }).await.err());
    too_large(mina.send(ListCarsRequest { place_name: huge(), ..Default::default() }).await.err());
    too_large(mina.send(ReserveCarRequest { car_id: huge(), ..Default::default() }).await.err());
    too_large(mina.send(RentCarRequest { payment_method: huge(), ..Default::default() }).await.err());
    too_large(mina.send(ChargePaymentRequest { payment_method: huge(), ..Default::default() }).await.err());
    too_large(mina.send(ListPaymentsRequest { page_token: huge(), ..Default::default() }).await.err());
    too_large(mina.send(ListMessagesRequest { page_token: huge(), ..Default::default() }).await.err());
    too_large(mina.send(ListCarRentalsRequest { page_token: huge(), ..Default::default() }).await.err());
    too_large(admin.send(ListEventsRequest { types: vec![huge()], ..Default::default() }).await.err());
    wrong(mina.send(ListCarsRequest { place_name: "x".repeat(10_000), ..Default::default() }).await, &["place_name"]);
    wrong(mina.send(ListCarsRequest { place_name: "a\u{0}".to_owned(), ..Default::default() }).await, &["place_name"]);
}

/// A message whose first field is a number, where a text is expected.
#[derive(Clone, PartialEq, prost::Message)]
struct NumberForText {
    #[prost(int64, tag = "1")]
    number: i64,
}

/// A message whose first field holds any bytes, where UTF-8 is expected.
#[derive(Clone, PartialEq, prost::Message)]
struct BytesForText {
    #[prost(bytes = "vec", tag = "1")]
    bytes: Vec<u8>,
}

async fn hostile_messages_that_are_none_are_the_callers_fault(app: Arc<Cluster>) {
    async fn send<M: prost::Message + Clone + 'static>(client: &Client, message: M) -> Result<(), Status> {
        let mut grpc = tonic::client::Grpc::new(client.channel("fleet"));
        grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static(GetCarRequest::RPC.path);
        let codec = tonic_prost::ProstCodec::<M, GetCarResponse>::default();
        grpc.unary(client.request(message), path, codec).await.map(drop)
    }
    let mina = app.by("mina");
    let number = send(&mina, NumberForText { number: 7 }).await;
    refused(number, Code::InvalidArgument, "MALFORMED_MESSAGE");
    let bytes = send(&mina, BytesForText { bytes: vec![0xff, 0xfe] }).await;
    refused(bytes, Code::InvalidArgument, "MALFORMED_MESSAGE");
}

async fn hostile_requests_with_hundreds_of_violations_name_the_first_of_them(app: Arc<Cluster>) {
    let offered = (0..100).map(|_| Dates { start_date: "soon".to_owned(), end_date: "later".to_owned() }).collect();
    let resort = Resort { offered, ..Resort::default() };
    let answer = app.admin().send(RegisterResortRequest { resort: Some(resort), ..Default::default() }).await;
    let status = refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
    assert!(status.message().contains(" more"), "{}", status.message());
    assert!(!wrong_fields(&status).is_empty() && status.message().len() < 4_096);
}

async fn hostile_pages_are_refused(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), app.by("mina"));
    for (page_size, token, fields) in [
        (-1, "", &["page_size"][..]),
        (1_001, "", &["page_size"]),
        (i32::MAX, "x", &["page_size", "page_token"]),
        (1, "00000000.1_x", &["page_token"]),
        (1, "\u{0}", &["page_token"]),
    ] {
        let page_token = || token.to_owned();
        wrong(mina.send(ListCarsRequest { page_size, page_token: page_token(), ..Default::default() }).await, fields);
        let reservations = ListReservationsRequest { page_size, page_token: page_token(), ..Default::default() };
        wrong(mina.send(reservations).await, fields);
        let payments = ListPaymentsRequest { page_size, page_token: page_token(), ..Default::default() };
        wrong(mina.send(payments).await, fields);
        let messages = ListMessagesRequest { page_size, page_token: page_token(), ..Default::default() };
        wrong(mina.send(messages).await, fields);
        wrong(mina.send(ListCarRentalsRequest { page_size, page_token: page_token() }).await, fields);
        let events = ListEventsRequest { page_size, page_token: page_token(), ..Default::default() };
        wrong(admin.send(events).await, fields);
    }
    for unknown in [99, -1, i32::MIN] {
        wrong(mina.send(ListCarsRequest { status: unknown, ..Default::default() }).await, &["status"]);
        wrong(mina.send(ListReservationsRequest { state: unknown, ..Default::default() }).await, &["state"]);
    }
    let rate = |amount_minor| Some(Money { currency_code: "KRW".to_owned(), amount_minor });
    let prices = ListCarsRequest { min_daily_rate: rate(-1), max_daily_rate: rate(i64::MAX), ..Default::default() };
    wrong(mina.send(prices).await, &["min_daily_rate.amount_minor", "max_daily_rate.amount_minor"]);
    let free_period = Some(Period { start_time: None, end_time: Some(Timestamp { seconds: i64::MAX, nanos: -1 }) });
    let free = ListCarsRequest { free_period, ..Default::default() };
    wrong(mina.send(free).await, &["free_period.start_time", "free_period.end_time"]);
}

async fn hostile_callers_are_refused(app: Arc<Cluster>) {
    let get = || GetCarRequest { car_id: new_id() };
    for name in ["", &"x".repeat(129)] {
        let answer = app.by(name).send(get()).await;
        crate::support::refused(answer, Code::Unauthenticated, "UNAUTHENTICATED");
    }
    let unknown = app.client(Who::Named { name: "mina".to_owned(), roles: "wizard,," });
    crate::support::refused(unknown.send(get()).await, Code::PermissionDenied, "ROLE_MISSING");
}
