//! The gRPC API of payments: parse, handle, call the processor, answer.

use std::sync::Arc;
use std::time::Duration;

use chassis::auth::Caller;
use chassis::db::Database;
use chassis::error::RefusalCode;
use chassis::runtime::Runtime;
use chassis::values::{Intervention, Money};
use chassis::{Call, Cause, CommandMessage, Error, Loader, Page, Writer};
use contracts::Role;
use contracts::payment::v1::{self as proto, *};

use crate::domain::{Command, Owed, Payment, PaymentId, PurchaseId, Step, payment_of};
use crate::processor::{NoAnswer, Processor as _, SingleFlight, Verdict};
use crate::store;

/// Serves payments.
#[derive(Clone)]
pub struct Service {
    /// Changes payments.
    pub writer: Writer<Payment>,
    /// Loads payments.
    pub loader: Loader<PaymentId, Payment>,
    /// Lists payments.
    pub database: Database,
    /// The card processor.
    pub processor: Arc<SingleFlight>,
    /// The clock.
    pub runtime: Runtime,
}

/// Calls of the processor that one call of a customer waits for: to void a charge, and to make the next one.
const STEPS: usize = 2;

impl Service {
    /// Makes the next call of the processor, if there is one. The timer of a payment calls it, too.
    pub async fn take_step(&self, id: PaymentId) -> Result<(), Error> {
        let payment = self.loader.get(id).await?.ok_or_else(|| Error::not_found("payment", id))?;
        if let Some(answered) = self.ask(&payment).await {
            self.writer.handle(CommandMessage { id, command: answered, key: None, cause: Cause::time() }).await?;
        }
        Ok(())
    }

    /// Makes the next call of the processor for a payment; returns the command that its answer leads to.
    ///
    /// Concurrent calls are harmless: the charge has a key.
    async fn ask(&self, payment: &Payment) -> Option<Command> {
        let step = payment.next_step()?;
        let key = |charge: u32| format!("{}/{charge}", payment.id);
        let answer = match &step {
            Step::Charge { charge, method, amount } => self.processor.charge(&key(*charge), method, *amount).await,
            Step::GiveUp(charge) => self.processor.void(&key(*charge)).await.map(|()| Verdict::Approved),
            Step::Refund { charge, refund, amount } => {
                let (charge, key) = (key(*charge), format!("{}/refund/{refund}", payment.id));
                self.processor.refund(&charge, &key, *amount).await.map(|()| Verdict::Approved)
            }
        };
        Some(match (step, answer) {
            (_, Err(NoAnswer)) => Command::NoAnswer(payment.attempt()),
            (Step::Charge { charge, .. }, Ok(Verdict::Approved)) => Command::Approve(charge),
            (Step::Charge { charge, .. }, Ok(Verdict::Declined(why))) => Command::Refuse(charge, why),
            (Step::GiveUp(charge), Ok(_)) => Command::Refuse(charge, "the processor did not answer".to_owned()),
            (Step::Refund { refund, .. }, Ok(_)) => Command::Refunded(refund),
        })
    }

    /// Charges the payment, once per request: the answer is stored when the money was taken. After a decline the same
    /// request id may be used again.
    async fn charge(&self, call: &Call, id: PaymentId, charge: Command) -> Result<proto::Payment, Error> {
        let charged = self.writer.once(call.key, async {
            let started = self.writer.state_after(call.command(id, charge).without_key()).await?;
            let mut payment = started.ok_or_else(|| Error::not_found("payment", id))?;
            for _ in 0..STEPS {
                let was_charge = payment.charge;
                match self.ask(&payment).await {
                    Some(answer @ Command::Approve(_)) => return self.writer.handle(call.command(id, answer)).await,
                    Some(answer) => {
                        let after = self.writer.state_after(call.command(id, answer).without_key()).await?;
                        payment = after.unwrap_or(payment);
                    }
                    None => {}
                }
                // The charge of another card was voided, and that of this one has started.
                if payment.charge == was_charge {
                    break;
                }
            }
            // It may have been paid before, or by a concurrent call.
            if payment.is_paid() {
                return self.writer.handle(call.command(id, Command::Ask)).await;
            }
            Ok((&payment).into())
        });
        charged.await.and_then(paid).map_err(|error| error.about("payment_id", id))
    }

    /// Refunds a part, and waits for the processor. A repeated request goes on with the refund of its first attempt.
    async fn refund(&self, call: &Call, id: PaymentId, refund: Command) -> Result<proto::Payment, Error> {
        let started = self.writer.state_after(call.command(id, refund).begun()).await?;
        let payment = started.ok_or_else(|| Error::not_found("payment", id))?;
        let answer = self.ask(&payment).await.unwrap_or(Command::Ask);
        self.writer.handle(call.command(id, answer)).await
    }

    /// The payment, if it is the caller's own.
    async fn own(&self, caller: &Caller, id: PaymentId) -> Result<Payment, Error> {
        let is_own = |payment: &Payment| payment.owed.as_ref().is_some_and(|owed| owed.customer == caller.subject());
        self.loader.get(id).await?.filter(is_own).ok_or_else(|| Error::not_found("payment", id))
    }

    /// The payment, if the caller may see it.
    async fn visible(&self, caller: &Caller, id: PaymentId) -> Result<Payment, Error> {
        let payment = self.loader.get(id).await?.filter(|payment| {
            let is_owner = payment.owed.as_ref().is_some_and(|owed| owed.customer == caller.subject());
            let is_known = payment.owed.is_some();
            is_owner || is_known && (caller.has(Role::Service) || is_staff(caller, payment))
        });
        payment.ok_or_else(|| Error::not_found("payment", id))
    }
}

/// Whether the caller is an admin, or of the staff of the line of business of the seller.
fn is_staff(caller: &Caller, payment: &Payment) -> bool {
    let staff = contracts::staff_of(&payment.seller);
    caller.has(Role::Admin) || staff.is_some_and(|role| caller.has(role))
}

/// The payment, if it is paid; else why it is not.
fn paid(payment: proto::Payment) -> Result<proto::Payment, Error> {
    match payment.state() {
        PaymentState::Approved | PaymentState::Settled => Ok(payment),
        PaymentState::Refused => {
            Err(Error::precondition("PAYMENT_REFUSED", format!("the payment was refused: {}", payment.refusal)))
        }
        PaymentState::Charging => Err(Error::Refused {
            code: RefusalCode::Pending,
            reason: "PAYMENT_PENDING",
            message: "the processor did not answer yet; it is asked again, so look a little later".to_owned(),
            retry_after: Some(Duration::from_secs(5)),
            about: None,
        }),
        _ => Err(Error::precondition("PAYMENT_CANCELLED", "the payment was cancelled")),
    }
}

impl PaymentApi for Service {
    type Call = Call;
    type Error = Error;

    async fn get_payment(&self, call: Call, request: GetPaymentRequest) -> Result<GetPaymentResponse, Error> {
        let id = call.parse(|fields| fields.id("payment_id", &request.payment_id))?;
        let payment = self.visible(&call.caller, id).await?;
        Ok(GetPaymentResponse { payment: Some((&payment).into()) })
    }

    async fn list_payments(&self, call: Call, request: ListPaymentsRequest) -> Result<ListPaymentsResponse, Error> {
        let customer = call.own();
        let filter = [b"payments", customer.unwrap_or_default().as_bytes(), request.purchase_id.as_bytes()];
        let (page, purchase) = call.parse(|fields| {
            let page = Page::parse(fields, request.page_size, &request.page_token, &filter);
            (page, fields.optional_id("purchase_id", &request.purchase_id))
        })?;
        let reader = self.database.reader().await?;
        let (payments, next_page_token) = store::list(reader.tx(), customer, purchase, &page).await?;
        Ok(ListPaymentsResponse { payments, next_page_token })
    }

    async fn charge_payment(&self, call: Call, request: ChargePaymentRequest) -> Result<ChargePaymentResponse, Error> {
        let (id, method) = call.parse(|fields| {
            let id = fields.id("payment_id", &request.payment_id);
            (id, fields.reference("payment_method", &request.payment_method))
        })?;
        self.own(&call.caller, id).await?;
        let charge = Command::Charge { method, collect: None };
        let payment = self.charge(&call, id, charge).await?;
        Ok(ChargePaymentResponse { payment: Some(payment) })
    }

    async fn collect_payment(
        &self,
        call: Call,
        request: CollectPaymentRequest,
    ) -> Result<CollectPaymentResponse, Error> {
        let (purchase, customer, amount, method, reference) = call.parse(|fields| {
            let purchase = fields.id("purchase_id", &request.purchase_id);
            let customer = fields.text("customer_id", &request.customer_id, 1..=128);
            let amount = Money::price(fields, "amount", request.amount.as_ref());
            let method = fields.reference("payment_method", &request.payment_method);
            (purchase, customer, amount, method, fields.text("seller_reference", &request.seller_reference, 1..=100))
        })?;
        let seller = call.caller.subject().to_owned();
        let owed = Owed { seller, customer, amount, reference, used: request.used };
        let collect: Option<(PurchaseId, _)> = Some((purchase, owed));
        let charge = Command::Charge { method, collect };
        let payment = self.charge(&call, payment_of(purchase), charge).await?;
        Ok(CollectPaymentResponse { payment: Some(payment) })
    }

    async fn cancel_payment(&self, call: Call, request: CancelPaymentRequest) -> Result<CancelPaymentResponse, Error> {
        let id = call.parse(|fields| fields.id("payment_id", &request.payment_id))?;
        self.own(&call.caller, id).await?;
        let payment = self.writer.handle(call.command(id, Command::Cancel)).await?;
        Ok(CancelPaymentResponse { payment: Some(payment) })
    }

    async fn refund_payment(&self, call: Call, request: RefundPaymentRequest) -> Result<RefundPaymentResponse, Error> {
        let (id, amount, reason) = call.parse(|fields| {
            let id = fields.id("payment_id", &request.payment_id);
            let amount = Money::price(fields, "amount", request.amount.as_ref());
            (id, amount, fields.text("reason", &request.reason, 1..=Intervention::LONGEST_REASON))
        })?;
        let known = self.loader.get(id).await?.filter(|payment| is_staff(&call.caller, payment));
        known.ok_or_else(|| Error::not_found("payment", id))?;
        let by = Intervention { staff: call.caller.subject().to_owned(), reason, at: self.runtime.now() };
        let refund = self.refund(&call, id, Command::Refund(by, amount));
        Ok(RefundPaymentResponse { payment: Some(self.writer.once(call.key, refund).await?) })
    }
}
