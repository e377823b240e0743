//! Car rentals in a table.

use chassis::db::prelude::*;
use chassis::page::Spot;
use chassis::{Error, Timestamp, Tx, sql};
use contracts::money::v1::Money;
use contracts::mypage::v1 as proto;
use contracts::period::v1::Period;

use crate::pages::{FlowId, Page, Paid, Rules};

diesel::table! {
    use chassis::db::sql_types::*;
    car_rentals (id) {
        id -> SqlUuid,
        version -> BigInt,
        customer -> Nullable<Text>,
        car -> Nullable<Text>,
        starts_at -> Nullable<SqlTime>,
        ends_at -> Nullable<SqlTime>,
        price_minor -> Nullable<BigInt>,
        currency -> Nullable<Text>,
        rental_sequence -> BigInt,
        rental_state -> Integer,
        stars -> Integer,
        payment -> Nullable<Text>,
        payment_sequence -> BigInt,
        payment_state -> Integer,
        reserved_at -> Nullable<SqlTime>,
        rented_at -> Nullable<SqlTime>,
        returned_at -> Nullable<SqlTime>,
        cancelled_at -> Nullable<SqlTime>,
    }
}

chassis::rows! {
    /// A car rental, as far as it was heard of.
    pub struct CarRental in car_rentals (id) {
        id: FlowId,
        version: i64,
        customer: Option<String>,
        car: Option<String>,
        starts_at: Option<Timestamp>,
        ends_at: Option<Timestamp>,
        price_minor: Option<i64>,
        currency: Option<String>,
        rental_sequence: i64,
        rental_state: i32,
        stars: i32,
        payment: Option<String>,
        payment_sequence: i64,
        payment_state: i32,
        reserved_at: Option<Timestamp>,
        rented_at: Option<Timestamp>,
        returned_at: Option<Timestamp>,
        cancelled_at: Option<Timestamp>,
    }
}

impl Page for CarRental {
    fn rules() -> &'static Rules<CarRental> {
        &super::RULES
    }

    fn blank(id: FlowId) -> CarRental {
        CarRental {
            id,
            version: 0,
            customer: None,
            car: None,
            starts_at: None,
            ends_at: None,
            price_minor: None,
            currency: None,
            rental_sequence: 0,
            rental_state: 0,
            stars: 0,
            payment: None,
            payment_sequence: 0,
            payment_state: 0,
            reserved_at: None,
            rented_at: None,
            returned_at: None,
            cancelled_at: None,
        }
    }

    fn flow(&self) -> FlowId {
        self.id
    }

    fn customer(&self) -> Option<&str> {
        self.customer.as_deref()
    }

    fn version(&mut self) -> &mut i64 {
        &mut self.version
    }

    fn payment(&mut self) -> Paid<'_> {
        let CarRental { payment, payment_state, payment_sequence, .. } = self;
        Paid { id: payment, state: payment_state, sequence: payment_sequence }
    }

    async fn read(tx: Tx<'_>, flows: &[FlowId]) -> Result<Vec<CarRental>, Error> {
        let query = car_rentals::table.filter(car_rentals::id.eq_any(flows));
        Ok(sql!(tx, |c| query.select(CarRental::as_select()).load(c))?)
    }

    async fn clear(tx: Tx<'_>) -> Result<(), Error> {
        sql!(tx, |c| diesel::delete(car_rentals::table).execute(c))?;
        Ok(())
    }
}

/// A page of car rentals, newest first: those of a customer, or all. Nobody sees one whose reservation was not heard
/// of, for it is not known whose it is.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    page: &chassis::Page<Spot>,
) -> Result<(Vec<proto::CarRental>, String), Error> {
    let reserved_at = car_rentals::reserved_at.assume_not_null();
    let mut rows: Vec<(Timestamp, CarRental)> = sql!(tx, |c| {
        let query = car_rentals::table.filter(car_rentals::customer.is_not_null());
        let mut query = query.select((reserved_at, CarRental::as_select())).into_boxed();
        if let Some(customer) = customer {
            query = query.filter(car_rentals::customer.eq(customer));
        }
        if let Some(Spot { at, id }) = page.after {
            let id = FlowId::new(id);
            query = query.filter(reserved_at.lt(at).or(reserved_at.eq(at).and(car_rentals::id.lt(id))));
        }
        query.order((reserved_at.desc(), car_rentals::id.desc())).limit(page.limit()).load(c)
    })?;
    let next = page.cut(&mut rows, |(at, row)| Spot { at: *at, id: row.id.uuid() });
    Ok((rows.into_iter().map(|(_, row)| row.into()).collect(), next))
}

impl From<CarRental> for proto::CarRental {
    fn from(row: CarRental) -> Self {
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_proto);
        let (start_time, end_time) = (time(row.starts_at), time(row.ends_at));
        let price = row.currency.zip(row.price_minor);
        proto::CarRental {
            reservation_id: row.id.to_string(),
            customer_id: row.customer.unwrap_or_default(),
            car_id: row.car.unwrap_or_default(),
            period: Some(Period { start_time, end_time }),
            price: price.map(|(currency_code, amount_minor)| Money { currency_code, amount_minor }),
            rental_state: row.rental_state,
            payment_id: row.payment.unwrap_or_default(),
            payment_state: row.payment_state,
            stars: row.stars,
            reserve_time: time(row.reserved_at),
            rent_time: time(row.rented_at),
            return_time: time(row.returned_at),
            cancel_time: time(row.cancelled_at),
        }
    }
}
