//! Stays with their payment and voucher, made from the events of `stay`, `payment` and `voucher`.

use chassis::Secret;
use chassis::db::prelude::*;
use chassis::{Envelope, Malformed, Timestamp, decode};
use contracts::mypage::v1 as proto;
use contracts::period::v1::Dates;
use contracts::stay::v1::{self as contract, StayCancelled, StayCompleted, StayConfirmed, StayReserved, StayState};
use contracts::voucher::v1::{Voucher, VoucherDeactivated, VoucherIssued, VoucherRedeemed, VoucherSent};

use crate::summary::{Rules, Update, is_owed, money, summary, time};

summary! {
    /// A stay, from the events so far.
    stays as Stay, "stay" of a "stay", newest by reserved_at, paid {
        resort: Option<String> as Nullable<Text>,
        resort_name: Option<String> as Nullable<Text>,
        start_date: Option<String> as Nullable<Text>,
        end_date: Option<String> as Nullable<Text>,
        begins_at: Option<Timestamp> as Nullable<SqlTime>,
        ends_at: Option<Timestamp> as Nullable<SqlTime>,
        price_minor: Option<i64> as Nullable<BigInt>,
        currency: Option<String> as Nullable<Text>,
        stay_sequence: i64 as BigInt,
        stay_state: i32 as Integer,
        cause: i32 as Integer,
        voucher: Option<String> as Nullable<Text>,
        voucher_code: Option<Secret> as Nullable<Text>,
        voucher_sequence: i64 as BigInt,
        voucher_state: i32 as Integer,
        reserved_at: Option<Timestamp> as Nullable<SqlTime>,
        confirmed_at: Option<Timestamp> as Nullable<SqlTime>,
        completed_at: Option<Timestamp> as Nullable<SqlTime>,
        cancelled_at: Option<Timestamp> as Nullable<SqlTime>,
    }
}

fn is_open(stay: &Stay) -> bool {
    use StayState::{Confirmed, Reserved};
    matches!(StayState::try_from(stay.stay_state), Ok(Reserved | Confirmed)) || is_owed(stay.payment_state)
}

fn rules() -> Rules<Stay> {
    Rules::new()
        .on(|event: StayReserved, e| stay(event.stay, e, |_, _| {}))
        .on(|event: StayConfirmed, e| stay(event.stay, e, |stay, at| stay.confirmed_at = Some(at)))
        .on(|event: StayCompleted, e| stay(event.stay, e, |stay, at| stay.completed_at = Some(at)))
        .on(|event: StayCancelled, e| stay(event.stay, e, |stay, at| stay.cancelled_at = Some(at)))
        .on(|event: VoucherIssued, e| voucher(event.voucher, e))
        .on(|event: VoucherSent, e| voucher(event.voucher, e))
        .on(|event: VoucherRedeemed, e| voucher(event.voucher, e))
        .on(|event: VoucherDeactivated, e| voucher(event.voucher, e))
        .payments_of("stay")
}

fn stay(
    decoded: Option<contract::Stay>,
    event: &Envelope,
    set_time: fn(&mut Stay, Timestamp),
) -> Result<Update<Stay>, Malformed> {
    let decoded = decode::present("stay", decoded)?;
    let id = decode::parsed("stay_id", &decoded.stay_id)?;
    let begins_at = decode::time("begin_time", decoded.begin_time)?;
    let ends_at = decode::time("end_time", decoded.end_time)?;
    let reserved_at = decode::time("create_time", decoded.create_time)?;
    let dates = decode::present("dates", decoded.dates)?;
    let price = decode::present("price", decoded.price)?;
    let (sequence, at) = (event.sequence, event.at);
    Ok(Update::of(id, move |stay: &mut Stay| {
        stay.customer = Some(decoded.customer_id);
        (stay.resort, stay.resort_name) = (Some(decoded.resort_id), Some(decoded.resort_name));
        (stay.start_date, stay.end_date) = (Some(dates.start_date), Some(dates.end_date));
        (stay.begins_at, stay.ends_at) = (Some(begins_at), Some(ends_at));
        (stay.price_minor, stay.currency) = (Some(price.amount_minor), Some(price.currency_code));
        stay.reserved_at = Some(reserved_at);
        if sequence > stay.stay_sequence {
            stay.stay_sequence = sequence;
            (stay.stay_state, stay.cause) = (decoded.state, decoded.cancellation_cause);
        }
        set_time(stay, at);
    }))
}

fn voucher(voucher: Option<Voucher>, event: &Envelope) -> Result<Update<Stay>, Malformed> {
    let voucher = decode::present("voucher", voucher)?;
    let (id, sequence) = (decode::parsed("stay_id", &voucher.stay_id)?, event.sequence);
    Ok(Update::of(id, move |stay: &mut Stay| {
        stay.voucher = Some(voucher.voucher_id);
        if sequence > stay.voucher_sequence {
            (stay.voucher_sequence, stay.voucher_state) = (sequence, voucher.state);
            // It is sealed, and each event may have it sealed by another key.
            stay.voucher_code = Some(Secret(voucher.code));
        }
    }))
}

impl From<Stay> for proto::Stay {
    fn from(row: Stay) -> Self {
        let dates = row.start_date.zip(row.end_date);
        proto::Stay {
            stay_id: row.id.to_string(),
            customer_id: row.customer.unwrap_or_default(),
            resort_id: row.resort.unwrap_or_default(),
            resort_name: row.resort_name.unwrap_or_default(),
            dates: dates.map(|(start_date, end_date)| Dates { start_date, end_date }),
            price: money(row.currency, row.price_minor),
            begin_time: time(row.begins_at),
            end_time: time(row.ends_at),
            stay_state: row.stay_state,
            cancellation_cause: row.cause,
            payment_id: row.payment.unwrap_or_default(),
            payment_state: row.payment_state,
            voucher_id: row.voucher.unwrap_or_default(),
            voucher_code: row.voucher_code.map(|Secret(code)| code).unwrap_or_default(),
            voucher_state: row.voucher_state,
            reserve_time: time(row.reserved_at),
            confirm_time: time(row.confirmed_at),
            complete_time: time(row.completed_at),
            cancel_time: time(row.cancelled_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::testing::{FLOW, check_every_order, envelope, paid, summary};
    use contracts::money::v1::Money;
    use contracts::payment::v1::{
        PaymentApproved, PaymentCancellationRequested, PaymentCancelled, PaymentRefused, PaymentRequested,
        PaymentSettled, PaymentState,
    };
    use contracts::stay::v1::CancellationCause;
    use contracts::voucher::v1::VoucherState;

    fn changed(state: StayState, cause: CancellationCause) -> Option<contract::Stay> {
        let time = |seconds: i64| Some(prost_types::Timestamp { seconds, nanos: 0 });
        Some(contract::Stay {
            stay_id: FLOW.into(),
            customer_id: "ann".into(),
            resort_id: "villa".into(),
            resort_name: "Sea View".into(),
            dates: Some(Dates { start_date: "1970-01-02".into(), end_date: "1970-01-03".into() }),
            price: Some(Money { currency_code: "KRW".into(), amount_minor: 120_000 }),
            begin_time: time(86_400),
            end_time: time(3 * 86_400),
            create_time: time(7),
            state: state.into(),
            cancellation_cause: cause.into(),
            ..contract::Stay::default()
        })
    }

    fn so(state: StayState) -> Option<contract::Stay> {
        changed(state, CancellationCause::Unspecified)
    }

    fn voucher(state: VoucherState) -> Option<Voucher> {
        let (voucher_id, stay_id, code) = ("voucher".into(), FLOW.into(), "01AB-CDEF".into());
        Some(Voucher { voucher_id, stay_id, code, state: state.into(), ..Voucher::default() })
    }

    /// Reserved, refused, paid, sent its voucher, and took place.
    fn completed() -> Vec<Envelope> {
        use {PaymentState as P, StayState as S, VoucherState as V};
        vec![
            envelope(&StayReserved { stay: so(S::Reserved) }, 1),
            envelope(&PaymentRefused { payment: paid("stay", P::Refused) }, 3),
            envelope(&PaymentApproved { payment: paid("stay", P::Approved) }, 5),
            envelope(&StayConfirmed { stay: so(S::Confirmed) }, 2),
            envelope(&VoucherIssued { voucher: voucher(V::Issued) }, 1),
            envelope(&VoucherRedeemed { voucher: voucher(V::Redeemed) }, 3),
            envelope(&StayCompleted { stay: so(S::Completed) }, 3),
            envelope(&PaymentSettled { payment: paid("stay", P::Settled) }, 6),
        ]
    }

    /// Reserved, paid, and cancelled by its payment.
    fn refunded() -> Vec<Envelope> {
        use {PaymentState as P, StayState as S, VoucherState as V};
        vec![
            envelope(&StayReserved { stay: so(S::Reserved) }, 1),
            envelope(&PaymentRequested { payment: paid("stay", P::Requested) }, 1),
            envelope(&StayConfirmed { stay: so(S::Confirmed) }, 2),
            envelope(&VoucherSent { voucher: voucher(V::Sent) }, 2),
            envelope(&PaymentCancellationRequested { payment: paid("stay", P::Cancelling) }, 6),
            envelope(&StayCancelled { stay: changed(S::Cancelled, CancellationCause::Payment) }, 3),
            envelope(&VoucherDeactivated { voucher: voucher(V::Deactivated) }, 3),
            envelope(&PaymentCancelled { payment: paid("stay", P::Cancelled) }, 8),
        ]
    }

    #[test]
    fn r10_a_summary_is_the_same_in_whatever_order_the_events_come() {
        check_every_order::<Stay>(completed());
        check_every_order::<Stay>(refunded());
    }

    #[test]
    fn r10_a_summary_shows_reservation_payment_and_voucher() {
        let at = |seconds: i64| Some(Timestamp::from_micros(seconds * 1_000_000));
        let summary: Stay = summary(&completed());
        assert_eq!(summary.stay_state, i32::from(StayState::Completed));
        assert_eq!(summary.payment_state, i32::from(PaymentState::Settled));
        assert_eq!(summary.voucher_state, i32::from(VoucherState::Redeemed));
        assert_eq!(summary.voucher_code, Some(Secret("01AB-CDEF".into())));
        assert_eq!((summary.reserved_at, summary.confirmed_at, summary.completed_at), (at(7), at(2), at(3)));
        assert_eq!((summary.customer.as_deref(), summary.cancelled_at), (Some("ann"), None));
    }

    #[test]
    fn what_is_heard_of_first_shows_no_customer_yet() {
        let summary: Stay = summary(&completed()[4..6]);
        assert_eq!((summary.customer, summary.voucher_state), (None, i32::from(VoucherState::Redeemed)));
    }

    #[test]
    fn the_code_is_not_shown_where_summaries_are_printed() {
        let summary: Stay = summary(&completed());
        let shown = format!("{summary:?} {:?}", proto::Stay::from(summary.clone()));
        assert!(!shown.contains("01AB"), "{shown}");
    }
}
