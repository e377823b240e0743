//! What customers are told about their bike rides and deposits.

use chassis::{Malformed, decode};
use contracts::billing::v1::{Bill, BillClosed, BillInArrears};
use contracts::ride::v1::{Ride, RideStarted, RideVoided};
use contracts::wallet::v1::DepositToppedUp;

use crate::policy::{Told, Words};
use crate::text;

/// A ride started.
pub fn started(event: RideStarted) -> Told {
    about_ride(event.ride, |ride| {
        let from = decode::present("from", ride.from.as_ref())?;
        Ok(format!("Bike {} is yours, from {}. Have a good ride!", ride.bike_name, from.name))
    })
}

/// A ride costs nothing, for its bike was lost.
pub fn voided(event: RideVoided) -> Told {
    about_ride(event.ride, |ride| {
        Ok(format!("Your ride with bike {} costs you nothing: the bike was written off.", ride.bike_name))
    })
}

/// A bill is settled.
pub fn settled(event: BillClosed) -> Told {
    about_bill(event.bill, |bill| {
        let fee = decode::present("fee", bill.fee.as_ref())?;
        if fee.amount_minor == 0 {
            return Ok("Your ride was free.".to_owned());
        }
        Ok(format!("Your ride of {} min cost {}, paid from your deposit.", bill.minutes, text::amount(Some(fee))?))
    })
}

/// A bill waits for money.
pub fn in_arrears(event: BillInArrears) -> Told {
    about_bill(event.bill, |bill| {
        let fee = text::amount(bill.fee.as_ref())?;
        Ok(format!(
            "Your deposit does not suffice for your ride of {} min, which cost {fee}. Please top it up: that settles the \
             bill, and you can ride again.",
            bill.minutes
        ))
    })
}

/// A deposit was topped up.
pub fn topped_up(event: DepositToppedUp) -> Told {
    let wallet = decode::present("wallet", event.wallet)?;
    let entry = decode::present("entry", event.entry)?;
    let (amount, deposit) = (text::amount(entry.amount.as_ref())?, text::amount(wallet.deposit.as_ref())?);
    let text = format!("You topped your deposit up by {amount}. It is {deposit} now.");
    Ok(Some(Words { customer: wallet.owner_id, text }))
}

fn about_ride(ride: Option<Ride>, tell: impl FnOnce(&Ride) -> Result<String, Malformed>) -> Told {
    let ride = decode::present("ride", ride)?;
    let text = tell(&ride)?;
    Ok(Some(Words { customer: ride.customer_id, text }))
}

fn about_bill(bill: Option<Bill>, tell: impl FnOnce(&Bill) -> Result<String, Malformed>) -> Told {
    let bill = decode::present("bill", bill)?;
    let text = tell(&bill)?;
    Ok(Some(Words { customer: bill.customer_id, text }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::money::v1::Money;
    use contracts::place::v1::Place;
    use contracts::wallet::v1::{Entry, Wallet};

    fn won(amount_minor: i64) -> Option<Money> {
        Some(Money { currency_code: "KRW".into(), amount_minor })
    }

    #[track_caller]
    fn check(told: Told, says: &str) {
        assert_eq!(told.expect("it is right"), Some(Words { customer: "ann".into(), text: says.into() }));
    }

    #[test]
    fn a_customer_is_told_of_ride_and_bill() {
        let from = Some(Place { name: "City Hall".into(), ..Place::default() });
        let ride = Ride { customer_id: "ann".into(), bike_name: "S-1024".into(), from, ..Ride::default() };
        let says = "Bike S-1024 is yours, from City Hall. Have a good ride!";
        check(started(RideStarted { ride: Some(ride.clone()) }), says);
        let says = "Your ride with bike S-1024 costs you nothing: the bike was written off.";
        check(voided(RideVoided { ride: Some(ride) }), says);
        let bill = || Some(Bill { customer_id: "ann".into(), minutes: 12, fee: won(1_200), ..Bill::default() });
        let says = "Your ride of 12 min cost KRW 1,200, paid from your deposit.";
        check(settled(BillClosed { bill: bill() }), says);
        let free = BillClosed { bill: Some(Bill { minutes: 0, fee: won(0), ..bill().unwrap_or_default() }) };
        check(settled(free), "Your ride was free.");
        let says = "Your deposit does not suffice for your ride of 12 min, which cost KRW 1,200. Please top it up: that \
                    settles the bill, and you can ride again.";
        check(in_arrears(BillInArrears { bill: bill() }), says);
    }

    #[test]
    fn a_customer_is_told_of_the_deposit() {
        let wallet = Some(Wallet { owner_id: "ann".into(), deposit: won(15_000), ..Wallet::default() });
        let entry = Some(Entry { amount: won(10_000), ..Entry::default() });
        let says = "You topped your deposit up by KRW 10,000. It is KRW 15,000 now.";
        check(topped_up(DepositToppedUp { wallet, entry }), says);
    }

    #[test]
    fn an_event_that_breaks_its_contract_is_malformed() {
        assert!(started(RideStarted { ride: None }).is_err());
        assert!(settled(BillClosed { bill: Some(Bill::default()) }).is_err());
    }
}
