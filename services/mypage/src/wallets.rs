//! What customers have with the company, shown beside their bike rides: made from the events of `wallet`.

mod table;

use std::sync::LazyLock;

use chassis::{Envelope, Malformed, decode};
use contracts::wallet::v1 as wallet;
use contracts::wallet::v1::{
    BillDropped, BillPaid, BillRefunded, BillUnpaid, DepositToppedUp, PointsConverted, PointsEarned,
};

pub use self::table::Wallet;
use crate::pages::{FlowId, News, Rules};

/// The events that the page is made from.
pub static RULES: LazyLock<Rules<Wallet>> = LazyLock::new(|| {
    Rules::new()
        .on(|event: DepositToppedUp, e| changed(event.wallet, e))
        .on(|event: BillPaid, e| changed(event.wallet, e))
        .on(|event: BillUnpaid, e| changed(event.wallet, e))
        .on(|event: BillRefunded, e| changed(event.wallet, e))
        .on(|event: BillDropped, e| changed(event.wallet, e))
        .on(|event: PointsEarned, e| changed(event.wallet, e))
        .on(|event: PointsConverted, e| changed(event.wallet, e))
});

/// The page of an owner: a wallet is no flow, but goes on for as long as they are with us.
pub fn page_of(owner: &str) -> FlowId {
    FlowId::derived_from(chassis::ids::hash(&[owner.as_bytes()]))
}

fn changed(wallet: Option<wallet::Wallet>, event: &Envelope) -> Result<News<Wallet>, Malformed> {
    let wallet = decode::present("wallet", wallet)?;
    let deposit = decode::money("deposit", wallet.deposit)?;
    let updated_at = decode::time("update_time", wallet.update_time)?;
    let sequence = event.sequence;
    Ok(News::of(page_of(&wallet.owner_id), move |page: &mut Wallet| {
        if sequence > page.sequence {
            (page.sequence, page.customer) = (sequence, Some(wallet.owner_id.clone()));
            (page.deposit_minor, page.currency) = (deposit.minor, deposit.currency.to_string());
            (page.points, page.updated_at) = (wallet.points, Some(updated_at));
            page.arrears_minor = wallet.arrears.as_ref().map(|arrears| arrears.amount_minor);
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::Page;
    use crate::pages::testing::envelope;
    use chassis::values::{Currency, Money};

    fn wallet(deposit: i64) -> Option<wallet::Wallet> {
        let currency = Currency::parse("KRW").expect("the test gives a currency");
        Some(wallet::Wallet {
            owner_id: "ann".into(),
            deposit: Some(Money { minor: deposit, currency }.into()),
            update_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            ..wallet::Wallet::default()
        })
    }

    #[test]
    fn b6_the_newest_says_what_there_is() {
        let older = envelope(&DepositToppedUp { wallet: wallet(5_000), entry: None }, 1);
        let newer = envelope(&BillPaid { wallet: wallet(4_000), ..BillPaid::default() }, 2);
        for events in [[&older, &newer], [&newer, &older]] {
            let mut page = Wallet::blank(page_of("ann"));
            for event in events {
                Wallet::rules().take(event, &mut page);
            }
            let shown: wallet::Wallet = page.into();
            assert_eq!(shown, wallet(4_000).expect("the test gives a wallet"));
        }
    }
}
