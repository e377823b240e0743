//! Customers of the shop, its managers, and the couriers who deliver the orders.

use std::collections::BTreeMap;
use std::sync::Mutex;

use contracts::delivery::v1::{
    CompleteDeliveryRequest, Delivery, DeliveryState, ListDeliveriesRequest, StartDeliveryRequest,
};
use contracts::money::v1::Money;
use contracts::order::v1::{CancelOrderRequest, CreateOrderRequest, Order};
use contracts::payment::v1::{CancelPaymentRequest, ChargePaymentRequest, ListPaymentsRequest, Payment, PaymentState};
use contracts::product::v1::{
    AddStockRequest, CreateProductRequest, Product, RepriceProductRequest, TransferProductRequest,
};
use tokio::task::JoinHandle;

use super::Actor;
use crate::invariants::orders::Guarantee;

/// The number of customers.
const CUSTOMERS: u64 = 4;
/// The number of couriers.
const COURIERS: u64 = 2;
/// The number of products that they compete for.
const PRODUCTS: u64 = 2;
/// The stock of each product at the start: less than the demand.
const STOCK: i64 = 6;
/// The number of requests of each customer.
const STEPS: u64 = 9;
/// The number of times that each courier lists the deliveries.
const ROUNDS: u64 = 14;

/// Adds the products and starts the customers and couriers.
pub fn spawn(actor: impl Fn(String, &'static str) -> Actor) -> Vec<JoinHandle<()>> {
    let customer = |number: u64| {
        let me = actor(format!("shopper-{number}"), "customer");
        tokio::spawn(Customer { me, orders: Mutex::default() }.run())
    };
    let courier = |number: u64| {
        let me = actor(format!("courier-{number}"), "courier");
        tokio::spawn(Courier { me }.run())
    };
    (0..CUSTOMERS).map(customer).chain((0..COURIERS).map(courier)).collect()
}

struct Customer {
    me: Actor,
    orders: Mutex<BTreeMap<String, Order>>,
}

fn won(amount_minor: i64) -> Option<Money> {
    Some(Money { currency_code: "KRW".to_owned(), amount_minor })
}

impl Customer {
    async fn run(self) {
        let products = self.products().await;
        for _ in 0..STEPS {
            self.me.pause(4_000).await;
            let known: Vec<Order> = self.orders.lock().expect("one thread").values().cloned().collect();
            let (step, product) = (self.me.random.pick(0..14), self.me.pick(&products));
            match step {
                _ if known.is_empty() => self.order(product).await,
                0..=3 => self.order(product).await,
                // With two devices at the same time, or as soon as it exists.
                4 => {
                    self.order(product).await;
                    self.cancel_last().await;
                }
                5..=7 => self.cancel(&self.me.pick(&known).order_id).await,
                8 => self.cancel_payment(&self.me.pick(&known).payment_id).await,
                9..=11 => self.pay_what_was_declined().await,
                12 => {
                    let price = won(1_000 + self.me.random.pick(0..5) as i64);
                    let request = RepriceProductRequest { product_id: product.clone(), price, ..Default::default() };
                    self.me.with_role("shop_staff").ask(request).await;
                }
                _ => {
                    let request = AddStockRequest { product_id: product.clone(), quantity: 2, ..Default::default() };
                    self.me.with_role("shop_staff").ask(request).await;
                }
            }
        }
    }

    /// The products, added by the first actor; fixed request ids make them the same for all.
    async fn products(&self) -> Vec<String> {
        let mut products = Vec::new();
        for number in 0..PRODUCTS {
            let name = format!("product {number}");
            let product = Product { name, price: won(1_000), stock: STOCK, ..Product::default() };
            let request = CreateProductRequest { product: Some(product), ..Default::default() };
            let created = self.me.with_role("shop_staff").insist(request, 200 + u128::from(number)).await;
            products.extend(created.product.map(|product| product.product_id));
        }
        // To another owner, and back to who sells them here.
        for (owner_id, request_id) in [("sol", 250), ("shop_staff", 251)] {
            let (product_id, owner_id) = (products[0].clone(), owner_id.to_owned());
            let transfer = TransferProductRequest { product_id, owner_id, ..Default::default() };
            self.me.with_role("admin").insist(transfer, request_id).await;
        }
        products
    }

    async fn order(&self, product: &str) {
        let method = if self.me.random.pick(0..4) == 0 { "sandbox-decline" } else { "sandbox-approve" };
        let request = CreateOrderRequest {
            product_id: product.to_owned(),
            quantity: 1 + self.me.random.pick(0..3) as i32,
            address: format!("the house of {}", self.me.name),
            payment_method: method.to_owned(),
            ..Default::default()
        };
        let answer = self.me.ask(request).await;
        self.keep(answer.and_then(|answer| answer.order), Guarantee::AsPromised);
    }

    async fn cancel_last(&self) {
        let last = self.orders.lock().expect("one thread").keys().last().cloned();
        if let Some(id) = last {
            self.me.pause(200).await;
            self.cancel(&id).await;
        }
    }

    async fn cancel(&self, id: &str) {
        let request = CancelOrderRequest { order_id: id.to_owned(), ..Default::default() };
        let answer = self.me.ask(request).await;
        self.keep(answer.and_then(|answer| answer.order), Guarantee::CancelledOrRefused);
    }

    async fn cancel_payment(&self, payment_id: &str) {
        self.me.ask(CancelPaymentRequest { payment_id: payment_id.to_owned(), ..Default::default() }).await;
    }

    /// Pays a declined order with another card, or cancels its payment.
    async fn pay_what_was_declined(&self) {
        let Ok(listed) = self.me.call(ListPaymentsRequest::default()).await else { return };
        let is_open = |payment: &Payment| matches!(payment.state(), PaymentState::Requested | PaymentState::Refused);
        let Some(Payment { payment_id, .. }) = listed.payments.into_iter().find(is_open) else { return };
        if self.me.random.pick(0..4) == 0 {
            return self.cancel_payment(&payment_id).await;
        }
        let payment_method = "sandbox-approve".to_owned();
        let request = ChargePaymentRequest { payment_id, payment_method, ..Default::default() };
        self.me.ask(request).await;
    }

    /// Records what the response promises.
    fn keep(&self, order: Option<Order>, guarantee: Guarantee) {
        let Some(promised) = order else { return };
        self.orders.lock().expect("one thread").insert(promised.order_id.clone(), promised.clone());
        let customer = self.me.name.clone();
        self.me.promised(move |seen| seen.orders.keeps_order(&customer, &promised, guarantee));
    }
}

struct Courier {
    me: Actor,
}

impl Courier {
    async fn run(self) {
        for _ in 0..ROUNDS {
            self.me.pause(4_000).await;
            let Ok(listed) = self.me.call(ListDeliveriesRequest::default()).await else { continue };
            if listed.deliveries.is_empty() {
                continue;
            }
            let Delivery { delivery_id, .. } = self.me.pick(&listed.deliveries).clone();
            if self.me.pick(&listed.deliveries).state() == DeliveryState::Started || self.me.random.pick(0..3) == 0 {
                let answer = self.me.ask(CompleteDeliveryRequest { delivery_id, ..Default::default() }).await;
                self.keep(answer.and_then(|answer| answer.delivery));
            } else {
                let answer = self.me.ask(StartDeliveryRequest { delivery_id, ..Default::default() }).await;
                self.keep(answer.and_then(|answer| answer.delivery));
            }
        }
    }

    /// Records what the response promises.
    fn keep(&self, delivery: Option<Delivery>) {
        let Some(promised) = delivery else { return };
        let courier = self.me.name.clone();
        self.me.promised(move |seen| seen.orders.keeps_delivery(&courier, &promised));
    }
}
