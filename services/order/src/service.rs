//! The gRPC API of orders: parse, charge, handle, answer.

use std::time::Duration;

use chassis::db::Database;
use chassis::runtime::Runtime;
use chassis::values::Money;
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
    /// Loads orders and drafts.
    pub loader: Loader<OrderId, Order>,
    /// Loads offers.
    pub offers: Loader<ProductId, Offer>,
    /// Lists orders.
    pub database: Database,
    /// Charges payments.
    pub payment: PeerClient,
    /// The clock and ids.
    pub runtime: Runtime,
    /// How long a draft waits for its payment.
    pub pay_within: Duration,
}

/// The parsed request for a new order.
struct NewOrder {
    product: ProductId,
    quantity: u32,
    address: String,
    method: String,
    expected_price: Option<Money>,
}

impl Service {
    async fn create(&self, call: &Call, new_order: NewOrder) -> Result<proto::Order, Error> {
        // A repeated request goes on with the draft of its first attempt.
        let id: OrderId = self.runtime.id_for(call.key);
        let draft = match self.loader.get(id).await? {
            Some(order) => order,
            None => self.draft(call, id, &new_order).await?,
        };
        let payment = match (draft.state, draft.payment_id) {
            (State::Draft { .. }, _) => match self.pay(call, &draft, new_order.method).await {
                Ok(payment) => payment,
                Err(error) => self.paid_meanwhile(id).await?.ok_or(error)?,
            },
            // It was paid through `payment`, or lapsed.
            (_, Some(payment)) => payment,
            (_, None) => return Ok((&draft).into()),
        };
        self.writer.handle(call.command(id, Command::Place(payment))).await
    }

    /// Writes the draft. If this process crashes after the payment, the event `PaymentApproved` completes it.
    async fn draft(&self, call: &Call, id: OrderId, new_order: &NewOrder) -> Result<Order, Error> {
        let offer = self.offers.get(new_order.product).await?;
        let offer = offer.ok_or_else(|| Error::not_found("product", new_order.product))?;
        let price = offer.price.times(new_order.quantity);
        let price = price
            .ok_or_else(|| Error::precondition("PRICE_TOO_HIGH", "the sum would be more than an amount can be"))?;
        if new_order.expected_price.is_some_and(|expected| expected != price) {
            let Money { minor, currency } = price;
            let now = format!("the price is {minor} {currency} now, in its smallest unit; nothing was charged");
            return Err(Error::precondition("PRICE_CHANGED", now));
        }
        let purchase = Purchase {
            customer: call.caller.subject().to_owned(),
            product: new_order.product,
            product_name: offer.name,
            quantity: new_order.quantity,
            price,
            address: new_order.address.clone(),
        };
        let draft = call.command(id, Command::Draft(id, purchase, self.pay_within)).begun();
        self.writer.state_after(draft).await?.ok_or_else(|| Error::not_found("order", id))
    }

    /// The payment of an order that was placed meanwhile, whatever the answer of the call that should have paid it: the
    /// event of the payment arrived, and the order may even be cancelled again.
    async fn paid_meanwhile(&self, id: OrderId) -> Result<Option<PaymentId>, Error> {
        Ok(self.loader.get(id).await?.and_then(|order| order.payment_id))
    }

    /// Charges the payment and waits for the answer.
    async fn pay(&self, call: &Call, draft: &Order, method: String) -> Result<PaymentId, Error> {
        let request = CollectPaymentRequest {
            // The purchase id is the idempotency key.
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

    /// The order, if it is this customer's, or if the caller may see all. A draft is none.
    async fn visible(&self, customer: Option<&str>, id: OrderId) -> Result<Order, Error> {
        let sees = |order: &Order| order.is_order() && customer.is_none_or(|me| order.purchase.customer == me);
        self.loader.get(id).await?.filter(sees).ok_or_else(|| Error::not_found("order", id))
    }
}

/// The order, if it is one.
fn placed(order: proto::Order) -> Result<proto::Order, Error> {
    if order.state() == OrderState::Lapsed {
        return Err(Error::precondition(
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
        let new_order = call.parse(|fields| {
            let product = fields.id("product_id", &request.product_id);
            let quantity = fields.take("quantity", quantity.ok_or(format!("must be 1 to {MAX_QUANTITY}")));
            let address = fields.text("address", &request.address, 1..=200);
            let method = fields.reference("payment_method", &request.payment_method);
            let expected = fields.optional("expected_price", Money::price, request.expected_price.as_ref());
            Some(NewOrder {
                product: product?,
                quantity: quantity?,
                address: address?,
                method: method?,
                expected_price: expected?,
            })
        })?;
        let create = self.create(&call, new_order);
        let order = placed(self.writer.once(call.key, create).await?)?;
        Ok(CreateOrderResponse { order: Some(order) })
    }

    async fn cancel_order(&self, call: Call, request: CancelOrderRequest) -> Result<CancelOrderResponse, Error> {
        let id = call.parse(|fields| fields.id("order_id", &request.order_id))?;
        let customer = self.visible(call.own(), id).await?.purchase.customer;
        let by = call.intervention(&customer, &request.reason, self.runtime.now())?;
        let order = self.writer.handle(call.command(id, Command::Cancel(by))).await?;
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
        // Drafts are not orders: a list of these states is empty.
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
