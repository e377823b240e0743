//! What must be right of the order line.

use std::collections::{BTreeMap, BTreeSet};

use contracts::chronicle::v1::Event;
use contracts::delivery::v1::{Delivery, DeliveryState, ListDeliveriesRequest};
use contracts::mypage::v1 as mypage;
use contracts::order::v1::{CancellationCause, ListOrdersRequest, Order, OrderCancelled, OrderState};
use contracts::payment::v1::PaymentState;
use contracts::product::v1::{ListProductsRequest, Product, ProductCreated, StockTaken, Taking, TakingState};
use prost::Message as _;

use super::{Outcome, Seen, all_pages, body};
use crate::harness::Harness;

/// What is seen of the line.
pub struct Orders {
    orders: BTreeMap<String, Order>,
    products: BTreeMap<String, Product>,
    /// By order.
    deliveries: BTreeMap<String, Delivery>,
    pages: BTreeMap<String, mypage::Order>,
    /// What customers asked for, be it an order or not.
    pub drafts: BTreeSet<String>,
    /// Orders whose cancellation was refused, and that was told.
    refused: BTreeSet<String>,
}

/// What must last of a promise.
#[derive(Clone, Copy)]
pub enum Lasts {
    /// What was ordered, and its price.
    AsPromised,
    /// It is cancelled, or the customer was told that it could not be.
    CancelledOrTold,
}

impl Orders {
    pub async fn look(harness: &Harness, events: &[Event]) -> Result<Orders, String> {
        use mypage::ListOrdersRequest as ListPagesRequest;
        let of = |kind: &str| {
            let of_kind = events.iter().filter(|event| event.r#type.ends_with(kind));
            of_kind.map(|event| event.subject.clone()).collect()
        };
        let orders = all_pages::<ListOrdersRequest>(harness).await?.into_iter();
        let products = all_pages::<ListProductsRequest>(harness).await?.into_iter();
        let deliveries = all_pages::<ListDeliveriesRequest>(harness).await?.into_iter();
        let pages = all_pages::<ListPagesRequest>(harness).await?.into_iter();
        Ok(Orders {
            orders: orders.map(|order: Order| (order.order_id.clone(), order)).collect(),
            products: products.map(|product: Product| (product.product_id.clone(), product)).collect(),
            deliveries: deliveries.map(|delivery: Delivery| (delivery.order_id.clone(), delivery)).collect(),
            pages: pages.map(|page: mypage::Order| (page.order_id.clone(), page)).collect(),
            drafts: of(".OrderDrafted"),
            refused: of(".OrderCancellationRefused"),
        })
    }

    /// What still moves, if anything does.
    pub async fn unrest(harness: &Harness) -> Result<Option<String>, String> {
        let is_moving = |order: &&Order| matches!(order.state(), OrderState::Placed | OrderState::Cancelling);
        let orders = all_pages::<ListOrdersRequest>(harness).await?;
        Ok(orders.iter().find(is_moving).map(|order| format!("{order:?} waits")))
    }

    /// Whether a promise to a customer was kept.
    pub fn keeps_order(&self, customer: &str, promised: &Order, lasts: Lasts) -> Outcome {
        let id = &promised.order_id;
        let kept = self.orders.get(id).ok_or_else(|| format!("{customer} ordered {id}: it is gone"))?;
        let same = (&kept.product_id, kept.quantity, &kept.price, &kept.address, kept.customer_id.as_str())
            == (&promised.product_id, promised.quantity, &promised.price, &promised.address, customer);
        let lasts = match lasts {
            Lasts::AsPromised => true,
            Lasts::CancelledOrTold => kept.state() == OrderState::Cancelled || self.refused.contains(id),
        };
        if same && lasts { Ok(()) } else { Err(format!("{customer} was promised {promised:?}, but it is {kept:?}")) }
    }

    /// Whether a promise to a courier was kept: what was started is theirs and not cancelled, what was completed stays so.
    pub fn keeps_delivery(&self, courier: &str, promised: &Delivery) -> Outcome {
        let gone = || format!("{courier} has {}: it is gone", promised.delivery_id);
        let kept = self.deliveries.get(&promised.order_id).ok_or_else(gone)?;
        let lasts = match promised.state() {
            DeliveryState::Started => matches!(kept.state(), DeliveryState::Started | DeliveryState::Completed),
            _ => kept.state() == promised.state(),
        };
        let is_theirs = kept.courier_id == courier;
        if lasts && is_theirs {
            Ok(())
        } else {
            Err(format!("{courier} was promised {promised:?}, but it is {kept:?}"))
        }
    }
}

/// Everything about the line.
pub fn check(harness: &Harness, seen: &Seen) -> Outcome {
    stock_is_what_was_added_and_not_taken(seen)?;
    every_order_is_done_or_undone(harness, seen)?;
    what_is_no_order_costs_nothing(harness, seen)?;
    what_is_delivered_was_ordered(seen)?;
    the_view_shows_orders_payments_and_deliveries(seen)
}

/// Whether there is a call that leads to such an event; `None` if it is not of this line.
pub fn may_be_called(event: &Event) -> Result<Option<bool>, String> {
    Ok(match event.r#type.strip_prefix("nadeuri.").unwrap_or_default() {
        "product.v1.ProductCreated" | "product.v1.ProductRepriced" | "product.v1.StockAdded" => Some(true),
        "order.v1.OrderDrafted" | "order.v1.OrderPlaced" => Some(true),
        "delivery.v1.DeliveryStarted" | "delivery.v1.DeliveryCompleted" => Some(true),
        "order.v1.OrderCancelled" | "order.v1.OrderCancellationRequested" => {
            // Each has the order as its first field.
            let cancelled = OrderCancelled::decode(body(event)).map_err(|error| error.to_string())?;
            Some(cancelled.order.unwrap_or_default().cancellation_cause() == CancellationCause::Customer)
        }
        kind if ["product.", "order.", "delivery."].iter().any(|line| kind.starts_with(line)) => Some(false),
        _ => None,
    })
}

/// What is so, as events and their subjects: they must have been told.
pub fn so(seen: &Seen) -> Vec<(&'static str, &str)> {
    let mut so: Vec<_> = seen.orders.products.keys().map(|id| ("ProductCreated", id.as_str())).collect();
    for (id, order) in &seen.orders.orders {
        let names: &[&str] = match order.state() {
            OrderState::Confirmed => &["OrderDrafted", "OrderPlaced", "OrderConfirmed"],
            OrderState::Delivering => &["OrderPlaced", "OrderConfirmed", "OrderDispatched"],
            OrderState::Delivered => &["OrderPlaced", "OrderConfirmed", "OrderDispatched", "OrderDelivered"],
            _ => &["OrderDrafted", "OrderPlaced", "OrderCancelled"],
        };
        so.extend(names.iter().map(|name| (*name, id.as_str())));
    }
    for delivery in seen.orders.deliveries.values() {
        let names: &[&str] = match delivery.state() {
            DeliveryState::Prepared => &["DeliveryPrepared"],
            DeliveryState::Started => &["DeliveryPrepared", "DeliveryStarted"],
            DeliveryState::Completed => &["DeliveryPrepared", "DeliveryStarted", "DeliveryCompleted"],
            _ => &["DeliveryCancelled"],
        };
        so.extend(names.iter().map(|name| (*name, delivery.delivery_id.as_str())));
    }
    so
}

/// The events that customers are told of.
pub const TOLD: &[&str] = &[
    "OrderPlaced",
    "OrderConfirmed",
    "OrderCancelled",
    "OrderCancellationRefused",
    "DeliveryStarted",
    "DeliveryCompleted",
];

/// Goes through the products as they were at each moment: what was added is in stock or taken, and never below nothing.
/// In the end those orders have stock that were not cancelled.
fn stock_is_what_was_added_and_not_taken(seen: &Seen) -> Outcome {
    let mut changes: Vec<&Event> = seen.events.iter().filter(|event| event.source == "product").collect();
    changes.sort_by_key(|event| event.sequence);
    let (mut stocks, mut takers): (BTreeMap<String, i64>, BTreeSet<String>) = Default::default();
    for event in changes {
        let stock = stocks.entry(event.subject.clone()).or_default();
        if event.r#type.contains(".Product") || event.r#type.ends_with(".StockAdded") {
            // Each of these has the product as its first field.
            let product = ProductCreated::decode(body(event)).ok().and_then(|event| event.product);
            let now = product.ok_or_else(|| format!("{} without a product", event.r#type))?.stock;
            let may_change = !event.r#type.ends_with(".ProductRepriced");
            if now < *stock || now > *stock && !may_change {
                return Err(format!("{} of {} made {now} of {stock}", event.r#type, event.subject));
            }
            *stock = now;
            continue;
        }
        let taking = StockTaken::decode(body(event)).ok().and_then(|event| event.taking);
        let Taking { order_id, quantity, .. } =
            taking.as_ref().ok_or_else(|| format!("{} without a taking", event.r#type))?.clone();
        match taking.unwrap_or_default().state() {
            TakingState::Taken if takers.insert(order_id.clone()) => *stock -= i64::from(quantity),
            TakingState::Restored if takers.remove(&order_id) => *stock += i64::from(quantity),
            TakingState::Refused if !takers.contains(&order_id) => {}
            state => return Err(format!("{} by {order_id} came twice, or before its time", state.as_str_name())),
        }
        if *stock < 0 {
            return Err(format!("{stock} of product {} are in stock", event.subject));
        }
    }
    for (id, product) in &seen.orders.products {
        if stocks.get(id) != Some(&product.stock) {
            return Err(format!("{product:?}, but {:?} should be in stock", stocks.get(id)));
        }
    }
    let open = seen.orders.orders.values().filter(|order| order.state() != OrderState::Cancelled);
    let open: BTreeSet<String> = open.map(|order| order.order_id.clone()).collect();
    if open == takers { Ok(()) } else { Err(format!("the orders {open:?} are open, but {takers:?} have stock")) }
}

fn every_order_is_done_or_undone(harness: &Harness, seen: &Seen) -> Outcome {
    for (id, order) in &seen.orders.orders {
        let payment = seen.payments.get(id).ok_or_else(|| format!("order {id} has no payment"))?;
        let price = order.price.as_ref().map_or(0, |price| price.amount_minor);
        let held = harness.bank.holds(&payment.payment_id);
        let delivery = seen.orders.deliveries.get(id).map(|delivery| delivery.state());
        use DeliveryState as D;
        // One that no courier came for waits, paid.
        let (right_payment, right_sum, right_delivery) = match order.state() {
            OrderState::Confirmed => (PaymentState::Approved, price, delivery == Some(D::Prepared)),
            OrderState::Delivering => (PaymentState::Approved, price, delivery == Some(D::Started)),
            OrderState::Delivered => (PaymentState::Settled, price, delivery == Some(D::Completed)),
            OrderState::Cancelled => (PaymentState::Cancelled, 0, matches!(delivery, None | Some(D::Cancelled))),
            state => return Err(format!("order {id} is still {}", state.as_str_name())),
        };
        if payment.state() != right_payment || held != right_sum || !right_delivery {
            return Err(format!(
                "order {id} is {}, its delivery {delivery:?}, its payment {} is {}, and the bank holds {held} of {price}",
                order.state().as_str_name(),
                payment.payment_id,
                payment.state().as_str_name(),
            ));
        }
        let of_flow = |kind: &str| {
            let is_it = |event: &&Event| event.flow_id == *id && event.r#type.ends_with(kind);
            seen.events.iter().filter(is_it).count()
        };
        if of_flow(".PaymentApproved") != 1 {
            return Err(format!("order {id} was paid {} times", of_flow(".PaymentApproved")));
        }
        let is_short = order.cancellation_cause() == CancellationCause::OutOfStock;
        if is_short && of_flow(".StockRefused") != 1 {
            return Err(format!("order {id} is out of stock, and nobody said so"));
        }
    }
    Ok(())
}

/// What was not paid is no order, and what was paid for it too late went back.
fn what_is_no_order_costs_nothing(harness: &Harness, seen: &Seen) -> Outcome {
    for id in seen.orders.drafts.iter().filter(|id| !seen.orders.orders.contains_key(*id)) {
        let payment = seen.payments.get(id).ok_or_else(|| format!("draft {id} has no payment"))?;
        let held = harness.bank.holds(&payment.payment_id);
        if payment.state() != PaymentState::Cancelled || held != 0 {
            return Err(format!("{id} is no order, but its payment is {payment:?}, and the bank holds {held}"));
        }
    }
    match seen.orders.orders.keys().find(|id| !seen.orders.drafts.contains(*id)) {
        Some(id) => Err(format!("nobody asked for order {id}")),
        None => Ok(()),
    }
}

fn what_is_delivered_was_ordered(seen: &Seen) -> Outcome {
    for (id, delivery) in &seen.orders.deliveries {
        let order = seen.orders.orders.get(id).ok_or_else(|| format!("{id} is delivered, and nobody ordered it"))?;
        let is_it = (&delivery.customer_id, delivery.quantity, &delivery.address, &delivery.product_name)
            == (&order.customer_id, order.quantity, &order.address, &order.product_name);
        if !is_it {
            return Err(format!("{order:?} is delivered as {delivery:?}"));
        }
        let starts = seen
            .events
            .iter()
            .filter(|event| event.subject == delivery.delivery_id && event.r#type.ends_with(".DeliveryStarted"));
        let is_out = matches!(delivery.state(), DeliveryState::Started | DeliveryState::Completed);
        if starts.count() != usize::from(is_out) {
            return Err(format!("{delivery:?} was not started once"));
        }
    }
    Ok(())
}

fn the_view_shows_orders_payments_and_deliveries(seen: &Seen) -> Outcome {
    if seen.orders.pages.len() != seen.orders.orders.len() {
        return Err(format!("{} orders, but {} on the pages", seen.orders.orders.len(), seen.orders.pages.len()));
    }
    for (id, order) in &seen.orders.orders {
        let view = seen.orders.pages.get(id).ok_or_else(|| format!("order {id} is on no page"))?;
        let (payment, delivery) = (&seen.payments[id], seen.orders.deliveries.get(id));
        let shown = (
            (view.order_state, view.cancellation_cause, &view.customer_id, &view.price, view.quantity, &view.address),
            (view.payment_state, &view.payment_id),
            (view.delivery_state, view.delivery_id.as_str()),
            (&view.start_time, &view.complete_time),
        );
        let right = (
            (order.state, order.cancellation_cause, &order.customer_id, &order.price, order.quantity, &order.address),
            (payment.state, &payment.payment_id),
            delivery.map_or((0, ""), |delivery| (delivery.state, delivery.delivery_id.as_str())),
            delivery.map_or((&None, &None), |delivery| (&delivery.start_time, &delivery.complete_time)),
        );
        if shown != right {
            return Err(format!("the page shows {shown:?}, but it is {right:?}"));
        }
    }
    Ok(())
}
