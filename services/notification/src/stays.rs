//! The messages about stays at resorts.

use contracts::stay::v1::{
    CancellationCause, Stay, StayCancellationRefused, StayCancelled, StayCompleted, StayConfirmed, StayReserved,
    StayState,
};
use contracts::voucher::v1::{Voucher, VoucherIssued};

use crate::template::{Rendered, Templates, Text, render};
use crate::text::{amount, because, dates, moment};

/// Registers the templates.
pub fn register(templates: Templates) -> Templates {
    templates
        .on("STAY_RESERVED", |event: StayReserved| about(event.stay, reserved))
        .on("STAY_CONFIRMED", |event: StayConfirmed| about(event.stay, confirmed))
        .on("STAY_CANCELLED", |event: StayCancelled| about(event.stay, cancelled))
        .on("STAY_CANCELLATION_REFUSED", |event: StayCancellationRefused| about(event.stay, cancellation_refused))
        .on("STAY_COMPLETED", |event: StayCompleted| {
            about(event.stay, |_, place| Ok(format!("Thank you for staying at {place}. Come again!")))
        })
        .on_sensitive("VOUCHER_ISSUED", |event: VoucherIssued| {
            render("voucher", event.voucher, |voucher| voucher.customer_id, voucher)
        })
}

/// The texts contain the resort and the dates.
fn about(stay: Option<Stay>, text: fn(&Stay, String) -> Text) -> Rendered {
    render(
        "stay",
        stay,
        |stay| stay.customer_id,
        |stay| text(stay, format!("{} {}", stay.resort_name, dates(&stay.dates)?)),
    )
}

fn reserved(stay: &Stay, place: String) -> Text {
    let (price, until) = (amount(&stay.price)?, moment(&stay.expire_time, &stay.time_zone)?);
    Ok(format!("We keep {place} for you. It costs {price}; please pay until {until}."))
}

fn confirmed(stay: &Stay, place: String) -> Text {
    Ok(format!("{place} is yours. We received {}. Your voucher follows.", amount(&stay.price)?))
}

fn cancelled(stay: &Stay, place: String) -> Text {
    let why = match stay.cancellation_cause() {
        CancellationCause::Customer => "was cancelled by you",
        CancellationCause::Payment => "was cancelled because you cancelled its payment",
        CancellationCause::Unpaid => "was cancelled because it was not paid in time",
        CancellationCause::Resort => "had to be cancelled by us: the resort could not keep it for you",
        CancellationCause::Staff | CancellationCause::Unspecified => "was cancelled",
    };
    let because = because(stay.intervention.as_ref());
    let voucher = if stay.payment_id.is_empty() { "" } else { " Its voucher can't be used any more." };
    Ok(format!("Your stay at {place} {why}.{voucher}{because}"))
}

fn cancellation_refused(stay: &Stay, place: String) -> Text {
    let price = amount(&stay.price)?;
    let why = if stay.state() == StayState::Completed { "is over" } else { "is too near" };
    Ok(format!("We can't give {price} back to you: your stay at {place} {why}."))
}

/// The code is sealed, as in the event, until the message is delivered or read.
fn voucher(voucher: &Voucher) -> Text {
    let (resort, dates, code) = (&voucher.resort_name, dates(&voucher.dates)?, &voucher.code);
    Ok(format!("Your voucher for {resort} {dates}: show {code} when you arrive."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::testing::{check, check_malformed};
    use contracts::{money, period, voucher};

    const PLACE: &str = "Sea View from 2026-07-10 to 2026-07-12";

    fn july() -> Option<period::v1::Dates> {
        Some(period::v1::Dates { start_date: "2026-07-10".into(), end_date: "2026-07-12".into() })
    }

    fn stay() -> Stay {
        Stay {
            customer_id: "ann".into(),
            resort_name: "Sea View".into(),
            dates: july(),
            price: Some(money::v1::Money { currency_code: "KRW".into(), amount_minor: 180_000 }),
            expire_time: Some(prost_types::Timestamp { seconds: 5_400, nanos: 0 }),
            ..Stay::default()
        }
    }

    #[test]
    fn a_message_names_the_resort_the_dates_and_the_amount() {
        let stay = || Some(stay());
        let says = format!("We keep {PLACE} for you. It costs KRW 180,000; please pay until 1970-01-01 01:30 UTC.");
        check(register, &StayReserved { stay: stay() }, "STAY_RESERVED", &says);
        let says = format!("{PLACE} is yours. We received KRW 180,000. Your voucher follows.");
        check(register, &StayConfirmed { stay: stay() }, "STAY_CONFIRMED", &says);
        check(
            register,
            &StayCompleted { stay: stay() },
            "STAY_COMPLETED",
            &format!("Thank you for staying at {PLACE}. Come again!"),
        );
    }

    #[test]
    fn a_cancellation_tells_its_cause() {
        for (cause, why) in [
            (CancellationCause::Customer, "was cancelled by you"),
            (CancellationCause::Payment, "was cancelled because you cancelled its payment"),
            (CancellationCause::Unpaid, "was cancelled because it was not paid in time"),
            (CancellationCause::Resort, "had to be cancelled by us: the resort could not keep it for you"),
            (CancellationCause::Unspecified, "was cancelled"),
        ] {
            let stay = Some(Stay { cancellation_cause: cause.into(), ..stay() });
            check(register, &StayCancelled { stay }, "STAY_CANCELLED", &format!("Your stay at {PLACE} {why}."));
        }
        let paid = Some(Stay { payment_id: "pay".into(), ..stay() });
        let says = format!("Your stay at {PLACE} was cancelled. Its voucher can't be used any more.");
        check(register, &StayCancelled { stay: paid }, "STAY_CANCELLED", &says);
    }

    #[test]
    fn a_late_request_for_a_refund_is_answered_with_its_reason() {
        for (state, why) in [(StayState::Confirmed, "is too near"), (StayState::Completed, "is over")] {
            let stay = Some(Stay { state: state.into(), ..stay() });
            let says = format!("We can't give KRW 180,000 back to you: your stay at {PLACE} {why}.");
            check(register, &StayCancellationRefused { stay }, "STAY_CANCELLATION_REFUSED", &says);
        }
    }

    #[test]
    fn a_voucher_tells_its_code() {
        let voucher = Some(voucher::v1::Voucher {
            customer_id: "ann".into(),
            resort_name: "Sea View".into(),
            code: "01AB-CDEF-GHJK-MNPQ".into(),
            dates: july(),
            ..Default::default()
        });
        let says = format!("Your voucher for {PLACE}: show 01AB-CDEF-GHJK-MNPQ when you arrive.");
        check(register, &VoucherIssued { voucher }, "VOUCHER_ISSUED", &says);
    }

    #[test]
    fn an_event_that_breaks_its_contract_is_malformed() {
        check_malformed(register, &StayConfirmed { stay: None }, "no stay");
        check_malformed(register, &StayCompleted { stay: Some(Stay::default()) }, "no dates");
        check_malformed(register, &VoucherIssued { voucher: None }, "no voucher");
    }
}
