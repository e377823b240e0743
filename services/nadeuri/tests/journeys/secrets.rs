//! Secrets of customers: nobody else reads the code of a voucher or a payment method, in whatever answer, event or log.

use std::sync::Arc;

use contracts::Unary;
use contracts::chronicle::v1::chronicle_service_client::ChronicleServiceClient;
use contracts::chronicle::v1::{Event, GetFlowRequest, ListEventsRequest, WatchEventsRequest};
use contracts::dispatch::v1::{GetHailRequest, Hail, ListHailsRequest};
use contracts::driving::v1::{GetDriveRequest, ListDrivesRequest};
use contracts::mypage::v1 as mypage;
use contracts::notification::v1::ListMessagesRequest;
use contracts::payment::v1::{ListPaymentsRequest, PaymentState};
use contracts::period::v1::Dates;
use contracts::stay::v1::{Stay, StayState};
use contracts::voucher::v1::{GetVoucherRequest, ListVouchersRequest, Voucher, VoucherState};
use lapin::options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use prost::Message;
use tokio_stream::StreamExt as _;

use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Who};
use crate::support::cluster::{Cluster, Setup, contexts};
use crate::support::stays::nights;
use crate::support::stored::tables_with;
use crate::support::taxis::somewhere;
use crate::support::{GOOD_CARD, PATIENCE, eventually, new_id};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        hostile_readers_of_a_stay_get_no_code_of_its_voucher,
        hostile_readers_of_a_taxi_ride_get_no_payment_method,
    }
    journeys! { suite.own: x16_the_code_of_a_voucher_is_in_the_clear_in_no_other_store, }
    let name = "hostile_readers_of_a_log_get_no_secret";
    suite.own_in(Setup::Embedded, name, || a_log_tells_no_secret(Setup::Embedded));
    suite.own_in(Setup::OneProcess, name, || a_log_tells_no_secret(Setup::OneProcess));
}

/// How a sealed value begins.
const SEALED: &str = "sealed:v1:";

/// A payment method that nothing else contains. It is approved.
fn own_card() -> String {
    let letters: String = new_id().chars().filter(char::is_ascii_alphabetic).collect();
    format!("sandbox-approve-of-mina-{letters}")
}

/// Whether an answer contains a text, in whatever field.
fn tells(answer: &impl Message, text: &str) -> bool {
    let answer = answer.encode_to_vec();
    answer.windows(text.len()).any(|part| part == text.as_bytes())
}

/// A reader, and what they must not get.
struct Reader {
    client: Client,
    secret: String,
}

impl Reader {
    /// Makes a call, whose answer must not tell the secret.
    async fn reads<M: Unary>(&self, request: M) -> M::Response {
        let path = M::RPC.path;
        let answer = self.client.send(request).await.unwrap();
        assert!(!tells(&answer, &self.secret), "{path} tells {}", self.secret);
        answer
    }

    /// Reads a flow in every way that the chronicle has.
    async fn reads_the_flow(&self, flow_id: &str) {
        let events = self.reads(GetFlowRequest { flow_id: flow_id.to_owned() }).await.events;
        let (first, last) = (events.iter().map(|event| event.position).min(), events.len());
        let after_position = first.expect("there are events") - 1;
        let types: Vec<String> = events.iter().map(|event| event.r#type.clone()).collect();
        let list = ListEventsRequest { types: types.clone(), after_position, page_size: 1_000, ..Default::default() };
        let listed = self.reads(list).await.events;
        assert_eq!(listed.iter().filter(|event| event.flow_id == flow_id).count(), last);
        let request = WatchEventsRequest { types, after_position: Some(after_position) };
        let mut chronicle = ChronicleServiceClient::new(self.client.channel("chronicle"));
        let mut watched = chronicle.watch_events(self.client.endless(request)).await.unwrap().into_inner();
        let all = async {
            let mut left = last;
            while left > 0 {
                let answer = watched.next().await.expect("it does not end by itself").unwrap();
                assert!(!tells(&answer, &self.secret), "WatchEvents tells {}", self.secret);
                left -= usize::from(answer.event.unwrap().flow_id == flow_id);
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("the events are streamed in time");
    }
}

/// The admin.
fn admin_of(app: &Cluster, secret: &str) -> Reader {
    Reader { client: app.admin(), secret: secret.to_owned() }
}

/// Waits until a flow has events whose types end so, as another context sees it.
async fn flow_with(app: &Cluster, flow_id: &str, ends: &[&str]) -> Vec<Event> {
    let context = app.client(Who::Named { name: "mypage".to_owned(), roles: "service" });
    eventually(&format!("{ends:?} in the chronicle"), async || {
        let flow = context.flow(flow_id).await;
        ends.iter().all(|end| flow.iter().any(|event| event.r#type.ends_with(end))).then_some(flow)
    })
    .await
}

/// Books a stay and pays it, until its voucher was sent.
async fn stay_with_voucher(app: &Cluster, guest: &Client, card: &str, dates: Dates) -> (Stay, Voucher) {
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    let stay = guest.book(&villa, dates).await.unwrap();
    let payment = guest.sees_stay_payment(&stay, PaymentState::Requested).await;
    guest.charge(&payment.payment_id, card).await.unwrap();
    let voucher = guest.sees_voucher(&stay, VoucherState::Sent).await;
    (stay, voucher)
}

async fn hostile_readers_of_a_stay_get_no_code_of_its_voucher(app: Arc<Cluster>) {
    let name = format!("mina-{}", new_id());
    let (mina, card) = (app.by(&name), own_card());
    let (stay, voucher) = stay_with_voucher(&app, &mina, &card, nights(10, 2)).await;
    assert_eq!(voucher.code.len(), 19, "its customer gets it");
    let flow = flow_with(&app, &stay.stay_id, &[".VoucherIssued", ".VoucherSent", ".MessageDelivered"]).await;
    let told = |secret: &str| flow.iter().filter(|event| tells(*event, secret)).count();
    assert!(told(SEALED) >= 3, "other contexts get the code sealed");
    assert!(told(&voucher.code) == 0 && told(&card) == 0, "no event has the code or the card");

    let (flow_id, voucher_id) = (stay.stay_id.clone(), voucher.voucher_id.clone());
    let others = [
        ("admin", "admin"),
        ("hana", "resort_staff"),
        ("everybody", "driver,courier,car_staff,taxi_staff,resort_staff,shop_staff,admin"),
    ];
    for (name, roles) in others {
        let client = app.client(Who::Named { name: name.to_owned(), roles });
        let reader = Reader { client, secret: voucher.code.clone() };
        reader.reads(GetVoucherRequest { voucher_id: voucher_id.clone() }).await;
        let list = ListVouchersRequest { stay_id: flow_id.clone(), ..Default::default() };
        assert_eq!(reader.reads(list).await.vouchers.len(), 1, "{name} sees that there is one");
    }
    let admin = admin_of(&app, &voucher.code);
    admin.reads_the_flow(&flow_id).await;
    let messages = admin.reads(ListMessagesRequest { flow_id: flow_id.clone(), ..Default::default() }).await.messages;
    assert!(messages.iter().any(|message| message.topic == "STAY_CONFIRMED" && !message.text.is_empty()));
    let page = mina.sees_stay_page(&stay, StayState::Confirmed, PaymentState::Approved, VoucherState::Sent).await;
    assert_eq!(page.voucher_code, voucher.code, "its customer gets it");
    admin.reads(mypage::GetStayRequest { stay_id: flow_id.clone() }).await;
    admin.reads(mypage::ListStaysRequest { page_size: 1_000, ..Default::default() }).await;
    admin_of(&app, &card).reads_the_flow(&flow_id).await;

    // An admin who is the customer, too, gets their own code.
    let both = app.client(Who::Named { name, roles: "customer,admin" });
    assert!(tells(&both.send(GetFlowRequest { flow_id }).await.unwrap(), &voucher.code));
}

/// The codes of a voucher, as people and as its store write them.
fn written(voucher: &Voucher) -> [String; 2] {
    [voucher.code.clone(), voucher.code.replace('-', "")]
}

/// Checks that the code of a voucher is in the clear in the store of `voucher` alone, and there only in `tables`.
async fn code_is_nowhere_else(app: &Cluster, voucher: &Voucher, tables: &[&str]) {
    for context in contexts() {
        let store = app.open_store(context).await;
        for code in written(voucher) {
            let found = tables_with(&store, &code).await.unwrap();
            let allowed = if context == "voucher" { tables } else { &[] };
            let bad = found.iter().find(|table| !allowed.contains(&table.as_str()));
            assert_eq!(bad, None, "{context} stores {code}");
        }
    }
}

/// Checks that no file of SQLite has the code but those of `voucher`, also where rows were deleted, such as in the outbox.
fn code_is_in_no_file(data: &str, voucher: &Voucher) {
    let files: Vec<_> = std::fs::read_dir(data).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > contexts().count(), "{files:?}");
    let [shown, stored] = written(voucher);
    for file in files {
        let content = std::fs::read(&file).unwrap();
        let has = |code: &str| content.windows(code.len()).any(|part| part == code.as_bytes());
        let is_own = file.file_name().unwrap().to_string_lossy().starts_with("voucher.db");
        // Its own store has the code without hyphens. As it is shown, its events would have it.
        assert!(!has(&shown) && (is_own || !has(&stored)), "{} has the code", file.display());
    }
}

/// A queue that gets every event.
struct Tap(lapin::Channel);

impl Tap {
    const QUEUE: &str = "tap";

    async fn open(app: &Cluster) -> Option<Tap> {
        let (broker, prefix) = app.broker()?;
        let connection = lapin::Connection::connect(broker, lapin::ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let (queue, exchange) = (format!("{prefix}.{}", Tap::QUEUE), format!("{prefix}.events"));
        let own = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.as_str().into(), own, FieldTable::default()).await.unwrap();
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.into(), exchange.into(), "#".into(), options, FieldTable::default()).await.unwrap();
        Some(Tap(channel))
    }

    /// The bodies of the events so far.
    async fn bodies(&self, app: &Cluster) -> Vec<Vec<u8>> {
        let queue = format!("{}.{}", app.broker().unwrap().1, Tap::QUEUE);
        let mut bodies = Vec::new();
        let options = BasicGetOptions { no_ack: true };
        while let Some(message) = self.0.basic_get(queue.as_str().into(), options).await.unwrap() {
            bodies.push(message.delivery.data);
        }
        bodies
    }
}

async fn x16_the_code_of_a_voucher_is_in_the_clear_in_no_other_store(setup: Setup) {
    let mut app = Cluster::new(setup).started().await;
    let tap = Tap::open(&app).await;
    let mina = app.by("mina");
    let (stay, voucher) = stay_with_voucher(&app, &mina, GOOD_CARD, nights(0, 2)).await;
    let ends = [".VoucherIssued", ".VoucherSent", ".MessageDelivered"];
    flow_with(&app, &stay.stay_id, &ends).await;
    mina.sees_stay_page(&stay, StayState::Confirmed, PaymentState::Approved, VoucherState::Sent).await;
    code_is_nowhere_else(&app, &voucher, &["vouchers"]).await;
    if setup == Setup::Embedded {
        code_is_in_no_file(&app.file("data"), &voucher);
    }
    for (context, table) in [("mypage", "stays"), ("notification", "messages"), ("chronicle", "events")] {
        assert_eq!(tables_with(&app.open_store(context).await, SEALED).await.unwrap(), [table], "{context}");
    }
    if let Some(tap) = &tap {
        let bodies = tap.bodies(&app).await;
        let has = |body: &[u8], text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
        let with = |text: &str| bodies.iter().filter(|body| has(body, text)).count();
        assert!(with(SEALED) >= ends.len(), "events have it sealed");
        assert_eq!(with(&voucher.code), 0, "an event in RabbitMQ has the code");
    }

    for context in ["voucher", "notification", "mypage", "chronicle"] {
        // In one process, the first stop is that of all.
        app.stop(context).await;
        app.start(context).await;
    }
    let rebuilt = app.run(&["rebuild", "mypage", "--server", &app.url("mypage")]);
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    let got = mina.send(GetVoucherRequest { voucher_id: voucher.voucher_id.clone() }).await.unwrap().voucher.unwrap();
    assert_eq!(got.code, voucher.code);
    assert_eq!(mina.stay_page(&stay).await.unwrap().voucher_code, voucher.code);
    let list = ListMessagesRequest { flow_id: stay.stay_id.clone(), ..Default::default() };
    let messages = mina.send(list).await.unwrap().messages;
    let text = &messages.iter().find(|message| message.topic == "VOUCHER_ISSUED").unwrap().text;
    assert!(text.contains(&format!(": show {} when you arrive.", voucher.code)), "{text}");
    let flow = mina_as_admin(&app).send(GetFlowRequest { flow_id: stay.stay_id.clone() }).await.unwrap();
    assert!(tells(&flow, &voucher.code) && !tells(&flow, SEALED), "she reads it in her own events");
    let redeemed = app.client(Who::resort_staff()).redeem(&voucher.code).await.unwrap();
    assert_eq!((redeemed.state(), redeemed.code.as_str()), (VoucherState::Redeemed, ""));
    flow_with(&app, &stay.stay_id, &[".VoucherRedeemed"]).await;
    // The answer is stored under the key of the request.
    code_is_nowhere_else(&app, &voucher, &["vouchers", "done"]).await;
    drop(tap);
    app.down().await;
}

/// Mina, who may read the chronicle, too.
fn mina_as_admin(app: &Cluster) -> Client {
    app.client(Who::Named { name: "mina".to_owned(), roles: "customer,admin" })
}

/// Takes a taxi from its request to its paid fare.
async fn taxi_ride(app: &Cluster, rider: &Client, card: &str) -> (Hail, String) {
    let kim = app.driver(&format!("kim-{}", new_id()));
    let hail = rider.hail_from(somewhere(), card).await.unwrap();
    let drive = kim.accept(&kim.sees_offer(&hail).await).await.unwrap();
    for answer in [kim.depart(&drive).await.unwrap(), kim.arrive(&drive).await.unwrap()] {
        assert!(!tells(&answer, card), "the driver gets the card");
    }
    (hail, drive.drive_id)
}

async fn hostile_readers_of_a_taxi_ride_get_no_payment_method(app: Arc<Cluster>) {
    let (mina, card) = (app.by(&format!("mina-{}", new_id())), own_card());
    let (hail, drive_id) = taxi_ride(&app, &mina, &card).await;
    let flow = flow_with(&app, &hail.hail_id, &[".TaxiHailed", ".TaxiAllocated", ".DriveFinished", ".PaymentSettled"]);
    let flow = flow.await;
    assert!(flow.iter().any(|event| tells(event, &card)), "other contexts get the card");
    assert_eq!(mina.hail_of(&hail).await.unwrap().payment_method, card, "its customer gets it");

    let (admin, hail_id) = (admin_of(&app, &card), hail.hail_id.clone());
    admin.reads_the_flow(&hail_id).await;
    admin.reads(GetHailRequest { hail_id: hail_id.clone() }).await;
    let hails = admin.reads(ListHailsRequest { page_size: 1_000, ..Default::default() }).await.hails;
    assert!(hails.iter().all(|hail| hail.payment_method.is_empty()));
    admin.reads(GetDriveRequest { drive_id }).await;
    admin.reads(ListDrivesRequest { page_size: 1_000, ..Default::default() }).await;
    admin.reads(ListPaymentsRequest { purchase_id: hail_id.clone(), ..Default::default() }).await;
    admin.reads(ListMessagesRequest { flow_id: hail_id.clone(), ..Default::default() }).await;
    mina.sees_ride_page(&hail, "the ride is paid", |page| page.payment_state() == PaymentState::Settled).await;
    admin.reads(mypage::GetTaxiRideRequest { hail_id }).await;
}

async fn a_log_tells_no_secret(setup: Setup) {
    let app = Cluster::new(setup).with(&["--log", "trace"]).started().await;
    let (mina, card) = (app.by("mina"), own_card());
    let (_, voucher) = stay_with_voucher(&app, &mina, &card, nights(10, 2)).await;
    let (hail, _) = taxi_ride(&app, &mina, &card).await;
    flow_with(&app, &hail.hail_id, &[".PaymentSettled"]).await;
    let log = app.logs();
    assert!(log.contains("VOUCHER_ISSUED"), "the log has what happened: {} bytes", log.len());
    for secret in [&voucher.code, &voucher.code.replace('-', ""), &card] {
        // Bytes are printed as numbers.
        let numbers = format!("{:?}", secret.as_bytes());
        for shown in [secret.as_str(), numbers.trim_matches(['[', ']'])] {
            let line = log.lines().find(|line| line.contains(shown));
            assert_eq!(line, None, "a log tells {secret}");
        }
    }
    app.down().await;
}
