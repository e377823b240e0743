//! The policy of wallets: their reactions to other contexts' events.
//!
//! | whenever                     | then                                                                     |
//! |------------------------------|--------------------------------------------------------------------------|
//! | `payment.v1.PaymentApproved` | the deposit rises, if the payment is for that                            |
//! | `billing.v1.BillDue`         | pay the bill from the deposit, or have it wait                           |
//! | `billing.v1.BillVoided`      | give back what was paid; if it waits, drop it; if it comes later, bar it |
//! | `upkeep.v1.ReportTaken`      | the points rise                                                          |
//!
//! Payments of other sellers are ignored: a payment names its seller. A top-up can't be refunded: `payment` settles it
//! on the event `DepositToppedUp`.

use chassis::values::Currency;
use chassis::{Malformed, Policy, decode};
use contracts::billing::v1::{Bill, BillDue, BillVoided};
use contracts::money::v1::Money as MoneyMessage;
use contracts::payment::v1::PaymentApproved;
use contracts::upkeep::v1::ReportTaken;

use crate::CONTEXT;
use crate::domain::{Command, Holder, Operation, Wallet, WalletId, wallet_of};

type Reaction = Result<Vec<(WalletId, Command)>, Malformed>;

/// The seller's reference in a payment: the wallet.
pub fn reference(wallet: WalletId) -> String {
    format!("deposit/{wallet}")
}

/// The table above, for a ledger in this currency.
pub fn policy(currency: Currency) -> Policy<Wallet> {
    Policy::new()
        .on(move |event: PaymentApproved, _| {
            let payment = decode::present("payment", event.payment)?;
            if payment.sold_by() != CONTEXT.name {
                return Ok(vec![]);
            }
            let top_up = decode::parsed("purchase_id", &payment.purchase_id)?;
            of(payment.customer_id, currency, Operation::TopUp(top_up, amount("amount", payment.amount, currency)?))
        })
        .on(move |event: BillDue, _| {
            let Bill { bill_id, ride_id, customer_id, fee, .. } = decode::present("bill", event.bill)?;
            // A free ride has nothing to pay.
            if fee.as_ref().is_some_and(|fee| fee.amount_minor == 0) {
                return Ok(vec![]);
            }
            let (bill, flow) = (decode::parsed("bill_id", &bill_id)?, decode::parsed("ride_id", &ride_id)?);
            of(customer_id, currency, Operation::Pay(bill, flow, amount("fee", fee, currency)?))
        })
        .on(move |event: BillVoided, _| {
            let Bill { bill_id, ride_id, customer_id, .. } = decode::present("bill", event.bill)?;
            let (bill, flow) = (decode::parsed("bill_id", &bill_id)?, decode::parsed("ride_id", &ride_id)?);
            of(customer_id, currency, Operation::Void(bill, flow))
        })
        .on(move |event: ReportTaken, _| {
            let report = decode::present("report", event.report)?;
            if report.points <= 0 {
                return Err(Malformed("bad points".into()));
            }
            let id = decode::parsed("report_id", &report.report_id)?;
            of(report.manager_id, currency, Operation::Earn(id, report.points))
        })
}

fn of(owner: String, currency: Currency, operation: Operation) -> Reaction {
    if owner.is_empty() {
        return Err(Malformed("nobody's wallet".into()));
    }
    Ok(vec![(wallet_of(&owner), Command { holder: Holder { owner, currency }, operation })])
}

/// An amount of more than 0 in the currency of the ledger. An event in another currency becomes a dead letter and is
/// not lost.
fn amount(field: &str, money: Option<MoneyMessage>, currency: Currency) -> Result<i64, Malformed> {
    let money = decode::money(field, money)?;
    if money.currency != currency {
        return Err(Malformed(format!("{field} in {}, the ledger is in {currency}", money.currency)));
    }
    if money.minor <= 0 { Err(Malformed(format!("a bad {field}.amount_minor"))) } else { Ok(money.minor) }
}
