//! What customers are told about their stays at resorts.

use chassis::Malformed;
use contracts::stay::v1::{
    CancellationCause, Stay, StayCancellationRefused, StayCancelled, StayCompleted, StayConfirmed, StayReserved,
    StayState,
};
use contracts::voucher::v1::VoucherIssued;

use crate::policy::{Told, Words};
use crate::text;

/// Tells the customer something that begins with where and when they stay.
fn about(stay: Option<Stay>, tell: impl FnOnce(&Stay, String) -> Result<String, Malformed>) -> Told {
    let stay = stay.ok_or_else(|| Malformed("no stay".into()))?;
    let place = format!("{} {}", stay.resort_name, text::dates(stay.dates.as_ref())?);
    let text = tell(&stay, place)?;
    Ok(Some(Words { customer: stay.customer_id, text }))
}

/// The nights are kept.
pub fn reserved(event: StayReserved) -> Told {
    about(event.stay, |stay, place| {
        let (price, until) = (text::amount(stay.price.as_ref())?, text::moment(stay.expire_time.as_ref())?);
        Ok(format!("We keep {place} for you. It costs {price}; please pay until {until}."))
    })
}

/// The stay is paid.
pub fn confirmed(event: StayConfirmed) -> Told {
    about(event.stay, |stay, place| {
        let price = text::amount(stay.price.as_ref())?;
        Ok(format!("{place} is yours. We received {price}. Your voucher follows."))
    })
}

/// The stay is off.
pub fn cancelled(event: StayCancelled) -> Told {
    about(event.stay, |stay, place| {
        let why = match stay.cancellation_cause() {
            CancellationCause::Customer => "was cancelled by you",
            CancellationCause::Payment => "was cancelled because you cancelled its payment",
            CancellationCause::Unpaid => "was cancelled because it was not paid in time",
            CancellationCause::Resort => "had to be cancelled by us: the resort could not keep it for you",
            CancellationCause::Unspecified => "was cancelled",
        };
        let voucher = if stay.payment_id.is_empty() { "" } else { " Its voucher can't be used any more." };
        Ok(format!("Your stay at {place} {why}.{voucher}"))
    })
}

/// The stay can't be taken back.
pub fn cancellation_refused(event: StayCancellationRefused) -> Told {
    about(event.stay, |stay, place| {
        let price = text::amount(stay.price.as_ref())?;
        let why = if stay.state() == StayState::Completed { "is over" } else { "is too near" };
        Ok(format!("We can't give {price} back to you: your stay at {place} {why}."))
    })
}

/// The stay is over.
pub fn completed(event: StayCompleted) -> Told {
    about(event.stay, |_, place| Ok(format!("Thank you for staying at {place}. Come again!")))
}

/// The code of the voucher.
pub fn voucher(event: VoucherIssued) -> Told {
    let voucher = event.voucher.ok_or_else(|| Malformed("no voucher".into()))?;
    let (resort, dates) = (&voucher.resort_name, text::dates(voucher.dates.as_ref())?);
    let text = format!("Your voucher for {resort} {dates}: show {} when you arrive.", voucher.code);
    Ok(Some(Words { customer: voucher.customer_id, text }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::{money, period, voucher};

    const PLACE: &str = "Sea Projection from 2026-07-10 to 2026-07-12";

    fn dates() -> Option<period::v1::Dates> {
        Some(period::v1::Dates { start_date: "2026-07-10".into(), end_date: "2026-07-12".into() })
    }

    fn stay() -> Stay {
        Stay {
            customer_id: "ann".into(),
            resort_name: "Sea Projection".into(),
            dates: dates(),
            price: Some(money::v1::Money { currency_code: "KRW".into(), amount_minor: 180_000 }),
            expire_time: Some(prost_types::Timestamp { seconds: 5_400, nanos: 0 }),
            ..Stay::default()
        }
    }

    #[track_caller]
    fn check(told: Told, says: &str) {
        assert_eq!(told.expect("it is right"), Some(Words { customer: "ann".into(), text: says.into() }));
    }

    #[test]
    fn a_message_names_the_resort_the_dates_and_the_amount() {
        let stay = || Some(stay());
        let says = format!("We keep {PLACE} for you. It costs KRW 180,000; please pay until 1970-01-01 01:30 UTC.");
        check(reserved(StayReserved { stay: stay() }), &says);
        let says = format!("{PLACE} is yours. We received KRW 180,000. Your voucher follows.");
        check(confirmed(StayConfirmed { stay: stay() }), &says);
        check(completed(StayCompleted { stay: stay() }), &format!("Thank you for staying at {PLACE}. Come again!"));
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
            check(cancelled(StayCancelled { stay }), &format!("Your stay at {PLACE} {why}."));
        }
        let paid = Some(Stay { payment_id: "pay".into(), ..stay() });
        let says = format!("Your stay at {PLACE} was cancelled. Its voucher can't be used any more.");
        check(cancelled(StayCancelled { stay: paid }), &says);
    }

    #[test]
    fn who_wants_the_money_back_too_late_is_told_why_not() {
        for (state, why) in [(StayState::Confirmed, "is too near"), (StayState::Completed, "is over")] {
            let stay = Some(Stay { state: state.into(), ..stay() });
            let says = format!("We can't give KRW 180,000 back to you: your stay at {PLACE} {why}.");
            check(cancellation_refused(StayCancellationRefused { stay }), &says);
        }
    }

    #[test]
    fn a_voucher_tells_its_code() {
        let voucher = Some(voucher::v1::Voucher {
            customer_id: "ann".into(),
            resort_name: "Sea Projection".into(),
            code: "01AB-CDEF-GHJK-MNPQ".into(),
            dates: dates(),
            ..Default::default()
        });
        let says = format!("Your voucher for {PLACE}: show 01AB-CDEF-GHJK-MNPQ when you arrive.");
        check(super::voucher(VoucherIssued { voucher }), &says);
    }

    #[test]
    fn an_event_that_breaks_its_contract_is_malformed() {
        assert!(confirmed(StayConfirmed { stay: None }).is_err());
        assert!(completed(StayCompleted { stay: Some(Stay::default()) }).is_err());
        assert!(super::voucher(VoucherIssued { voucher: None }).is_err());
    }
}
