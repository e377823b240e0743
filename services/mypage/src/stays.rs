//! Stays with their payment and voucher, made from the events of `stay`, `payment` and `voucher`.

mod table;

use std::sync::LazyLock;

use chassis::db::types::Secret;
use chassis::{Envelope, Malformed, Timestamp, decode};
use contracts::stay::v1::{StayCancelled, StayCompleted, StayConfirmed, StayReserved};
use contracts::voucher::v1::{Voucher, VoucherDeactivated, VoucherIssued, VoucherRedeemed, VoucherSent};
use contracts::{money, period, stay};

pub use self::table::Stay;
use crate::pages::{News, Rules};

/// The events that the page is made from.
pub static RULES: LazyLock<Rules<Stay>> = LazyLock::new(|| {
    Rules::new()
        .on(|event: StayReserved, e| stay(event.stay, e, |_, _| {}))
        .on(|event: StayConfirmed, e| stay(event.stay, e, |page, at| page.confirmed_at = Some(at)))
        .on(|event: StayCompleted, e| stay(event.stay, e, |page, at| page.completed_at = Some(at)))
        .on(|event: StayCancelled, e| stay(event.stay, e, |page, at| page.cancelled_at = Some(at)))
        .on(|event: VoucherIssued, e| voucher(event.voucher, e))
        .on(|event: VoucherSent, e| voucher(event.voucher, e))
        .on(|event: VoucherRedeemed, e| voucher(event.voucher, e))
        .on(|event: VoucherDeactivated, e| voucher(event.voucher, e))
        .payments_of("stay")
});

/// What every event of `stay` says.
struct Told {
    customer: String,
    resort: String,
    resort_name: String,
    dates: period::v1::Dates,
    begins_at: Timestamp,
    ends_at: Timestamp,
    price: money::v1::Money,
    state: i32,
    cause: i32,
    reserved_at: Timestamp,
}

fn stay(
    stay: Option<stay::v1::Stay>,
    event: &Envelope,
    note_time: fn(&mut Stay, Timestamp),
) -> Result<News<Stay>, Malformed> {
    let stay = decode::present("stay", stay)?;
    let flow = decode::parsed("stay_id", &stay.stay_id)?;
    let told = Told {
        begins_at: decode::time("begin_time", stay.begin_time)?,
        ends_at: decode::time("end_time", stay.end_time)?,
        reserved_at: decode::time("create_time", stay.create_time)?,
        customer: stay.customer_id,
        resort: stay.resort_id,
        resort_name: stay.resort_name,
        dates: decode::present("dates", stay.dates)?,
        price: decode::present("price", stay.price)?,
        state: stay.state,
        cause: stay.cancellation_cause,
    };
    let (sequence, at) = (event.sequence, event.at);
    Ok(News::of(flow, move |page: &mut Stay| {
        page.fold(&told, sequence);
        note_time(page, at);
    }))
}

fn voucher(voucher: Option<Voucher>, event: &Envelope) -> Result<News<Stay>, Malformed> {
    let voucher = decode::present("voucher", voucher)?;
    let (flow, sequence) = (decode::parsed("stay_id", &voucher.stay_id)?, event.sequence);
    Ok(News::of(flow, move |page: &mut Stay| {
        page.voucher = Some(voucher.voucher_id.clone());
        page.voucher_code = Some(Secret(voucher.code.clone()));
        if sequence > page.voucher_sequence {
            page.voucher_sequence = sequence;
            page.voucher_state = voucher.state;
        }
    }))
}

impl Stay {
    fn fold(&mut self, told: &Told, sequence: i64) {
        self.customer = Some(told.customer.clone());
        self.resort = Some(told.resort.clone());
        self.resort_name = Some(told.resort_name.clone());
        self.start_date = Some(told.dates.start_date.clone());
        self.end_date = Some(told.dates.end_date.clone());
        self.begins_at = Some(told.begins_at);
        self.ends_at = Some(told.ends_at);
        self.price_minor = Some(told.price.amount_minor);
        self.currency = Some(told.price.currency_code.clone());
        self.reserved_at = Some(told.reserved_at);
        if sequence > self.stay_sequence {
            self.stay_sequence = sequence;
            self.stay_state = told.state;
            self.cause = told.cause;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::testing::{FLOW, check_every_order, envelope, page, paid};
    use contracts::payment::v1::{
        PaymentApproved, PaymentCancellationRequested, PaymentCancelled, PaymentRefused, PaymentRequested,
        PaymentSettled, PaymentState,
    };
    use contracts::stay::v1::{CancellationCause, StayState};
    use contracts::voucher::v1::VoucherState;

    fn told(state: StayState, cause: CancellationCause) -> Option<stay::v1::Stay> {
        let time = |seconds: i64| Some(prost_types::Timestamp { seconds, nanos: 0 });
        Some(stay::v1::Stay {
            stay_id: FLOW.into(),
            customer_id: "ann".into(),
            resort_id: "villa".into(),
            resort_name: "Sea Projection".into(),
            dates: Some(period::v1::Dates { start_date: "1970-01-02".into(), end_date: "1970-01-03".into() }),
            price: Some(money::v1::Money { currency_code: "KRW".into(), amount_minor: 120_000 }),
            begin_time: time(86_400),
            end_time: time(3 * 86_400),
            create_time: time(7),
            state: state.into(),
            cancellation_cause: cause.into(),
            ..stay::v1::Stay::default()
        })
    }

    fn so(state: StayState) -> Option<stay::v1::Stay> {
        told(state, CancellationCause::Unspecified)
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

    /// Reserved, paid, and taken back by way of the payment.
    fn refunded() -> Vec<Envelope> {
        use {PaymentState as P, StayState as S, VoucherState as V};
        vec![
            envelope(&StayReserved { stay: so(S::Reserved) }, 1),
            envelope(&PaymentRequested { payment: paid("stay", P::Requested) }, 1),
            envelope(&StayConfirmed { stay: so(S::Confirmed) }, 2),
            envelope(&VoucherSent { voucher: voucher(V::Sent) }, 2),
            envelope(&PaymentCancellationRequested { payment: paid("stay", P::Cancelling) }, 6),
            envelope(&StayCancelled { stay: told(S::Cancelled, CancellationCause::Payment) }, 3),
            envelope(&VoucherDeactivated { voucher: voucher(V::Deactivated) }, 3),
            envelope(&PaymentCancelled { payment: paid("stay", P::Cancelled) }, 8),
        ]
    }

    #[test]
    fn r10_a_page_is_the_same_in_whatever_order_the_events_come() {
        check_every_order::<Stay>(completed());
        check_every_order::<Stay>(refunded());
    }

    #[test]
    fn r10_a_page_shows_reservation_payment_and_voucher() {
        let at = |seconds: i64| Some(Timestamp::from_micros(seconds * 1_000_000));
        let page: Stay = page(&completed());
        assert_eq!(page.stay_state, i32::from(StayState::Completed));
        assert_eq!(page.payment_state, i32::from(PaymentState::Settled));
        assert_eq!(page.voucher_state, i32::from(VoucherState::Redeemed));
        assert_eq!(page.voucher_code, Some(Secret("01AB-CDEF".into())));
        assert_eq!((page.reserved_at, page.confirmed_at, page.completed_at), (at(7), at(2), at(3)));
        assert_eq!((page.customer.as_deref(), page.cancelled_at), (Some("ann"), None));
    }

    #[test]
    fn what_is_heard_of_first_shows_no_customer_yet() {
        let page: Stay = page(&completed()[4..6]);
        assert_eq!((page.customer, page.voucher_state), (None, i32::from(VoucherState::Redeemed)));
    }

    #[test]
    fn the_code_is_not_shown_where_pages_are_printed() {
        let page: Stay = page(&completed());
        let shown = format!("{page:?} {:?}", contracts::mypage::v1::Stay::from(page.clone()));
        assert!(!shown.contains("01AB"), "{shown}");
    }
}
