//! The options of operators: country and region, stores, addresses; and the errors of wrong options.

use std::process::Output;
use std::time::Duration;

use chassis::clock::Timestamp;
use chassis::db::Database;
use chassis::runtime::Runtime;
use contracts::fleet::v1::CarStatus;
use contracts::money::v1::Money;
use contracts::payment::v1::PaymentState;
use contracts::rental::v1::rental_service_client::RentalServiceClient;
use contracts::rental::v1::{GetRegionRequest, Region, ReservationState};
use jiff::ToSpan as _;
use jiff::tz::TimeZone;

use crate::runner::{Suite, journeys};
use crate::support::cluster::{Cluster, Setup, contexts, real_servers};
use crate::support::process::{free_address, nadeuri};
use crate::support::verbs::{some_car, won};
use crate::support::{between, eventually, now, period, precondition};

pub fn add(suite: &mut Suite) {
    journeys! { suite.own:
        c12_country_and_region_come_from_the_configuration,
    }
    suite.own_in(Setup::OneProcess, "x8_each_context_names_its_own_store", mixed_stores);
    suite.own_in(Setup::OneProcess, "x8_a_store_over_tls_knows_its_server", store_over_tls);
    suite.own_in(Setup::Embedded, "x9_a_server_that_cannot_start_says_why", start_errors);
    suite.own_in(Setup::Embedded, "x9_certificates_that_can_not_be_used_are_start_errors", tls_errors);
    suite.own_in(Setup::Embedded, "c12_a_region_that_makes_no_sense_is_a_start_error", bad_regions);
    suite.own_in(Setup::Embedded, "x9_a_data_folder_belongs_to_one_process", data_folder);
}

async fn c12_country_and_region_come_from_the_configuration(setup: Setup) {
    let settings = [
        "country=DE",
        "currency=EUR",
        "time_zone=Europe/Berlin",
        "pay_within_minutes=90",
        "longest_days=60",
        "horizon_days=500",
    ];
    let settings = settings.map(|setting| format!("rental.{setting}"));
    let app = Cluster::new(setup).with(&settings.each_ref().map(|setting| ["--set", setting]).concat());
    let app = app.started().await;
    let (admin, mina) = (app.admin(), app.by("mina"));
    let mut rental = RentalServiceClient::new(mina.channel("rental"));
    let region = rental.get_region(mina.request(GetRegionRequest {})).await.unwrap().into_inner().region.unwrap();
    let right = Region {
        country_code: "DE".to_owned(),
        currency_code: "EUR".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        pay_within_minutes: 90,
        longest_days: 60,
        horizon_days: 500,
        unpaid_reservations: 1_000,
        free_cancellation_hours: 12,
        cancellation_fee_percent: 50,
        late_fee_per_hour: Some(Money { currency_code: "EUR".to_owned(), amount_minor: 10_000 }),
    };
    assert_eq!(region, right);
    let euro = |amount_minor| Money { currency_code: "EUR".to_owned(), amount_minor };
    let car = admin.register(some_car("Opel Corsa", euro(4_950))).await.unwrap();

    // From noon to noon over the night of a daylight saving change is one day in Berlin, of 23 or 25 hours. In spring,
    // 24 hours are more than one day.
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let today = jiff::Timestamp::from_microsecond(now().micros()).unwrap();
    let mut change = today;
    let mut lengths = Vec::new();
    for _ in 0..2 {
        let following = berlin.following(change).next().expect("the clocks change twice a year");
        change = following.timestamp();
        let noon = change.to_zoned(berlin.clone()).start_of_day().unwrap() - 12.hours();
        let next_noon = &noon + 1.day();
        let at = |time: &jiff::Zoned| Timestamp::from_micros(time.timestamp().as_microsecond());
        let trip = mina.reserve(&car, between(at(&noon), at(&next_noon))).await.unwrap();
        assert_eq!((trip.days, &trip.price), (1, &Some(euro(4_950))), "{noon} to {next_noon}");
        lengths.push(at(&next_noon).since(at(&noon)));
        mina.cancel(&trip).await.unwrap();
        let day_long = mina.reserve(&car, between(at(&noon), at(&noon) + Duration::from_secs(86_400))).await.unwrap();
        let days = if lengths.last() < Some(&Duration::from_secs(86_400)) { 2 } else { 1 };
        assert_eq!(day_long.days, days, "24 hours from {noon}");
    }
    lengths.sort();
    assert_eq!(lengths, [Duration::from_secs(23 * 3_600), Duration::from_secs(25 * 3_600)]);

    let korean = admin.register(some_car("Hyundai Casper", won(54_000))).await.unwrap();
    precondition(mina.reserve(&korean, period(1, 1)).await, "CURRENCY_NOT_SERVED");
    let trip = mina.reserve(&car, period(5, 2)).await.unwrap();
    mina.rent(&trip).await.unwrap();
    assert_eq!(mina.payment_for(&trip).await.amount, Some(euro(9_900)));
    app.down().await;
}

async fn store_over_tls() {
    let (postgres, _) = real_servers().unwrap();
    let root =
        std::env::var("NADEURI_TEST_POSTGRES_CA").expect("needs the server's certificate: run `cargo xtask test`");
    let app = Cluster::together();
    let plain = format!("{}?schema={{context}}", app.database(&postgres));
    let (trusting, distrustful) = (format!("{plain}&sslmode=verify-full"), app.file("other.pem"));
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&distrustful, other.cert.pem()).unwrap();

    let refused = |store: &str, why: &str| {
        let output = app.run(&["migrate", "rental", "--store", store]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}");
    };
    refused(&format!("{trusting}&sslrootcert={distrustful}"), "invalid peer certificate");
    let by_name = trusting.replace("127.0.0.1", "localhost");
    refused(&format!("{by_name}&sslrootcert={root}"), "not valid for name");

    let app = app.with(&["--store", &format!("{trusting}&sslrootcert={root}")]).started().await;
    let (admin, mina) = (app.admin(), app.by("mina"));
    let car = admin.new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    mina.rent(&trip).await.unwrap();
    let reader = Database::open(&plain, "rental", &Runtime::real()).await.unwrap().reader().await.unwrap();
    let others = "SELECT 1 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                  WHERE datname = current_database() AND pid <> pg_backend_pid() AND ssl =";
    let count = async |ssl: &str| {
        let query = format!("{others} {ssl}");
        chassis::sql!(reader.tx(), |c| diesel::sql_query(query).execute(c)).unwrap()
    };
    assert!(count("true").await >= contexts().count(), "every context has a connection");
    // The connections of this test's own migrations close a moment later. Those of a context would stay.
    eventually("all connections are encrypted", async || (count("false").await == 0).then_some(())).await;
    app.down().await;
}

async fn mixed_stores() {
    let (postgres, amqp) = real_servers().unwrap();
    let app = Cluster::together().on_rabbitmq(&amqp);
    let rental = format!("rental={}?schema=cars", app.database(&postgres));
    let payment = format!("payment=sqlite:{}", app.file("money.db"));
    let rest = format!("sqlite:{}", app.file("{context}.db"));
    let app = app.with(&["--store", &rental, "--store", &payment, "--store", &rest]).started().await;
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(0, 1)).await.unwrap();
    mina.rent(&trip).await.unwrap();
    mina.bring_back(&trip).await.unwrap();
    mina.sees_page(&trip, ReservationState::Returned, PaymentState::Settled).await;
    mina.sees(&car, CarStatus::Available).await;
    mina.is_notified(&trip, &["CAR_RESERVED", "CAR_RENTED", "CAR_RETURNED"]).await;
    let exists = |name: &str| std::path::Path::new(&app.file(name)).exists();
    assert!(exists("money.db") && exists("fleet.db") && !exists("rental.db") && !exists("payment.db"));
    app.down().await;
}

/// The output of a `nadeuri serve` that fails to start.
async fn start(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let address = free_address().to_string();
    let mut all = vec!["serve".to_owned()];
    for (flag, value) in [("--listen", address), ("--data", data)] {
        if !arguments.contains(&flag) {
            all.extend([flag.to_owned(), value]);
        }
    }
    all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    tokio::task::spawn_blocking(move || nadeuri(&all).output().unwrap()).await.unwrap()
}

/// Checks that a server does not start, and that its one-line error contains these texts.
async fn check_refused(arguments: &[&str], says: &[&str]) {
    let output = tokio::time::timeout(crate::support::PATIENCE, start(arguments)).await;
    let output = output.unwrap_or_else(|_| panic!("{arguments:?} started"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(said.starts_with("nadeuri: ") && said.lines().count() == 1, "{arguments:?}: {said}");
    for part in says {
        assert!(said.contains(part), "{arguments:?}: {said:?} lacks {part:?}");
    }
}

async fn start_errors() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check_refused(&["--listen", &address], &["can't listen on", &address, "--listen"]).await;
    check_refused(&["--listen", "0.0.0.0:0"], &["--auth off", "loopback"]).await;
    check_refused(&["rentl"], &["there is no context \"rentl\"", "there are all, fleet, rental"]).await;
    check_refused(&["rental"], &["local bus", "--bus amqp://"]).await;
    check_refused(&["rental", "--bus", "amqp://127.0.0.1:1"], &["rental calls payment", "--peers"]).await;
    let peers = ["rental", "--bus", "amqp://127.0.0.1:1", "--peers", "paymnt=http://127.0.0.1:2"];
    check_refused(&peers, &["there is no context \"paymnt\""]).await;
    let peers = ["rental", "--bus", "amqp://127.0.0.1:1", "--peers", "payment=127.0.0.1:2"];
    check_refused(&peers, &["the peer", "must be a URL such as http://payment:50051"]).await;
    check_refused(&["--bus", "kafka://127.0.0.1"], &["--bus must be local or amqp://"]).await;
    check_refused(&["--store", "rentl=sqlite:x.db"], &["there is no context \"rentl\""]).await;
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("sealing-keys").display().to_string();
    std::fs::write(&keys, "07".repeat(32)).unwrap();
    let check_store = async |store: &str, says: &[&str]| {
        check_refused(&["--sealing-keys", &keys, "--store", store], says).await;
    };
    check_store("mysql://127.0.0.1/db", &["sqlite:PATH", "postgres://"]).await;
    let nobody = format!("postgres://me:secret@{}/db", free_address());
    check_store(&nobody, &["the store of fleet", "postgres://me@", "is PostgreSQL running there?"]).await;
    check_store("sqlite:/proc/no/such/{context}.db", &["the store of fleet", "/proc/no/such/fleet.db"]).await;
    check_refused(&["--auth", "nadeuri=/no/such.json"], &["--identity"]).await;
    for context in ["voucher", "notification", "chronicle"] {
        let alone = [context, "--bus", "amqp://127.0.0.1:1"];
        check_refused(&alone, &[context, "needs the sealing keys", "--sealing-keys", "openssl rand -hex 32"]).await;
    }
    check_refused(&["--store", "sqlite::memory:"], &["needs the sealing keys"]).await;
    check_refused(&["--sealing-keys", "/no/such"], &["the sealing keys in /no/such can't be read"]).await;
    check_refused(&["--sealing-keys", "/dev/null"], &["/dev/null has no sealing key"]).await;
    check_refused(&["--config", "/no/such.toml"], &["the configuration /no/such.toml"]).await;
    check_refused(&["--set", "rental"], &["CONTEXT.NAME=VALUE"]).await;
    check_refused(&["--set", "rentl.currency=EUR"], &["there is no context \"rentl\""]).await;
    check_refused(&["--dead-letter-days", "0"], &["--dead-letter-days 0 must be 1 to 36500 days"]).await;
    let (events, messages) = ("chronicle.retention_days=0", "notification.retention_days=forever");
    check_refused(&["--set", events], &["chronicle are wrong", "retention_days 0 must be 1 to 36500 days"]).await;
    check_refused(&["--set", messages], &["the settings of notification are wrong", "retention_days"]).await;
}

async fn tls_errors() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let make = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (pair, other) = (make(), make());
    let certificate = write("cert.pem", &pair.cert.pem());
    let (key, others) = (write("key.pem", &pair.signing_key.serialize_pem()), other.signing_key.serialize_pem());
    let others = write("others.pem", &others);
    check_refused(&["--tls-cert", &certificate], &["--tls-cert needs", "--tls-key"]).await;
    check_refused(&["--tls-key", &key], &["--tls-key needs", "--tls-cert"]).await;
    check_refused(&["--tls-client-ca", &certificate], &["--tls-client-ca", "--tls-cert and --tls-key"]).await;
    check_refused(&["--tls-cert", &certificate, "--tls-key", &others], &["do not fit together"]).await;
    check_refused(&["--tls-cert", "/no/such.pem", "--tls-key", &key], &["--tls-cert /no/such.pem can't be read"]).await;
    check_refused(&["--tls-cert", &certificate, "--tls-key", &certificate], &["--tls-key must be", "a private key"])
        .await;
    check_refused(&["--ca", &key], &["--ca must be a PEM file with a certificate"]).await;
}

async fn bad_regions() {
    let settings_are_wrong = "the settings of rental are wrong";
    check_refused(&["--set", "rental.country=Germany"], &[settings_are_wrong, "\"Germany\"", "KR"]).await;
    check_refused(&["--set", "rental.currency=won"], &[settings_are_wrong, "\"won\"", "KRW"]).await;
    check_refused(&["--set", "rental.time_zone=Europe/Atlantis"], &[settings_are_wrong, "Asia/Seoul"]).await;
    check_refused(&["--set", "rental.timezone=Europe/Berlin"], &[settings_are_wrong, "time_zone"]).await;
    check_refused(&["--set", "rental.pay_within_minutes=soon"], &[settings_are_wrong]).await;
    check_refused(&["--set", "rental.longest_days=-1"], &[settings_are_wrong]).await;
}

async fn data_folder() {
    let app = Cluster::new(Setup::Embedded).started().await;
    let data = app.file("data");
    check_refused(&["--data", &data], &["another nadeuri uses the data folder", &data, "--data"]).await;
    app.admin().new_car("Hyundai Casper", 54_000).await;
    app.down().await;
}
