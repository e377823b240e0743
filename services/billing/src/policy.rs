//! The policy of bills: their reactions to other contexts' events.
//!
//! | whenever                | then                                                          |
//! |-------------------------|---------------------------------------------------------------|
//! | `ride.v1.RideStarted`   | open the ride's bill                                          |
//! | `ride.v1.RideReturned`  | compute its fee; `wallet` deducts it from the deposit         |
//! | `ride.v1.RideVoided`    | void it: the ride costs nothing                               |
//! | `wallet.v1.BillPaid`    | close it                                                      |
//! | `wallet.v1.BillUnpaid`  | it is in arrears, until a later `BillPaid`                    |

use chassis::{Malformed, Policy, decode};
use contracts::ride::v1::{Ride, RideReturned, RideStarted, RideVoided};
use contracts::wallet::v1::{BillPaid, BillUnpaid};

use crate::domain::{Bill, BillId, BilledRide, Command, Tariff, bill_of};

type Reaction = Result<Vec<(BillId, Command)>, Malformed>;

/// The table above, for this tariff.
pub fn policy(tariff: Tariff) -> Policy<Bill> {
    Policy::new()
        .on(|event: RideStarted, _| about(event.ride, |billed, _| Ok(Command::Open(billed))))
        .on(move |event: RideReturned, _| {
            about(event.ride, |billed, ride| {
                Ok(Command::Charge(billed, decode::time("end_time", ride.end_time)?, tariff))
            })
        })
        .on(|event: RideVoided, _| about(event.ride, |billed, _| Ok(Command::Void(billed))))
        .on(|event: BillPaid, _| Ok(vec![(decode::parsed("bill_id", &event.bill_id)?, Command::Pay)]))
        .on(|event: BillUnpaid, _| Ok(vec![(decode::parsed("bill_id", &event.bill_id)?, Command::FallShort)]))
}

fn about(ride: Option<Ride>, react: impl FnOnce(BilledRide, &Ride) -> Result<Command, Malformed>) -> Reaction {
    let ride = decode::present("ride", ride)?;
    let id = decode::parsed("ride_id", &ride.ride_id)?;
    let billed = BilledRide {
        ride: id,
        customer: ride.customer_id.clone(),
        start: decode::time("start_time", ride.start_time)?,
    };
    Ok(vec![(bill_of(id), react(billed, &ride)?)])
}
