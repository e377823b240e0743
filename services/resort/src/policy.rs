//! What resorts do when something happens elsewhere.
//!
//! | whenever                | then                                                                          |
//! |-------------------------|-------------------------------------------------------------------------------|
//! | `stay.v1.StayReserved`  | keep its dates; if its hold lapsed and others have them, the hold is lost     |
//! | `stay.v1.StayConfirmed` | book them: they are sold                                                      |
//! | `stay.v1.StayCancelled` | free them                                                                     |
//! | `stay.v1.StayCompleted` | the same: it is over                                                          |

use chassis::values::{Currency, Dates, Money};
use chassis::{Malformed, Policy};
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
    let stay = stay.ok_or_else(|| Malformed("no stay".into()))?;
    let resort = parse("resort_id", &stay.resort_id)?;
    let id = parse("stay_id", &stay.stay_id)?;
    let dates = stay.dates.as_ref().and_then(Dates::from_proto).ok_or_else(|| Malformed("dates".into()))?;
    let price = stay.price.ok_or_else(|| Malformed("no price".into()))?;
    let currency = Currency::parse(&price.currency_code).ok_or_else(|| Malformed("currency_code".into()))?;
    let claim = Claim { customer: stay.customer_id, dates };
    Ok(vec![(resort, command(id, claim, Money { minor: price.amount_minor, currency }))])
}

fn parse<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, Malformed> {
    text.parse().map_err(|_| Malformed(field.to_owned()))
}
