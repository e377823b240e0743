//! The gRPC face of orders: parse, have it paid, handle, answer.

use std::time::Duration;

use chassis::db::Database;
use chassis::idempotency::Key;
use chassis::error::RefusalCode;
use chassis::page::Cursor;
use chassis::runtime::Runtime;
use chassis::{Call, PeerClient, Error, Fields, Loader, Page, Writer, all};
use contracts::order::v1 as proto;
use contracts::order::v1::OrderState;
use contracts::order::v1::order_service_server::OrderService;
use contracts::payment::v1::CollectPaymentRequest;
use contracts::payment::v1::payment_service_client::PaymentServiceClient;
use tonic::{Request, Response, Status};

use crate::domain::{Command, MAX_QUANTITY, Order, OrderId, PaymentId, ProductId, Purchase};
use crate::offer::Offer;
use crate::policy;
use crate::store;

/// Serves orders.
#[derive(Clone)]
pub struct Service {
    /// Changes orders.
    pub writer: Writer<Order>,
    /// Finds orders, and what is none yet.
    pub loader: Loader<OrderId, Order>,
    /// Finds what is known of products.
    pub offers: Loader<ProductId, Offer>,
    /// Lists orders.
    pub database: Database,
    /// Charges payments.
    pub payment: PeerClient,
    /// Time and chance.
    pub runtime: Runtime,
    /// How long what is asked for waits for its payment.
    pub pay_within: Duration,
}

/// What a customer asks for.
struct Wish {
    product: ProductId,
    quantity: u32,
    address: String,
    method: String,
}

impl Service {
    async fn create(&self, call: &Call, wish: Wish, key: Option<Key>) -> Result<proto::Order, Error> {
        if let Some(first) = self.writer.first_answer(key).await? {
            return placed(first);
        }
        // A request that is repeated goes on with what its first attempt drafted.
        let id: OrderId = self.runtime.id_for(key);
        let draft = match self.loader.get(id).await? {
            Some(order) => (&order).into(),
            None => self.draft(call, id, &wish, key.map(Key::begun)).await?,
        };
        let payment = match draft.state() {
            OrderState::Draft => match self.pay(call, &draft, wish.method).await {
                Ok(payment) => payment,
                Err(error) => self.paid_meanwhile(id).await?.ok_or(error)?,
            },
            // It was paid through `payment`, or lapsed.
            _ => match draft.payment_id.parse() {
                Ok(payment) => payment,
                Err(_) => return placed(draft),
            },
        };
        placed(self.writer.handle(call.command(id, Command::Place(payment), key)).await?)
    }

    /// Writes down what is to be paid for. Should this process die after the payment, the event `PaymentApproved` does the
    /// rest.
    async fn draft(&self, call: &Call, id: OrderId, wish: &Wish, key: Option<Key>) -> Result<proto::Order, Error> {
        let offer = self.offers.get(wish.product).await?;
        let offer = offer.ok_or_else(|| Error::not_found("product", wish.product))?;
        let price = offer.price.times(wish.quantity);
        let price = price.ok_or_else(|| refused("PRICE_TOO_HIGH", "the sum would be more than an amount can be"))?;
        let purchase = Purchase {
            customer: call.caller.subject().to_owned(),
            product: wish.product,
            product_name: offer.name,
            quantity: wish.quantity,
            price,
            address: wish.address.clone(),
        };
        self.writer.handle(call.command(id, Command::Draft(id, purchase, self.pay_within), key)).await
    }

    /// The payment of an order that is one by now, whatever the call that should have paid it was told: the payment was
    /// heard of by its event, and the order may even be cancelled again.
    async fn paid_meanwhile(&self, id: OrderId) -> Result<Option<PaymentId>, Error> {
        Ok(self.loader.get(id).await?.and_then(|order| order.payment))
    }

    /// Has it paid, and waits.
    async fn pay(&self, call: &Call, draft: &proto::Order, method: String) -> Result<PaymentId, Error> {
        let request = CollectPaymentRequest {
            // The purchase makes it happen once.
            request_id: String::new(),
            purchase_id: draft.order_id.clone(),
            customer_id: draft.customer_id.clone(),
            amount: draft.price.clone(),
            payment_method: method,
            seller_reference: policy::reference(&draft.order_id),
            used: false,
        };
        let paid = self.payment.call(Some(call), request, |transport, request| async move {
            PaymentServiceClient::new(transport).collect_payment(request).await
        });
        let away = "payments can't be taken at the moment; there is no order yet: repeat the request with the same \
                    request id a little later";
        let payment = paid.await.map_err(|none| none.into_error("PAYMENT_AWAY", away))?.payment;
        let id = payment.and_then(|payment| payment.payment_id.parse().ok());
        id.ok_or_else(|| Error::Internal("payment answered without a payment".into()))
    }

    /// The order, if this customer made it, or whoever it is may see all. What is not paid is none.
    async fn visible(&self, customer: Option<&str>, id: OrderId) -> Result<Order, Error> {
        let sees = |order: &Order| order.is_order() && customer.is_none_or(|me| order.purchase.customer == me);
        self.loader.get(id).await?.filter(sees).ok_or_else(|| Error::not_found("order", id))
    }
}

/// Whose orders the caller sees; everyone's, if there is nobody.
fn seen_by(call: &Call) -> Option<&str> {
    call.own()
}

fn refused(reason: &'static str, message: &str) -> Error {
    Error::Refused { code: RefusalCode::Precondition, reason, message: message.to_owned(), retry_after: None }
}

/// The order, if it is one.
fn placed(order: proto::Order) -> Result<proto::Order, Error> {
    if order.state() == OrderState::Lapsed {
        return Err(refused(
            "ORDER_LAPSED",
            "it was not paid in time, or its payment was cancelled; what was paid since is refunded",
        ));
    }
    Ok(order)
}

#[tonic::async_trait]
impl OrderService for Service {
    async fn create_order(
        &self,
        request: Request<proto::CreateOrderRequest>,
    ) -> Result<Response<proto::CreateOrderResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let product = fields.id("product_id", &request.product_id);
        let quantity = u32::try_from(request.quantity).ok().filter(|quantity| (1..=MAX_QUANTITY).contains(quantity));
        let quantity = fields.take("quantity", quantity.ok_or(format!("must be 1 to {MAX_QUANTITY}")));
        let address = fields.text("address", &request.address, 1..=200);
        let method = fields.text("payment_method", &request.payment_method, 1..=100);
        let parsed = fields.finish(all!(key, product, quantity, address, method))?;
        let (key, product, quantity, address, method) = parsed;
        let order = self.create(&call, Wish { product, quantity, address, method }, key).await?;
        Ok(Response::new(proto::CreateOrderResponse { order: Some(order) }))
    }

    async fn cancel_order(
        &self,
        request: Request<proto::CancelOrderRequest>,
    ) -> Result<Response<proto::CancelOrderResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("order_id", &request.order_id);
        let (key, id) = fields.finish(all!(key, id))?;
        self.visible(Some(call.caller.subject()), id).await?;
        let order = self.writer.handle(call.command(id, Command::Cancel, key)).await?;
        Ok(Response::new(proto::CancelOrderResponse { order: Some(order) }))
    }

    async fn get_order(
        &self,
        request: Request<proto::GetOrderRequest>,
    ) -> Result<Response<proto::GetOrderResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let id = fields.id("order_id", &request.order_id);
        let order = self.visible(seen_by(&call), fields.finish(id)?).await?;
        Ok(Response::new(proto::GetOrderResponse { order: Some((&order).into()) }))
    }

    async fn list_orders(
        &self,
        request: Request<proto::ListOrdersRequest>,
    ) -> Result<Response<proto::ListOrdersResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let customer = seen_by(&call);
        let filter = [customer.unwrap_or_default().as_bytes(), &request.state.to_be_bytes()];
        let page = Page::parse(&mut fields, request.page_size, &request.page_token, &filter);
        // What is not paid is no order: nobody finds any in these states.
        let known = OrderState::try_from(request.state).ok();
        let known = known.filter(|state| !matches!(state, OrderState::Draft | OrderState::Lapsed));
        let state = fields.take("state", known.ok_or("must be a state that an order has"));
        let (page, state): (Page<Cursor>, _) = fields.finish(all!(page, state))?;
        let reader = self.database.reader().await?;
        let listed = store::list(reader.tx(), customer, store::state_name(state), &page).await?;
        let (orders, next_page_token) = listed;
        Ok(Response::new(proto::ListOrdersResponse { orders, next_page_token }))
    }
}
