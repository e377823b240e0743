//! Deposits: a top-up is posted once, whatever happens to cards and processes. The check of the ledger finds every
//! error.

use std::sync::Arc;
use std::time::Duration;

use chassis::db::{Database, Durability, Unit};
use chassis::runtime::Runtime;
use contracts::money::v1::Money;
use contracts::payment::v1::PaymentState;
use contracts::wallet::v1::{
    Account, CheckLedgerRequest, ConvertPointsRequest, GetWalletRequest, ListEntriesRequest, TopUpRequest, Wallet,
};
use tokio::sync::MutexGuard;
use tonic::Code;

use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Who};
use crate::support::cluster::{Cluster, Setup};
use crate::support::verbs::won;
use crate::support::wallets::{holds, top_up_of};
use crate::support::{
    BAD_CARD, GOOD_CARD, PATIENCE, eventually, eventually_within, new_id, precondition, refused, retry_delay, wrong,
};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        b5_a_top_up_charges_the_card_and_raises_the_deposit,
        b5_a_declined_card_raises_nothing_and_another_one_may,
        b5_a_card_that_answers_late_tops_up_once,
        b5_a_top_up_can_not_be_taken_back_through_payment,
        b5_a_deposit_has_limits_and_one_currency,
        b6_entries_are_listed_newest_first,
        x5_a_wallet_is_its_owners,
        x6_a_repeated_top_up_gets_the_first_response,
        hostile_wallet_requests_name_every_wrong_field,
        x1_the_ledger_adds_up,
    }
    journeys! { suite.fragile:
        b5_with_payment_down_topping_up_is_refused_and_works_later,
        x1_a_top_up_whose_contexts_stop_in_between_is_posted_once,
    }
    suite.own_in(Setup::Embedded, "x1_a_ledger_that_was_tampered_with_is_found_out", tampered);
}

/// A customer that no other trial uses.
fn someone(app: &Cluster) -> (String, Client) {
    let name = format!("mina-{}", new_id());
    (name.clone(), app.by(&name))
}

async fn b5_a_top_up_charges_the_card_and_raises_the_deposit(app: Arc<Cluster>) {
    let (name, mina) = someone(&app);
    let none = mina.wallet().await;
    assert_eq!((holds(&none), none.owner_id.as_str(), none.update_time), ((0, 0), name.as_str(), None));
    let wallet = mina.top_up(30_000).await.unwrap();
    assert_eq!((holds(&wallet), wallet.owner_id.as_str()), ((30_000, 0), name.as_str()));
    assert_eq!(mina.wallet().await, wallet);
    let entries = mina.entries().await;
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((entry.from(), entry.to(), &entry.amount), (Account::Cash, Account::Deposit, &Some(won(30_000))));
    assert_eq!((&entry.deposit, entry.points, &entry.owner_id), (&Some(won(30_000)), 0, &name));
    let payment = mina.sees_only_payment(PaymentState::Settled).await;
    assert_eq!((&payment.purchase_id, &payment.amount), (&entry.reason_id, &entry.amount));
    assert!(payment.seller_reference.starts_with("deposit/"), "{payment:?}");
    let story = async || {
        let flow = app.admin().flow(&entry.reason_id).await;
        let kinds: Vec<String> = flow.iter().map(|event| event.r#type.replace("nadeuri.", "")).collect();
        (kinds.len() == 4).then_some(kinds)
    };
    let mut kinds = eventually("all events are published", story).await;
    kinds.sort();
    let payment = ["payment.v1.PaymentApproved", "payment.v1.PaymentRequested", "payment.v1.PaymentSettled"];
    assert_eq!(kinds, [&payment[..], &["wallet.v1.DepositToppedUp"]].concat());
}

async fn b5_a_declined_card_raises_nothing_and_another_one_may(app: Arc<Cluster>) {
    let (_, mina) = someone(&app);
    precondition(mina.top_up_with(30_000, BAD_CARD).await, "PAYMENT_REFUSED");
    assert_eq!((holds(&mina.wallet().await), mina.entries().await), ((0, 0), vec![]));
    // Paid later through `payment`: the event raises the deposit.
    let payment = mina.sees_only_payment(PaymentState::Refused).await;
    mina.charge(&payment.payment_id, GOOD_CARD).await.unwrap();
    mina.sees_deposit(30_000).await;
    mina.sees_only_payment(PaymentState::Settled).await;
}

async fn b5_a_card_that_answers_late_tops_up_once(app: Arc<Cluster>) {
    let (_, mina) = someone(&app);
    let request = top_up_of(30_000, "sandbox-timeout-once");
    let paid = mina.within(Duration::from_millis(700)).send(request.clone()).await;
    let code = paid.expect_err("it takes longer").code();
    assert!(matches!(code, Code::DeadlineExceeded | Code::Cancelled), "{code:?}");
    let other_card = TopUpRequest { payment_method: GOOD_CARD.to_owned(), ..request.clone() };
    refused(mina.send(other_card).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    mina.sees_deposit(30_000).await;
    let again = mina.send(request).await.unwrap().wallet.unwrap();
    assert_eq!((holds(&again), mina.entries().await.len()), ((30_000, 0), 1));

    let (_, jun) = someone(&app);
    let pending = refused(jun.top_up_with(30_000, "sandbox-timeout").await, Code::Aborted, "PAYMENT_PENDING");
    assert!(retry_delay(&pending).is_some(), "the response has a retry delay");
    assert_eq!(holds(&jun.wallet().await), (0, 0));
    assert_eq!(jun.sees_only_payment(PaymentState::Charging).await.amount, Some(won(30_000)));
}

async fn b5_a_top_up_can_not_be_taken_back_through_payment(app: Arc<Cluster>) {
    let (_, mina) = someone(&app);
    mina.top_up(30_000).await.unwrap();
    let payments = async || mina.send(contracts::payment::v1::ListPaymentsRequest::default()).await.ok();
    let payment = eventually("the payment", payments).await.payments.remove(0);
    // If `payment` has not received the event of the deposit yet, it asks `wallet`, which refuses.
    let _ = mina.cancel_payment(&payment.payment_id).await;
    mina.sees_only_payment(PaymentState::Settled).await;
    precondition(mina.cancel_payment(&payment.payment_id).await, "PAYMENT_SETTLED");
    assert_eq!(holds(&mina.wallet().await), (30_000, 0));

    // An unpaid top-up can be cancelled.
    let (_, jun) = someone(&app);
    let declined = top_up_of(30_000, BAD_CARD);
    precondition(jun.send(declined.clone()).await, "PAYMENT_REFUSED");
    let payment = jun.sees_only_payment(PaymentState::Refused).await;
    jun.cancel_payment(&payment.payment_id).await.unwrap();
    precondition(jun.send(declined).await, "PAYMENT_CANCELLED");
    assert_eq!(holds(&jun.wallet().await), (0, 0));
}

async fn b5_a_deposit_has_limits_and_one_currency(app: Arc<Cluster>) {
    const MOST: i64 = 1_000_000_000_000;
    let (_, mina) = someone(&app);
    assert_eq!(holds(&mina.top_up(MOST).await.unwrap()), (MOST, 0));
    precondition(mina.top_up(1).await, "DEPOSIT_TOO_LARGE");
    mina.sees_only_payment(PaymentState::Settled).await;
    let euro = Some(Money { currency_code: "EUR".to_owned(), amount_minor: 1 });
    let request = TopUpRequest { amount: euro, ..top_up_of(1, GOOD_CARD) };
    let (_, jun) = someone(&app);
    precondition(jun.send(request).await, "WALLET_CURRENCY");
    assert_eq!(holds(&jun.wallet().await), (0, 0));
}

async fn b6_entries_are_listed_newest_first(app: Arc<Cluster>) {
    let (name, mina) = someone(&app);
    for amount in 1..=5 {
        mina.top_up(amount).await.unwrap();
    }
    let mut listed = Vec::new();
    let mut request = ListEntriesRequest { page_size: 2, ..Default::default() };
    loop {
        let page = mina.send(request.clone()).await.unwrap();
        assert!((1..=2).contains(&page.entries.len()));
        listed.extend(page.entries);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let amounts: Vec<i64> = listed.iter().map(|entry| entry.amount.as_ref().unwrap().amount_minor).collect();
    let deposits: Vec<i64> = listed.iter().map(|entry| entry.deposit.as_ref().unwrap().amount_minor).collect();
    assert_eq!((amounts, deposits), (vec![5, 4, 3, 2, 1], vec![15, 10, 6, 3, 1]));
    assert_eq!(mina.entries().await, listed);
    let theirs = ListEntriesRequest { owner_id: name, ..Default::default() };
    assert_eq!(app.admin().send(theirs).await.unwrap().entries, listed);
}

async fn x5_a_wallet_is_its_owners(app: Arc<Cluster>) {
    let ((name, mina), (_, jun)) = (someone(&app), someone(&app));
    let wallet = mina.top_up(30_000).await.unwrap();
    let (theirs, of) = (GetWalletRequest { owner_id: name.clone() }, name);
    let entries = ListEntriesRequest { owner_id: of, ..Default::default() };
    refused(jun.send(theirs.clone()).await, Code::NotFound, "WALLET_NOT_FOUND");
    refused(jun.send(entries.clone()).await, Code::NotFound, "WALLET_NOT_FOUND");
    assert_eq!(mina.send(theirs.clone()).await.unwrap().wallet, Some(wallet.clone()), "it is her own");
    assert_eq!(app.admin().send(theirs.clone()).await.unwrap().wallet, Some(wallet));
    let driver = app.driver("kim");
    refused(driver.send(theirs).await, Code::PermissionDenied, "ROLE_MISSING");
    refused(driver.send(top_up_of(1, GOOD_CARD)).await, Code::PermissionDenied, "ROLE_MISSING");
    refused(app.admin().send(top_up_of(1, GOOD_CARD)).await, Code::PermissionDenied, "ROLE_MISSING");
    refused(mina.send(CheckLedgerRequest {}).await, Code::PermissionDenied, "ROLE_MISSING");
    let convert = ConvertPointsRequest { request_id: new_id(), points: 1 };
    refused(mina.send(convert.clone()).await, Code::PermissionDenied, "ROLE_MISSING");
    let manager = app.client(Who::Named { name: format!("boss-{}", new_id()), roles: "bike_staff" });
    precondition(manager.send(convert).await, "NOT_ENOUGH_POINTS");
}

async fn x6_a_repeated_top_up_gets_the_first_response(app: Arc<Cluster>) {
    let (_, mina) = someone(&app);
    let request = top_up_of(30_000, GOOD_CARD);
    let answers = futures::future::join_all((0..10).map(|_| mina.send(request.clone()))).await;
    let first = answers[0].as_ref().unwrap().wallet.clone();
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().wallet == first), "{answers:?}");
    mina.top_up(1_000).await.unwrap();
    assert_eq!(mina.send(request.clone()).await.unwrap().wallet, first, "the response is the first one");
    assert_eq!((holds(&mina.wallet().await), mina.entries().await.len()), ((31_000, 0), 2));
    let other = TopUpRequest { amount: Some(won(1)), ..request };
    refused(mina.send(other).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    // A refused request may be repeated successfully.
    let refused_once = top_up_of(500, BAD_CARD);
    precondition(mina.send(refused_once.clone()).await, "PAYMENT_REFUSED");
    precondition(mina.send(refused_once).await, "PAYMENT_REFUSED");
}

async fn hostile_wallet_requests_name_every_wrong_field(app: Arc<Cluster>) {
    let (_, mina) = someone(&app);
    wrong(mina.send(TopUpRequest::default()).await, &["amount", "payment_method"]);
    let amount = Some(Money { currency_code: "won".to_owned(), amount_minor: 0 });
    let bad = TopUpRequest { request_id: "x".to_owned(), amount, payment_method: "\u{0}".to_owned() };
    wrong(mina.send(bad).await, &["request_id", "amount.currency_code", "amount.amount_minor", "payment_method"]);
    let manager = app.client(Who::Named { name: "boss".to_owned(), roles: "bike_staff" });
    for points in [0, -1, i64::MIN, i64::MAX] {
        wrong(
            manager.send(ConvertPointsRequest { request_id: "x".to_owned(), points }).await,
            &["request_id", "points"],
        );
    }
    wrong(app.admin().send(GetWalletRequest { owner_id: "x".repeat(129) }).await, &["owner_id"]);
    let page = ListEntriesRequest { page_size: -1, page_token: "x".to_owned(), owner_id: "\u{0}".to_owned() };
    wrong(app.admin().send(page).await, &["owner_id", "page_size", "page_token"]);
    assert_eq!(mina.entries().await, [], "nothing was changed");
}

async fn x1_the_ledger_adds_up(app: Arc<Cluster>) {
    // While other requests write.
    let busy = async {
        for _ in 0..20 {
            someone(&app).1.top_up(7).await.unwrap();
        }
    };
    let looks = async {
        for _ in 0..5 {
            let checked = app.admin().send(CheckLedgerRequest {}).await.unwrap();
            assert_eq!(checked.findings, Vec::<String>::new());
            assert_eq!(checked.balances.iter().map(|balance| balance.amount_minor).sum::<i64>(), 0, "{checked:?}");
        }
    };
    tokio::join!(busy, looks);
    let output = app.run(&["ledger", "check", "--server", &app.url("wallet")]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("CASH") && said.contains("DEPOSIT") && said.contains(" wallets, "), "{said}");
}

/// Changes a table of `wallet` directly.
async fn tamper(app: &Cluster, statement: &'static str) {
    let store = format!("sqlite:{}", app.file("data/wallet.db"));
    let database = Database::open(&store, "wallet", &Runtime::real()).await.unwrap();
    let unit: Unit<'static, usize> = Box::new(move |tx| {
        Box::pin(async move { Ok(chassis::sql!(tx, |c| diesel::sql_query(statement).execute(c))?) })
    });
    assert_eq!(database.write(Durability::Full, unit).await.unwrap(), 1, "{statement}");
}

async fn tampered() {
    let app = Cluster::new(Setup::Embedded).started().await;
    let mina = app.by("mina");
    for amount in [100, 20, 3] {
        mina.top_up(amount).await.unwrap();
    }
    let check = async || {
        let output = app.run(&["ledger", "check", "--server", &app.url("wallet")]);
        let (said, cried) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let findings: Vec<String> = said
            .lines()
            .filter(|line| line.starts_with("wallet of") || line.starts_with("what the"))
            .map(str::to_owned)
            .collect();
        assert_eq!(output.status.code(), Some(if findings.is_empty() { 0 } else { 1 }), "{said}{cried}");
        findings
    };
    assert_eq!(check().await, Vec::<String>::new());
    let cases = [
        (
            "UPDATE wallets SET deposit_minor = deposit_minor + 7",
            "UPDATE wallets SET deposit_minor = 123",
            "differ by 7",
        ),
        (
            "UPDATE entries SET deposit_minor = 121 WHERE number = 2",
            "UPDATE entries SET deposit_minor = 120 WHERE number = 2",
            "leaves",
        ),
        (
            "UPDATE entries SET number = 9 WHERE number = 3",
            "UPDATE entries SET number = 3 WHERE number = 9",
            "there is an entry 9",
        ),
        (
            "UPDATE entries SET giver = 'revenue' WHERE number = 1",
            "UPDATE entries SET giver = 'cash' WHERE number = 1",
            "corrupt reason",
        ),
        ("UPDATE wallets SET currency = 'EUR'", "UPDATE wallets SET currency = 'KRW'", "it is in EUR"),
    ];
    for (tampering, repair, says) in cases {
        tamper(&app, tampering).await;
        let findings = check().await;
        assert!(findings.iter().any(|finding| finding.contains(says)), "{tampering}: {findings:?}");
        tamper(&app, repair).await;
        assert_eq!(check().await, Vec::<String>::new(), "{repair}");
    }
    app.down().await;
}

type Fragile = MutexGuard<'static, Option<Cluster>>;

async fn b5_with_payment_down_topping_up_is_refused_and_works_later(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (_, mina) = someone(app);
    app.stop("payment").await;
    let request = top_up_of(30_000, GOOD_CARD);
    for _ in 0..8 {
        let away = refused(mina.send(request.clone()).await, Code::Unavailable, "PAYMENT_AWAY");
        assert!(retry_delay(&away).is_some_and(|delay| delay > Duration::ZERO), "the response has a retry delay");
    }
    assert_eq!(holds(&mina.wallet().await), (0, 0));
    app.start("payment").await;
    let paid: Wallet = eventually_within(PATIENCE * 2, "topping up works again", async || {
        mina.send(request.clone()).await.ok()?.wallet
    })
    .await;
    assert_eq!(holds(&paid), (30_000, 0));
}

async fn x1_a_top_up_whose_contexts_stop_in_between_is_posted_once(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (_, mina) = someone(app);
    // The processor's response is lost and `payment` is killed. The card was charged, so the deposit rises later.
    let request = top_up_of(30_000, "sandbox-timeout-once");
    assert!(mina.within(Duration::from_millis(500)).send(request.clone()).await.is_err());
    app.kill("wallet");
    app.kill("payment");
    app.start("payment").await;
    app.start("wallet").await;
    mina.sees_deposit(30_000).await;
    assert_eq!(mina.insist(request).await.unwrap().wallet.map(|wallet| holds(&wallet)), Some((30_000, 0)));
    mina.sees_only_payment(PaymentState::Settled).await;

    // Paid through `payment` while `wallet` is down, and cancelled at once: it goes into the deposit and stays there.
    let (_, jun) = someone(app);
    precondition(jun.top_up_with(5_000, BAD_CARD).await, "PAYMENT_REFUSED");
    let payment = jun.sees_only_payment(PaymentState::Refused).await;
    app.stop("wallet").await;
    jun.charge(&payment.payment_id, GOOD_CARD).await.unwrap();
    let asked = jun.cancel_payment(&payment.payment_id).await.unwrap();
    assert_eq!(asked.state(), PaymentState::Cancelling);
    app.start("wallet").await;
    jun.sees_only_payment(PaymentState::Settled).await;
    assert_eq!(holds(&jun.sees_deposit(5_000).await), (5_000, 0));
}
