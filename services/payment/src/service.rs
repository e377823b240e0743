//! The gRPC face of payments: parse, handle, ask the processor, answer.

use std::sync::Arc;
use std::time::Duration;

use chassis::auth::Caller;
use chassis::db::Database;
use chassis::idempotency::Key;
use chassis::error::RefusalCode;
use chassis::page::Cursor;
use chassis::values::Money;
use chassis::{Call, Cause, Error, Fields, Loader, CommandMessage, Page, Writer, all};
use contracts::Role;
use contracts::payment::v1 as proto;
use contracts::payment::v1::PaymentState;
use contracts::payment::v1::payment_service_server::PaymentService;
use tonic::{Request, Response, Status};

use crate::domain::{Command, Owed, Payment, PaymentId, PurchaseId, Step, payment_of};
use crate::processor::{NoAnswer, Processor, Verdict};
use crate::store;

/// Serves payments.
#[derive(Clone)]
pub struct Service {
    /// Changes payments.
    pub writer: Writer<Payment>,
    /// Finds payments.
    pub loader: Loader<PaymentId, Payment>,
    /// Lists payments.
    pub database: Database,
    /// Takes the money.
    pub processor: Arc<dyn Processor>,
    /// How long the processor is waited for.
    pub deadline: Duration,
}

impl Service {
    /// Asks the processor what is to be asked next, and writes its answer down. Also what a payment is woken for.
    ///
    /// Asking twice at once is harmless: the processor knows the charge by its key.
    pub async fn ask_processor(&self, id: PaymentId, cause: Cause) -> Result<proto::Payment, Error> {
        let payment = self.loader.get(id).await?.ok_or_else(|| Error::not_found("payment", id))?;
        let Some(step) = payment.next_step() else { return Ok((&payment).into()) };
        let answer = tokio::time::timeout(self.deadline, self.ask(id, &step)).await.unwrap_or(Err(NoAnswer));
        let command = match (step, answer) {
            (_, Err(NoAnswer)) => Command::NoAnswer(payment.attempt()),
            (Step::Charge { charge, .. }, Ok(Verdict::Approved)) => Command::Approve(charge),
            (Step::Charge { charge, .. }, Ok(Verdict::Declined(why))) => Command::Refuse(charge, why),
            (Step::GiveUp(charge), Ok(_)) => Command::Refuse(charge, "the processor did not answer".to_owned()),
            (Step::Refund(_), Ok(_)) => Command::Refunded,
        };
        self.writer.handle(CommandMessage { id, command, key: None, cause }).await
    }

    async fn ask(&self, id: PaymentId, step: &Step) -> Result<Verdict, NoAnswer> {
        let key = |charge: &u32| format!("{id}/{charge}");
        match step {
            Step::Charge { charge, method, amount } => self.processor.charge(&key(charge), method, *amount).await,
            Step::GiveUp(charge) | Step::Refund(charge) => {
                // `Approved` stands for "done": a refund has no other verdict.
                self.processor.refund(&key(charge)).await.map(|()| Verdict::Approved)
            }
        }
    }

    /// Charges and waits for the processor's answer.
    async fn charge(
        &self,
        call: &Call,
        id: PaymentId,
        charge: Command,
        key: Option<Key>,
    ) -> Result<proto::Payment, Error> {
        if let Some(first) = self.writer.first_answer(key).await? {
            return Ok(first);
        }
        let started = call.command::<Payment>(id, charge, None);
        let cause = started.cause.clone();
        let mut payment = self.writer.handle(started).await?;
        if payment.state() == PaymentState::Charging {
            payment = self.ask_processor(id, cause).await?;
        }
        match (payment.state(), key) {
            (PaymentState::Approved | PaymentState::Settled, None) => Ok(payment),
            // The answer is kept under the caller's key once it is final.
            (PaymentState::Approved | PaymentState::Settled, key) => {
                self.writer.handle(call.command(id, Command::Ask, key)).await
            }
            (PaymentState::Refused, _) => {
                Err(refused("PAYMENT_REFUSED", format!("the payment was refused: {}", payment.refusal)))
            }
            (PaymentState::Charging, _) => Err(Error::Refused {
                code: RefusalCode::Pending,
                reason: "PAYMENT_PENDING",
                message: "the processor did not answer yet; it is asked again, so look a little later".to_owned(),
                retry_after: Some(Duration::from_secs(5)),
            }),
            _ => Err(refused("PAYMENT_CANCELLED", "the payment was cancelled".to_owned())),
        }
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
            is_owner || is_known && (caller.has(Role::Admin) || caller.has(Role::Service))
        });
        payment.ok_or_else(|| Error::not_found("payment", id))
    }
}

fn refused(reason: &'static str, message: String) -> Error {
    Error::Refused { code: RefusalCode::Precondition, reason, message, retry_after: None }
}

#[tonic::async_trait]
impl PaymentService for Service {
    async fn get_payment(
        &self,
        request: Request<proto::GetPaymentRequest>,
    ) -> Result<Response<proto::GetPaymentResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let id = fields.id("payment_id", &request.payment_id);
        let id = fields.finish(id)?;
        let payment = self.visible(&call.caller, id).await?;
        Ok(Response::new(proto::GetPaymentResponse { payment: Some((&payment).into()) }))
    }

    async fn list_payments(
        &self,
        request: Request<proto::ListPaymentsRequest>,
    ) -> Result<Response<proto::ListPaymentsResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let customer = call.own();
        let filter = [b"payments", customer.unwrap_or_default().as_bytes(), request.purchase_id.as_bytes()];
        let page = Page::<Cursor>::parse(&mut fields, request.page_size, &request.page_token, &filter);
        let purchase = fields.optional_id("purchase_id", &request.purchase_id);
        let (page, purchase) = fields.finish(all!(page, purchase))?;
        let reader = self.database.reader().await?;
        let (payments, next_page_token) = store::list(reader.tx(), customer, purchase, &page).await?;
        Ok(Response::new(proto::ListPaymentsResponse { payments, next_page_token }))
    }

    async fn charge_payment(
        &self,
        request: Request<proto::ChargePaymentRequest>,
    ) -> Result<Response<proto::ChargePaymentResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("payment_id", &request.payment_id);
        let method = fields.text("payment_method", &request.payment_method, 1..=100);
        let (key, id, method) = fields.finish(all!(key, id, method))?;
        self.own(&call.caller, id).await?;
        let payment = self.charge(&call, id, Command::Charge { method, collect: None }, key).await?;
        Ok(Response::new(proto::ChargePaymentResponse { payment: Some(payment) }))
    }

    async fn collect_payment(
        &self,
        request: Request<proto::CollectPaymentRequest>,
    ) -> Result<Response<proto::CollectPaymentResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let purchase: Option<PurchaseId> = fields.id("purchase_id", &request.purchase_id);
        let customer = fields.text("customer_id", &request.customer_id, 1..=128);
        let amount = Money::price(&mut fields, "amount", request.amount.as_ref());
        let method = fields.text("payment_method", &request.payment_method, 1..=100);
        let reference = fields.text("seller_reference", &request.seller_reference, 1..=100);
        let (key, purchase, customer, amount, method, reference) =
            fields.finish(all!(key, purchase, customer, amount, method, reference))?;
        let collect = Some((purchase, Owed { customer, amount, reference, used: request.used }));
        let payment = self.charge(&call, payment_of(purchase), Command::Charge { method, collect }, key).await?;
        Ok(Response::new(proto::CollectPaymentResponse { payment: Some(payment) }))
    }

    async fn cancel_payment(
        &self,
        request: Request<proto::CancelPaymentRequest>,
    ) -> Result<Response<proto::CancelPaymentResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("payment_id", &request.payment_id);
        let (key, id) = fields.finish(all!(key, id))?;
        self.own(&call.caller, id).await?;
        let payment = self.writer.handle(call.command(id, Command::Cancel, key)).await?;
        Ok(Response::new(proto::CancelPaymentResponse { payment: Some(payment) }))
    }
}
