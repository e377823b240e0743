//! What a payment is asked, what happened to it, why it refuses, and what it asks the processor.

use std::time::Duration;

use chassis::Timestamp;
use chassis::error::RefusalCode;
use chassis::values::{Intervention, Money};

use super::{Owed, PurchaseId, Then};

/// Commands of a payment.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A purchase was made.
    Request(PurchaseId, Owed),
    /// The customer pays with this. `collect` requests the payment, if that has not happened yet.
    Charge {
        /// The card, as the processor names it.
        method: String,
        /// The amount due, from the seller.
        collect: Option<(PurchaseId, Owed)>,
    },
    /// The processor took the money of this charge.
    Approve(u32),
    /// The processor declined this charge, or voided it.
    Refuse(u32, String),
    /// The processor executed the refund of this number.
    Refunded(u32),
    /// The processor did not answer in this attempt, counted from 0: concurrent attempts count as one.
    NoAnswer(u32),
    /// The customer cancels the payment, or requests a refund.
    Cancel,
    /// This seller voids the purchase.
    Void {
        /// The purchase.
        purchase: PurchaseId,
        /// The seller.
        seller: String,
        /// What the seller keeps of a paid price, in its minor unit.
        kept: i64,
    },
    /// Staff refund so much of what was paid.
    Refund(Intervention, Money),
    /// This seller keeps the money.
    Keep(String),
    /// The purchase of this seller was used.
    Settle(String),
    /// The timer is due: call the processor. Decides nothing: [`Payment::next_step`] says which call.
    Ask,
}

/// Events of a payment.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It was requested.
    Requested(PurchaseId, Owed, Timestamp),
    /// This context voided the purchase before it was requested.
    Barred(PurchaseId, String, Timestamp),
    /// A charge started.
    ChargeStarted(String, Timestamp),
    /// The seller voided the purchase while the processor was asked, and keeps so much.
    VoidNoted(i64),
    /// The customer pays with this, instead of a card that does not answer.
    MethodReplaced(String),
    /// Staff act: what they did follows.
    Intervened(Intervention),
    /// The next call of the processor is due at this time.
    Postponed(Timestamp),
    /// The processor took the money.
    Approved(Timestamp),
    /// The processor declined.
    Refused(String, Timestamp),
    /// The customer requested a refund.
    CancellationRequested(Timestamp),
    /// The refund was refused.
    CancellationRefused(Timestamp),
    /// A refund of so much started.
    RefundStarted(i64, Then, Timestamp),
    /// A part of what was paid was refunded.
    PartRefunded(Timestamp),
    /// It was cancelled.
    Cancelled(Timestamp),
    /// It is final.
    Settled(Timestamp),
}

/// Why a command of a payment is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// It was not requested.
    #[error("there is no such payment")]
    NoSuchPayment,
    /// It was requested by another seller, or with another customer or amount.
    #[error("the purchase is known with another seller, customer or amount")]
    PurchaseDiffers,
    /// It was cancelled.
    #[error("the payment was cancelled")]
    PaymentCancelled,
    /// The purchase was used.
    #[error("what was paid for was used, so the payment can't be cancelled any more")]
    PaymentSettled,
    /// A charge is in progress.
    #[error("the processor is being asked; try again in a moment")]
    PaymentProcessing,
    /// Nothing was paid.
    #[error("nothing was paid, so nothing can be refunded")]
    NothingPaid,
    /// So much can't be refunded.
    #[error("{} {} at most can be refunded, in its smallest unit", .0.minor, .0.currency)]
    RefundTooHigh(Money),
}

/// A call of the processor.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Charge the card.
    Charge {
        /// The number of the charge.
        charge: u32,
        /// The payment method.
        method: String,
        /// The amount.
        amount: Money,
    },
    /// Void a charge that it never answered, and refund what it may have taken.
    GiveUp(u32),
    /// Refund a part of a charge, or all of it.
    Refund {
        /// The number of the charge.
        charge: u32,
        /// The number of the refund.
        refund: u32,
        /// The amount.
        amount: Money,
    },
}

impl Command {
    /// The seller who commands it; `None` if it is not a seller.
    pub(super) fn seller(&self) -> Option<&str> {
        match self {
            Command::Request(_, owed) | Command::Charge { collect: Some((_, owed)), .. } => Some(&owed.seller),
            Command::Void { seller, .. } | Command::Keep(seller) | Command::Settle(seller) => Some(seller),
            _ => None,
        }
    }
}

impl Event {
    pub(super) fn time(&self) -> Option<Timestamp> {
        match self {
            Event::Requested(_, _, now)
            | Event::Barred(_, _, now)
            | Event::Approved(now)
            | Event::Refused(_, now)
            | Event::CancellationRequested(now)
            | Event::CancellationRefused(now)
            | Event::RefundStarted(_, _, now)
            | Event::PartRefunded(now)
            | Event::Cancelled(now)
            | Event::Settled(now) => Some(*now),
            Event::ChargeStarted(..)
            | Event::VoidNoted(_)
            | Event::MethodReplaced(_)
            | Event::Intervened(_)
            | Event::Postponed(_) => None,
        }
    }
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchPayment => RefusalCode::NotFound,
            _ => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchPayment => "PAYMENT_NOT_FOUND",
            Refusal::PurchaseDiffers => "PURCHASE_DIFFERS",
            Refusal::PaymentCancelled => "PAYMENT_CANCELLED",
            Refusal::PaymentSettled => "PAYMENT_SETTLED",
            Refusal::PaymentProcessing => "PAYMENT_PROCESSING",
            Refusal::NothingPaid => "NOTHING_PAID",
            Refusal::RefundTooHigh(_) => "REFUND_TOO_HIGH",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Refusal::PaymentProcessing).then_some(Duration::from_secs(2))
    }
}
