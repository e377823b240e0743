//! Offers in a table. They publish no events: they are copies of what `product` owns.

use chassis::db::{self, prelude::*};
use chassis::values::{Currency, Money};
use chassis::{Change, Error, LoadRequest, Loaded, Publication, Store, Tx, sql};

use crate::domain::ProductId;
use crate::offer::{Learn, Learned, Offer};

chassis::table! {
    /// An offer.
    offers (product_id) of Offer as Row with version {
        product_id: ProductId as SqlUuid,
        name: String as Text,
        sequence: i64 as BigInt,
    }
    columns |offer| {
        price_minor: i64 as BigInt = offer.price.minor,
        currency: Currency as Text = offer.price.currency,
    }
    fields |row, corrupt| { price: Money { minor: row.price_minor, currency: row.currency } }
}

impl Store for Offer {
    /// Offers are changed by events only.
    type Answer = ();

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let query = offers::table.filter(offers::product_id.eq_any(request.ids()));
        let rows: Vec<Row> = sql!(tx, |c| query.select(Row::as_select()).load(c))?;
        let loaded = |row: Row| Ok(Loaded { id: row.product_id, metadata: row.metadata(), state: row.read()? });
        rows.into_iter().map(loaded).collect()
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        db::save(tx, changes, Row::of).await
    }

    fn answer(&self, _: &Learn) {}

    fn publish(&self, _: &Learned) -> Option<Publication> {
        None
    }
}
