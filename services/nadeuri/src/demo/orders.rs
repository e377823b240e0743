//! A day of the shop.

use anyhow::Context as _;
use client::Error;
use contracts::delivery::v1::{CompleteDeliveryRequest, DeliveryState, StartDeliveryRequest};
use contracts::money::v1::Money;
use contracts::mypage::v1::{GetOrderRequest, Order as OrderPage};
use contracts::order::v1::{CancelOrderRequest, CreateOrderRequest, CreateOrderResponse, Order, OrderState};
use contracts::payment::v1::PaymentState;
use contracts::product::v1::{CreateProductRequest, Product};

use super::{Day, wait};

impl Day {
    /// Runs it.
    pub(super) async fn play_orders(&self) -> anyhow::Result<()> {
        println!("\nTHE SHOP. One tent is left, and mina and jun order it at once.");
        let tent = self.add_product("Tent for two", 120_000, 1).await?;
        // `order` receives the event of a new product a moment later.
        let first = wait("the first order".to_owned(), async || match self.order("mina", &tent).await {
            Err(error) if error.reason() == "PRODUCT_NOT_FOUND" => Ok(None),
            ordered => Ok(Some(ordered?)),
        });
        let first = first.await?.order.context("no order in the answer")?;
        let second = self.order("jun", &tent).await?.order.context("no order in the answer")?;
        println!("  both have paid; the stock decides");
        let is_decided = |page: &OrderPage| page.order_state() != OrderState::Placed;
        let page = self.wait_for_order("mina", &first, is_decided).await?;
        let is_undone = |page: &OrderPage| page.payment_state() == PaymentState::Cancelled;
        let (winner, order) = if page.order_state() == OrderState::Confirmed {
            self.wait_for_order("jun", &second, is_undone).await?;
            ("mina", first)
        } else {
            self.wait_for_order("mina", &first, is_undone).await?;
            ("jun", second)
        };
        println!("  {winner} gets it; the other one is refunded");

        println!("\nThe courier kim starts the delivery: now it is too late to cancel.");
        let is_prepared = |page: &OrderPage| page.delivery_state() == DeliveryState::Prepared;
        let delivery_id = self.wait_for_order(winner, &order, is_prepared).await?.delivery_id;
        let request = StartDeliveryRequest { delivery_id: delivery_id.clone(), ..Default::default() };
        self.ask("courier:kim", request).await?;
        self.wait_for_order(winner, &order, |page| page.order_state() == OrderState::Delivering).await?;
        let request = CancelOrderRequest { order_id: order.order_id.clone(), ..Default::default() };
        let refused = self.ask(winner, request).await.err().context("it should be too late")?;
        println!("  {winner} is refused: {}", refused.message());
        self.ask("courier:kim", CompleteDeliveryRequest { delivery_id, ..Default::default() }).await?;
        self.wait_for_order(winner, &order, |page| page.payment_state() == PaymentState::Settled).await?;
        Ok(())
    }

    async fn add_product(&self, name: &str, won: i64, stock: i64) -> anyhow::Result<Product> {
        let price = Some(Money { currency_code: "KRW".to_owned(), amount_minor: won });
        let product = Product { name: name.to_owned(), price, stock, ..Default::default() };
        let request = CreateProductRequest { product: Some(product), ..Default::default() };
        let product = self.ask("admin", request).await?.product.context("no product in the answer")?;
        println!("  {name} for {won} won: product {}", product.product_id);
        Ok(product)
    }

    async fn order(&self, who: &str, product: &Product) -> Result<CreateOrderResponse, Error> {
        let request = CreateOrderRequest {
            product_id: product.product_id.clone(),
            quantity: 1,
            address: format!("the house of {who}"),
            payment_method: "sandbox-approve".to_owned(),
            ..Default::default()
        };
        self.ask(who, request).await
    }

    async fn wait_for_order(
        &self,
        who: &str,
        order: &Order,
        is_so: impl Fn(&OrderPage) -> bool,
    ) -> anyhow::Result<OrderPage> {
        let request = GetOrderRequest { order_id: order.order_id.clone() };
        let page = self.wait_for(who, request, |answer| answer.order.filter(&is_so)).await?;
        let states = (page.order_state().as_str_name(), page.payment_state().as_str_name());
        println!("  {who}'s page: {}, {}, {}", states.0, states.1, page.delivery_state().as_str_name());
        Ok(page)
    }
}
