//! The policy of managers: their reactions to other contexts' events.
//!
//! | whenever                    | then                                                            |
//! |-----------------------------|-----------------------------------------------------------------|
//! | `bike.v1.BikeInspected`     | record the report, if the answer of the call was lost           |
//! | `wallet.v1.PointsEarned`    | store the balance of points, unless a newer event was processed |
//! | `wallet.v1.PointsConverted` | the same                                                        |

use chassis::{Envelope, Malformed, Policy, decode};
use contracts::bike::v1::{Bike, BikeInspected};
use contracts::wallet::v1::{PointsConverted, PointsEarned, Wallet};

use crate::domain::{Command, Finding, Manager, ManagerId, manager_of};

type Reaction = Result<Vec<(ManagerId, Command)>, Malformed>;

/// The table above. A report earns `points`.
pub fn policy(points: i64) -> Policy<Manager> {
    Policy::new()
        .on(move |event: BikeInspected, _| {
            let BikeInspected { bike, report_id, manager_id } = event;
            let (finding, report) = (finding(bike)?, decode::parsed("report_id", &report_id)?);
            of(manager_id, |manager| Command::Record(manager, report, finding, points))
        })
        .on(|event: PointsEarned, envelope| left(event.wallet, envelope))
        .on(|event: PointsConverted, envelope| left(event.wallet, envelope))
}

/// The finding in a bike's event or answer.
pub fn finding(bike: Option<Bike>) -> Result<Finding, Malformed> {
    let Bike { bike_id, battery_percent, usable, .. } = decode::present("bike", bike)?;
    Ok(Finding { bike: decode::parsed("bike_id", &bike_id)?, battery_percent, usable })
}

fn left(wallet: Option<Wallet>, envelope: &Envelope) -> Reaction {
    let Wallet { owner_id, points, .. } = decode::present("wallet", wallet)?;
    let sequence = envelope.sequence;
    of(owner_id, |subject| Command::Note { subject, points, sequence })
}

fn of(subject: String, command: impl FnOnce(String) -> Command) -> Reaction {
    if subject.is_empty() {
        return Err(Malformed("nobody's".into()));
    }
    Ok(vec![(manager_of(&subject), command(subject))])
}
