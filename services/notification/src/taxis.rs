//! The messages about taxis. None about a hail that the customer cancelled.

use chassis::decode;
use contracts::dispatch::v1::{
    CancellationCause, Hail, HailCancellationRefused, HailCancelled, TaxiAllocated, TaxiHailed, TaxiReleased,
};
use contracts::driving::v1::{Drive, DriveFinished, DriveStarted};
use contracts::place::v1::Place;

use crate::template::{Rendered, Templates, Text, render};
use crate::text::{amount, because};

/// Registers the templates.
pub fn register(templates: Templates) -> Templates {
    templates
        .on("TAXI_HAILED", |event: TaxiHailed| about_hail(event.hail, hailed))
        .on("TAXI_ALLOCATED", |event: TaxiAllocated| about_hail(event.hail, allocated))
        .on("TAXI_RELEASED", |event: TaxiReleased| about_hail(event.hail, released))
        .on("NO_TAXI_FREE", cancelled)
        .on("TAXI_CANCELLATION_REFUSED", |event: HailCancellationRefused| about_hail(event.hail, cancellation_refused))
        .on("DRIVE_STARTED", |event: DriveStarted| about_drive(event.drive, started))
        .on("DRIVE_FINISHED", |event: DriveFinished| about_drive(event.drive, finished))
}

fn about_hail(hail: Option<Hail>, text: fn(&Hail) -> Text) -> Rendered {
    render("hail", hail, |hail| hail.customer_id, text)
}

fn about_drive(drive: Option<Drive>, text: fn(&Drive) -> Text) -> Rendered {
    render("drive", drive, |drive| drive.customer_id, text)
}

fn hailed(hail: &Hail) -> Text {
    Ok(format!("We look for a taxi for you, from {} to {}.", name(&hail.pickup)?, name(&hail.destination)?))
}

fn allocated(hail: &Hail) -> Text {
    Ok(format!("Your taxi is on the way to {}. Your driver is {}.", name(&hail.pickup)?, hail.driver_id))
}

fn released(hail: &Hail) -> Text {
    let pickup = name(&hail.pickup)?;
    Ok(format!("Your driver can't come; we look for another taxi to {pickup}.{}", because(hail.intervention.as_ref())))
}

fn cancellation_refused(_: &Hail) -> Text {
    Ok("Your taxi can't be cancelled any more, for the drive has started.".to_owned())
}

fn cancelled(event: HailCancelled) -> Rendered {
    match &event.hail {
        Some(hail) if hail.cancellation_cause() == CancellationCause::Customer => Ok(None),
        hail => {
            let topic = match hail.as_ref().map(Hail::cancellation_cause) {
                Some(CancellationCause::NoShow | CancellationCause::Staff) => "TAXI_CANCELLED",
                _ => "NO_TAXI_FREE",
            };
            Ok(about_hail(event.hail, not_coming)?.map(|notice| notice.under(topic)))
        }
    }
}

fn not_coming(hail: &Hail) -> Text {
    let pickup = name(&hail.pickup)?;
    Ok(match hail.cancellation_cause() {
        CancellationCause::NoShow => {
            format!("Your driver waited at {pickup} and did not find you: your taxi is cancelled.")
        }
        CancellationCause::Staff => {
            format!("Your taxi to {pickup} is cancelled.{}", because(hail.intervention.as_ref()))
        }
        _ => format!("We are sorry: no taxi near {pickup} was free. Please try again."),
    })
}

fn started(drive: &Drive) -> Text {
    Ok(format!("You are on your way to {}. Have a good ride!", name(&drive.destination)?))
}

fn finished(drive: &Drive) -> Text {
    let (destination, fare) = (name(&drive.destination)?, amount(&drive.fare)?);
    let because = because(drive.intervention.as_ref());
    Ok(format!("You have arrived at {destination}. The fare is {fare}.{because}"))
}

fn name(place: &Option<Place>) -> Result<&str, chassis::Malformed> {
    decode::present("place", place.as_ref()).map(|place| place.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::testing::{check, check_malformed, check_silent};
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

    #[test]
    fn t6_a_customer_gets_a_message_about_each_step() {
        let hail = || hail(CancellationCause::Unspecified);
        let says = "We look for a taxi for you, from City Hall to Gimpo Airport.";
        check(register, &TaxiHailed { hail: hail() }, "TAXI_HAILED", says);
        let says = "Your taxi is on the way to City Hall. Your driver is kim.";
        check(register, &TaxiAllocated { hail: hail() }, "TAXI_ALLOCATED", says);
        let says = "You are on your way to Gimpo Airport. Have a good ride!";
        check(register, &DriveStarted { drive: drive() }, "DRIVE_STARTED", says);
        let says = "You have arrived at Gimpo Airport. The fare is KRW 12,000.";
        check(register, &DriveFinished { drive: drive() }, "DRIVE_FINISHED", says);
        let says = "Your taxi can't be cancelled any more, for the drive has started.";
        check(register, &HailCancellationRefused { hail: hail() }, "TAXI_CANCELLATION_REFUSED", says);
    }

    #[test]
    fn t6_there_is_no_message_about_a_hail_that_its_customer_cancelled() {
        let cancelled = |cause| HailCancelled { hail: hail(cause) };
        check_silent(register, &cancelled(CancellationCause::Customer));
        let says = "We are sorry: no taxi near City Hall was free. Please try again.";
        check(register, &cancelled(CancellationCause::NoDriver), "NO_TAXI_FREE", says);
    }

    #[test]
    fn an_event_that_breaks_its_contract_is_malformed() {
        check_malformed(register, &TaxiHailed { hail: None }, "no hail");
        check_malformed(register, &DriveFinished { drive: Some(Drive::default()) }, "no place");
    }
}
