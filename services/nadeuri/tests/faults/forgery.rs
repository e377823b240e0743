//! Somebody has what one context has, and publishes events as others. Each context has its own user of RabbitMQ, with the
//! permissions of `nadeuri broker-definitions`.

use chassis::Envelope;
use chassis::bus::rabbit::{properties, routing_key};
use contracts::payment::v1::{Payment, PaymentApproved, PaymentState};
use contracts::rental::v1::{Reservation, ReservationState};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Connection, ConnectionProperties};
use prost::{Message as _, Name as _};
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, contexts, real_servers};
use crate::support::{eventually, new_id, now, period};
use crate::{ALONE, Servers};

const USERS: &str = "nadeuri-{context}";

fn user_of(context: &str) -> String {
    USERS.replace("{context}", context)
}

/// The URL of a broker for the user of a context.
fn url_for(broker: &str, context: &str) -> String {
    broker.replace("guest:guest@", &format!("{}:secret@", user_of(context)))
}

/// What an operator imports: the output of the command, and the users with their passwords.
fn definitions(app: &Cluster) -> Value {
    let prefix = app.broker().unwrap().1;
    let printed = app.run(&["broker-definitions", "--bus-users", USERS, "--bus-prefix", prefix]);
    assert!(printed.status.success(), "{printed:?}");
    let mut definitions: Value = serde_json::from_slice(&printed.stdout).unwrap();
    definitions["users"] =
        contexts().map(|name| json!({ "name": user_of(name), "password": "secret", "tags": "" })).collect();
    definitions
}

/// An event that says that a payment was approved.
fn approved(payment: &Payment, source: &str) -> Envelope {
    let payment = Payment { state: PaymentState::Approved.into(), ..payment.clone() };
    Envelope {
        event_id: new_id().parse().unwrap(),
        kind: PaymentApproved::full_name(),
        source: source.to_owned(),
        subject: payment.payment_id.clone(),
        at: now(),
        correlation_id: payment.purchase_id.parse().unwrap(),
        causation_id: None,
        sequence: 1_000,
        traceparent: None,
        body: PaymentApproved { payment: Some(payment) }.encode_to_vec(),
    }
}

/// Publishes an event over the connection of a context, whatever user the message names.
async fn publish(app: &Cluster, context: &str, event: &Envelope, user: &str) -> Result<(), String> {
    let (broker, prefix) = app.broker().unwrap();
    let published = async {
        let connection = Connection::connect(&url_for(broker, context), ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let (exchange, key) = (format!("{prefix}.events"), routing_key(&event.kind, event.partition()));
        let (options, properties) = (BasicPublishOptions::default(), properties(event, user));
        channel.basic_publish(exchange.into(), key.into(), options, &event.body, properties).await?.await?;
        connection.close(200, "done".into()).await
    };
    published.await.map_err(|error: lapin::Error| error.to_string())
}

#[tokio::test]
async fn x5_an_event_that_its_source_did_not_publish_has_no_effect() {
    let _alone = ALONE.lock().await;
    let (postgres, _) = real_servers().unwrap();
    let servers = Servers::up("users", "rabbitmq").await;
    let each = contexts().collect::<Vec<_>>();
    let app = Cluster::of(&each.chunks(1).collect::<Vec<_>>()).with_identities().on_postgres(&postgres);
    let app = app.on_rabbitmq(&servers.url).with(&["--bus-users", USERS]);
    let definitions = definitions(&app);
    servers.define(&definitions).await;
    let app = app.on_bus(&url_for(&servers.url, "{context}")).started().await;

    // Everything works with these permissions.
    let (admin, mina) = (app.admin(), app.by("mina"));
    let car = admin.new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 1)).await.unwrap();
    mina.rent(&trip).await.unwrap();
    mina.is_notified(&trip, &["CAR_RESERVED", "CAR_RENTED"]).await;

    let trip = mina.reserve(&car, period(3, 1)).await.unwrap();
    let payment = mina.payment_for(&trip).await;
    let (as_payment, as_mypage) = (approved(&payment, "payment"), approved(&payment, "mypage"));
    for context in ["mypage", "notification", "order"] {
        let refused = publish(&app, context, &as_payment, &user_of(context)).await.unwrap_err();
        assert!(refused.contains("ACCESS_REFUSED"), "{context}: {refused}");
    }

    // Permissions that let everybody publish everything are not what protects from it.
    let lax = |context: &str| json!({ "user": user_of(context), "vhost": "/", "configure": ".*", "write": ".*", "read": ".*" });
    let topics = |context: &str| {
        let exchange = format!("{}.events", app.broker().unwrap().1);
        json!({ "user": user_of(context), "vhost": "/", "exchange": exchange, "write": ".*", "read": ".*" })
    };
    servers.define(&json!({ "permissions": [lax("mypage")], "topic_permissions": [topics("mypage")] })).await;
    let refused = publish(&app, "mypage", &as_payment, &user_of("payment")).await.unwrap_err();
    assert!(refused.contains("PRECONDITION_FAILED"), "the broker knows the user: {refused}");
    publish(&app, "mypage", &as_payment, &user_of("mypage")).await.unwrap();
    publish(&app, "mypage", &as_mypage, &user_of("mypage")).await.unwrap();
    let dropped = async || {
        let log = app.logs_of("rental");
        let lines = log.lines().filter(|line| line.contains("dropped an event that its source did not publish"));
        (lines.count() == 2).then_some(())
    };
    eventually("rental drops both events", dropped).await;
    assert_eq!(mina.reservation(&trip).await.unwrap().state(), ReservationState::Reserved);
    let dead = app.run(&["dead", "list", "rental", "--server", &app.url("rental")]);
    assert_eq!(String::from_utf8_lossy(&dead.stdout), "0 dead letters\n", "nobody can replay it");

    // The same event has an effect if payment's user publishes it.
    publish(&app, "payment", &as_payment, &user_of("payment")).await.unwrap();
    let rented = async || {
        let reservation: Reservation = mina.reservation(&trip).await.unwrap();
        (reservation.state() == ReservationState::Rented).then_some(())
    };
    eventually("the true event rents the car", rented).await;
    app.down().await;
}
