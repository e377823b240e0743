//! Servers that speak TLS themselves, as between machines without a mesh.

use std::process::Output;

use tokio::net::TcpStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::gateway::{bearer, token};
use crate::runner::Suite;
use crate::support::authority::Authority;
use crate::support::client::endpoint;
use crate::support::cluster::{Cluster, Setup, contexts, real_servers};
use crate::support::period;

pub fn add(suite: &mut Suite) {
    let own = contexts_over_tls;
    suite.own_in(Setup::PerContext, "x5_contexts_speak_tls_with_callers_each_other_and_the_broker", own);
    suite.own_in(Setup::Embedded, "x5_commands_call_a_server_over_tls", commands_over_tls);
}

/// With the key of its folder `keys` as the only issuer.
fn with_own_tokens(app: Cluster) -> Cluster {
    token(&app, "keys", &[]);
    let key = app.file("keys/dev-key.pem");
    app.with(&["--auth", "own", "--identity", &key])
}

async fn contexts_over_tls() {
    let (postgres, amqp) = real_servers().unwrap();
    let variable = |name: &str| std::env::var(name).expect("needs RabbitMQ with TLS: run `cargo xtask test`");
    let (amqps, of_broker) = (variable("NADEURI_TEST_AMQPS"), variable("NADEURI_TEST_AMQPS_CA"));
    let of_broker = std::fs::read_to_string(of_broker).unwrap();
    let others: Vec<&'static str> = contexts().filter(|context| *context != "payment").collect();
    let app = Cluster::of(&[&["payment"], &others]).on_postgres(&postgres).on_rabbitmq(&amqp).on_bus(&amqps);
    let app = with_own_tokens(app).over_tls(&Authority::new(), &of_broker).started().await;

    let admin = bearer(&app, token(&app, "keys", &["--subject", "boss", "--role", "admin"]));
    let mina = bearer(&app, token(&app, "keys", &["--subject", "mina"]));
    let car = admin.new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 1)).await.unwrap();
    mina.rent(&trip).await.unwrap();
    mina.is_notified(&trip, &["CAR_RESERVED", "CAR_RENTED"]).await;

    for context in ["payment", "rental"] {
        let address = app.address(context);
        TcpStream::connect(address).await.expect("it listens");
        let live = HealthCheckRequest { service: "live".to_owned() };
        let plain = HealthClient::new(endpoint(address, None).connect_lazy()).check(live.clone()).await;
        plain.expect_err("plain text is refused");
        let stranger = Authority::new().client();
        let stranger = HealthClient::new(endpoint(address, Some(&stranger)).connect_lazy()).check(live).await;
        stranger.expect_err("its authority is another");
    }
    app.down().await;
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn commands_over_tls() {
    let app = with_own_tokens(Cluster::new(Setup::Embedded)).over_tls(&Authority::new(), "").started().await;
    let stranger = app.file("stranger.pem");
    std::fs::write(&stranger, Authority::new().certificate).unwrap();
    let (url, key) = (app.url("fleet"), app.file("keys/dev-key.pem"));
    let [ca, certificate, its_key] = ["ca.pem", "cert.pem", "key.pem"].map(|name| app.file(name));
    let known = ["--ca", &ca, "--tls-cert", &certificate, "--tls-key", &its_key];
    let run = |command: &[&str], options: &[&str]| app.run(&[command, &["--server", &url], options].concat());

    let health = run(&["health"], &known);
    assert!(health.status.success(), "{health:?}");
    let boss = token(&app, "keys", &["--role", "admin"]);
    let dead = run(&["dead", "list", "rental"], &[known.as_slice(), &["--token", &boss]].concat());
    assert!(dead.status.success(), "{dead:?}");
    let demo = run(&["demo"], &[known.as_slice(), &["--identity", &key]].concat());
    assert!(demo.status.success(), "{demo:?}");

    for command in ["health", "demo"] {
        let other = run(&[command], &["--ca", &stranger, "--tls-cert", &certificate, "--tls-key", &its_key]);
        assert!(!other.status.success() && said(&other).contains("invalid peer certificate"), "{other:?}");
        assert!(said(&other).contains("--ca"), "{other:?}");
    }
    assert!(!run(&["health"], &["--ca", &ca]).status.success(), "callers need a certificate");
    let plain = app.run(&["health", "--server", &url.replace("https", "http")]);
    assert!(!plain.status.success(), "{plain:?}");
    app.down().await;
}
