//! Orders in a table.

use chassis::Timestamp;
use chassis::db::prelude::*;
use contracts::money::v1::Money;
use contracts::mypage::v1 as proto;

use crate::pages::FlowId;

diesel::table! {
    use chassis::db::sql_types::*;
    orders (id) {
        id -> SqlUuid,
        version -> BigInt,
        customer -> Nullable<Text>,
        product -> Nullable<Text>,
        product_name -> Nullable<Text>,
        quantity -> Integer,
        price_minor -> Nullable<BigInt>,
        currency -> Nullable<Text>,
        address -> Nullable<Text>,
        order_sequence -> BigInt,
        order_state -> Integer,
        cause -> Integer,
        payment -> Nullable<Text>,
        payment_sequence -> BigInt,
        payment_state -> Integer,
        delivery -> Nullable<Text>,
        delivery_sequence -> BigInt,
        delivery_state -> Integer,
        ordered_at -> Nullable<SqlTime>,
        started_at -> Nullable<SqlTime>,
        completed_at -> Nullable<SqlTime>,
        cancelled_at -> Nullable<SqlTime>,
    }
}

chassis::rows! {
    /// An order, as far as it was heard of.
    pub struct Order in orders (id) {
        id: FlowId,
        version: i64,
        customer: Option<String>,
        product: Option<String>,
        product_name: Option<String>,
        quantity: i32,
        price_minor: Option<i64>,
        currency: Option<String>,
        address: Option<String>,
        order_sequence: i64,
        order_state: i32,
        cause: i32,
        payment: Option<String>,
        payment_sequence: i64,
        payment_state: i32,
        delivery: Option<String>,
        delivery_sequence: i64,
        delivery_state: i32,
        ordered_at: Option<Timestamp>,
        started_at: Option<Timestamp>,
        completed_at: Option<Timestamp>,
        cancelled_at: Option<Timestamp>,
    }
}

crate::pages::page!(Order in orders by ordered_at, paid);

impl Order {
    /// The page of a flow of which nothing was heard.
    fn new(id: FlowId) -> Order {
        Order {
            id,
            version: 0,
            customer: None,
            product: None,
            product_name: None,
            quantity: 0,
            price_minor: None,
            currency: None,
            address: None,
            order_sequence: 0,
            order_state: 0,
            cause: 0,
            payment: None,
            payment_sequence: 0,
            payment_state: 0,
            delivery: None,
            delivery_sequence: 0,
            delivery_state: 0,
            ordered_at: None,
            started_at: None,
            completed_at: None,
            cancelled_at: None,
        }
    }
}

impl From<Order> for proto::Order {
    fn from(row: Order) -> Self {
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_proto);
        let price = row.currency.zip(row.price_minor);
        proto::Order {
            order_id: row.id.to_string(),
            customer_id: row.customer.unwrap_or_default(),
            product_id: row.product.unwrap_or_default(),
            product_name: row.product_name.unwrap_or_default(),
            quantity: row.quantity,
            price: price.map(|(currency_code, amount_minor)| Money { currency_code, amount_minor }),
            address: row.address.unwrap_or_default(),
            order_state: row.order_state,
            cancellation_cause: row.cause,
            payment_id: row.payment.unwrap_or_default(),
            payment_state: row.payment_state,
            delivery_id: row.delivery.unwrap_or_default(),
            delivery_state: row.delivery_state,
            create_time: time(row.ordered_at),
            start_time: time(row.started_at),
            complete_time: time(row.completed_at),
            cancel_time: time(row.cancelled_at),
        }
    }
}
