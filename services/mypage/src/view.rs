//! Car rentals, made from the events of `rental` and `payment`.
//!
//! **Invariant**: a row is a function of the events, whatever their order. What changes, the newest event says: a row
//! knows the sequence of what it shows, and an older event does not touch that. What never changes, such as the period,
//! any event says. The time of something is said by the one event that tells of it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chassis::ids::Kind;
use chassis::{Envelope, Error, Id, Interest, Malformed, Timestamp, Tx, View};
use contracts::money::v1::Money;
use contracts::payment;
use contracts::payment::v1::{
    PaymentApproved, PaymentCancellationRefused, PaymentCancellationRequested, PaymentCancelled, PaymentRefused,
    PaymentRequested, PaymentSettled,
};
use contracts::rental::v1::{CarRented, CarReserved, CarReturned, RentalRated, Reservation, ReservationCancelled};
use prost::{Message, Name};

use crate::store::{self, Row};

/// The kind of a [`ReservationId`].
pub enum ReservationKind {}
impl Kind for ReservationKind {
    const NAME: &'static str = "reservation";
}
/// The id of a reservation: that of the car rental, and of the purchase that is paid for.
pub type ReservationId = Id<ReservationKind>;

/// The view of car rentals.
pub enum CarRentals {}

impl View for CarRentals {
    fn interest() -> Interest {
        Interest::Kinds(RULES.keys().cloned().collect())
    }

    async fn apply(tx: Tx<'_>, events: &[Envelope]) -> Result<(), Error> {
        let news = events.iter().map(News::parse).collect::<Result<Vec<News>, Malformed>>();
        let news = news.map_err(|malformed| Error::Internal(malformed.to_string()))?;
        let mut ids: Vec<ReservationId> = news.iter().map(|news| news.reservation).collect();
        ids.sort();
        ids.dedup();
        let known = store::read(tx, &ids).await?;
        let mut rows: BTreeMap<ReservationId, Row> = known.into_iter().map(|row| (row.id, row)).collect();
        for news in &news {
            rows.entry(news.reservation).or_insert_with(|| Row::new(news.reservation)).fold(news);
        }
        store::save(tx, rows.into_values().collect()).await
    }

    async fn clear(tx: Tx<'_>) -> Result<(), Error> {
        store::clear(tx).await
    }
}

/// What an event says of one car rental.
#[derive(Clone, Debug)]
struct News {
    reservation: ReservationId,
    sequence: i64,
    at: Timestamp,
    told: Told,
}

#[derive(Clone, Debug)]
enum Told {
    Rental(Rental, Moment),
    Payment(Payment),
}

/// What every event of `rental` says.
#[derive(Clone, Debug)]
struct Rental {
    customer: String,
    car: String,
    starts_at: Timestamp,
    ends_at: Timestamp,
    price: Money,
    state: i32,
    stars: i32,
    reserved_at: Timestamp,
}

/// What every event of `payment` says.
#[derive(Clone, Debug)]
struct Payment {
    id: String,
    state: i32,
}

/// What an event of `rental` tells the time of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Rented,
    Returned,
    Cancelled,
    /// Nothing that is shown.
    Other,
}

/// Tells what an event says, and of which reservation.
type Rule = Box<dyn Fn(&Envelope) -> Result<(ReservationId, Told), Malformed> + Send + Sync>;

/// The events that the view is made from, by full name, and what each says.
static RULES: LazyLock<BTreeMap<String, Rule>> = LazyLock::new(|| {
    BTreeMap::from([
        on(|event: CarReserved| rental(event.reservation, Moment::Other)),
        on(|event: CarRented| rental(event.reservation, Moment::Rented)),
        on(|event: CarReturned| rental(event.reservation, Moment::Returned)),
        on(|event: ReservationCancelled| rental(event.reservation, Moment::Cancelled)),
        on(|event: RentalRated| rental(event.reservation, Moment::Other)),
        on(|event: PaymentRequested| payment(event.payment)),
        on(|event: PaymentApproved| payment(event.payment)),
        on(|event: PaymentRefused| payment(event.payment)),
        on(|event: PaymentCancellationRequested| payment(event.payment)),
        on(|event: PaymentCancellationRefused| payment(event.payment)),
        on(|event: PaymentCancelled| payment(event.payment)),
        on(|event: PaymentSettled| payment(event.payment)),
    ])
});

fn on<M>(tell: fn(M) -> Result<(ReservationId, Told), Malformed>) -> (String, Rule)
where
    M: Message + Name + Default + 'static,
{
    (M::full_name(), Box::new(move |event| tell(event.decode::<M>()?)))
}

fn rental(reservation: Option<Reservation>, moment: Moment) -> Result<(ReservationId, Told), Malformed> {
    let reservation = reservation.ok_or_else(|| malformed("reservation"))?;
    let id = reservation.reservation_id.parse().map_err(|_| malformed("reservation_id"))?;
    let period = reservation.period.ok_or_else(|| malformed("period"))?;
    let rental = Rental {
        starts_at: time("start_time", period.start_time.as_ref())?,
        ends_at: time("end_time", period.end_time.as_ref())?,
        reserved_at: time("create_time", reservation.create_time.as_ref())?,
        customer: reservation.customer_id,
        car: reservation.car_id,
        price: reservation.price.ok_or_else(|| malformed("price"))?,
        state: reservation.state,
        stars: reservation.stars,
    };
    Ok((id, Told::Rental(rental, moment)))
}

fn payment(payment: Option<payment::v1::Payment>) -> Result<(ReservationId, Told), Malformed> {
    let payment = payment.ok_or_else(|| malformed("payment"))?;
    let id = payment.purchase_id.parse().map_err(|_| malformed("purchase_id"))?;
    Ok((id, Told::Payment(Payment { id: payment.payment_id, state: payment.state })))
}

fn time(field: &str, proto: Option<&prost_types::Timestamp>) -> Result<Timestamp, Malformed> {
    proto.and_then(Timestamp::from_proto).ok_or_else(|| malformed(field))
}

fn malformed(field: &str) -> Malformed {
    Malformed(format!("a bad {field}"))
}

impl News {
    fn parse(event: &Envelope) -> Result<News, Malformed> {
        let rule = RULES.get(&event.kind).ok_or_else(|| malformed("type"))?;
        let (reservation, told) = rule(event)?;
        Ok(News { reservation, sequence: event.sequence, at: event.at, told })
    }
}

impl Row {
    /// A car rental of which nothing was heard.
    fn new(id: ReservationId) -> Row {
        Row {
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

    /// Takes news in.
    fn fold(&mut self, news: &News) {
        match &news.told {
            Told::Rental(rental, moment) => {
                self.fold_rental(rental, news.sequence);
                match moment {
                    Moment::Rented => self.rented_at = Some(news.at),
                    Moment::Returned => self.returned_at = Some(news.at),
                    Moment::Cancelled => self.cancelled_at = Some(news.at),
                    Moment::Other => {}
                }
            }
            Told::Payment(payment) => {
                self.payment = Some(payment.id.clone());
                if news.sequence > self.payment_sequence {
                    self.payment_sequence = news.sequence;
                    self.payment_state = payment.state;
                }
            }
        }
    }

    fn fold_rental(&mut self, rental: &Rental, sequence: i64) {
        self.customer = Some(rental.customer.clone());
        self.car = Some(rental.car.clone());
        self.starts_at = Some(rental.starts_at);
        self.ends_at = Some(rental.ends_at);
        self.price_minor = Some(rental.price.amount_minor);
        self.currency = Some(rental.price.currency_code.clone());
        self.reserved_at = Some(rental.reserved_at);
        if sequence > self.rental_sequence {
            self.rental_sequence = sequence;
            self.rental_state = rental.state;
            self.stars = rental.stars;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::payment::v1::PaymentState;
    use contracts::period::v1::Period;
    use contracts::rental::v1::ReservationState;

    const FLOW: &str = "00000000-0000-4000-8000-000000000001";

    fn id() -> ReservationId {
        FLOW.parse().expect("the test gives a UUID")
    }

    fn envelope<M: Message + Name>(message: &M, sequence: i64) -> Envelope {
        Envelope {
            event_id: id().uuid(),
            kind: M::full_name(),
            source: String::new(),
            subject: String::new(),
            at: Timestamp::from_micros(sequence * 1_000_000),
            correlation_id: id().uuid(),
            causation_id: None,
            sequence,
            traceparent: None,
            body: message.encode_to_vec(),
        }
    }

    fn reservation(state: ReservationState, stars: i32) -> Option<Reservation> {
        let time = |seconds: i64| Some(prost_types::Timestamp { seconds, nanos: 0 });
        Some(Reservation {
            reservation_id: FLOW.into(),
            customer_id: "ann".into(),
            car_id: "K5".into(),
            period: Some(Period { start_time: time(3_600), end_time: time(90_000) }),
            price: Some(Money { currency_code: "KRW".into(), amount_minor: 120_000 }),
            create_time: time(7),
            state: state.into(),
            stars,
            ..Reservation::default()
        })
    }

    fn paid(state: PaymentState) -> Option<payment::v1::Payment> {
        let (payment_id, purchase_id) = ("pay".into(), FLOW.into());
        Some(payment::v1::Payment { payment_id, purchase_id, state: state.into(), ..Default::default() })
    }

    /// Reserved on a car that others had reserved before, refused, paid, returned, rated.
    fn returned() -> Vec<Envelope> {
        use {PaymentState as P, ReservationState as R};
        vec![
            envelope(&CarReserved { reservation: reservation(R::Reserved, 0) }, 11),
            envelope(&PaymentRequested { payment: paid(P::Requested) }, 1),
            envelope(&PaymentRefused { payment: paid(P::Refused) }, 3),
            envelope(&PaymentApproved { payment: paid(P::Approved) }, 5),
            envelope(&CarRented { reservation: reservation(R::Rented, 0) }, 12),
            envelope(&CarReturned { reservation: reservation(R::Returned, 0) }, 15),
            envelope(&PaymentSettled { payment: paid(P::Settled) }, 6),
            envelope(&RentalRated { reservation: reservation(R::Returned, 4) }, 16),
        ]
    }

    /// Reserved, paid, and taken back by way of the payment; in between it seemed that it could not be.
    fn refunded() -> Vec<Envelope> {
        use {PaymentState as P, ReservationState as R};
        vec![
            envelope(&CarReserved { reservation: reservation(R::Reserved, 0) }, 1),
            envelope(&PaymentRequested { payment: paid(P::Requested) }, 1),
            envelope(&PaymentApproved { payment: paid(P::Approved) }, 3),
            envelope(&CarRented { reservation: reservation(R::Rented, 0) }, 2),
            envelope(&PaymentCancellationRefused { payment: paid(P::Approved) }, 5),
            envelope(&PaymentCancellationRequested { payment: paid(P::Cancelling) }, 6),
            envelope(&ReservationCancelled { reservation: reservation(R::Cancelled, 0) }, 4),
            envelope(&PaymentCancelled { payment: paid(P::Cancelled) }, 8),
        ]
    }

    fn news(events: &[Envelope]) -> Vec<News> {
        events.iter().map(|event| News::parse(event).expect("it is right")).collect()
    }

    fn row<'a>(news: impl IntoIterator<Item = &'a News>) -> Row {
        news.into_iter().fold(Row::new(id()), |mut row, news| {
            row.fold(news);
            row
        })
    }

    /// Calls `check` with every order of `items[..length]` before the rest.
    fn for_every_order<T>(items: &mut [T], length: usize, check: &mut impl FnMut(&[T])) {
        if length <= 1 {
            return check(items);
        }
        for index in 0..length {
            items.swap(index, length - 1);
            for_every_order(items, length - 1, check);
            items.swap(index, length - 1);
        }
    }

    #[test]
    fn a_row_is_the_same_in_whatever_order_the_events_come() {
        for events in [returned(), refunded()] {
            let mut news = news(&events);
            let (expected, mut orders) = (row(&news), 0);
            let length = news.len();
            for_every_order(&mut news, length, &mut |news| {
                assert_eq!(row(news), expected);
                orders += 1;
            });
            assert_eq!(orders, (1..=length).product::<usize>());
        }
    }

    #[test]
    fn an_event_that_comes_again_changes_nothing() {
        for events in [returned(), refunded()] {
            let news = news(&events);
            for again in &news {
                assert_eq!(row(news.iter().chain([again])), row(&news));
            }
        }
    }

    #[test]
    fn a_row_shows_the_newest_of_both_and_the_times_of_all() {
        let at = |seconds: i64| Some(Timestamp::from_micros(seconds * 1_000_000));
        let row = row(&news(&returned()));
        assert_eq!(row.rental_state, i32::from(ReservationState::Returned));
        assert_eq!(row.payment_state, i32::from(PaymentState::Settled));
        assert_eq!((row.customer.as_deref(), row.payment.as_deref(), row.stars), (Some("ann"), Some("pay"), 4));
        assert_eq!((row.reserved_at, row.rented_at, row.returned_at), (at(7), at(12), at(15)));
        assert_eq!(row.cancelled_at, None);
    }

    #[test]
    fn a_payment_that_is_heard_of_first_shows_no_customer_yet() {
        let row = row(&news(&refunded()[1..3]));
        assert_eq!((row.customer, row.payment_state), (None, i32::from(PaymentState::Approved)));
    }

    #[test]
    fn an_event_that_breaks_its_contract_is_malformed() {
        assert!(News::parse(&envelope(&CarReserved { reservation: None }, 1)).is_err());
        assert!(News::parse(&envelope(&PaymentRequested { payment: None }, 1)).is_err());
    }
}
