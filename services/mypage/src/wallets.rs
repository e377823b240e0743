//! Wallets, shown beside bike rides: made from the events of `wallet`.

use chassis::db::prelude::*;
use chassis::{Envelope, Id, Malformed, Timestamp, decode, ids};
use contracts::money::v1::Money;
use contracts::wallet::v1::{
    self as proto, BillDropped, BillPaid, BillRefunded, BillUnpaid, DepositToppedUp, PointsConverted, PointsEarned,
};

use crate::summary::{Rules, Update, summary, time};

// `id_of` hashes the word "flow", so it must not change.
summary! {
    /// A wallet, from the events so far.
    wallets as Wallet, "wallet" of a "flow", newest by updated_at {
        deposit_minor: i64 as BigInt,
        points: i64 as BigInt,
        arrears_minor: Option<i64> as Nullable<BigInt>,
        currency: String as Text,
        sequence: i64 as BigInt,
        updated_at: Option<Timestamp> as Nullable<SqlTime>,
    }
}

/// What it owes is the bill of a ride.
fn is_open(_: &Wallet) -> bool {
    false
}

fn rules() -> Rules<Wallet> {
    Rules::new()
        .on(|event: DepositToppedUp, e| changed(event.wallet, e))
        .on(|event: BillPaid, e| changed(event.wallet, e))
        .on(|event: BillUnpaid, e| changed(event.wallet, e))
        .on(|event: BillRefunded, e| changed(event.wallet, e))
        .on(|event: BillDropped, e| changed(event.wallet, e))
        .on(|event: PointsEarned, e| changed(event.wallet, e))
        .on(|event: PointsConverted, e| changed(event.wallet, e))
}

/// The id of an owner's wallet. A wallet is not part of a flow: it exists as long as its owner is a customer.
pub fn id_of(owner: &str) -> Id<Wallet> {
    Id::derived_from(ids::hash(&[owner.as_bytes()]))
}

fn changed(decoded: Option<proto::Wallet>, event: &Envelope) -> Result<Update<Wallet>, Malformed> {
    let decoded = decode::present("wallet", decoded)?;
    let deposit = decode::money("deposit", decoded.deposit)?;
    let updated_at = decode::time("update_time", decoded.update_time)?;
    let sequence = event.sequence;
    Ok(Update::of(id_of(&decoded.owner_id), move |wallet: &mut Wallet| {
        if sequence > wallet.sequence {
            (wallet.sequence, wallet.customer) = (sequence, Some(decoded.owner_id));
            (wallet.deposit_minor, wallet.currency) = (deposit.minor, deposit.currency.to_string());
            (wallet.points, wallet.updated_at) = (decoded.points, Some(updated_at));
            wallet.arrears_minor = decoded.arrears.map(|arrears| arrears.amount_minor);
        }
    }))
}

impl From<Wallet> for proto::Wallet {
    fn from(row: Wallet) -> Self {
        let money = |amount_minor| Money { currency_code: row.currency.clone(), amount_minor };
        proto::Wallet {
            deposit: Some(money(row.deposit_minor)),
            arrears: row.arrears_minor.map(money),
            owner_id: row.customer.unwrap_or_default(),
            points: row.points,
            update_time: time(row.updated_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Summary;
    use crate::summary::testing::envelope;
    use chassis::values::{Currency, Money as Amount};

    fn wallet(deposit: i64) -> Option<proto::Wallet> {
        let currency = Currency::parse("KRW").expect("the test gives a currency");
        Some(proto::Wallet {
            owner_id: "ann".into(),
            deposit: Some(Amount { minor: deposit, currency }.into()),
            update_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            ..proto::Wallet::default()
        })
    }

    #[test]
    fn b6_the_newest_says_what_there_is() {
        let older = envelope(&DepositToppedUp { wallet: wallet(5_000), entry: None }, 1);
        let newer = envelope(&BillPaid { wallet: wallet(4_000), ..BillPaid::default() }, 2);
        for events in [[&older, &newer], [&newer, &older]] {
            let mut summary = Wallet::blank(id_of("ann"));
            for event in events {
                Wallet::rules().apply(event, &mut summary);
            }
            let shown: proto::Wallet = summary.into();
            assert_eq!(shown, wallet(4_000).expect("the test gives a wallet"));
        }
    }
}
