//! A car wash: a context that lives in this test, and that no contract or crate of the product knows. It sells a wash with
//! each reservation, and asks for its payment by the contract of `payment`.

use chassis::db::{Migrations, prelude::*};
use chassis::{Aggregate, Context, Malformed, Policy, Publication, RefusalCode, StartError, Store, Timestamp, decode};
use contracts::money::v1::Money;
use contracts::payment::v1::{PaymentApproved, Purchase, PurchaseMade, PurchaseUsed, PurchaseVoided};
use contracts::rental::v1::{CarReserved, Reservation, ReservationCancelled};
use diesel_migrations::embed_migrations;

/// The context.
pub static WASH: Context = Context {
    name: "wash",
    about: "a wash with each reservation of a car",
    migrations: Migrations {
        postgres: embed_migrations!("tests/seller/migrations"),
        sqlite: embed_migrations!("tests/seller/migrations"),
    },
    calls: &[],
    personal: &[],
    start: |host| {
        let writer = host.writer::<Wash>();
        host.react(policy(), &writer);
        Ok::<(), StartError>(())
    },
};

chassis::ids! {
    /// The id of a wash, made from the reservation.
    WashId = "wash";
}

/// The wash that is sold with a reservation.
pub fn wash_of(reservation: chassis::Id<()>) -> WashId {
    WashId::derived_from(reservation.uuid())
}

/// What a wash costs.
pub fn price() -> Money {
    Money { currency_code: "KRW".to_owned(), amount_minor: 15_000 }
}

#[derive(Clone, Debug)]
pub struct Wash {
    id: WashId,
    customer: String,
    state: String,
}

#[derive(Debug)]
pub enum Command {
    Sell(WashId, String),
    TakeBack,
    Wash,
}

pub enum Event {
    Sold(WashId, String),
    TakenBack,
    Washed,
}

#[derive(Debug, thiserror::Error)]
#[error("nobody bought it")]
pub struct NotSold;

impl chassis::Refusal for NotSold {
    fn code(&self) -> RefusalCode {
        RefusalCode::NotFound
    }
    fn reason(&self) -> &'static str {
        "NOT_SOLD"
    }
}

impl Aggregate for Wash {
    const NAME: &'static str = "wash";
    type Id = WashId;
    type Command = Command;
    type Event = Event;
    type Refusal = NotSold;

    fn decide(wash: Option<&Wash>, command: &Command, _: Timestamp) -> Result<Vec<Event>, NotSold> {
        match (wash, command) {
            (None, Command::Sell(id, customer)) => Ok(vec![Event::Sold(*id, customer.clone())]),
            (None, _) => Err(NotSold),
            (Some(wash), Command::Wash) if wash.state == "sold" => Ok(vec![Event::Washed]),
            (Some(wash), Command::TakeBack) if wash.state == "sold" => Ok(vec![Event::TakenBack]),
            (Some(_), _) => Ok(vec![]),
        }
    }

    fn evolve(wash: Option<Wash>, event: &Event) -> Wash {
        match (wash, event) {
            (_, Event::Sold(id, customer)) => Wash { id: *id, customer: customer.clone(), state: "sold".to_owned() },
            (Some(wash), Event::TakenBack) => Wash { state: "taken back".to_owned(), ..wash },
            (Some(wash), Event::Washed) => Wash { state: "washed".to_owned(), ..wash },
            (None, _) => unreachable!("it is sold first"),
        }
    }
}

chassis::table! {
    /// A wash.
    washes (id) of Wash as Row with version { id: WashId as SqlUuid, customer: String as Text, state: String as Text }
    fields |row, corrupt| {}
}

impl Store for Wash {
    type Answer = ();

    chassis::flat!(Row in washes);

    fn answer(&self, _: &Command) {}

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (about, purchase_id) = (Publication::about(self.id, self.id.uuid()), self.id.to_string());
        let purchase = Purchase {
            purchase_id: purchase_id.clone(),
            customer_id: self.customer.clone(),
            amount: Some(price()),
            seller_reference: "wash".to_owned(),
            used: false,
        };
        match event {
            Event::Sold(..) => about.publish(&PurchaseMade { purchase: Some(purchase) }),
            Event::TakenBack => about.publish(&PurchaseVoided { purchase_id, kept: None }),
            Event::Washed => about.publish(&PurchaseUsed { purchase_id }),
        }
    }
}

/// What it does when something happens elsewhere.
pub fn policy() -> Policy<Wash> {
    Policy::new()
        .on(|event: CarReserved, _| sold_with(event.reservation, Command::Sell))
        .on(|event: ReservationCancelled, _| sold_with(event.reservation, |_, _| Command::TakeBack))
        .on(|event: PaymentApproved, _| {
            let payment = decode::present("payment", event.payment)?;
            if payment.sold_by() != WASH.name {
                return Ok(vec![]);
            }
            Ok(vec![(decode::parsed("purchase_id", &payment.purchase_id)?, Command::Wash)])
        })
}

fn sold_with(
    reservation: Option<Reservation>,
    command: impl FnOnce(WashId, String) -> Command,
) -> Result<Vec<(WashId, Command)>, Malformed> {
    let reservation = decode::present("reservation", reservation)?;
    let id = wash_of(decode::parsed("reservation_id", &reservation.reservation_id)?);
    Ok(vec![(id, command(id, reservation.customer_id))])
}
