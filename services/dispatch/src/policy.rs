//! The policy of hails: their reactions to other contexts' events.
//!
//! | whenever                              | then                                                             |
//! |---------------------------------------|------------------------------------------------------------------|
//! | `driving.v1.DriveAccepted`            | it is allocated                                                  |
//! | `driving.v1.DriveReleased`            | it is requested again                                            |
//! | `driving.v1.DriveStarted`             | it is under way; a cancellation came too late                    |
//! | `driving.v1.DriveFinished`            | it is finished                                                   |
//! | `driving.v1.DriveCancelled`           | it is cancelled, for the cause that the drive has                |
//! | `driving.v1.DriveCancellationRefused` | it is under way, for the drive had started                       |
//! | `driving.v1.DriveLapsed`              | it is cancelled, for no driver took it                           |
//! | `driving.v1.FareRefused`              | the customer owes the fare                                       |
//! | `driving.v1.FareUncollected`          | the same                                                         |
//! | `driving.v1.FareReopened`             | the customer does not owe it while it is charged again           |
//! | `driving.v1.FarePaid`                 | the customer owes it no more                                     |
//!
//! Whatever staff did about the drive is noted first.

use chassis::{Malformed, Policy, decode};
use contracts::driving::v1::{
    Drive, DriveAccepted, DriveCancellationCause, DriveCancellationRefused, DriveCancelled, DriveFinished, DriveLapsed,
    DriveReleased, DriveStarted, FarePaid, FareRefused, FareReopened, FareUncollected,
};

use crate::domain::{Allocation, Cause, Command, Hail, HailId};

type Reaction = Result<Vec<(HailId, Command)>, Malformed>;

/// The table above.
pub fn policy() -> Policy<Hail> {
    Policy::new()
        .on(|event: DriveAccepted, envelope| {
            let sequence = envelope.sequence;
            by_driver(event.drive, move |allocation| Command::Allocate(allocation, sequence))
        })
        .on(|event: DriveReleased, envelope| about(event.drive, |_| Ok(Command::Release(envelope.sequence))))
        .on(|event: DriveStarted, _| by_driver(event.drive, Command::Depart))
        .on(|event: DriveFinished, _| by_driver(event.drive, Command::Arrive))
        .on(|event: DriveCancelled, _| about(event.drive, |drive| Ok(Command::Withdraw(cause(drive)))))
        .on(|event: DriveCancellationRefused, _| by_driver(event.drive, Command::Insist))
        .on(|event: DriveLapsed, _| about(event.drive, |_| Ok(Command::Withdraw(Cause::NoDriver))))
        .on(|event: FareRefused, envelope| about(event.drive, |_| Ok(Command::NoteFare(true, envelope.sequence))))
        .on(|event: FareUncollected, envelope| about(event.drive, |_| Ok(Command::NoteFare(true, envelope.sequence))))
        .on(|event: FareReopened, envelope| about(event.drive, |_| Ok(Command::NoteFare(false, envelope.sequence))))
        .on(|event: FarePaid, envelope| about(event.drive, |_| Ok(Command::NoteFare(false, envelope.sequence))))
}

fn cause(drive: &Drive) -> Cause {
    match drive.cancellation_cause() {
        DriveCancellationCause::NoShow => Cause::NoShow,
        DriveCancellationCause::Staff => Cause::Staff,
        // Drives from before there were causes were cancelled by their customers.
        DriveCancellationCause::Customer | DriveCancellationCause::Unspecified => Cause::Customer,
    }
}

fn by_driver(drive: Option<Drive>, command: impl FnOnce(Allocation) -> Command) -> Reaction {
    about(drive, |drive| {
        let driver = drive.driver_id.clone();
        Ok(command(Allocation { drive: decode::parsed("drive_id", &drive.drive_id)?, driver }))
    })
}

fn about(drive: Option<Drive>, command: impl FnOnce(&Drive) -> Result<Command, Malformed>) -> Reaction {
    let drive = decode::present("drive", drive)?;
    let hail: HailId = decode::parsed("hail_id", &drive.hail_id)?;
    let noted = drive.intervention.clone().map(decode::intervention).transpose()?;
    let noted = noted.map(|intervention| (hail, Command::NoteIntervention(intervention)));
    Ok(noted.into_iter().chain([(hail, command(&drive)?)]).collect())
}
