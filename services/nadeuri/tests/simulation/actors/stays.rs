//! Customers who reserve stays at resorts, and managers who redeem their vouchers.

use std::collections::BTreeMap;
use std::sync::Mutex;

use contracts::money::v1::Money;
use contracts::payment::v1::{CancelPaymentRequest, ChargePaymentRequest, ListPaymentsRequest};
use contracts::period::v1::Dates;
use contracts::resort::v1::{OfferDatesRequest, RegisterResortRequest, Resort, TransferResortRequest};
use contracts::stay::v1::{CancelStayRequest, ReserveStayRequest, Stay};
use contracts::voucher::v1::{ListVouchersRequest, RedeemVoucherRequest};
use tokio::task::JoinHandle;

use super::Actor;
use crate::invariants::stays::Guarantee;

/// The number of customers.
const CUSTOMERS: u64 = 4;
/// The number of resorts that they compete for.
const RESORTS: u64 = 2;
/// The number of requests of each actor.
const STEPS: u64 = 9;

/// Registers the resorts and starts the customers.
pub fn spawn(actor: impl Fn(String, &'static str) -> Actor) -> Vec<JoinHandle<()>> {
    let start = |number: u64| {
        let me = actor(format!("guest-{number}"), "customer");
        tokio::spawn(Guest { me, stays: Mutex::default() }.run())
    };
    (0..CUSTOMERS).map(start).collect()
}

struct Guest {
    me: Actor,
    stays: Mutex<BTreeMap<String, Stay>>,
}

/// Dates in July 2026. The run takes place on the first.
fn july(start: u64, end: u64) -> Option<Dates> {
    Some(Dates { start_date: format!("2026-07-{start:02}"), end_date: format!("2026-07-{end:02}") })
}

impl Guest {
    async fn run(self) {
        let resorts = self.resorts().await;
        for _ in 0..STEPS {
            self.me.pause(4_000).await;
            let known: Vec<Stay> = self.stays.lock().expect("one thread").values().cloned().collect();
            let step = self.me.random.pick(0..14);
            if known.is_empty() || step < 4 {
                let resort = self.me.pick(&resorts);
                self.reserve(resort).await;
            } else {
                let resort = self.me.pick(&resorts);
                self.step(step, self.me.pick(&known), resort).await;
            }
        }
    }

    async fn step(&self, step: u64, stay: &Stay, resort: &str) {
        let id = &stay.stay_id;
        match step {
            4..=6 => self.pay(id).await,
            7 => self.cancel(id).await,
            8 => self.cancel_payment(id).await,
            9 | 10 => self.redeem(id).await,
            // With two devices at the same time.
            11 => {
                let later = async {
                    self.me.pause(200).await;
                    self.cancel(id).await;
                };
                tokio::join!(self.pay(id), later);
            }
            // Cancels as soon as it is paid.
            12 => {
                self.pay(id).await;
                self.cancel_payment(id).await;
            }
            _ => {
                let (resort_id, dates) = (resort.to_owned(), july(5, 6));
                let request = OfferDatesRequest { resort_id, dates, ..Default::default() };
                self.me.with_role("resort_staff").ask(request).await;
            }
        }
    }

    /// The resorts, registered by the first actor; fixed request ids make them the same for all.
    async fn resorts(&self) -> Vec<String> {
        let mut resorts = Vec::new();
        for number in 0..RESORTS {
            let resort = Resort {
                name: format!("resort {number}"),
                kind: "villa".to_owned(),
                nightly_rate: Some(Money { currency_code: "KRW".to_owned(), amount_minor: 10_000 }),
                time_zone: "UTC".to_owned(),
                offered: july(1, 5).into_iter().collect(),
                ..Resort::default()
            };
            let request = RegisterResortRequest { resort: Some(resort), ..Default::default() };
            let registered = self.me.with_role("resort_staff").insist(request, 100 + u128::from(number)).await;
            resorts.extend(registered.resort.map(|resort| resort.resort_id));
        }
        // To another owner, and back to who offers them here.
        for (owner_id, request_id) in [("sol", 150), ("resort_staff", 151)] {
            let (resort_id, owner_id) = (resorts[0].clone(), owner_id.to_owned());
            let transfer = TransferResortRequest { resort_id, owner_id, ..Default::default() };
            self.me.with_role("admin").insist(transfer, request_id).await;
        }
        resorts
    }

    async fn reserve(&self, resort: &str) {
        // A stay from today can begin, one from tomorrow can no longer be cancelled, a later one can.
        let start = 1 + self.me.random.pick(0..4);
        let dates = july(start, start + self.me.random.pick(1..3));
        let request = ReserveStayRequest { resort_id: resort.to_owned(), dates, ..Default::default() };
        let answer = self.me.ask(request).await;
        self.keep(answer.and_then(|answer| answer.stay), Guarantee::AsPromised);
    }

    async fn cancel(&self, id: &str) {
        let request = CancelStayRequest { stay_id: id.to_owned(), ..Default::default() };
        let answer = self.me.ask(request).await;
        self.keep(answer.and_then(|answer| answer.stay), Guarantee::Cancelled);
    }

    async fn payment_of(&self, stay_id: &str) -> Option<String> {
        let request = ListPaymentsRequest { purchase_id: stay_id.to_owned(), ..Default::default() };
        let listed = self.me.call(request).await;
        Some(listed.ok()?.payments.pop()?.payment_id)
    }

    async fn pay(&self, stay_id: &str) {
        let Some(payment_id) = self.payment_of(stay_id).await else { return };
        let method = if self.me.random.pick(0..5) == 0 { "sandbox-decline" } else { "sandbox-approve" };
        let request = ChargePaymentRequest { payment_id, payment_method: method.to_owned(), ..Default::default() };
        self.me.ask(request).await;
    }

    async fn cancel_payment(&self, stay_id: &str) {
        let Some(payment_id) = self.payment_of(stay_id).await else { return };
        self.me.ask(CancelPaymentRequest { payment_id, ..Default::default() }).await;
    }

    /// Redeems the voucher at the resort.
    async fn redeem(&self, stay_id: &str) {
        let request = ListVouchersRequest { stay_id: stay_id.to_owned(), ..Default::default() };
        let listed = self.me.call(request).await;
        let Some(voucher) = listed.ok().and_then(|mut listed| listed.vouchers.pop()) else { return };
        let request = RedeemVoucherRequest { code: voucher.code.to_lowercase(), ..Default::default() };
        let redeemed = self.me.with_role("resort_staff").ask(request).await;
        if redeemed.is_some() {
            let id = stay_id.to_owned();
            self.me.promised(move |seen| seen.stays.was_redeemed(&id));
        }
    }

    /// Records what the response promises.
    fn keep(&self, stay: Option<Stay>, guarantee: Guarantee) {
        let Some(promised) = stay else { return };
        self.stays.lock().expect("one thread").insert(promised.stay_id.clone(), promised.clone());
        let customer = self.me.name.clone();
        self.me.promised(move |seen| seen.stays.keeps(&customer, &promised, guarantee));
    }
}
