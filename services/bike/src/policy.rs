//! The policy of bikes: their reactions to other contexts' events.
//!
//! | whenever                | then                                                                                  |
//! |-------------------------|---------------------------------------------------------------------------------------|
//! | `ride.v1.RideReturned`  | the bike is back at that place; if it was written off meanwhile, that is published    |
//! | `ride.v1.RideAbandoned` | the bike is back where it was taken: the ride never started                           |

use chassis::{Malformed, Policy, decode};
use contracts::ride::v1::{RideAbandoned, RideReturned};

use crate::domain::{Bike, BikeId, Command};

type Reaction = Result<Vec<(BikeId, Command)>, Malformed>;

/// The table above.
pub fn policy() -> Policy<Bike> {
    Policy::new().on(|event: RideReturned, _| returned(event)).on(|event: RideAbandoned, _| abandoned(event))
}

fn returned(event: RideReturned) -> Reaction {
    let ride = decode::present("ride", event.ride)?;
    let place = decode::place("to", ride.to)?;
    let back = Command::GiveBack(decode::parsed("ride_id", &ride.ride_id)?, ride.customer_id, Some(place));
    Ok(vec![(decode::parsed("bike_id", &ride.bike_id)?, back)])
}

fn abandoned(event: RideAbandoned) -> Reaction {
    let back = Command::GiveBack(decode::parsed("ride_id", &event.ride_id)?, event.customer_id, None);
    Ok(vec![(decode::parsed("bike_id", &event.bike_id)?, back)])
}
