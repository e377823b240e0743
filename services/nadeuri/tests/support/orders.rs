//! The requests of customers of the shop, its staff and its couriers, one method each.

use contracts::delivery::v1::{
    CompleteDeliveryRequest, Delivery, DeliveryState, GetDeliveryRequest, ListDeliveriesRequest, StartDeliveryRequest,
};
use contracts::mypage::v1 as mypage;
use contracts::order::v1::{CancelOrderRequest, CreateOrderRequest, GetOrderRequest, Order, OrderState};
use contracts::payment::v1::{ListPaymentsRequest, Payment, PaymentState};
use contracts::product::v1::{AddStockRequest, CreateProductRequest, GetProductRequest, Product};
use tonic::{Code, Status};

use super::client::{Client, Who};
use super::verbs::won;
use super::{GOOD_CARD, eventually, new_id};

type Answer<T> = Result<T, Status>;

/// The delivery address.
pub const ADDRESS: &str = "1 Sejong-daero, Seoul";

impl Who {
    /// Staff of the shop.
    pub fn shop_staff() -> Who {
        Who::Named { name: "sora".to_owned(), roles: "shop_staff" }
    }

    /// A courier.
    pub fn courier(name: &str) -> Who {
        Who::Named { name: name.to_owned(), roles: "courier" }
    }
}

/// A request to order this quantity of a product, with a new request id.
pub fn order_request(product: &Product, quantity: i32, payment_method: &str) -> CreateOrderRequest {
    CreateOrderRequest {
        request_id: new_id(),
        product_id: product.product_id.clone(),
        quantity,
        address: ADDRESS.to_owned(),
        payment_method: payment_method.to_owned(),
        ..Default::default()
    }
}

impl Client {
    /// Adds a product with this price in won and this stock.
    pub async fn new_product(&self, name: &str, price: i64, stock: i64) -> Product {
        let product = Product { name: name.to_owned(), price: Some(won(price)), stock, ..Default::default() };
        let request = CreateProductRequest { product: Some(product), ..Default::default() };
        self.send(request).await.unwrap().product.unwrap()
    }

    /// Adds to the stock.
    pub async fn add_stock(&self, it: &Product, quantity: i64) -> Answer<Product> {
        let request = AddStockRequest { product_id: it.product_id.clone(), quantity, ..Default::default() };
        Ok(self.send(request).await?.product.unwrap())
    }

    /// Gets a product.
    pub async fn product(&self, it: &Product) -> Answer<Product> {
        Ok(self.send(GetProductRequest { product_id: it.product_id.clone() }).await?.product.unwrap())
    }

    /// Waits until a product has this stock.
    pub async fn sees_stock(&self, it: &Product, stock: i64) {
        let what = format!("{stock} of {} in stock", it.name);
        eventually(&what, async || self.product(it).await.ok().filter(|found| found.stock == stock)).await;
    }

    /// Orders this quantity with a valid card.
    pub async fn order(&self, it: &Product, quantity: i32) -> Answer<Order> {
        self.order_so(order_request(it, quantity, GOOD_CARD)).await
    }

    /// Orders. Repeats the request until `order` has received the event of the product.
    pub async fn order_so(&self, request: CreateOrderRequest) -> Answer<Order> {
        let answer = eventually("order knows the product", async || {
            let answer = self.send(request.clone()).await;
            let is_unknown = matches!(&answer, Err(status) if status.code() == Code::NotFound);
            (!is_unknown).then_some(answer)
        });
        Ok(answer.await?.order.unwrap())
    }

    /// Cancels an order.
    pub async fn cancel_order(&self, it: &Order) -> Answer<Order> {
        let request = CancelOrderRequest { order_id: it.order_id.clone(), ..Default::default() };
        Ok(self.send(request).await?.order.unwrap())
    }

    /// Gets an order.
    pub async fn order_of(&self, order_id: &str) -> Answer<Order> {
        Ok(self.send(GetOrderRequest { order_id: order_id.to_owned() }).await?.order.unwrap())
    }

    /// Waits until an order is in the state.
    pub async fn sees_order(&self, it: &Order, state: OrderState) -> Order {
        let what = format!("the order to be {}", state.as_str_name());
        eventually(&what, async || self.order_of(&it.order_id).await.ok().filter(|found| found.state() == state)).await
    }

    /// Waits until the payment for an order is in the state.
    pub async fn sees_order_payment(&self, order_id: &str, state: PaymentState) -> Payment {
        let request = ListPaymentsRequest { purchase_id: order_id.to_owned(), ..Default::default() };
        let what = format!("the payment to be {}", state.as_str_name());
        eventually(&what, async || {
            let payments = self.send(request.clone()).await.ok()?.payments;
            assert!(payments.len() < 2, "there is one payment for a purchase");
            payments.into_iter().next().filter(|found| found.state() == state)
        })
        .await
    }

    /// Waits until the delivery of an order is prepared.
    pub async fn sees_delivery(&self, it: &Order) -> Delivery {
        let state = DeliveryState::Prepared.into();
        let request = ListDeliveriesRequest { page_size: 1_000, state, ..Default::default() };
        eventually("the delivery is prepared", async || {
            let deliveries = self.send(request.clone()).await.ok()?.deliveries;
            deliveries.into_iter().find(|delivery| delivery.order_id == it.order_id)
        })
        .await
    }

    /// Starts a delivery.
    pub async fn start(&self, it: &Delivery) -> Answer<Delivery> {
        let request = StartDeliveryRequest { delivery_id: it.delivery_id.clone(), ..Default::default() };
        Ok(self.send(request).await?.delivery.unwrap())
    }

    /// Completes a delivery.
    pub async fn complete(&self, it: &Delivery) -> Answer<Delivery> {
        let request = CompleteDeliveryRequest { delivery_id: it.delivery_id.clone(), ..Default::default() };
        Ok(self.send(request).await?.delivery.unwrap())
    }

    /// Gets a delivery.
    pub async fn delivery(&self, it: &Delivery) -> Answer<Delivery> {
        Ok(self.send(GetDeliveryRequest { delivery_id: it.delivery_id.clone() }).await?.delivery.unwrap())
    }

    /// Gets the read model of an order.
    pub async fn order_page(&self, order_id: &str) -> Answer<mypage::Order> {
        Ok(self.send(mypage::GetOrderRequest { order_id: order_id.to_owned() }).await?.order.unwrap())
    }

    /// Waits until the read model of an order shows these states.
    pub async fn sees_order_page(
        &self,
        it: &Order,
        order: OrderState,
        payment: PaymentState,
        delivery: DeliveryState,
    ) -> mypage::Order {
        let states = (order, payment, delivery);
        eventually(&format!("the read model to show {states:?}"), async || {
            let page = self.order_page(&it.order_id).await.ok()?;
            ((page.order_state(), page.payment_state(), page.delivery_state()) == states).then_some(page)
        })
        .await
    }
}
