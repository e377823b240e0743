//! A seller that the product does not know: `insurance` sells a cover for each reservation of a car.
//!
//! It asks to be paid by the events that `payment` offers to every seller, and follows the payment by its `seller`.

use std::fmt::{self, Display, Formatter};

use chassis::db::{Column, Migrations, prelude::*};
use chassis::{
    Aggregate, Context, Host, Malformed, Policy, Publication, RefusalCode, StartError, Store, Timestamp, decode, sql,
};
use contracts::payment::v1::{
    ListPaymentsRequest, Payment, PaymentApproved, PaymentCancellationRequested, PaymentCancelled, PaymentState,
    Purchase, PurchaseMade, PurchaseUsed, PurchaseVoided,
};
use contracts::rental::v1::{CarReserved, CarReturned, Reservation, ReservationState};
use diesel_migrations::embed_migrations;

use super::Newcomer;
use crate::support::client::Client;
use crate::support::verbs::won;
use crate::support::{BAD_CARD, GOOD_CARD, eventually, period, precondition};

/// The context.
pub static INSURANCE: Context = Context {
    name: "insurance",
    about: "covers for reserved cars, which customers may pay for",
    migrations: Migrations {
        postgres: embed_migrations!("tests/journeys/newcomer/seller/postgres"),
        sqlite: embed_migrations!("tests/journeys/newcomer/seller/sqlite"),
    },
    calls: &[],
    personal: &[],
    start,
};

fn start(host: &mut Host) -> Result<(), StartError> {
    let writer = host.writer::<Cover>();
    host.react(policy(), &writer);
    Ok(())
}

/// What a cover costs, in won.
const PRICE: i64 = 9_000;

chassis::ids! {
    /// The id of a cover, made from its reservation. It is the id of the purchase.
    CoverId = "cover";
}

#[derive(Clone, Debug, PartialEq)]
struct Cover {
    id: CoverId,
    customer: String,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Offered,
    Paid,
    TakenBack,
    Refunded,
    Used,
}

#[derive(Debug)]
enum Command {
    Offer(CoverId, String),
    Pay,
    TakeBack,
    Refund,
    /// The car is back: a paid cover was used, and one that is not paid is worth nothing any more.
    End,
}

enum Event {
    Offered(CoverId, String),
    Became(State),
}

/// It says no to nothing.
#[derive(Debug)]
enum Never {}

impl Display for Never {
    fn fmt(&self, _: &mut Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl chassis::Refusal for Never {
    fn code(&self) -> RefusalCode {
        match *self {}
    }
    fn reason(&self) -> &'static str {
        match *self {}
    }
}

impl Aggregate for Cover {
    const NAME: &'static str = "cover";
    type Id = CoverId;
    type Command = Command;
    type Event = Event;
    type Refusal = Never;

    fn decide(cover: Option<&Cover>, command: &Command, _: Timestamp) -> Result<Vec<Event>, Never> {
        let became = match (cover.map(|cover| cover.state), command) {
            (None, Command::Offer(id, customer)) => return Ok(vec![Event::Offered(*id, customer.clone())]),
            (Some(State::Offered), Command::Pay) => State::Paid,
            (Some(State::Offered), Command::End) | (Some(State::Paid), Command::TakeBack) => State::TakenBack,
            (Some(State::Paid), Command::End) => State::Used,
            (Some(State::TakenBack), Command::Refund) => State::Refunded,
            _ => return Ok(vec![]),
        };
        Ok(vec![Event::Became(became)])
    }

    fn evolve(cover: Option<Cover>, event: &Event) -> Cover {
        match (cover, event) {
            (_, Event::Offered(id, customer)) => Cover { id: *id, customer: customer.clone(), state: State::Offered },
            (Some(cover), Event::Became(state)) => Cover { state: *state, ..cover },
            (None, Event::Became(_)) => unreachable!("it is offered first"),
        }
    }
}

/// Which events lead to what. Payments of other sellers are not ours.
fn policy() -> Policy<Cover> {
    Policy::new()
        .on(|event: CarReserved, _| {
            of(event.reservation, |id, reservation| Command::Offer(id, reservation.customer_id))
        })
        .on(|event: CarReturned, _| of(event.reservation, |_, _| Command::End))
        .on(|event: PaymentApproved, _| paid(event.payment, Command::Pay))
        .on(|event: PaymentCancellationRequested, _| paid(event.payment, Command::TakeBack))
        .on(|event: PaymentCancelled, _| paid(event.payment, Command::Refund))
}

type Reaction = Result<Vec<(CoverId, Command)>, Malformed>;

fn of(reservation: Option<Reservation>, command: impl FnOnce(CoverId, Reservation) -> Command) -> Reaction {
    let reservation = decode::present("reservation", reservation)?;
    let id = cover_of(&reservation).ok_or_else(|| Malformed("reservation_id".to_owned()))?;
    Ok(vec![(id, command(id, reservation))])
}

fn paid(payment: Option<Payment>, command: Command) -> Reaction {
    let payment = decode::present("payment", payment)?;
    if payment.sold_by() != INSURANCE.name {
        return Ok(vec![]);
    }
    Ok(vec![(decode::parsed("purchase_id", &payment.purchase_id)?, command)])
}

fn cover_of(reservation: &Reservation) -> Option<CoverId> {
    Some(CoverId::derived_from(reservation.reservation_id.parse().ok()?))
}

chassis::table! {
    /// A cover.
    covers (id) of Cover as Row with version {
        id: CoverId as SqlUuid,
        customer: String as Text,
        state: State as Text,
    }
}

const STATES: [(State, &str); 5] = [
    (State::Offered, "offered"),
    (State::Paid, "paid"),
    (State::TakenBack, "taken back"),
    (State::Refunded, "refunded"),
    (State::Used, "used"),
];

impl Column for State {
    type Stored = String;
    fn into_stored(self) -> String {
        STATES.iter().find(|(state, _)| *state == self).map(|(_, text)| (*text).to_owned()).unwrap_or_default()
    }
    fn from_stored(stored: String) -> Option<State> {
        STATES.iter().find(|(_, text)| *text == stored).map(|(state, _)| *state)
    }
}

impl Store for Cover {
    type Answer = ();

    chassis::flat!(Row in covers);

    fn answer(&self, _: &Command) {}

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (purchase_id, about) = (self.id.to_string(), Publication::about(self.id, self.id.uuid()));
        let purchase = || Purchase {
            purchase_id: self.id.to_string(),
            customer_id: self.customer.clone(),
            amount: Some(won(PRICE)),
            seller_reference: "cover".to_owned(),
            used: false,
        };
        match event {
            Event::Offered(..) => about.publish(&PurchaseMade { purchase: Some(purchase()) }),
            Event::Became(State::TakenBack) => about.publish(&PurchaseVoided { purchase_id, kept: None }),
            Event::Became(State::Used) => about.publish(&PurchaseUsed { purchase_id }),
            Event::Became(_) => None,
        }
    }
}

/// The customer of the journey, and the covers of the newcomer.
struct Covers<'a>(&'a Newcomer<'a>);

impl Covers<'_> {
    /// Waits until the newcomer has the cover in the state.
    async fn are_seen(&self, id: CoverId, state: State) {
        let what = format!("the cover to be {state:?}");
        eventually(&what, async || {
            let reader = self.0.database.reader().await.unwrap();
            let rows: Vec<Row> =
                sql!(reader.tx(), |c| covers::table.filter(covers::id.eq(id)).select(Row::as_select()).load(c))
                    .unwrap();
            rows.into_iter().any(|row| row.read().unwrap().state == state).then_some(())
        })
        .await;
    }

    /// Waits until the payment of the cover is in the state.
    async fn payment(&self, id: CoverId, state: PaymentState) -> Payment {
        let what = format!("the payment of the cover to be {}", state.as_str_name());
        let request = ListPaymentsRequest { purchase_id: id.to_string(), ..Default::default() };
        eventually(&what, async || {
            let payments = self.0.mina.send(request.clone()).await.unwrap().payments;
            assert!(payments.len() < 2, "there is one payment for a purchase");
            payments.into_iter().find(|payment| payment.state() == state)
        })
        .await
    }
}

/// Mina takes a cover for each of three trips: she wants the money for one back, uses one, and never pays for one.
pub async fn sells_and_is_paid(newcomer: Newcomer<'_>) {
    let Newcomer { admin, mina, .. } = newcomer;
    let covers = Covers(&newcomer);
    let mut trips = Vec::new();
    for _ in 0..3 {
        let car = admin.new_car("Hyundai Casper", 54_000).await;
        let trip = mina.reserve(&car, period(0, 1)).await.unwrap();
        let cover = cover_of(&trip).unwrap();
        let asked = covers.payment(cover, PaymentState::Requested).await;
        assert_eq!((asked.seller.as_str(), &asked.amount), (INSURANCE.name, &Some(won(PRICE))));
        assert_eq!((&asked.customer_id, asked.seller_reference.as_str()), (&trip.customer_id, "cover"));
        trips.push((trip, cover, asked.payment_id));
    }
    let [(trip, cover, payment), (used_trip, used, used_payment), (unpaid_trip, unpaid, unpaid_payment)] = &trips[..]
    else {
        unreachable!("three trips");
    };

    precondition(mina.charge(payment, BAD_CARD).await, "PAYMENT_REFUSED");
    mina.charge(payment, GOOD_CARD).await.unwrap();
    covers.are_seen(*cover, State::Paid).await;
    let asked = mina.cancel_payment(payment).await.unwrap();
    assert!([PaymentState::Cancelling, PaymentState::Cancelled].contains(&asked.state()), "{asked:?}");
    assert!(covers.payment(*cover, PaymentState::Cancelled).await.refunded, "the seller took it back");
    covers.are_seen(*cover, State::Refunded).await;
    // What is sold beside the car is another purchase.
    assert_eq!(mina.reservation(trip).await.unwrap().state(), ReservationState::Reserved);

    mina.charge(used_payment, GOOD_CARD).await.unwrap();
    covers.are_seen(*used, State::Paid).await;
    for trip in [used_trip, unpaid_trip] {
        mina.rent(trip).await.unwrap();
        mina.bring_back(trip).await.unwrap();
    }
    covers.are_seen(*used, State::Used).await;
    covers.payment(*used, PaymentState::Settled).await;
    precondition(mina.cancel_payment(used_payment).await, "PAYMENT_SETTLED");
    assert!(!covers.payment(*unpaid, PaymentState::Cancelled).await.refunded, "nothing was paid");
    precondition(mina.charge(unpaid_payment, GOOD_CARD).await, "PAYMENT_CANCELLED");
    tells_all(admin, *cover).await;
}

/// The chronicle has the flow of a purchase that was refunded, with what the newcomer published.
async fn tells_all(admin: &Client, cover: CoverId) {
    let expected = [
        ("insurance", "PurchaseMade"),
        ("payment", "PaymentRequested"),
        ("payment", "PaymentRefused"),
        ("payment", "PaymentApproved"),
        ("payment", "PaymentCancellationRequested"),
        ("insurance", "PurchaseVoided"),
        ("payment", "PaymentCancelled"),
    ];
    let told = eventually("the whole flow", async || {
        let flow = admin.flow(&cover.to_string()).await;
        let of_payment = |event: contracts::chronicle::v1::Event| {
            let kind = event.r#type.strip_prefix("nadeuri.payment.v1.")?.to_owned();
            Some((event.source, kind))
        };
        let told: Vec<_> = flow.into_iter().filter_map(of_payment).collect();
        (told.len() >= expected.len()).then_some(told)
    });
    let told = told.await;
    let told: Vec<(&str, &str)> = told.iter().map(|(source, kind)| (source.as_str(), kind.as_str())).collect();
    assert_eq!(told, expected);
}
