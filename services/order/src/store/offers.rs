//! What is known of products, in a table. Others hear nothing of it: it is theirs.

use chassis::db::{self, prelude::*};
use chassis::values::{Currency, Money};
use chassis::{Change, Error, Loaded, Publication, Store, Tx, LoadRequest, sql};

use crate::domain::ProductId;
use crate::offer::{Learn, Learned, Offer};

diesel::table! {
    use chassis::db::sql_types::*;
    offers (product_id) {
        product_id -> SqlUuid,
        version -> BigInt,
        name -> Text,
        price_minor -> BigInt,
        currency -> Text,
        sequence -> BigInt,
    }
}

chassis::rows! {
    /// What is known of a product, flat.
    struct Row in offers (product_id) {
        product_id: ProductId,
        version: i64,
        name: String,
        price_minor: i64,
        currency: String,
        sequence: i64,
    }
}

impl Store for Offer {
    /// Nobody asks.
    type Answer = ();

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let query = offers::table.filter(offers::product_id.eq_any(request.ids()));
        let rows: Vec<Row> = sql!(tx, |c| query.select(Row::as_select()).load(c))?;
        rows.into_iter().map(Loaded::try_from).collect()
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        db::save(tx, changes, Row::new).await
    }

    fn answer(&self, _: &Learn) {}

    fn publish(&self, _: &Learned) -> Option<Publication> {
        None
    }
}

impl Row {
    fn new(offer: &Offer, version: i64) -> Row {
        Row {
            product_id: offer.product,
            version,
            name: offer.name.clone(),
            price_minor: offer.price.minor,
            currency: offer.price.currency.to_string(),
            sequence: offer.sequence,
        }
    }
}

impl TryFrom<Row> for Loaded<Offer> {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let corrupt = || Error::Internal(format!("offer of {}: corrupt currency", row.product_id));
        let currency = Currency::parse(&row.currency).ok_or_else(corrupt)?;
        let price = Money { minor: row.price_minor, currency };
        let state = Offer { product: row.product_id, name: row.name, price, sequence: row.sequence };
        Ok(Loaded { id: row.product_id, version: row.version, state })
    }
}
