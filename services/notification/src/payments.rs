//! The messages about payments, of every line of business.

use chassis::decode;
use contracts::payment::v1::{Payment, PaymentApproved, PaymentCancelled, PaymentRefunded, PaymentRefused};

use crate::template::{Notice, Rendered, Templates, Text};
use crate::text::{amount, because};

/// Registers the templates.
pub fn register(templates: Templates) -> Templates {
    templates
        .on("PAYMENT_RECEIVED", |event: PaymentApproved| about(event.payment, received))
        .on("PAYMENT_REFUSED", |event: PaymentRefused| about(event.payment, refused))
        .on("PAYMENT_REFUNDED", |event: PaymentCancelled| about(event.payment, refunded))
        .on("PAYMENT_PART_REFUNDED", |event: PaymentRefunded| about(event.payment, part_refunded))
}

fn about(payment: Option<Payment>, text: fn(&Payment) -> Option<Text>) -> Rendered {
    let payment = decode::present("payment", payment)?;
    let text = text(&payment).transpose()?;
    Ok(text.map(|text| Notice { customer: payment.customer_id, text, topic: None }))
}

/// A used purchase was paid. About other purchases the seller's events lead to messages.
fn received(payment: &Payment) -> Option<Text> {
    payment.used.then(|| Ok(format!("We received {}. Thank you!", amount(&payment.amount)?)))
}

fn refused(payment: &Payment) -> Option<Text> {
    let text = |amount| {
        let why = &payment.refusal;
        format!("Your payment of {amount} was refused: {why}. You can try again, or take another payment method.")
    };
    Some(amount(&payment.amount).map(text))
}

/// No message if no money was taken.
fn refunded(payment: &Payment) -> Option<Text> {
    let text = |amount| format!("Your payment was cancelled, and {amount} went back to you.");
    // Payments from before there were refunds of a part.
    let back = if payment.refunded_amount.is_some() { &payment.refunded_amount } else { &payment.amount };
    payment.refunded.then(|| amount(back).map(text))
}

fn part_refunded(payment: &Payment) -> Option<Text> {
    let because = because(payment.intervention.as_ref());
    let text = |back, paid| format!("Of {paid} that you paid, {back} went back to you.{because}");
    Some(amount(&payment.refunded_amount).and_then(|back| Ok(text(back, amount(&payment.amount)?))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::testing::{check, check_malformed, check_silent};
    use contracts::money::v1::Money;

    fn payment() -> Payment {
        let amount = Some(Money { currency_code: "KRW".into(), amount_minor: 120_000 });
        let refusal = "the card was declined".into();
        Payment { customer_id: "ann".into(), amount, refusal, ..Payment::default() }
    }

    #[test]
    fn a_refused_payment_tells_why() {
        let says = "Your payment of KRW 120,000 was refused: the card was declined. \
                    You can try again, or take another payment method.";
        check(register, &PaymentRefused { payment: Some(payment()) }, "PAYMENT_REFUSED", says);
    }

    #[test]
    fn a_cancelled_payment_leads_to_a_message_only_if_money_was_refunded() {
        let cancelled = |refunded| PaymentCancelled { payment: Some(Payment { refunded, ..payment() }) };
        check_silent(register, &cancelled(false));
        check(
            register,
            &cancelled(true),
            "PAYMENT_REFUNDED",
            "Your payment was cancelled, and KRW 120,000 went back to you.",
        );
    }

    #[test]
    fn a_payment_leads_to_a_message_only_if_no_other_event_does() {
        let approved = |used| PaymentApproved { payment: Some(Payment { used, ..payment() }) };
        check_silent(register, &approved(false));
        check(register, &approved(true), "PAYMENT_RECEIVED", "We received KRW 120,000. Thank you!");
    }

    #[test]
    fn an_event_that_breaks_its_contract_is_malformed() {
        check_malformed(register, &PaymentApproved { payment: None }, "no payment");
        check_malformed(register, &PaymentRefused { payment: Some(Payment::default()) }, "no amount");
    }
}
