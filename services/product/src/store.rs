//! Products and what orders took of them in tables, and what others hear of them.

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::{self, prelude::*};
use chassis::values::{Currency, Money};
use chassis::{Change, Error, Loaded, Page, Publication, Store, Timestamp, Tx, LoadRequest, sql};
use contracts::product::v1 as proto;

use crate::domain::{Command, Event, Listing, OrderId, Product, ProductId, State, Taking};

diesel::table! {
    use chassis::db::sql_types::*;
    products (id) {
        id -> SqlUuid,
        version -> BigInt,
        name -> Text,
        price_minor -> BigInt,
        currency -> Text,
        stock -> BigInt,
        created_at -> SqlTime,
        updated_at -> SqlTime,
    }
}

diesel::table! {
    use chassis::db::sql_types::*;
    takings (product_id, order_id) { product_id -> SqlUuid, order_id -> SqlUuid, quantity -> Integer, state -> Text, }
}

chassis::rows! {
    /// A product, flat, without what orders took of it.
    struct ProductRow in products (id) {
        id: ProductId,
        version: i64,
        name: String,
        price_minor: i64,
        currency: String,
        stock: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

chassis::rows! {
    /// What an order took.
    struct TakingRow in takings (product_id, order_id) {
        product_id: ProductId,
        order_id: OrderId,
        quantity: i32,
        state: String,
    }
}

impl Store for Product {
    type Answer = proto::Product;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let mentioned: Vec<OrderId> = request.commands().filter_map(Command::order).collect();
        load(tx, &request.ids(), &mentioned).await
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        // The version of the product guards what orders took of it, too.
        let touched: Vec<TakingRow> = changes.iter().flat_map(touched).collect();
        db::try_join!(db::save(tx, changes, ProductRow::new), db::upsert(tx, &touched))?;
        Ok(())
    }

    fn answer(&self, _: &Command) -> proto::Product {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let Some(order) = event.order() else {
            let (product, id, flow) = (Some(proto::Product::from(self)), self.id, Some(self.id.uuid()));
            return match event {
                Event::Created(..) => Some(Publication::of(&proto::ProductCreated { product }, id, flow)),
                Event::Repriced(..) => Some(Publication::of(&proto::ProductRepriced { product }, id, flow)),
                _ => Some(Publication::of(&proto::StockAdded { product }, id, flow)),
            };
        };
        let (taking, id, flow) = (self.taking_proto(order), self.id, Some(order.uuid()));
        match event {
            Event::Taken(..) => Some(Publication::of(&proto::StockTaken { taking }, id, flow)),
            Event::Refused(..) => Some(Publication::of(&proto::StockRefused { taking }, id, flow)),
            Event::Restored(..) => Some(Publication::of(&proto::StockRestored { taking }, id, flow)),
            // What was never taken is nobody's news.
            Event::Created(..) | Event::Repriced(..) | Event::Added(..) | Event::Barred(..) => None,
        }
    }
}

async fn load(tx: Tx<'_>, ids: &[ProductId], mentioned: &[OrderId]) -> Result<Vec<Loaded<Product>>, Error> {
    let products = async {
        let query = products::table.filter(products::id.eq_any(ids));
        sql!(tx, |c| query.select(ProductRow::as_select()).load::<ProductRow>(c))
    };
    let takings = async {
        if mentioned.is_empty() {
            return Ok(Vec::new());
        }
        let named = takings::product_id.eq_any(ids).and(takings::order_id.eq_any(mentioned));
        let query = takings::table.filter(named);
        sql!(tx, |c| query.select(TakingRow::as_select()).load::<TakingRow>(c))
    };
    // The version first: what is read after it is at least as new, so what is decided on old rows is never written.
    let (products, takings) = db::try_join!(products, takings)?;
    let mut takings_of: BTreeMap<ProductId, BTreeMap<OrderId, Taking>> = BTreeMap::new();
    for row in takings {
        takings_of.entry(row.product_id).or_default().insert(row.order_id, row.try_into()?);
    }
    let loaded = |row: ProductRow| {
        let (id, version) = (row.id, row.version);
        Ok(Loaded { id, version, state: row.product(takings_of.remove(&id).unwrap_or_default())? })
    };
    products.into_iter().map(loaded).collect()
}

/// What orders took by the events of a change, each order once.
fn touched(change: &Change<'_, Product>) -> Vec<TakingRow> {
    let orders: BTreeSet<OrderId> = change.events.iter().filter_map(Event::order).collect();
    let row = |order| Some(TakingRow::new(change.id, order, *change.state.takings.get(&order)?));
    orders.into_iter().filter_map(row).collect()
}

/// Products by id.
pub async fn read(tx: Tx<'_>, ids: Vec<ProductId>) -> Result<Vec<(ProductId, proto::Product)>, Error> {
    let loaded = load(tx, &ids, &[]).await?;
    Ok(loaded.into_iter().map(|loaded| (loaded.id, (&loaded.state).into())).collect())
}

/// A page of products, in the order in which they were added.
pub async fn list(tx: Tx<'_>, page: &Page<ProductId>) -> Result<(Vec<proto::Product>, String), Error> {
    let mut rows: Vec<ProductRow> = sql!(tx, |c| {
        let mut query = products::table.select(ProductRow::as_select()).into_boxed();
        if let Some(after) = page.after {
            query = query.filter(products::id.gt(after));
        }
        // Ids are made in the order of time.
        query.order(products::id).limit(page.limit()).load(c)
    })?;
    let next = page.cut(&mut rows, |row| row.id);
    let products = rows.into_iter().map(|row| row.product(BTreeMap::new()).map(|product| (&product).into()));
    Ok((products.collect::<Result<_, Error>>()?, next))
}

impl ProductRow {
    fn new(product: &Product, version: i64) -> ProductRow {
        let Listing { name, price } = &product.listing;
        ProductRow {
            id: product.id,
            version,
            name: name.clone(),
            price_minor: price.minor,
            currency: price.currency.to_string(),
            stock: product.stock as i64,
            created_at: product.created,
            updated_at: product.updated,
        }
    }

    fn product(self, takings: BTreeMap<OrderId, Taking>) -> Result<Product, Error> {
        let corrupt = |what: &str| Error::Internal(format!("product {}: corrupt {what}", self.id));
        let currency = Currency::parse(&self.currency).ok_or_else(|| corrupt("currency"))?;
        let stock = u64::try_from(self.stock).map_err(|_| corrupt("stock"))?;
        Ok(Product {
            id: self.id,
            listing: Listing { name: self.name, price: Money { minor: self.price_minor, currency } },
            stock,
            takings,
            created: self.created_at,
            updated: self.updated_at,
        })
    }
}

impl TakingRow {
    fn new(product_id: ProductId, order_id: OrderId, taking: Taking) -> TakingRow {
        let state = match taking.state {
            State::Taken => "taken",
            State::Refused => "refused",
            State::Restored => "restored",
        };
        TakingRow { product_id, order_id, quantity: taking.quantity as i32, state: state.to_owned() }
    }
}

impl TryFrom<TakingRow> for Taking {
    type Error = Error;

    fn try_from(row: TakingRow) -> Result<Taking, Error> {
        let state = match row.state.as_str() {
            "taken" => State::Taken,
            "refused" => State::Refused,
            "restored" => State::Restored,
            _ => return Err(Error::Internal(format!("what {} took: corrupt state", row.order_id))),
        };
        Ok(Taking { quantity: row.quantity as u32, state })
    }
}

impl Product {
    fn taking_proto(&self, order: OrderId) -> Option<proto::Taking> {
        let taking = self.takings.get(&order)?;
        let state = match taking.state {
            State::Taken => proto::TakingState::Taken,
            State::Refused => proto::TakingState::Refused,
            State::Restored => proto::TakingState::Restored,
        };
        Some(proto::Taking {
            order_id: order.to_string(),
            product_id: self.id.to_string(),
            quantity: taking.quantity as i32,
            state: state.into(),
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
            create_time: Some(product.created.to_proto()),
            update_time: Some(product.updated.to_proto()),
        }
    }
}
