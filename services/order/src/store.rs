//! Orders in a table, and the events that they publish.

mod offers;

use chassis::db::{Column as _, Name, prelude::*};
use chassis::page::Cursor;
use chassis::values::{Currency, Intervention, Money};
use chassis::{Error, Page, Publication, Store, Timestamp, Tx, newest};
use contracts::order::v1::{self as proto, CancellationCause, OrderState};

use crate::domain::{Cause, Command, Event, Order, OrderId, PaymentId, ProductId, Purchase, State};

chassis::table! {
    /// An order.
    orders (id) of Order as Row with version, wake_at, last_event {
        id: OrderId as SqlUuid,
        payment_id: Option<PaymentId> as Nullable<SqlUuid>,
        created_at: Timestamp as SqlTime,
        updated_at: Timestamp as SqlTime,
    }
    columns |order| {
        product_id: ProductId as SqlUuid = order.purchase.product,
        product_name: String as Text = order.purchase.product_name.clone(),
        quantity: u32 as Integer = order.purchase.quantity,
        customer: String as Text = order.purchase.customer.clone(),
        price_minor: i64 as BigInt = order.purchase.price.minor,
        currency: Currency as Text = order.purchase.price.currency,
        address: String as Text = order.purchase.address.clone(),
        state: Name<OrderState> as Text = Name(shown(order.state)),
        is_order: bool as Bool = order.is_order(),
        cause: Name<CancellationCause> as Text = Name(cause(order.state)),
        expires_at: Option<Timestamp> as Nullable<SqlTime> = order.state.expires(),
        intervened_by: Option<String> as Nullable<Text> = order.intervention.as_ref().map(|it| it.staff.clone()),
        intervention_reason: Option<String> as Nullable<Text> =
            order.intervention.as_ref().map(|it| it.reason.clone()),
        intervened_at: Option<Timestamp> as Nullable<SqlTime> = order.intervention.as_ref().map(|it| it.at),
    }
    fields |row, corrupt| {
        purchase: Purchase {
            customer: row.customer,
            product: row.product_id,
            product_name: row.product_name,
            quantity: row.quantity as u32,
            price: Money { minor: row.price_minor, currency: row.currency },
            address: row.address,
        },
        intervention: Intervention::from_columns(row.intervened_by, row.intervention_reason, row.intervened_at),
        state: match (Name::parse(&row.state), row.expires_at, Cause::from_stored(row.cause)) {
            (Some(OrderState::Draft), Some(expires), None) => State::Draft { expires },
            (Some(OrderState::Lapsed), None, None) => State::Lapsed,
            (Some(OrderState::Placed), None, None) => State::Placed,
            (Some(OrderState::Confirmed), None, None) => State::Confirmed,
            (Some(OrderState::Delivering), None, None) => State::Delivering,
            (Some(OrderState::Delivered), None, None) => State::Delivered,
            (Some(OrderState::Cancelling), None, Some(cause)) => State::Cancelling(cause),
            (Some(OrderState::Cancelled), None, Some(cause)) => State::Cancelled(cause),
            _ => return Err(corrupt("state")),
        },
    }
}

chassis::names!(Cause is CancellationCause: Customer, Payment, OutOfStock, Staff);

impl Store for Order {
    type Answer = proto::Order;

    chassis::flat!(Row in orders);

    chassis::due!(orders, id);

    fn answer(&self, _: &Command) -> proto::Order {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (order, about) = (Some(proto::Order::from(self)), Publication::about(self.id, self.id.uuid()));
        match event {
            Event::Drafted(_) => about.publish(&proto::OrderDrafted { order }),
            Event::Lapsed(_) => about.publish(&proto::OrderLapsed { order }),
            Event::Placed(..) => about.publish(&proto::OrderPlaced { order }),
            Event::Confirmed(_) => about.publish(&proto::OrderConfirmed { order }),
            Event::CancellationRequested(..) => about.publish(&proto::OrderCancellationRequested { order }),
            Event::CancellationRefused => about.publish(&proto::OrderCancellationRefused { order }),
            Event::Cancelled(..) => about.publish(&proto::OrderCancelled { order }),
            Event::Dispatched(_) => about.publish(&proto::OrderDispatched { order }),
            Event::Delivered(_) => about.publish(&proto::OrderDelivered { order }),
            Event::Intervened(_) => None,
        }
    }
}

/// A page of orders, newest first: those of a customer, or all; in a state, or in any. Drafts are not listed.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    state: OrderState,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Order>, String), Error> {
    let state = Name(state).specified();
    newest!(
        tx, page, Row in orders by created_at where orders::is_order;
        customer: orders::customer.eq(customer), state: orders::state.eq(state);
        |row| (&row.read()?).into()
    )
}

/// The state in the contract.
fn shown(state: State) -> OrderState {
    match state {
        State::Draft { .. } => OrderState::Draft,
        State::Lapsed => OrderState::Lapsed,
        State::Placed => OrderState::Placed,
        State::Confirmed => OrderState::Confirmed,
        State::Delivering => OrderState::Delivering,
        State::Delivered => OrderState::Delivered,
        State::Cancelling(_) => OrderState::Cancelling,
        State::Cancelled(_) => OrderState::Cancelled,
    }
}

/// The cause of a cancellation in the contract.
fn cause(state: State) -> CancellationCause {
    state.cause().map_or(CancellationCause::Unspecified, Into::into)
}

impl From<&Order> for proto::Order {
    fn from(order: &Order) -> Self {
        let purchase = order.purchase.clone();
        proto::Order {
            order_id: order.id.to_string(),
            customer_id: purchase.customer,
            product_id: purchase.product.to_string(),
            product_name: purchase.product_name,
            quantity: purchase.quantity as i32,
            price: Some(purchase.price.into()),
            address: purchase.address,
            state: shown(order.state).into(),
            cancellation_cause: cause(order.state).into(),
            payment_id: order.payment_id.map(|payment| payment.to_string()).unwrap_or_default(),
            create_time: Some(order.created_at.to_proto()),
            update_time: Some(order.updated_at.to_proto()),
            expire_time: order.state.expires().map(Timestamp::to_proto),
            intervention: order.intervention.clone().map(Into::into),
        }
    }
}
