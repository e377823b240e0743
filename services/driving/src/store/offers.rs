//! The offered drives near a position, nearest first. There is an index for them, `drives_offered`.

use std::collections::BTreeSet;

use chassis::db::prelude::*;
use chassis::geo::{self, BoundingBox, GeoCursor, GeoQuery};
use chassis::{Error, Page, Tx, sql, squared_distance};
use contracts::driving::v1 as proto;

use super::{Row, declined, drives};
use crate::domain::DriveId;

/// The search of a driver.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// The driver; drives that they declined are left out, and those that they hailed.
    pub driver: &'a str,
    /// Where the customer may be.
    pub around: GeoQuery,
}

/// A page of the drives that a search finds.
pub async fn list(
    tx: Tx<'_>,
    search: &Search<'_>,
    page: &Page<GeoCursor>,
) -> Result<(Vec<proto::Offer>, String), Error> {
    let find = |area: BoundingBox| async move {
        let squared = || squared_distance!(area, drives::latitude, drives::longitude);
        Ok(sql!(tx, |c| {
            let not_wanted = declined::table.filter(declined::driver.eq(search.driver)).select(declined::drive);
            let mut query = drives::table
                .filter(drives::is_offered)
                .filter(drives::latitude.between(area.latitude - area.high, area.latitude + area.high))
                .filter(drives::longitude.between(area.longitude - area.wide, area.longitude + area.wide))
                .filter(squared().le(area.high * area.high))
                .filter(drives::id.ne_all(not_wanted))
                .filter(drives::customer.ne(search.driver))
                .select((squared(), Row::as_select()))
                .into_boxed();
            if let Some(GeoCursor { squared: after, id }) = page.after {
                let id = DriveId::new(id);
                query = query.filter(squared().gt(after).or(squared().eq(after).and(drives::id.gt(id))));
            }
            query.order((squared().asc(), drives::id.asc())).limit(page.limit()).load(c)
        })?)
    };
    let (rows, next) = geo::page(&search.around, page, |row: &Row| row.id.uuid(), find).await?;
    let offer = |(distance_km, row): (f64, Row)| {
        let drive = row.read(BTreeSet::new())?;
        Ok(proto::Offer { drive: Some((&drive).into()), distance_km })
    };
    Ok((rows.into_iter().map(offer).collect::<Result<_, Error>>()?, next))
}
