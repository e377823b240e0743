//! The policy of hails: their reactions to other contexts' events.
//!
//! | whenever                              | then                                                             |
//! |---------------------------------------|------------------------------------------------------------------|
//! | `driving.v1.DriveAccepted`            | it is allocated                                                  |
//! | `driving.v1.DriveStarted`             | it is under way; a cancellation came too late                    |
//! | `driving.v1.DriveFinished`            | it is finished                                                   |
//! | `driving.v1.DriveCancelled`           | it is cancelled                                                  |
//! | `driving.v1.DriveCancellationRefused` | it is under way, for the drive had started                       |
//! | `driving.v1.DriveLapsed`              | it is cancelled, for no driver took it                           |

use chassis::{Malformed, Policy, decode};
use contracts::driving::v1::{
    Drive, DriveAccepted, DriveCancellationRefused, DriveCancelled, DriveFinished, DriveLapsed, DriveStarted,
};

use crate::domain::{Allocation, Cause, Command, Hail, HailId};

type Reaction = Result<Vec<(HailId, Command)>, Malformed>;

/// The table above.
pub fn policy() -> Policy<Hail> {
    Policy::new()
        .on(|event: DriveAccepted, _| by_driver(event.drive, Command::Allocate))
        .on(|event: DriveStarted, _| by_driver(event.drive, Command::Depart))
        .on(|event: DriveFinished, _| by_driver(event.drive, Command::Arrive))
        .on(|event: DriveCancelled, _| about(event.drive, |_| Ok(Command::Withdraw(Cause::Customer))))
        .on(|event: DriveCancellationRefused, _| by_driver(event.drive, Command::Insist))
        .on(|event: DriveLapsed, _| about(event.drive, |_| Ok(Command::Withdraw(Cause::NoDriver))))
}

fn by_driver(drive: Option<Drive>, command: fn(Allocation) -> Command) -> Reaction {
    about(drive, |drive| {
        Ok(command(Allocation { drive: decode::parsed("drive_id", &drive.drive_id)?, driver: drive.driver_id }))
    })
}

fn about(drive: Option<Drive>, command: impl FnOnce(Drive) -> Result<Command, Malformed>) -> Reaction {
    let drive = decode::present("drive", drive)?;
    Ok(vec![(decode::parsed("hail_id", &drive.hail_id)?, command(drive)?)])
}
