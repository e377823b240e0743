//! The end of a run: a customer is erased while contexts crash. After that nothing that is stored tells who it was, and
//! what they bought and paid still adds up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contracts::chronicle::v1::ListEventsRequest;
use contracts::mypage::v1::{self as mypage, EraseCustomerRequest};
use contracts::payment::v1::{ListPaymentsRequest, Payment};
use contracts::personal::Erasure;
use contracts::wallet::v1::CheckLedgerRequest;
use tonic::Code;

use crate::actors::{REASONS, by};
use crate::harness::{Harness, KEY_RETENTION};
use crate::invariants::{Outcome, all_pages, read};
use crate::stored::tables_with;

/// From the request of an erasure to its begin.
pub const DELAY: Duration = Duration::from_secs(60);
/// Longer than the pause between two looks for erasures, and for old idempotency keys.
const LOOKS: Duration = Duration::from_secs(150);

/// What stands in place of a detail that was erased.
const ERASED: &str = "erased";

/// The money of all payments, by their states and without their customers; the pages of all customers.
#[derive(Debug, PartialEq)]
struct Books {
    payments: BTreeMap<String, (i32, i64)>,
    events: usize,
    pages: Vec<String>,
}

/// Erases the first customer who has no open flows. Returns a line for the event log.
pub async fn check(harness: &mut Harness) -> Result<String, String> {
    let payments = all_pages::<ListPaymentsRequest>(harness).await?;
    let mut customers: BTreeSet<String> = payments.into_iter().map(|payment| payment.customer_id).collect();
    customers.extend(harness.wallet_owners());
    let before = books(harness).await?;
    for customer in customers {
        if let Some(pseudonym) = erase(harness, &customer).await? {
            harness.log(&format!("{customer} is erased, and is {pseudonym}"));
            erased(harness, &customer, &pseudonym, &before).await?;
            return Ok(format!("\n{pseudonym} {} {customer}", Erasure::event()));
        }
    }
    Ok(String::new())
}

/// Requests the erasure; `None` if the customer has open flows.
async fn erase(harness: &Harness, customer: &str) -> Result<Option<String>, String> {
    let channel = harness.environment().peers.local("mypage").ok_or("mypage is down")?;
    let (customer_id, reason) = (customer.to_owned(), "ticket 7".to_owned());
    let request = EraseCustomerRequest { customer_id, reason, ..EraseCustomerRequest::default() };
    match client::call(channel, by("admin", "admin", request)).await {
        Ok(answer) => Ok(answer.into_inner().erasure.map(|erasure| erasure.pseudonym)),
        Err(status) if status.code() == Code::FailedPrecondition => Ok(None),
        Err(status) => Err(format!("the erasure of {customer} failed: {status:?}")),
    }
}

async fn erased(harness: &mut Harness, customer: &str, pseudonym: &str, before: &Books) -> Outcome {
    // Each context crashes once, perhaps while it erases.
    let names: Vec<&'static str> = harness.contexts().collect();
    for name in names {
        tokio::time::sleep(harness.random.pause(8_000)).await;
        harness.restart(name).await?;
    }
    tokio::time::sleep(DELAY + LOOKS).await;
    harness.wait_until_idle().await?;
    for context in harness.contexts() {
        let mut tables = stored(harness, context, customer).await?;
        tables.retain(|table| table != "erasures" && table != "done");
        if !tables.is_empty() {
            return Err(format!("{context} has {customer} in {}", tables.join(", ")));
        }
    }
    // In one step, as days pass elsewhere.
    tokio::time::advance(KEY_RETENTION).await;
    tokio::time::sleep(LOOKS).await;
    for context in harness.contexts() {
        let tables = stored(harness, context, customer).await?;
        if !tables.is_empty() {
            return Err(format!("{context} still has {customer} in {}", tables.join(", ")));
        }
    }
    let after = books(harness).await?;
    let before = before.of(customer, pseudonym);
    if after != before {
        return Err(format!("the erasure of {customer} changed the books: {before:?}, {after:?}"));
    }
    ledger_is_right(harness).await
}

async fn stored(harness: &Harness, context: &str, text: &str) -> Result<Vec<String>, String> {
    tables_with(harness.store(context), text).await.map_err(|error| error.to_string())
}

async fn ledger_is_right(harness: &Harness) -> Outcome {
    let checked = read(harness, CheckLedgerRequest {}).await?;
    match checked.iter().flat_map(|checked| &checked.findings).next() {
        Some(finding) => Err(format!("after an erasure: {finding}")),
        None => Ok(()),
    }
}

async fn books(harness: &Harness) -> Result<Books, String> {
    let payments = all_pages::<ListPaymentsRequest>(harness).await?;
    let paid = |payment: Payment| {
        let amount = payment.amount.as_ref().map(|amount| amount.amount_minor).unwrap_or_default();
        (payment.payment_id, (payment.state, amount))
    };
    let mut pages = Vec::new();
    pages.extend(all_pages::<mypage::ListCarRentalsRequest>(harness).await?.iter().map(|page| format!("{page:?}")));
    pages.extend(all_pages::<mypage::ListStaysRequest>(harness).await?.iter().map(|page| format!("{page:?}")));
    pages.extend(all_pages::<mypage::ListBikeRidesRequest>(harness).await?.iter().map(|page| format!("{page:?}")));
    let events = all_pages::<ListEventsRequest>(harness).await?;
    let is_of_run = |kind: &str| kind != Erasure::event();
    let events = events.iter().filter(|event| is_of_run(&event.r#type)).count();
    Ok(Books { payments: payments.into_iter().map(paid).collect(), events, pages })
}

impl Books {
    /// The same with a pseudonym in place of a customer, and without what staff wrote about them.
    fn of(&self, customer: &str, pseudonym: &str) -> Books {
        let (old, new) = (format!("\"{customer}\""), format!("\"{pseudonym}\""));
        let reason = |text: &str| format!("reason: \"{text}\"");
        let (written, erased) = (REASONS.map(reason), reason(ERASED));
        let of = |page: &String| match page.contains(&old) {
            true => written.iter().fold(page.replace(&old, &new), |page, reason| page.replace(reason, &erased)),
            false => page.clone(),
        };
        let pages = self.pages.iter().map(of).collect();
        Books { payments: self.payments.clone(), events: self.events, pages }
    }
}
