//! What customers are told about their taxis. Of a cancelled hail, nothing: who cancelled it knows.

use chassis::Malformed;
use contracts::dispatch::v1::{
    CancellationCause, Hail, HailCancellationRefused, HailCancelled, TaxiAllocated, TaxiHailed,
};
use contracts::driving::v1::{Drive, DriveFinished, DriveStarted};
use contracts::place::v1::Place;

use crate::policy::{Told, Words};
use crate::text;

/// A taxi was asked for.
pub fn hailed(event: TaxiHailed) -> Told {
    about_hail(event.hail, |hail| {
        let (pickup, destination) = (name(hail.pickup.as_ref())?, name(hail.destination.as_ref())?);
        Ok(format!("We look for a taxi for you, from {pickup} to {destination}."))
    })
}

/// A driver is on the way.
pub fn allocated(event: TaxiAllocated) -> Told {
    about_hail(event.hail, |hail| {
        let (driver, pickup) = (&hail.driver_id, name(hail.pickup.as_ref())?);
        Ok(format!("Your taxi is on the way to {pickup}. Your driver is {driver}."))
    })
}

/// The cancellation came too late.
pub fn cancellation_refused(event: HailCancellationRefused) -> Told {
    about_hail(event.hail, |_| Ok("Your taxi can't be cancelled any more, for the drive has started.".to_owned()))
}

/// No driver took it.
pub fn cancelled(event: HailCancelled) -> Told {
    match &event.hail {
        Some(hail) if hail.cancellation_cause() == CancellationCause::Customer => Ok(None),
        _ => about_hail(event.hail, |hail| {
            let pickup = name(hail.pickup.as_ref())?;
            Ok(format!("We are sorry: no taxi near {pickup} was free. Please try again."))
        }),
    }
}

/// The drive started.
pub fn started(event: DriveStarted) -> Told {
    about_drive(event.drive, |drive| {
        let destination = name(drive.destination.as_ref())?;
        Ok(format!("You are on your way to {destination}. Have a good ride!"))
    })
}

/// The drive is over.
pub fn finished(event: DriveFinished) -> Told {
    about_drive(event.drive, |drive| {
        let (destination, fare) = (name(drive.destination.as_ref())?, text::amount(drive.fare.as_ref())?);
        Ok(format!("You have arrived at {destination}. The fare is {fare}."))
    })
}

fn about_hail(hail: Option<Hail>, tell: impl FnOnce(&Hail) -> Result<String, Malformed>) -> Told {
    let hail = hail.ok_or_else(|| Malformed("no hail".into()))?;
    let text = tell(&hail)?;
    Ok(Some(Words { customer: hail.customer_id, text }))
}

fn about_drive(drive: Option<Drive>, tell: impl FnOnce(&Drive) -> Result<String, Malformed>) -> Told {
    let drive = drive.ok_or_else(|| Malformed("no drive".into()))?;
    let text = tell(&drive)?;
    Ok(Some(Words { customer: drive.customer_id, text }))
}

fn name(place: Option<&Place>) -> Result<&str, Malformed> {
    place.map(|place| place.name.as_str()).ok_or_else(|| Malformed("no place".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::money::v1::Money;

    fn place(name: &str) -> Option<Place> {
        Some(Place { name: name.into(), ..Place::default() })
    }

    fn hail(cause: CancellationCause) -> Option<Hail> {
        Some(Hail {
            customer_id: "ann".into(),
            driver_id: "kim".into(),
            pickup: place("City Hall"),
            destination: place("Gimpo Airport"),
            cancellation_cause: cause.into(),
            ..Hail::default()
        })
    }

    fn drive() -> Option<Drive> {
        let fare = Some(Money { currency_code: "KRW".into(), amount_minor: 12_000 });
        Some(Drive { customer_id: "ann".into(), destination: place("Gimpo Airport"), fare, ..Drive::default() })
    }

    #[track_caller]
    fn check(told: Told, says: &str) {
        assert_eq!(told.expect("it is right"), Some(Words { customer: "ann".into(), text: says.into() }));
    }

    #[test]
    fn t6_a_customer_is_told_of_each_step() {
        let hail = || hail(CancellationCause::Unspecified);
        let says = "We look for a taxi for you, from City Hall to Gimpo Airport.";
        check(hailed(TaxiHailed { hail: hail() }), says);
        let says = "Your taxi is on the way to City Hall. Your driver is kim.";
        check(allocated(TaxiAllocated { hail: hail() }), says);
        let says = "You are on your way to Gimpo Airport. Have a good ride!";
        check(started(DriveStarted { drive: drive() }), says);
        let says = "You have arrived at Gimpo Airport. The fare is KRW 12,000.";
        check(finished(DriveFinished { drive: drive() }), says);
        let says = "Your taxi can't be cancelled any more, for the drive has started.";
        check(cancellation_refused(HailCancellationRefused { hail: hail() }), says);
    }

    #[test]
    fn t6_nobody_is_told_of_what_they_cancelled() {
        let cancelled = |cause| cancelled(HailCancelled { hail: hail(cause) });
        assert_eq!(cancelled(CancellationCause::Customer).expect("it is right"), None);
        let says = "We are sorry: no taxi near City Hall was free. Please try again.";
        check(cancelled(CancellationCause::NoDriver), says);
    }

    #[test]
    fn an_event_that_breaks_its_contract_is_malformed() {
        assert!(hailed(TaxiHailed { hail: None }).is_err());
        assert!(finished(DriveFinished { drive: Some(Drive::default()) }).is_err());
    }
}
