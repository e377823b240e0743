//! Charges the fares of finished drives: asks `payment`, and writes down what it said.
//!
//! A drive ends whether or not `payment` is there: the fare is fixed when the drive is finished, and stays due until it is
//! charged. Asking twice is harmless, for there is one payment for a purchase. An answer that is lost comes as the event
//! `PaymentApproved`.

use chassis::{Call, Cause, PeerClient, Error, Loader, CommandMessage, NoAnswer, Writer};
use contracts::driving::v1 as proto;
use contracts::payment::v1::CollectPaymentRequest;
use contracts::payment::v1::payment_service_client::PaymentServiceClient;

use crate::domain::{Command, Drive, DriveId, Fare, FareState};
use crate::policy;

/// Charges fares.
#[derive(Clone)]
pub struct Collection {
    /// Changes drives.
    pub writer: Writer<Drive>,
    /// Finds drives.
    pub loader: Loader<DriveId, Drive>,
    /// Takes the money.
    pub payment: PeerClient,
    /// How often a fare is tried before it is given up.
    pub attempts: u32,
}

impl Collection {
    /// Tries to charge the fare of a drive, if it is due. What a finished drive is woken for, too.
    pub async fn collect(&self, id: DriveId, call: Option<&Call>, cause: Cause) -> Result<proto::Drive, Error> {
        let drive = self.loader.get(id).await?.ok_or_else(|| Error::not_found("drive", id))?;
        let Some(Fare { amount, state: FareState::Due { attempt, .. } }) = drive.fare else {
            return Ok((&drive).into());
        };
        let Some(trip) = &drive.trip else { return Ok((&drive).into()) };
        let request = CollectPaymentRequest {
            // The purchase makes it happen once.
            request_id: String::new(),
            purchase_id: drive.hail.to_string(),
            customer_id: trip.customer.clone(),
            amount: Some(amount.into()),
            payment_method: trip.payment_method.clone(),
            seller_reference: policy::reference(id),
            used: true,
        };
        let paid = self.payment.call(call, request, |transport, request| async move {
            PaymentServiceClient::new(transport).collect_payment(request).await
        });
        let later = Command::Postpone { attempt, attempts: self.attempts };
        let command = match paid.await {
            Ok(response) => {
                let id = response.payment.and_then(|payment| payment.payment_id.parse().ok());
                Command::Paid(id.ok_or_else(|| Error::Internal("payment answered without a payment".into()))?)
            }
            Err(no) if no.reason() == "PAYMENT_REFUSED" => Command::Refused,
            Err(NoAnswer::Refused(status)) => {
                tracing::warn!(%id, attempt, message = status.message(), "the fare can't be charged now");
                later
            }
            Err(NoAnswer::Away { .. }) => later,
        };
        self.writer.handle(CommandMessage { id, command, key: None, cause }).await
    }
}
