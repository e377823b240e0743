//! The gateway: authentication, authorization and rate limits.

use std::sync::Arc;
use std::time::Duration;

use chassis::auth::{Roles, Signer};
use contracts::fleet::v1::{CarStatus, GetCarRequest};
use contracts::notification::v1::ListMessagesRequest;
use contracts::payment::v1::{CollectPaymentRequest, ListPaymentsRequest};
use contracts::rental::v1::{ListReservationsRequest, ReserveCarRequest, RetireCarRequest};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};
use serde_json::json;
use tokio::sync::MutexGuard;
use tonic::Code;

use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Who};
use crate::support::cluster::{Cluster, Setup};
use crate::support::process::nadeuri;
use crate::support::verbs::{some_car, won};
use crate::support::{eventually, new_id, period, precondition, refused, retry_delay};
use crate::wire::Wire;

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        x5_a_customer_sees_and_changes_only_their_own,
    }
    journeys! { suite.fragile:
        x5_who_has_the_key_of_a_context_is_that_context_alone,
    }
    suite.own_in(Setup::Embedded, "x5_a_server_that_checks_tokens_lets_nobody_else_in", || async {
        let app = Cluster::new(Setup::Embedded);
        let (operators, contexts) = (app.file("keys/dev-key.pem"), app.file("keys/dev-key.pem"));
        tokens(checking(app).await, operators, |_| contexts.clone()).await;
    });
    suite.own_in(Setup::PerContext, "x5_contexts_call_each_other_with_tokens_of_their_own", || async {
        let app = Cluster::new(Setup::PerContext).started().await;
        let (operators, contexts) = (app.file("keys/nadeuri.pem"), app.file("keys"));
        tokens(app, operators, |context| format!("{contexts}/{context}.pem")).await;
    });
    suite.own_in(Setup::Embedded, "x5_a_server_without_an_issuer_accepts_what_its_own_key_signed", own_tokens);
    suite.own_in(Setup::Embedded, "x5_subjects_of_two_issuers_are_two_customers", || issuers(Setup::Embedded));
    suite.own_in(Setup::OneProcess, "x5_subjects_of_two_issuers_are_two_customers", || issuers(Setup::OneProcess));
    suite.own_in(Setup::Embedded, "x5_who_calls_too_often_is_slowed_down", rate_limit);
}

async fn x5_a_customer_sees_and_changes_only_their_own(app: Arc<Cluster>) {
    let name = format!("mina-{}", new_id());
    let (admin, mina, jun) = (app.admin(), app.by(&name), app.by("jun"));
    let car = admin.new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(0, 1)).await.unwrap();
    let other = jun.reserve(&car, period(3, 1)).await.unwrap();
    let payment = mina.payment_for(&trip).await;
    mina.is_notified(&trip, &["CAR_RESERVED"]).await;

    let unseen = "RESERVATION_NOT_FOUND";
    refused(jun.reservation(&trip).await, Code::NotFound, unseen);
    refused(jun.rent(&trip).await, Code::NotFound, unseen);
    refused(jun.cancel(&trip).await, Code::NotFound, unseen);
    refused(jun.bring_back(&trip).await, Code::NotFound, unseen);
    refused(jun.rate(&trip, 1).await, Code::NotFound, unseen);
    refused(jun.payment(&payment.payment_id).await, Code::NotFound, "PAYMENT_NOT_FOUND");
    refused(jun.cancel_payment(&payment.payment_id).await, Code::NotFound, "PAYMENT_NOT_FOUND");
    refused(jun.page(&trip).await, Code::NotFound, "CAR_RENTAL_NOT_FOUND");
    assert_eq!(jun.messages(&trip).await, []);
    let payments = ListPaymentsRequest { purchase_id: trip.reservation_id.clone(), ..Default::default() };
    assert_eq!(jun.send(payments.clone()).await.unwrap().payments, []);
    assert_eq!(mina.reservation(&trip).await.unwrap(), trip, "nothing was changed");

    let mine = mina.send(ListReservationsRequest::default()).await.unwrap().reservations;
    assert_eq!(mine, std::slice::from_ref(&trip));
    let messages = mina.send(ListMessagesRequest::default()).await.unwrap().messages;
    assert!(messages.iter().all(|message| message.customer_id == name));
    assert_eq!(admin.reservation(&trip).await.unwrap(), trip, "an admin sees everything");
    assert_eq!(admin.reservation(&other).await.unwrap(), other);
    assert_eq!(admin.send(payments).await.unwrap().payments.len(), 1);
    let retire = RetireCarRequest { car_id: car.car_id.clone(), ..Default::default() };
    refused(mina.send(retire.clone()).await, Code::PermissionDenied, "ROLE_MISSING");
    refused(admin.send(retire).await, Code::PermissionDenied, "ROLE_MISSING");
}

/// A token of `nadeuri token`, with the key in this folder of the cluster.
pub fn token(app: &Cluster, folder: &str, arguments: &[&str]) -> String {
    let folder = app.file(folder);
    let made = app.run(&[&["token", "--data", &folder], arguments].concat());
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// A client with a token.
pub fn bearer(app: &Cluster, token: String) -> Client {
    app.client(Who::Token(token))
}

/// A cluster that trusts the keys of its folder `keys`.
async fn checking(app: Cluster) -> Cluster {
    token(&app, "keys", &[]);
    let (jwks, key) = (app.file("keys/dev-jwks.json"), app.file("keys/dev-key.pem"));
    app.with(&["--auth", &format!("nadeuri={jwks}"), "--identity", &key]).started().await
}

/// A cluster that accepts what the key in the file `operators` signs for people, and that of `key` for each context.
async fn tokens(app: Cluster, operators: String, key: impl Fn(&str) -> String) {
    let make = |arguments: &[&str]| token(&app, "unused", &[&["--identity", &operators], arguments].concat());
    let admin = bearer(&app, make(&["--subject", "boss", "--role", "admin"]));
    let mina = bearer(&app, make(&["--subject", "mina"]));
    let jun = bearer(&app, make(&["--subject", "jun", "--role", "customer"]));

    let car = admin.new_car("Hyundai Casper", 54_000).await;
    let get = || GetCarRequest { car_id: car.car_id.clone() };
    let signer = Signer::open(operators.as_ref(), "nadeuri").unwrap();
    let (day, hour) = (Duration::from_secs(86_400), Duration::from_secs(3_600));
    let yesterday = signer.token("mina", Roles::all(), hour, crate::support::now() - day).unwrap();
    let expired = bearer(&app, yesterday);
    let foreign = bearer(&app, token(&app, "others", &["--subject", "mina"]));
    let other_audience = bearer(&app, make(&["--audience", "elsewhere"]));
    let forged = bearer(&app, format!("{}x", make(&[])));
    let nobody = app.client(Who::Nobody);
    for client in [&expired, &foreign, &other_audience, &forged, &nobody, &bearer(&app, "x".to_owned())] {
        refused(client.send(get()).await, Code::Unauthenticated, "UNAUTHENTICATED");
    }
    let headers = [("x-user", "mina".to_owned()), ("x-roles", "admin".to_owned())];
    let claimed = Wire::connect(app.address("fleet")).await.call(&get(), &headers).await;
    refused::<()>(Err(claimed), Code::Unauthenticated, "UNAUTHENTICATED");
    refused(mina.register(some_car("Mine", won(1))).await, Code::PermissionDenied, "ROLE_MISSING");
    refused(admin.reserve(&car, period(0, 1)).await, Code::PermissionDenied, "ROLE_MISSING");

    // Contexts that are not themselves: each token is for one context, and serves for the calls that are declared.
    let context = |from, to| {
        let signer = Signer::open(key(from).as_ref(), "nadeuri").unwrap();
        let authorization = signer.service_authorization(from, to, crate::support::now()).unwrap();
        bearer(&app, authorization.to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned())
    };
    let collect = CollectPaymentRequest::default();
    refused(context("mypage", "payment").send(collect.clone()).await, Code::PermissionDenied, "ROLE_MISSING");
    refused(context("order", "resort").send(collect.clone()).await, Code::Unauthenticated, "UNAUTHENTICATED");
    refused(context("order", "payment").send(collect).await, Code::InvalidArgument, "INVALID_FIELDS");
    refused(context("order", "payment").send(get()).await, Code::Unauthenticated, "UNAUTHENTICATED");
    let collect = CollectPaymentRequest::default();
    let all_roles = bearer(&app, signer.token("order", Roles::all(), hour, crate::support::now()).unwrap());
    refused(all_roles.send(collect).await, Code::PermissionDenied, "ROLE_MISSING");

    // Calls between contexts: renting charges, removing retires.
    let trip = mina.reserve(&car, period(0, 1)).await.unwrap();
    assert_eq!(trip.customer_id, "mina");
    refused(jun.rent(&trip).await, Code::NotFound, "RESERVATION_NOT_FOUND");
    mina.rent(&trip).await.unwrap();
    precondition(admin.remove(&car).await, "CAR_IN_USE");
    mina.bring_back(&trip).await.unwrap();
    assert_eq!(admin.remove(&car).await.unwrap().status(), CarStatus::Removed);
    mina.is_notified(&trip, &["CAR_RESERVED", "CAR_RENTED", "CAR_RETURNED"]).await;

    let anonymous = ["rebuild", "mypage", "--server", &app.url("mypage")].map(str::to_owned);
    let anonymous = nadeuri(&anonymous).output().unwrap();
    assert!(!anonymous.status.success(), "an operator needs a token too");
    let boss = make(&["--role", "admin"]);
    let rebuilt = app.run(&["rebuild", "mypage", "--server", &app.url("mypage"), "--token", &boss]);
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    app.down().await;
}

/// Somebody took the key of `mypage`.
async fn x5_who_has_the_key_of_a_context_is_that_context_alone(app: MutexGuard<'static, Option<Cluster>>) {
    let app = app.as_ref().unwrap();
    let identities = app.identities().unwrap();
    let collect = async |token: String| bearer(app, token).send(CollectPaymentRequest::default()).await;
    let by_rental = collect(identities.call("rental", "rental", "payment")).await;
    refused(by_rental, Code::InvalidArgument, "INVALID_FIELDS");
    for from in ["rental", "payment"] {
        let by_mypage = collect(identities.call("mypage", from, "payment")).await;
        refused(by_mypage, Code::Unauthenticated, "UNAUTHENTICATED");
    }
    let by_mypage = collect(identities.call("mypage", "mypage", "payment")).await;
    refused(by_mypage, Code::PermissionDenied, "ROLE_MISSING");

    let key = app.file("keys/mypage.pem");
    for context in ["payment", "mypage"] {
        let admin = token(app, "unused", &["--identity", &key, "--subject", "admin", "--role", "admin"]);
        let listed = app.run(&["dead", "list", context, "--server", &app.url(context), "--token", &admin]);
        let said = String::from_utf8_lossy(&listed.stderr);
        assert!(!listed.status.success() && said.contains("the token's key is not its subject's"), "{said}");
    }
    let customer = bearer(app, token(app, "unused", &["--identity", &key, "--subject", "mina"]));
    let mine = customer.send(ListReservationsRequest::default()).await;
    refused(mine, Code::Unauthenticated, "UNAUTHENTICATED");
}

/// As the chart installs it: no issuer yet, one key for the server and its operators, and a probe that needs no token.
async fn own_tokens() {
    let app = Cluster::new(Setup::Embedded);
    token(&app, "keys", &[]);
    let key = app.file("keys/dev-key.pem");
    let app = app.with(&["--auth", "own", "--identity", &key]).started().await;
    let admin = bearer(&app, token(&app, "unused", &["--identity", &key, "--role", "admin"]));
    admin.new_car("Hyundai Casper", 54_000).await;
    let foreign = bearer(&app, token(&app, "others", &["--role", "admin"]));
    let unseen = GetCarRequest { car_id: new_id() };
    refused(foreign.send(unseen).await, Code::Unauthenticated, "UNAUTHENTICATED");
    let unused = app.file("unused");
    assert!(!std::path::Path::new(&unused).exists(), "a key that is named needs no folder");
    let live = app.run(&["health", "live", "--server", &app.url("fleet")]);
    assert!(live.status.success(), "{live:?}");
    app.down().await;
}

/// An identity provider of its own, with one key.
struct Issuer {
    name: &'static str,
    key: EncodingKey,
    public: Jwk,
}

impl Issuer {
    fn new(name: &'static str) -> Issuer {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let public = DecodingKey::from_ed_der(pair.public_key_raw());
        let public = Jwk::from_decoding_key(&public, Some(Algorithm::EdDSA)).unwrap();
        Issuer { name, key: EncodingKey::from_ed_der(&pair.serialize_der()), public }
    }

    /// Writes its keys, and returns how a server is told to trust it.
    fn trust(&self, path: &str) -> String {
        let keys = vec![self.public.clone()];
        std::fs::write(path, serde_json::to_vec(&JwkSet { keys }).unwrap()).unwrap();
        format!("{}={path}", self.name)
    }

    /// A token that claims to be mina's, and that she is an admin.
    fn mina(&self, app: &Cluster) -> Client {
        let exp = (crate::support::now() + Duration::from_secs(600)).micros() / 1_000_000;
        let roles = ["customer", "admin"];
        let claims = json!({ "iss": self.name, "aud": "nadeuri", "sub": "mina", "exp": exp, "roles": roles });
        bearer(app, encode(&Header::new(Algorithm::EdDSA), &claims, &self.key).unwrap())
    }
}

async fn issuers(setup: Setup) {
    let app = Cluster::new(setup);
    token(&app, "keys", &[]);
    let (login, staff) = (Issuer::new("https://login.example"), Issuer::new("https://staff.example"));
    let trust = [login.trust(&app.file("login.json")), staff.trust(&app.file("staff.json"))];
    let key = app.file("keys/dev-key.pem");
    let roles = "https://staff.example=customer,admin";
    let auth = ["--auth", &trust[0], "--auth", &trust[1], "--issuer-roles", roles, "--identity", &key];
    let app = app.with(&auth).started().await;

    let (mina, other) = (login.mina(&app), staff.mina(&app));
    refused(mina.register(some_car("Mine", won(1))).await, Code::PermissionDenied, "ROLE_MISSING");
    let car = other.new_car("Hyundai Casper", 54_000).await;
    let request_id = new_id();
    let reserve = async |client: &Client, start| {
        let (car_id, period) = (car.car_id.clone(), Some(period(start, 1)));
        let request = ReserveCarRequest { request_id: request_id.clone(), car_id, period, ..Default::default() };
        client.send(request).await.unwrap().reservation.unwrap()
    };
    other.reserve(&car, period(5, 1)).await.unwrap();
    let (first, second) = (reserve(&mina, 1).await, reserve(&other, 3).await);
    assert_eq!(first.customer_id, "https://login.example#mina");
    assert_eq!(second.customer_id, "https://staff.example#mina", "a request id is of its caller alone");
    let of = async |client: &Client| client.send(ListReservationsRequest::default()).await.unwrap().reservations;
    assert_eq!(of(&mina).await, [first]);
    app.down().await;
}

async fn rate_limit() {
    let app = Cluster::new(Setup::Embedded).with(&["--rate", "5"]).started().await;
    let (mina, jun) = (app.by("mina"), app.by("jun"));
    let get = || GetCarRequest { car_id: new_id() };
    let answers = futures::future::join_all((0..40).map(|_| mina.send(get()))).await;
    let slowed: Vec<_> = answers.into_iter().filter_map(Result::err).filter(|s| s.code() != Code::NotFound).collect();
    assert!(slowed.len() >= 20, "{} of 40 calls at once are too many", slowed.len());
    for status in slowed {
        let status = refused::<()>(Err(status), Code::ResourceExhausted, "RATE_LIMITED");
        assert!(retry_delay(&status).is_some());
    }
    refused(jun.send(get()).await, Code::NotFound, "CAR_NOT_FOUND");
    eventually("mina may call again", async || (mina.send(get()).await.err()?.code() == Code::NotFound).then_some(()))
        .await;
    app.down().await;
}
