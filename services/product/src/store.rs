//! Products and what orders took of them in tables, and the events that they publish.

use std::collections::BTreeMap;

use chassis::db::{self, prelude::*};
use chassis::values::{Currency, Money};
use chassis::{Change, Error, LoadRequest, Loaded, Page, Publication, Store, Timestamp, Tx, loaded, read, sql};
use contracts::product::v1::{self as proto, TakingState};

use crate::domain::{Command, Event, Listing, OrderId, Product, ProductId, State, Taking};

chassis::table! {
    /// A product without its takings.
    products (id) of Product as ProductRow with version {
        id: ProductId as SqlUuid,
        owner: String as Text,
        created_at: Timestamp as SqlTime,
        updated_at: Timestamp as SqlTime,
    }
    columns |product| {
        name: String as Text = product.listing.name.clone(),
        price_minor: i64 as BigInt = product.listing.price.minor,
        currency: Currency as Text = product.listing.price.currency,
        stock: i64 as BigInt = product.stock as i64,
    }
    fields |row, corrupt, takings: BTreeMap<OrderId, Taking>| {
        listing: Listing { name: row.name, price: Money { minor: row.price_minor, currency: row.currency } },
        stock: u64::try_from(row.stock).map_err(|_| corrupt("stock"))?,
        takings: takings,
    }
}

chassis::table! {
    /// What an order took.
    takings (product_id, order_id) of Taking as TakingRow
        given (product_id: ProductId as SqlUuid, order_id: OrderId as SqlUuid) {
        quantity: u32 as Integer,
        state: State as Text,
    }
}
chassis::names!(State is TakingState: Taken, Refused, Restored);

impl Store for Product {
    type Answer = proto::Product;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let ids = request.ids();
        let mentioned: Vec<OrderId> = request.commands().filter_map(Command::order).collect();
        let named = takings::order_id.eq_any(&mentioned);
        // The version is read first: later reads are at least as new, so no decision on stale rows is written.
        let (products, takings) = db::try_join!(
            read!(tx, ProductRow in products where products::id.eq_any(&ids)),
            read!(tx, TakingRow in takings where named; of mentioned),
        )?;
        let mut takings = db::grouped(takings, |row| Ok((row.product_id, (row.order_id, row.read()?))))?;
        loaded!(products, |row, id| row.read(takings.take(id))?)
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        // The version of the product guards its takings too.
        let taking = |change: &Change<'_, Self>, id| Some(TakingRow::of(change.state.takings.get(&id)?, change.id, id));
        let changed = db::changed_parts(changes, Event::order, taking);
        db::try_join!(db::save(tx, changes, ProductRow::of), db::upsert(tx, &changed))?;
        Ok(())
    }

    fn answer(&self, _: &Command) -> proto::Product {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let product = Some(proto::Product::from(self));
        let taking = event.order().and_then(|order| self.taking_proto(order));
        let about = Publication::about(self.id, event.order().map_or(self.id.uuid(), OrderId::uuid));
        match event {
            Event::Created(..) => about.publish(&proto::ProductCreated { product }),
            Event::Transferred(..) => about.publish(&proto::ProductTransferred { product }),
            Event::Repriced(..) => about.publish(&proto::ProductRepriced { product }),
            Event::Added(..) => about.publish(&proto::StockAdded { product }),
            Event::Taken(..) => about.publish(&proto::StockTaken { taking }),
            Event::Refused(..) => about.publish(&proto::StockRefused { taking }),
            Event::Restored(..) => about.publish(&proto::StockRestored { taking }),
            // What was never taken is not published.
            Event::Barred(..) => None,
        }
    }
}

/// A page of products, in the order in which they were added.
pub async fn list(tx: Tx<'_>, page: &Page<ProductId>) -> Result<(Vec<proto::Product>, String), Error> {
    let mut rows: Vec<ProductRow> = sql!(tx, |c| {
        let mut query = products::table.select(ProductRow::as_select()).into_boxed();
        if let Some(after) = page.after {
            query = query.filter(products::id.gt(after));
        }
        // Ids are ordered by time.
        query.order(products::id).limit(page.limit()).load(c)
    })?;
    let next = page.cut(&mut rows, |row| row.id);
    let products = rows.into_iter().map(|row| Ok((&row.read(BTreeMap::new())?).into()));
    Ok((products.collect::<Result<_, Error>>()?, next))
}

impl Product {
    fn taking_proto(&self, order: OrderId) -> Option<proto::Taking> {
        let taking = self.takings.get(&order)?;
        Some(proto::Taking {
            order_id: order.to_string(),
            product_id: self.id.to_string(),
            quantity: taking.quantity as i32,
            state: TakingState::from(taking.state).into(),
            stock: Some(self.stock as i64),
        })
    }
}

impl From<&Product> for proto::Product {
    fn from(product: &Product) -> Self {
        proto::Product {
            product_id: product.id.to_string(),
            name: product.listing.name.clone(),
            price: Some(product.listing.price.into()),
            stock: product.stock as i64,
            create_time: Some(product.created_at.to_proto()),
            update_time: Some(product.updated_at.to_proto()),
            owner_id: product.owner.clone(),
        }
    }
}
