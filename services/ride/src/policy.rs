//! The policy of riders: their reactions to other contexts' events.
//!
//! | whenever                     | then                                                                             |
//! |------------------------------|----------------------------------------------------------------------------------|
//! | `bike.v1.BikeTaken`          | expect its ride; one that does not start soon is abandoned, and gives it back    |
//! | `bike.v1.BikeWrittenOff`     | void the ride with it; one that did not start yet is abandoned                   |
//! | `bike.v1.BikeReturnRefused`  | void the ride: its bike was written off before it came back                      |
//! | `billing.v1.BillInArrears`   | note it: the customer rents nothing until it is settled                          |
//! | `billing.v1.BillClosed`      | note that it is settled, if it was in arrears                                    |
//! | `billing.v1.BillVoided`      | the same                                                                         |

use chassis::{Malformed, Policy, decode};
use contracts::bike::v1::{Bike, BikeReturnRefused, BikeTaken, BikeWrittenOff};
use contracts::billing::v1::{Bill, BillClosed, BillInArrears, BillVoided};

use crate::domain::{Command, RideId, Rider, RiderId, Standing, Taken, rider_of};

type Reaction = Result<Vec<(RiderId, Command)>, Malformed>;

/// The table above.
pub fn policy() -> Policy<Rider> {
    Policy::new()
        .on(|event: BikeTaken, _| {
            let (ride, customer) = (decode::parsed("ride_id", &event.ride_id)?, event.customer_id);
            Ok(vec![(rider_of(&customer), Command::Expect(customer, ride, taken(event.bike)?))])
        })
        .on(|event: BikeWrittenOff, _| {
            let (ride, customer) = (decode::parsed::<RideId>("ride_id", &event.ride_id)?, event.customer_id);
            let rider = rider_of(&customer);
            Ok(vec![(rider, Command::Void(ride)), (rider, Command::Abandon(customer, ride, taken(event.bike)?))])
        })
        .on(|event: BikeReturnRefused, _| {
            Ok(vec![(rider_of(&event.customer_id), Command::Void(decode::parsed("ride_id", &event.ride_id)?))])
        })
        .on(|event: BillInArrears, envelope| note(event.bill, true, envelope.sequence))
        .on(|event: BillClosed, envelope| note(event.bill, false, envelope.sequence))
        .on(|event: BillVoided, envelope| note(event.bill, false, envelope.sequence))
}

fn taken(bike: Option<Bike>) -> Result<Taken, Malformed> {
    let bike = decode::present("bike", bike)?;
    let from = decode::place("place", bike.place)?;
    Ok(Taken { bike: decode::parsed("bike_id", &bike.bike_id)?, name: bike.name, from })
}

fn note(bill: Option<Bill>, in_arrears: bool, sequence: i64) -> Reaction {
    let bill = decode::present("bill", bill)?;
    // Most bills were never in arrears: nothing to store.
    if bill.arrears_time.is_none() {
        return Ok(vec![]);
    }
    let id = decode::parsed("bill_id", &bill.bill_id)?;
    Ok(vec![(rider_of(&bill.customer_id), Command::Note(bill.customer_id, id, Standing { in_arrears, sequence }))])
}
