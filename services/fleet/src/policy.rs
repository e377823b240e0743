//! The policy of cars: their reactions to other contexts' events.
//!
//! | whenever                         | then                                            |
//! |----------------------------------|-------------------------------------------------|
//! | `rental.v1.CarReserved`          | the car is reserved                             |
//! | `rental.v1.CarRented`            | the car is rented                               |
//! | `rental.v1.RentalOverdue`        | the car is in use until it is back              |
//! | `rental.v1.ReservationCancelled` | that reservation is over                        |
//! | `rental.v1.CarReturned`          | that rental is over                             |
//! | `rental.v1.RentalRated`          | the car gets the stars                          |
//! | `rental.v1.CarRetired`           | the car is removed, if that was not done yet    |

use chassis::values::Period;
use chassis::{Envelope, Malformed, Policy, Timestamp, decode};
use contracts::rental::v1::{
    CarRented, CarReserved, CarRetired, CarReturned, RentalOverdue, RentalRated, Reservation, ReservationCancelled,
};

use crate::domain::{Car, CarId, Command, Engagement, ReservationId, Stage};

/// The end of a period that has no end yet, in the year 9999.
const FAR: Timestamp = Timestamp::from_micros(253_370_764_800_000_000);

type Reaction = Result<Vec<(CarId, Command)>, Malformed>;

/// The table above.
pub fn policy() -> Policy<Car> {
    Policy::new()
        .on(|event: CarReserved, envelope| observe(event.reservation, envelope, Stage::Reserved))
        .on(|event: CarRented, envelope| observe(event.reservation, envelope, Stage::Rented))
        .on(|event: RentalOverdue, envelope| {
            let (car, reservation, engagement) = engagement(event.reservation, envelope, Stage::Rented)?;
            let period = Period { end: FAR, ..engagement.period };
            Ok(vec![(car, Command::Observe(reservation, Engagement { period, ..engagement }))])
        })
        .on(|event: ReservationCancelled, envelope| observe(event.reservation, envelope, Stage::Over))
        .on(|event: CarReturned, envelope| observe(event.reservation, envelope, Stage::Over))
        .on(|event: RentalRated, envelope| {
            let stars = event.reservation.as_ref().map_or(0, |reservation| i64::from(reservation.stars));
            let (car, reservation, engagement) = engagement(event.reservation, envelope, Stage::Over)?;
            Ok(vec![(car, Command::Rate(reservation, engagement, stars))])
        })
        .on(|event: CarRetired, _| Ok(vec![(decode::parsed("car_id", &event.car_id)?, Command::Remove)]))
}

fn observe(reservation: Option<Reservation>, envelope: &Envelope, stage: Stage) -> Reaction {
    let (car, reservation, engagement) = engagement(reservation, envelope, stage)?;
    Ok(vec![(car, Command::Observe(reservation, engagement))])
}

fn engagement(
    reservation: Option<Reservation>,
    envelope: &Envelope,
    stage: Stage,
) -> Result<(CarId, ReservationId, Engagement), Malformed> {
    let reservation = decode::present("reservation", reservation)?;
    let car = decode::parsed("car_id", &reservation.car_id)?;
    let id = decode::parsed("reservation_id", &reservation.reservation_id)?;
    let period = decode::period("period", reservation.period)?;
    Ok((car, id, Engagement { period, stage, sequence: envelope.sequence, rated: false }))
}
