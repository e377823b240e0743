//! Geographic queries: rows near a position, nearest first.
//!
//! A plain index on latitude and longitude suffices: the rows in a bounding box around the position are read, ordered
//! by distance. The box is small at first, and grows while it has less than a page. Distances are those on the tangent
//! plane at the position: exact to a thousandth within a hundred kilometres.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::error::Error;
use crate::fields::Fields;
use crate::page::Page;

/// Kilometres per degree of latitude.
pub const KM_PER_DEGREE: f64 = 111.195;
/// The highest latitude of a query, in degrees: nearer to a pole the tangent plane is too inexact.
pub const MAX_LATITUDE: f64 = 85.0;
/// The largest radius, in kilometres.
const MAX_KM: i32 = 100;

/// The position and radius of a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeoQuery {
    /// Degrees north, not near a pole.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// The radius.
    pub within_km: f64,
}

impl GeoQuery {
    /// Parses `latitude`, `longitude` and `within_km`; the last may be 0 for the default radius.
    pub fn parse(
        fields: &mut Fields,
        latitude: Option<f64>,
        longitude: Option<f64>,
        within_km: i32,
        usual_km: i32,
    ) -> Option<GeoQuery> {
        let mut degrees = |field: &str, value: Option<f64>, most: f64| {
            let value = fields.required(field, value)?;
            let in_range = (-most..=most).contains(&value);
            fields.take(field, in_range.then_some(value).ok_or(format!("must be {} to {most} degrees", -most)))
        };
        let latitude = degrees("latitude", latitude, MAX_LATITUDE);
        let longitude = degrees("longitude", longitude, 180.0);
        let within_km = match within_km {
            0 => Ok(usual_km),
            1..=MAX_KM => Ok(within_km),
            _ => Err(format!("must be 1 to {MAX_KM}, or 0 for {usual_km}")),
        };
        let within_km = fields.take("within_km", within_km).map(f64::from);
        let (latitude, longitude, within_km) = (latitude?, longitude?, within_km?);
        Some(GeoQuery { latitude, longitude, within_km })
    }

    /// Distinct bytes for each query, for [`Page::parse`].
    pub fn bytes(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let numbers = [self.latitude, self.longitude, self.within_km].map(f64::to_be_bytes);
        bytes.copy_from_slice(&numbers.concat());
        bytes
    }
}

/// The area of one read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundingBox {
    /// The latitude of its centre, in degrees north.
    pub latitude: f64,
    /// The longitude of its centre, in degrees east.
    pub longitude: f64,
    /// Its extent to the north and to the south, in degrees.
    pub high: f64,
    /// Its extent to the east and to the west, in degrees.
    pub wide: f64,
    /// The length of a degree of longitude here, in degrees of latitude.
    pub shrink: f64,
}

impl BoundingBox {
    fn new(around: &GeoQuery, within_km: f64) -> BoundingBox {
        let shrink = around.latitude.to_radians().cos();
        let high = within_km / KM_PER_DEGREE;
        BoundingBox { latitude: around.latitude, longitude: around.longitude, high, wide: high / shrink, shrink }
    }
}

/// A position in the order by distance, then by id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeoCursor {
    /// The square of the distance, in degrees of latitude.
    pub squared: f64,
    /// Its id.
    pub id: Uuid,
}

impl fmt::Display for GeoCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.squared, self.id.simple())
    }
}

impl FromStr for GeoCursor {
    type Err = ();
    fn from_str(text: &str) -> Result<GeoCursor, ()> {
        let (squared, id) = text.split_once('_').ok_or(())?;
        let squared: f64 = squared.parse().map_err(drop)?;
        if !squared.is_finite() {
            return Err(());
        }
        Ok(GeoCursor { squared, id: Uuid::try_parse(id).map_err(drop)? })
    }
}

/// A page of rows near a position, each with its distance in kilometres. `find` reads the rows in a bounding box, those
/// with the least squared distance first (ties by id), after the page's cursor, [`Page::limit`] at most.
pub async fn page<R, F>(
    around: &GeoQuery,
    page: &Page<GeoCursor>,
    id: impl Fn(&R) -> Uuid,
    find: impl Fn(BoundingBox) -> F,
) -> Result<(Vec<(f64, R)>, String), Error>
where
    F: Future<Output = Result<Vec<(f64, R)>, Error>>,
{
    // In a city a small part of the radius suffices.
    let mut within_km = around.within_km / 16.0;
    loop {
        let mut rows = find(BoundingBox::new(around, within_km)).await?;
        let is_whole = within_km >= around.within_km;
        if rows.len() as i64 == page.limit() || is_whole {
            let next = page.cut(&mut rows, |(squared, row)| GeoCursor { squared: *squared, id: id(row) });
            let far = rows.into_iter().map(|(squared, row)| (squared.sqrt() * KM_PER_DEGREE, row));
            return Ok((far.collect(), next));
        }
        within_km *= 4.0;
    }
}

/// A page of rows near a position, nearest first, then by `id`, and the token of the next page. The table has the
/// columns `latitude` and `longitude`. `where` precedes a condition for all rows; then comes the item of each row:
///
/// ```ignore
/// nearest!(tx, query, page, BikeRow in bikes where bikes::usable; |row, distance_km| item(row.read()?, distance_km))
/// ```
#[macro_export]
macro_rules! nearest {
    (
        $tx:expr, $query:expr, $page:expr, $Row:ident in $table:ident where $all:expr;
        |$row:ident, $distance_km:ident| $item:expr
    ) => {{
        let find = |area: $crate::geo::BoundingBox| async move {
            let squared = || $crate::squared_distance!(area, $table::latitude, $table::longitude);
            Ok($crate::sql!($tx, |c| {
                let mut query = $table::table
                    .filter($all)
                    .filter($table::latitude.between(area.latitude - area.high, area.latitude + area.high))
                    .filter($table::longitude.between(area.longitude - area.wide, area.longitude + area.wide))
                    .filter(squared().le(area.high * area.high))
                    .select((squared(), $Row::as_select()))
                    .into_boxed();
                if let Some($crate::geo::GeoCursor { squared: after, id }) = $page.after {
                    let id = $crate::Id::<()>::new(id);
                    query = query.filter(squared().gt(after).or(squared().eq(after).and($table::id.gt(id))));
                }
                query.order((squared().asc(), $table::id.asc())).limit($page.limit()).load(c)
            })?)
        };
        let (rows, next) = $crate::geo::page($query, $page, |row: &$Row| row.id.uuid(), find).await?;
        let item = |($distance_km, $row): (f64, $Row)| -> Result<_, $crate::Error> { Ok($item) };
        Ok((rows.into_iter().map(item).collect::<Result<Vec<_>, $crate::Error>>()?, next))
    }};
}

/// The square of the distance of a row from the centre of a [`BoundingBox`], in degrees of latitude, from its columns.
#[macro_export]
macro_rules! squared_distance {
    ($area:expr, $latitude:expr, $longitude:expr) => {
        ($latitude - $area.latitude) * ($latitude - $area.latitude)
            + (($longitude - $area.longitude) * $area.shrink) * (($longitude - $area.longitude) * $area.shrink)
    };
}
