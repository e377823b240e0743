//! Orders in a table, and what others hear of them.

mod offers;

use chassis::db::prelude::*;
use chassis::page::Cursor;
use chassis::values::{Currency, Money};
use chassis::{Aggregate, Error, EventId, Loaded, Page, Publication, Store, Timestamp, Tx, newest};
use contracts::order::v1 as proto;

use crate::domain::{Cause, Command, Event, Order, OrderId, PaymentId, ProductId, Purchase, State};

diesel::table! {
    use chassis::db::sql_types::*;
    orders (id) {
        id -> SqlUuid,
        version -> BigInt,
        wake_at -> Nullable<SqlTime>,
        product_id -> SqlUuid,
        product_name -> Text,
        quantity -> Integer,
        customer -> Text,
        price_minor -> BigInt,
        currency -> Text,
        address -> Text,
        state -> Text,
        is_order -> Bool,
        cause -> Text,
        expires_at -> Nullable<SqlTime>,
        payment_id -> Nullable<SqlUuid>,
        created_at -> SqlTime,
        updated_at -> SqlTime,
        last_event -> Nullable<SqlUuid>,
    }
}

chassis::rows! {
    /// An order, flat.
    struct Row in orders (id) {
        id: OrderId,
        version: i64,
        wake_at: Option<Timestamp>,
        product_id: ProductId,
        product_name: String,
        quantity: i32,
        customer: String,
        price_minor: i64,
        currency: String,
        address: String,
        state: String,
        is_order: bool,
        cause: String,
        expires_at: Option<Timestamp>,
        payment_id: Option<PaymentId>,
        created_at: Timestamp,
        updated_at: Timestamp,
        last_event: Option<EventId>,
    }
}

impl Store for Order {
    type Answer = proto::Order;

    chassis::flat!(Row in orders);

    chassis::due!(orders, id);

    fn answer(&self, _: &Command) -> proto::Order {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (order, id, flow) = (Some(proto::Order::from(self)), self.id, Some(self.id.uuid()));
        let publication = match event {
            Event::Drafted(_) => Publication::of(&proto::OrderDrafted { order }, id, flow),
            Event::Lapsed(_) => Publication::of(&proto::OrderLapsed { order }, id, flow),
            Event::Placed(..) => Publication::of(&proto::OrderPlaced { order }, id, flow),
            Event::Confirmed(_) => Publication::of(&proto::OrderConfirmed { order }, id, flow),
            Event::CancellationRequested(..) => Publication::of(&proto::OrderCancellationRequested { order }, id, flow),
            Event::CancellationRefused => Publication::of(&proto::OrderCancellationRefused { order }, id, flow),
            Event::Cancelled(..) => Publication::of(&proto::OrderCancelled { order }, id, flow),
            Event::Dispatched(_) => Publication::of(&proto::OrderDispatched { order }, id, flow),
            Event::Delivered(_) => Publication::of(&proto::OrderDelivered { order }, id, flow),
        };
        Some(publication.after(self.last_event))
    }

    fn note(&mut self, _: &Event, known_as: EventId) {
        self.last_event = Some(known_as);
    }
}

/// A page of orders, newest first: those of a customer, or all; in a state, or in any. What is not paid is none.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    state: Option<&'static str>,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Order>, String), Error> {
    let (rows, next) = newest!(
        tx, page, Row in orders by created_at where orders::is_order;
        customer: orders::customer.eq(customer), state: orders::state.eq(state)
    );
    let orders = rows.into_iter().map(|row| Loaded::try_from(row).map(|loaded| (&loaded.state).into()));
    Ok((orders.collect::<Result<_, Error>>()?, next))
}

/// The column's name of a state of the contract.
pub fn state_name(state: proto::OrderState) -> Option<&'static str> {
    match state {
        proto::OrderState::Unspecified => None,
        proto::OrderState::Draft => Some("draft"),
        proto::OrderState::Lapsed => Some("lapsed"),
        proto::OrderState::Placed => Some("placed"),
        proto::OrderState::Confirmed => Some("confirmed"),
        proto::OrderState::Delivering => Some("delivering"),
        proto::OrderState::Delivered => Some("delivered"),
        proto::OrderState::Cancelling => Some("cancelling"),
        proto::OrderState::Cancelled => Some("cancelled"),
    }
}

fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Customer => "customer",
        Cause::Payment => "payment",
        Cause::OutOfStock => "out_of_stock",
    }
}

fn cause_named(name: &str) -> Option<Cause> {
    [Cause::Customer, Cause::Payment, Cause::OutOfStock].into_iter().find(|cause| cause_name(*cause) == name)
}

impl Row {
    fn new(order: &Order, version: i64) -> Row {
        let (state, expires_at, cause) = match order.state {
            State::Draft { expires } => ("draft", Some(expires), ""),
            State::Lapsed => ("lapsed", None, ""),
            State::Placed => ("placed", None, ""),
            State::Confirmed => ("confirmed", None, ""),
            State::Delivering => ("delivering", None, ""),
            State::Delivered => ("delivered", None, ""),
            State::Cancelling(cause) => ("cancelling", None, cause_name(cause)),
            State::Cancelled(cause) => ("cancelled", None, cause_name(cause)),
        };
        let Purchase { customer, product, product_name, quantity, price, address } = order.purchase.clone();
        Row {
            id: order.id,
            version,
            wake_at: order.due_at().map(|(at, _)| at),
            product_id: product,
            product_name,
            quantity: quantity as i32,
            customer,
            price_minor: price.minor,
            currency: price.currency.to_string(),
            address,
            state: state.to_owned(),
            is_order: order.is_order(),
            cause: cause.to_owned(),
            expires_at,
            payment_id: order.payment,
            created_at: order.created,
            updated_at: order.updated,
            last_event: order.last_event,
        }
    }
}

impl TryFrom<Row> for Loaded<Order> {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let corrupt = |what: &str| Error::Internal(format!("order {}: corrupt {what}", row.id));
        let state = match (row.state.as_str(), row.expires_at, cause_named(&row.cause)) {
            ("draft", Some(expires), None) => State::Draft { expires },
            ("lapsed", None, None) => State::Lapsed,
            ("placed", None, None) => State::Placed,
            ("confirmed", None, None) => State::Confirmed,
            ("delivering", None, None) => State::Delivering,
            ("delivered", None, None) => State::Delivered,
            ("cancelling", None, Some(cause)) => State::Cancelling(cause),
            ("cancelled", None, Some(cause)) => State::Cancelled(cause),
            _ => return Err(corrupt("state")),
        };
        let currency = Currency::parse(&row.currency).ok_or_else(|| corrupt("currency"))?;
        let purchase = Purchase {
            customer: row.customer,
            product: row.product_id,
            product_name: row.product_name,
            quantity: row.quantity as u32,
            price: Money { minor: row.price_minor, currency },
            address: row.address,
        };
        let state = Order {
            id: row.id,
            purchase,
            state,
            payment: row.payment_id,
            created: row.created_at,
            updated: row.updated_at,
            last_event: row.last_event,
        };
        Ok(Loaded { id: row.id, version: row.version, state })
    }
}

impl From<&Order> for proto::Order {
    fn from(order: &Order) -> Self {
        use proto::OrderState;
        let (state, cause, expires) = match order.state {
            State::Draft { expires } => (OrderState::Draft, None, Some(expires)),
            State::Lapsed => (OrderState::Lapsed, None, None),
            State::Placed => (OrderState::Placed, None, None),
            State::Confirmed => (OrderState::Confirmed, None, None),
            State::Delivering => (OrderState::Delivering, None, None),
            State::Delivered => (OrderState::Delivered, None, None),
            State::Cancelling(cause) => (OrderState::Cancelling, Some(cause), None),
            State::Cancelled(cause) => (OrderState::Cancelled, Some(cause), None),
        };
        let purchase = order.purchase.clone();
        proto::Order {
            order_id: order.id.to_string(),
            customer_id: purchase.customer,
            product_id: purchase.product.to_string(),
            product_name: purchase.product_name,
            quantity: purchase.quantity as i32,
            price: Some(purchase.price.into()),
            address: purchase.address,
            state: state.into(),
            cancellation_cause: cause.map_or(proto::CancellationCause::Unspecified, Into::into).into(),
            payment_id: order.payment.map(|payment| payment.to_string()).unwrap_or_default(),
            create_time: Some(order.created.to_proto()),
            update_time: Some(order.updated.to_proto()),
            expire_time: expires.map(Timestamp::to_proto),
        }
    }
}

impl From<Cause> for proto::CancellationCause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Customer => proto::CancellationCause::Customer,
            Cause::Payment => proto::CancellationCause::Payment,
            Cause::OutOfStock => proto::CancellationCause::OutOfStock,
        }
    }
}
