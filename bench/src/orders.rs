//! Orders of one hot product, beside orders that are spread over many: until they are paid and have their stock.
//!
//! Stock is decided per product, so that it is never negative. A hot product could be a bottleneck. It should not be,
//! because a batch decides hundreds of its orders and writes it once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use contracts::money::v1::Money;
use contracts::order::v1::{CreateOrderRequest, GetOrderRequest, Order, OrderState};
use contracts::product::v1::{CreateProductRequest, Product as Goods};
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::load::{call, closed_loop, known};
use crate::product::{Product, connect};
use crate::report::{Goal, Table};

/// The number of concurrent clients.
const CLIENTS: usize = 64;
/// Products that orders are spread over.
const MANY: usize = 100;
/// The stock of each product: more than is ordered here.
const STOCK: i64 = 1_000_000_000;
/// All clients together poll at most 1,000 times per second: polling is not what is measured.
const LOOK_AGAIN: Duration = Duration::from_millis(CLIENTS as u64);

/// Measures it.
pub async fn measure(product: &Product, each: Duration, table: &mut Table) -> anyhow::Result<()> {
    let goods = add_goods(product, MANY).await?;
    let spread = order(product, goods.clone(), each).await?;
    let hot = order(product, Arc::new(vec![goods[0].clone()]), each).await?;
    let what = format!("order one product until it has its stock, {CLIENTS} clients, to {MANY} products");
    table.row(&what, hot.per_second(), spread.per_second(), Some(Goal::AtLeast(0.8)), &hot);
    Ok(())
}

async fn order(product: &Product, goods: Arc<Vec<String>>, each: Duration) -> anyhow::Result<crate::report::Measured> {
    closed_loop(&product.address, CLIENTS, each, move |channel, number| {
        let product_id = goods[number as usize % goods.len()].clone();
        async move { until_stocked(channel, product_id, LOOK_AGAIN).await }
    })
    .await
}

/// Orders one, and waits until it has its stock.
pub async fn until_stocked(channel: Channel, product_id: String, look_again: Duration) -> Result<(), Status> {
    let mut order = order_once(channel.clone(), product_id).await?;
    while order.state() == OrderState::Placed {
        tokio::time::sleep(look_again).await;
        let request = GetOrderRequest { order_id: order.order_id };
        order = call(&channel, Request::new(request)).await?.order.unwrap_or_default();
    }
    match order.state() {
        OrderState::Confirmed => Ok(()),
        state => Err(Status::internal(format!("an order is {}", state.as_str_name()))),
    }
}

async fn order_once(channel: Channel, product_id: String) -> Result<Order, Status> {
    let request = CreateOrderRequest {
        product_id,
        quantity: 1,
        address: "1 Sejong-daero, Seoul".to_owned(),
        payment_method: "sandbox-approve".to_owned(),
        ..Default::default()
    };
    Ok(call(&channel, Request::new(request)).await?.order.unwrap_or_default())
}

/// Adds products, and waits until `order` knows them.
pub async fn add_goods(product: &Product, count: usize) -> anyhow::Result<Arc<Vec<String>>> {
    let channel = connect(&product.address).await?;
    let add = |number: usize| {
        let channel = &channel;
        async move {
            let price = Some(Money { currency_code: "KRW".to_owned(), amount_minor: 12_000 });
            let goods = Goods { name: format!("product {number}"), price, stock: STOCK, ..Goods::default() };
            let request = CreateProductRequest { request_id: String::new(), product: Some(goods) };
            let added = call(channel, Request::new(request)).await?.product.context("no product")?;
            anyhow::Ok(added.product_id)
        }
    };
    let mut goods = Vec::with_capacity(count);
    for chunk in (0..count).collect::<Vec<_>>().chunks(128) {
        goods.extend(futures::future::try_join_all(chunk.iter().map(|number| add(*number))).await?);
    }
    for chunk in goods.chunks(128) {
        futures::future::try_join_all(chunk.iter().map(|id| until_known(channel.clone(), id))).await?;
    }
    Ok(Arc::new(goods))
}

/// Waits until `order` knows a product, by ordering it and waiting for its stock, so that no work is pending.
async fn until_known(channel: Channel, product_id: &str) -> Result<(), Status> {
    known(|| until_stocked(channel.clone(), product_id.to_owned(), LOOK_AGAIN)).await
}
