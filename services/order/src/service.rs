//! The gRPC face of orders: parse, have it paid, handle, answer.

use std::time::Duration;

use chassis::db::Database;
use chassis::error::RefusalCode;
use chassis::runtime::Runtime;
use chassis::{Call, Error, Loader, Page, PeerClient, Writer};
use contracts::order::v1::{self as proto, *};
use contracts::payment::v1::CollectPaymentRequest;
use contracts::payment::v1::payment_service_client::PaymentServiceClient;

use crate::domain::{Command, MAX_QUANTITY, Order, OrderId, PaymentId, ProductId, Purchase, State};
use crate::offer::Offer;
use crate::{policy, store};

/// Serves orders.
#[derive(Clone)]
pub struct Service {
    /// Changes orders.
    pub writer: Writer<Order>,
    /// Loads orders, and what is none yet.
    pub loader: Loader<OrderId, Order>,
    /// Loads what is known of products.
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
    async fn create(&self, call: &Call, wish: Wish) -> Result<proto::Order, Error> {
        // A request that is repeated goes on with what its first attempt drafted.
        let id: OrderId = self.runtime.id_for(call.key);
        let draft = match self.loader.get(id).await? {
            Some(order) => order,
            None => self.draft(call, id, &wish).await?,
        };
        let payment = match (draft.state, draft.payment_id) {
            (State::Draft { .. }, _) => match self.pay(call, &draft, wish.method).await {
                Ok(payment) => payment,
                Err(error) => self.paid_meanwhile(id).await?.ok_or(error)?,
            },
            // It was paid through `payment`, or lapsed.
            (_, Some(payment)) => payment,
            (_, None) => return Ok((&draft).into()),
        };
        self.writer.handle(call.command(id, Command::Place(payment))).await
    }

    /// Writes down what is to be paid for. Should this process die after the payment, the event `PaymentApproved` does the
    /// rest.
    async fn draft(&self, call: &Call, id: OrderId, wish: &Wish) -> Result<Order, Error> {
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
        let draft = call.command(id, Command::Draft(id, purchase, self.pay_within)).begun();
        self.writer.state_after(draft).await?.ok_or_else(|| Error::not_found("order", id))
    }

    /// The payment of an order that is one by now, whatever the call that should have paid it was told: the payment was
    /// heard of by its event, and the order may even be cancelled again.
    async fn paid_meanwhile(&self, id: OrderId) -> Result<Option<PaymentId>, Error> {
        Ok(self.loader.get(id).await?.and_then(|order| order.payment_id))
    }

    /// Has it paid, and waits.
    async fn pay(&self, call: &Call, draft: &Order, method: String) -> Result<PaymentId, Error> {
        let request = CollectPaymentRequest {
            // The purchase makes it happen once.
            request_id: String::new(),
            purchase_id: draft.id.to_string(),
            customer_id: draft.purchase.customer.clone(),
            amount: Some(draft.purchase.price.into()),
            payment_method: method,
            seller_reference: policy::reference(draft.id),
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

impl OrderApi for Service {
    type Call = Call;
    type Error = Error;

    async fn create_order(&self, call: Call, request: CreateOrderRequest) -> Result<CreateOrderResponse, Error> {
        let quantity = u32::try_from(request.quantity).ok().filter(|quantity| (1..=MAX_QUANTITY).contains(quantity));
        let (product, quantity, address, method) = call.parse(|fields| {
            let product = fields.id("product_id", &request.product_id);
            let quantity = fields.take("quantity", quantity.ok_or(format!("must be 1 to {MAX_QUANTITY}")));
            let address = fields.text("address", &request.address, 1..=200);
            (product, quantity, address, fields.text("payment_method", &request.payment_method, 1..=100))
        })?;
        let create = self.create(&call, Wish { product, quantity, address, method });
        let order = placed(self.writer.once(call.key, create).await?)?;
        Ok(CreateOrderResponse { order: Some(order) })
    }

    async fn cancel_order(&self, call: Call, request: CancelOrderRequest) -> Result<CancelOrderResponse, Error> {
        let id = call.parse(|fields| fields.id("order_id", &request.order_id))?;
        self.visible(Some(call.caller.subject()), id).await?;
        let order = self.writer.handle(call.command(id, Command::Cancel)).await?;
        Ok(CancelOrderResponse { order: Some(order) })
    }

    async fn get_order(&self, call: Call, request: GetOrderRequest) -> Result<GetOrderResponse, Error> {
        let id = call.parse(|fields| fields.id("order_id", &request.order_id))?;
        let order = self.visible(call.own(), id).await?;
        Ok(GetOrderResponse { order: Some((&order).into()) })
    }

    async fn list_orders(&self, call: Call, request: ListOrdersRequest) -> Result<ListOrdersResponse, Error> {
        let customer = call.own();
        let filter = [customer.unwrap_or_default().as_bytes(), &request.state.to_be_bytes()];
        // What is not paid is no order: nobody finds any in these states.
        let known = OrderState::try_from(request.state).ok();
        let known = known.filter(|state| !matches!(state, OrderState::Draft | OrderState::Lapsed));
        let (page, state) = call.parse(|fields| {
            let page = Page::parse(fields, request.page_size, &request.page_token, &filter);
            (page, fields.take("state", known.ok_or("must be a state that an order has")))
        })?;
        let reader = self.database.reader().await?;
        let (orders, next_page_token) = store::list(reader.tx(), customer, state, &page).await?;
        Ok(ListOrdersResponse { orders, next_page_token })
    }
}
