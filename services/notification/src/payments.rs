//! What customers are told about their payments, of whatever line of business.

use chassis::Malformed;
use contracts::payment::v1::{Payment, PaymentApproved, PaymentCancelled, PaymentRefused};

use crate::policy::{Told, Words};
use crate::text;

fn about(payment: Payment, tell: impl FnOnce(&Payment, String) -> String) -> Told {
    let amount = text::amount(payment.amount.as_ref())?;
    let text = tell(&payment, amount);
    Ok(Some(Words { customer: payment.customer_id, text }))
}

fn present(payment: Option<Payment>) -> Result<Payment, Malformed> {
    payment.ok_or_else(|| Malformed("no payment".into()))
}

/// What was used already is paid. Of what is still to come, its seller tells.
pub fn received(event: PaymentApproved) -> Told {
    let payment = present(event.payment)?;
    if !payment.used {
        return Ok(None);
    }
    about(payment, |_, amount| format!("We received {amount}. Thank you!"))
}

/// The processor declined.
pub fn refused(event: PaymentRefused) -> Told {
    about(present(event.payment)?, |payment, amount| {
        let why = &payment.refusal;
        format!("Your payment of {amount} was refused: {why}. You can try again, or take another payment method.")
    })
}

/// The money went back, if any was taken.
pub fn refunded(event: PaymentCancelled) -> Told {
    let payment = present(event.payment)?;
    if !payment.refunded {
        return Ok(None);
    }
    about(payment, |_, amount| format!("Your payment was cancelled, and {amount} went back to you."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::money::v1::Money;

    fn payment() -> Payment {
        let amount = Some(Money { currency_code: "KRW".into(), amount_minor: 120_000 });
        let refusal = "the card was declined".into();
        Payment { customer_id: "ann".into(), amount, refusal, ..Payment::default() }
    }

    #[track_caller]
    fn check(told: Told, says: &str) {
        assert_eq!(told.expect("it is right"), Some(Words { customer: "ann".into(), text: says.into() }));
    }

    #[test]
    fn a_refused_payment_tells_why() {
        let says = "Your payment of KRW 120,000 was refused: the card was declined. \
                    You can try again, or take another payment method.";
        check(refused(PaymentRefused { payment: Some(payment()) }), says);
    }

    #[test]
    fn a_cancelled_payment_is_told_only_if_money_went_back() {
        let cancelled = |refunded| PaymentCancelled { payment: Some(Payment { refunded, ..payment() }) };
        assert_eq!(refunded(cancelled(false)).expect("it is right"), None);
        check(refunded(cancelled(true)), "Your payment was cancelled, and KRW 120,000 went back to you.");
    }

    #[test]
    fn a_payment_is_told_only_if_nobody_else_tells_of_it() {
        let approved = |used| PaymentApproved { payment: Some(Payment { used, ..payment() }) };
        assert_eq!(received(approved(false)).expect("it is right"), None);
        check(received(approved(true)), "We received KRW 120,000. Thank you!");
    }

    #[test]
    fn an_event_that_breaks_its_contract_is_malformed() {
        assert!(received(PaymentApproved { payment: None }).is_err());
        assert!(refused(PaymentRefused { payment: Some(Payment::default()) }).is_err());
    }
}
