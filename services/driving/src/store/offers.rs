//! The offered drives near a position, nearest first.
//!
//! A plain index on latitude and longitude of what is offered (`drives_offered`) is enough: a box around the position is
//! read from it, ordered by distance. The box is small at first, and grows while it does not hold a page. Distances are
//! those on a plane that touches the earth at the position: good to a thousandth within a hundred kilometres.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chassis::db::prelude::*;
use chassis::{Error, Page, Tx, sql};
use contracts::driving::v1 as proto;
use uuid::Uuid;

use super::{Row, declined, drives};
use crate::domain::DriveId;

/// Of a degree of latitude.
const KM_PER_DEGREE: f64 = 111.195;

/// What a driver looks for.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// Who looks; what they declined is left out.
    pub driver: &'a str,
    /// Degrees north, not near a pole.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// How far the customer may be.
    pub within_km: f64,
}

/// A row in the order of distance, then of id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    /// The square of the distance, in degrees of latitude.
    squared: f64,
    id: Uuid,
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.squared, self.id.simple())
    }
}

impl FromStr for Near {
    type Err = ();
    fn from_str(text: &str) -> Result<Near, ()> {
        let (squared, id) = text.split_once('_').ok_or(())?;
        let squared: f64 = squared.parse().map_err(drop)?;
        if !squared.is_finite() {
            return Err(());
        }
        Ok(Near { squared, id: Uuid::try_parse(id).map_err(drop)? })
    }
}

/// A page of what a driver looks for.
pub async fn list(tx: Tx<'_>, search: &Search<'_>, page: &Page<Near>) -> Result<(Vec<proto::Offer>, String), Error> {
    // In a city at night a small part of the way is enough.
    let mut within_km = search.within_km / 16.0;
    loop {
        let mut rows = within(tx, search, within_km, page).await?;
        let is_whole = within_km >= search.within_km;
        if rows.len() as i64 == page.limit() || is_whole {
            let next = page.cut(&mut rows, |(squared, row)| Near { squared: *squared, id: row.id.uuid() });
            let offer = |(squared, row): (f64, Row)| {
                let drive = row.drive(BTreeSet::new())?;
                Ok(proto::Offer { drive: Some((&drive).into()), distance_km: squared.sqrt() * KM_PER_DEGREE })
            };
            return Ok((rows.into_iter().map(offer).collect::<Result<_, Error>>()?, next));
        }
        within_km *= 4.0;
    }
}

/// What is offered within a distance, nearest first, as far as the page goes.
async fn within(tx: Tx<'_>, search: &Search<'_>, within_km: f64, page: &Page<Near>) -> Result<Vec<(f64, Row)>, Error> {
    let (latitude, longitude) = (search.latitude, search.longitude);
    let shrink = latitude.to_radians().cos();
    let radius = within_km / KM_PER_DEGREE;
    let (high, wide) = (radius, radius / shrink);
    let north = || drives::latitude - latitude;
    let east = || (drives::longitude - longitude) * shrink;
    let squared = || north() * north() + east() * east();
    Ok(sql!(tx, |c| {
        let not_wanted = declined::table.filter(declined::driver.eq(search.driver)).select(declined::drive);
        let mut query = drives::table
            .filter(drives::is_offered)
            .filter(drives::latitude.between(latitude - high, latitude + high))
            .filter(drives::longitude.between(longitude - wide, longitude + wide))
            .filter(squared().le(radius * radius))
            .filter(drives::id.ne_all(not_wanted))
            .select((squared(), Row::as_select()))
            .into_boxed();
        if let Some(Near { squared: after, id }) = page.after {
            let id = DriveId::new(id);
            query = query.filter(squared().gt(after).or(squared().eq(after).and(drives::id.gt(id))));
        }
        query.order((squared().asc(), drives::id.asc())).limit(page.limit()).load(c)
    })?)
}
