//! The policy of resorts: their reactions to other contexts' events.
//!
//! | whenever                | then                                                                          |
//! |-------------------------|-------------------------------------------------------------------------------|
//! | `stay.v1.StayReserved`  | keep its dates; if its hold lapsed and others have them, the hold is lost     |
//! | `stay.v1.StayConfirmed` | book them: they are sold                                                      |
//! | `stay.v1.StayCancelled` | free them                                                                     |
//! | `stay.v1.StayCompleted` | the same: it is over                                                          |

use chassis::values::Money;
use chassis::{Malformed, Policy, decode};
use contracts::stay::v1::{Stay, StayCancelled, StayCompleted, StayConfirmed, StayReserved};

use crate::domain::{Claim, Command, Resort, ResortId, StayId};

type Reaction = Result<Vec<(ResortId, Command)>, Malformed>;

/// The table above.
pub fn policy() -> Policy<Resort> {
    Policy::new()
        .on(|event: StayReserved, _| about(event.stay, Command::Keep))
        .on(|event: StayConfirmed, _| about(event.stay, Command::Book))
        .on(|event: StayCancelled, _| about(event.stay, Command::Free))
        .on(|event: StayCompleted, _| about(event.stay, Command::Free))
}

fn about(stay: Option<Stay>, command: impl FnOnce(StayId, Claim, Money) -> Command) -> Reaction {
    let stay = decode::present("stay", stay)?;
    let claim = Claim { dates: decode::dates("dates", stay.dates)?, customer: stay.customer_id };
    let command = command(decode::parsed("stay_id", &stay.stay_id)?, claim, decode::money("price", stay.price)?);
    Ok(vec![(decode::parsed("resort_id", &stay.resort_id)?, command)])
}
