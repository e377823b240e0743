//! The messages about bike rides and deposits.

use chassis::decode;
use contracts::billing::v1::{Bill, BillClosed, BillInArrears};
use contracts::ride::v1::{Ride, RideStarted, RideVoided};
use contracts::wallet::v1::DepositToppedUp;

use crate::template::{Rendered, Templates, Text, render};
use crate::text::amount;

/// Registers the templates.
pub fn register(templates: Templates) -> Templates {
    templates
        .on("BIKE_RENTED", |event: RideStarted| about_ride(event.ride, started))
        .on("RIDE_VOIDED", |event: RideVoided| about_ride(event.ride, voided))
        .on("BILL_SETTLED", |event: BillClosed| about_bill(event.bill, settled))
        .on("BILL_IN_ARREARS", |event: BillInArrears| about_bill(event.bill, in_arrears))
        .on("DEPOSIT_TOPPED_UP", topped_up)
}

fn about_ride(ride: Option<Ride>, text: fn(&Ride) -> Text) -> Rendered {
    render("ride", ride, |ride| ride.customer_id, text)
}

fn about_bill(bill: Option<Bill>, text: fn(&Bill) -> Text) -> Rendered {
    render("bill", bill, |bill| bill.customer_id, text)
}

fn started(ride: &Ride) -> Text {
    let (bike, from) = (&ride.bike_name, decode::present("from", ride.from.as_ref())?);
    Ok(format!("Bike {bike} is yours, from {}. Have a good ride!", from.name))
}

fn voided(ride: &Ride) -> Text {
    Ok(format!("Your ride with bike {} costs you nothing: the bike was written off.", ride.bike_name))
}

fn settled(bill: &Bill) -> Text {
    if decode::present("fee", bill.fee.as_ref())?.amount_minor == 0 {
        return Ok("Your ride was free.".to_owned());
    }
    Ok(format!("Your ride of {} min cost {}, paid from your deposit.", bill.minutes, amount(&bill.fee)?))
}

fn in_arrears(bill: &Bill) -> Text {
    let (minutes, fee) = (bill.minutes, amount(&bill.fee)?);
    Ok(format!(
        "Your deposit does not suffice for your ride of {minutes} min, which cost {fee}. Please top it up: that settles \
         the bill, and you can ride again."
    ))
}

fn topped_up(event: DepositToppedUp) -> Rendered {
    let entry = decode::present("entry", event.entry)?;
    render(
        "wallet",
        event.wallet,
        |wallet| wallet.owner_id,
        |wallet| {
            let (amount, deposit) = (amount(&entry.amount)?, amount(&wallet.deposit)?);
            Ok(format!("You topped your deposit up by {amount}. It is {deposit} now."))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::testing::{check, check_malformed};
    use contracts::money::v1::Money;
    use contracts::place::v1::Place;
    use contracts::wallet::v1::{Entry, Wallet};

    fn won(amount_minor: i64) -> Option<Money> {
        Some(Money { currency_code: "KRW".into(), amount_minor })
    }

    #[test]
    fn a_customer_gets_messages_about_ride_and_bill() {
        let from = Some(Place { name: "City Hall".into(), ..Place::default() });
        let ride = Ride { customer_id: "ann".into(), bike_name: "S-1024".into(), from, ..Ride::default() };
        let says = "Bike S-1024 is yours, from City Hall. Have a good ride!";
        check(register, &RideStarted { ride: Some(ride.clone()) }, "BIKE_RENTED", says);
        let says = "Your ride with bike S-1024 costs you nothing: the bike was written off.";
        check(register, &RideVoided { ride: Some(ride) }, "RIDE_VOIDED", says);
        let bill = || Some(Bill { customer_id: "ann".into(), minutes: 12, fee: won(1_200), ..Bill::default() });
        let says = "Your ride of 12 min cost KRW 1,200, paid from your deposit.";
        check(register, &BillClosed { bill: bill() }, "BILL_SETTLED", says);
        let free = BillClosed { bill: Some(Bill { minutes: 0, fee: won(0), ..bill().unwrap_or_default() }) };
        check(register, &free, "BILL_SETTLED", "Your ride was free.");
        let says = "Your deposit does not suffice for your ride of 12 min, which cost KRW 1,200. Please top it up: that \
                    settles the bill, and you can ride again.";
        check(register, &BillInArrears { bill: bill() }, "BILL_IN_ARREARS", says);
    }

    #[test]
    fn a_customer_gets_a_message_about_the_deposit() {
        let wallet = Some(Wallet { owner_id: "ann".into(), deposit: won(15_000), ..Wallet::default() });
        let entry = Some(Entry { amount: won(10_000), ..Entry::default() });
        let says = "You topped your deposit up by KRW 10,000. It is KRW 15,000 now.";
        check(register, &DepositToppedUp { wallet, entry }, "DEPOSIT_TOPPED_UP", says);
    }

    #[test]
    fn an_event_that_breaks_its_contract_is_malformed() {
        check_malformed(register, &RideStarted { ride: None }, "no ride");
        check_malformed(register, &BillClosed { bill: Some(Bill::default()) }, "no fee");
    }
}
