//! A day of the shop.

use anyhow::Context as _;
use contracts::delivery::v1::{
    CompleteDeliveryRequest, DeliveryState, StartDeliveryRequest, delivery_service_client::DeliveryServiceClient,
};
use contracts::money::v1::Money;
use contracts::mypage::v1::{GetOrderRequest, Order as OrderPage, mypage_service_client::MypageServiceClient};
use contracts::order::v1::{
    CancelOrderRequest, CreateOrderRequest, Order, OrderState, order_service_client::OrderServiceClient,
};
use contracts::payment::v1::PaymentState;
use contracts::product::v1::{CreateProductRequest, Product, product_service_client::ProductServiceClient};
use tonic::{Code, Status};

use super::{Day, taken, wait};

impl Day {
    /// Plays it.
    pub(super) async fn play_orders(&self) -> anyhow::Result<()> {
        println!("\nTHE SHOP. One tent is left, and mina and jun order it at once.");
        let tent = self.add_product("Tent for two", 120_000, 1).await?;
        // Orders hear of a new product a moment later.
        let first = wait("the first order".to_owned(), async || match self.order("mina", &tent).await {
            Err(status) if status.code() == Code::NotFound => Ok(None),
            other => Ok(Some(other?)),
        });
        let first = first.await?;
        let second = self.order("jun", &tent).await?;
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
        println!("  {winner} gets it; the other one has the money back");

        println!("\nThe courier kim starts; now it is too late to cancel, and soon it is there.");
        let is_prepared = |page: &OrderPage| page.delivery_state() == DeliveryState::Prepared;
        let delivery_id = self.wait_for_order(winner, &order, is_prepared).await?.delivery_id;
        let mut deliveries = DeliveryServiceClient::new(self.channel.clone());
        let request = StartDeliveryRequest { delivery_id: delivery_id.clone(), ..Default::default() };
        taken(deliveries.start_delivery(self.by("courier:kim", request)?).await)?;
        self.wait_for_order(winner, &order, |page| page.order_state() == OrderState::Delivering).await?;
        let request = CancelOrderRequest { order_id: order.order_id.clone(), ..Default::default() };
        let refused = OrderServiceClient::new(self.channel.clone()).cancel_order(self.by(winner, request)?).await;
        println!("  {winner} is told: {}", refused.err().context("it should be too late")?.message());
        let request = CompleteDeliveryRequest { delivery_id, ..Default::default() };
        taken(deliveries.complete_delivery(self.by("courier:kim", request)?).await)?;
        self.wait_for_order(winner, &order, |page| page.payment_state() == PaymentState::Settled).await?;
        Ok(())
    }

    async fn add_product(&self, name: &str, won: i64, stock: i64) -> anyhow::Result<Product> {
        let price = Some(Money { currency_code: "KRW".to_owned(), amount_minor: won });
        let product = Product { name: name.to_owned(), price, stock, ..Default::default() };
        let request = self.by("admin", CreateProductRequest { product: Some(product), ..Default::default() })?;
        let created = taken(ProductServiceClient::new(self.channel.clone()).create_product(request).await)?.product;
        let product = created.context("no product in the answer")?;
        println!("  {name} for {won} won: product {}", product.product_id);
        Ok(product)
    }

    async fn order(&self, who: &str, product: &Product) -> Result<Order, Status> {
        let request = CreateOrderRequest {
            product_id: product.product_id.clone(),
            quantity: 1,
            address: format!("the house of {who}"),
            payment_method: "sandbox-approve".to_owned(),
            ..Default::default()
        };
        let request = self.by(who, request).map_err(|error| Status::internal(error.to_string()))?;
        let answer = OrderServiceClient::new(self.channel.clone()).create_order(request).await?;
        answer.into_inner().order.ok_or_else(|| Status::internal("no order in the answer"))
    }

    async fn wait_for_order(
        &self,
        who: &str,
        order: &Order,
        is_so: impl Fn(&OrderPage) -> bool,
    ) -> anyhow::Result<OrderPage> {
        let page = wait(format!("{who}'s page of the order"), async || {
            let request = self.by(who, GetOrderRequest { order_id: order.order_id.clone() })?;
            let page = MypageServiceClient::new(self.channel.clone()).get_order(request).await;
            Ok(page.ok().and_then(|page| page.into_inner().order).filter(|page| is_so(page)))
        })
        .await?;
        let states = (page.order_state().as_str_name(), page.payment_state().as_str_name());
        println!("  {who}'s page: {}, {}, {}", states.0, states.1, page.delivery_state().as_str_name());
        Ok(page)
    }
}
