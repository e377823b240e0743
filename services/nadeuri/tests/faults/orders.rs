//! A shop under the same load: customers order, some cancel, some get a delivery, and record the responses. One product
//! has too little stock: the late orders are refunded, whatever is killed in between.

use std::cell::{Cell, RefCell};

use contracts::delivery::v1::{CompleteDeliveryRequest, DeliveryState, ListDeliveriesRequest, StartDeliveryRequest};
use contracts::mypage::v1::{ListOrdersRequest as ListOrderPagesRequest, Order as OrderPage};
use contracts::order::v1::{
    CancelOrderRequest, CancellationCause, GetOrderRequest, ListOrdersRequest, Order, OrderState,
};
use contracts::payment::v1::PaymentState;
use contracts::product::v1::{GetProductRequest, Product};
use tonic::{Code, Status};

use crate::audit::{Snapshot, all, by_id, ensure};
use crate::load::{seen, think};
use crate::support::client::{Client, Who};
use crate::support::cluster::Cluster;
use crate::support::orders::order_request;
use crate::support::{GOOD_CARD, below, new_id};

const SHOPPERS: u64 = 4;
/// The stock of each product: enough of the first, too little of the second.
const STOCKS: [i64; 2] = [1_000_000, 25];

/// How an order ended, as its customer's last response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is paid. It may have been out of stock.
    Open,
    /// It was cancelled before its delivery started.
    Cancelled,
    /// It was delivered.
    Delivered,
}

/// Products, customers and a courier.
pub struct Orders {
    shoppers: Vec<Client>,
    courier: Client,
    products: Vec<Product>,
    /// The orders, and how each ended.
    pub acknowledged: RefCell<Vec<(Order, End)>>,
}

impl Orders {
    /// Adds the products. The customers start with [`Orders::run`].
    pub async fn new(cluster: &Cluster) -> Orders {
        let mut products = Vec::new();
        for stock in STOCKS {
            products.push(cluster.client(Who::shop_staff()).new_product("Tent", 12_000, stock).await);
        }
        let shoppers = (0..SHOPPERS).map(|number| cluster.by(&format!("shopper{number}"))).collect();
        Orders { shoppers, courier: cluster.client(Who::courier("kim")), products, acknowledged: RefCell::default() }
    }

    /// Runs them until the workload is stopped.
    pub async fn run(&self, stopped: &Cell<bool>) {
        let shoppers = self.shoppers.iter().map(async |shopper| {
            while !stopped.get() {
                let acknowledged = self.shop(shopper).await.unwrap_or_else(|status| panic!("an order: {status:?}"));
                self.acknowledged.borrow_mut().extend(acknowledged);
                think().await;
            }
        });
        futures::future::join_all(shoppers).await;
    }

    async fn shop(&self, me: &Client) -> Result<Option<(Order, End)>, Status> {
        let product = &self.products[usize::try_from(below(STOCKS.len() as u64)).unwrap()];
        let order = match me.insist(order_request(product, 1 + i32::try_from(below(2)).unwrap(), GOOD_CARD)).await {
            Ok(answer) => answer.order.unwrap(),
            // `order` has not received the event of the product yet.
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(status),
        };
        if below(3) == 0 {
            let order_id = order.order_id.clone();
            me.insist(CancelOrderRequest { request_id: new_id(), order_id, ..Default::default() }).await?;
            return Ok(Some((order, End::Cancelled)));
        }
        // This needs an event, which may wait until a killed server is back.
        let decided = seen("the order is decided", async || {
            let order = me.insist(GetOrderRequest { order_id: order.order_id.clone() }).await.ok()?.order?;
            (order.state() != OrderState::Placed).then_some(order.state())
        })
        .await;
        let end =
            if decided == OrderState::Confirmed && below(2) == 0 { self.deliver(&order).await? } else { End::Open };
        Ok(Some((order, end)))
    }

    /// The courier delivers a confirmed order.
    async fn deliver(&self, order: &Order) -> Result<End, Status> {
        let delivery_id = seen("the delivery is prepared", async || {
            let state = DeliveryState::Prepared.into();
            let request = ListDeliveriesRequest { page_size: 1_000, state, ..Default::default() };
            let deliveries = self.courier.insist(request).await.ok()?.deliveries;
            deliveries.into_iter().find(|it| it.order_id == order.order_id).map(|it| it.delivery_id)
        })
        .await;
        let start = StartDeliveryRequest { request_id: new_id(), delivery_id: delivery_id.clone() };
        self.courier.insist(start).await?;
        self.courier.insist(CompleteDeliveryRequest { request_id: new_id(), delivery_id }).await?;
        Ok(End::Delivered)
    }
}

/// Every order is as its customer's last response says, is the same in all contexts, and no product is oversold.
pub async fn audit(shop: &Orders, snapshot: &Snapshot, admin: &Client) -> Result<(), String> {
    let acknowledged = shop.acknowledged.borrow().clone();
    let known = by_id(all!(admin, ListOrdersRequest, orders), |order: &Order| order.order_id.clone())?;
    let pages = by_id(all!(admin, ListOrderPagesRequest, orders), |page: &OrderPage| page.order_id.clone())?;
    let counts = [known.len(), pages.len()];
    ensure(counts == [acknowledged.len(); 2], || {
        format!("{} orders were acknowledged, there are {counts:?}", acknowledged.len())
    })?;
    for (promised, end) in &acknowledged {
        let id = &promised.order_id;
        let (order, page) = (&known[id], &pages[id]);
        let is_short = order.cancellation_cause() == CancellationCause::OutOfStock;
        let (state, payment_state, delivery_state) = match end {
            End::Delivered => (OrderState::Delivered, PaymentState::Settled, DeliveryState::Completed),
            End::Open if !is_short => (OrderState::Confirmed, PaymentState::Approved, DeliveryState::Prepared),
            _ => (OrderState::Cancelled, PaymentState::Cancelled, page.delivery_state()),
        };
        let is_same = (&order.product_id, order.quantity, &order.price)
            == (&promised.product_id, promised.quantity, &promised.price);
        ensure(is_same && order.state() == state, || format!("{promised:?} became {order:?}: {end:?}"))?;
        let payment = snapshot.payments.get(id).ok_or_else(|| format!("{order:?} was never charged"))?;
        let is_refunded = state == OrderState::Cancelled;
        let is_right = payment.state() == payment_state && payment.refunded == is_refunded;
        ensure(is_right && payment.amount == order.price, || format!("{order:?} has {payment:?}"))?;
        let shows = (page.order_state(), page.payment_state(), page.delivery_state());
        ensure(shows == (state, payment_state, delivery_state), || format!("{order:?} is shown as {page:?}"))?;
        // An order that was cancelled before its confirmation never had a delivery.
        let is_off = matches!(delivery_state, DeliveryState::Unspecified | DeliveryState::Cancelled);
        ensure(is_off == is_refunded, || format!("{order:?} is delivered as {page:?}"))?;
    }
    for (product, stock) in shop.products.iter().zip(STOCKS) {
        let request = GetProductRequest { product_id: product.product_id.clone() };
        let found = admin.insist(request).await.map_err(|status| format!("{status:?}"))?.product.unwrap_or_default();
        let is_sold = |order: &&Order| order.product_id == product.product_id && order.state() != OrderState::Cancelled;
        let sold: i64 = known.values().filter(is_sold).map(|order| i64::from(order.quantity)).sum();
        ensure(found.stock + sold == stock, || format!("{sold} of {stock} are sold, {} are left", found.stock))?;
    }
    Ok(())
}
