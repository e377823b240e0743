//! Charges the fares of finished drives: calls `payment` and turns its answer into a command.
//!
//! A drive ends whether or not `payment` is there: the fare is fixed when the drive is finished, and stays due until it
//! is charged. A repeated call is harmless, because there is one payment per purchase. If the answer is lost, the event
//! `PaymentApproved` brings it.

use chassis::{Call, CallError, Cause, CommandMessage, Error, Loader, PeerClient, Writer};
use contracts::payment::v1::CollectPaymentRequest;
use contracts::payment::v1::payment_service_client::PaymentServiceClient;

use crate::domain::{Command, Drive, DriveId, Fare, FareState};
use crate::policy;

/// Charges fares.
#[derive(Clone)]
pub struct Collection {
    /// Changes drives.
    pub writer: Writer<Drive>,
    /// Loads drives.
    pub loader: Loader<DriveId, Drive>,
    /// Charges payments.
    pub payment: PeerClient,
    /// Attempts to charge a fare before it is given up.
    pub attempts: u32,
}

impl Collection {
    /// Tries to charge the fare of a drive, if it is due. The timer of a finished drive calls it.
    pub async fn collect(&self, id: DriveId) -> Result<(), Error> {
        let drive = self.loader.get(id).await?.ok_or_else(|| Error::not_found("drive", id))?;
        if let Some(command) = self.ask(&drive, None).await? {
            self.writer.handle(CommandMessage { id, command, key: None, cause: Cause::time() }).await?;
        }
        Ok(())
    }

    /// Has `payment` charge the fare of a drive, if it is due; returns the command that its answer leads to.
    pub async fn ask(&self, drive: &Drive, call: Option<&Call>) -> Result<Option<Command>, Error> {
        let (Some(Fare { amount, state: FareState::Due { attempt, .. } }), Some(trip)) = (drive.fare, &drive.trip)
        else {
            return Ok(None);
        };
        let request = CollectPaymentRequest {
            // The purchase id is the idempotency key.
            request_id: String::new(),
            purchase_id: drive.hail.to_string(),
            customer_id: trip.customer.clone(),
            amount: Some(amount.into()),
            payment_method: trip.payment_method.clone(),
            seller_reference: policy::reference(drive.id),
            used: true,
        };
        let paid = self.payment.call(call, request, |transport, request| async move {
            PaymentServiceClient::new(transport).collect_payment(request).await
        });
        let later = Command::Postpone { attempt, attempts: self.attempts };
        Ok(Some(match paid.await {
            Ok(response) => {
                let id = response.payment.and_then(|payment| payment.payment_id.parse().ok());
                Command::Paid(id.ok_or_else(|| Error::Internal("payment answered without a payment".into()))?)
            }
            Err(no) if no.reason() == "PAYMENT_REFUSED" => Command::Refused,
            Err(CallError::Refused(status)) => {
                tracing::warn!(id = %drive.id, attempt, message = status.message(), "the fare can't be charged now");
                later
            }
            Err(CallError::Unavailable { .. }) => later,
        }))
    }
}
