//! What the contexts say to each other and to the world, generated from `proto/`.
//!
//! The messages, clients and servers of a package `nadeuri.rental.v1` are in [`rental::v1`]. [`RPCS`] and [`EVENTS`] are
//! what the options in the contracts say: who may call, what may be retried, which events nobody needs to react to, which
//! ones ask for a payment. Every request implements [`Request`], which says what it is sent to and answered with.

mod generated {
    // The comments of the contracts are the documentation; enum and module items that prost adds have none.
    #![allow(
        missing_docs,
        clippy::doc_lazy_continuation,
        clippy::doc_overindented_list_items,
        clippy::derive_partial_eq_without_eq,
        clippy::too_many_lines
    )]
    include!(concat!(env!("OUT_DIR"), "/nadeuri.rs"));
}

mod request;

pub use generated::nadeuri::*;
pub use options::v1::Role;
pub use request::{Enumeration, Extract, Paged, Request, Streaming, Unary};

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// The encoded `FileDescriptorSet` of all contracts with their comments, for reflection and for contract tests.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// One RPC, with what its options say.
#[derive(Clone, Copy, Debug)]
pub struct Rpc {
    /// The HTTP path, such as `/nadeuri.rental.v1.RentalService/ReserveCar`.
    pub path: &'static str,
    /// Who may call it: any one of these. Nobody, if empty.
    pub roles: &'static [Role],
    /// What a repetition does.
    pub idempotency: Idempotency,
    /// It may take as long as its caller says, up to an hour.
    pub is_long: bool,
    /// The full name of the response message.
    pub response: &'static str,
}

/// What happens when a call is repeated: `idempotency_level` of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// The contract does not say. A test fails while there is one.
    Unknown,
    /// It only reads.
    NoSideEffects,
    /// It changes something; repeated with the same request id it does so once.
    Idempotent,
}

/// One event that a context publishes.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The full name of the message, such as `nadeuri.rental.v1.CarReserved`.
    pub name: &'static str,
    /// Nothing but the chronicle reacts to it, and that is meant so.
    pub is_final: bool,
    /// What it means for the payment of a purchase, if it is a seller's.
    pub purchase: Option<PurchaseRule>,
}

impl Event {
    /// Whether other contexts publish it, and not the one that it belongs to: that one asks for it.
    pub fn is_from_others(&self) -> bool {
        self.purchase.is_some() && self.name.starts_with("nadeuri.payment.")
    }
}

/// What an event of a seller means for the payment of a purchase: the option `purchase` of the contract.
#[derive(Clone, Copy, Debug)]
pub struct PurchaseRule {
    /// What is done with the payment.
    pub action: options::v1::PurchaseAction,
    /// Reads the purchase from the event; only its id, unless a payment is requested. An error says what breaks the contract.
    pub read: fn(&[u8]) -> Result<payment::v1::Purchase, String>,
}

impl payment::v1::Payment {
    /// The context that sold what is paid for. Events of before the field `seller` tell it by the seller's reference; the
    /// chronicle keeps them.
    pub fn sold_by(&self) -> &str {
        if !self.seller.is_empty() {
            return &self.seller;
        }
        match self.seller_reference.split_once('/') {
            Some(("car", _)) => "rental",
            Some(("taxi", _)) => "driving",
            Some(("deposit", _)) => "wallet",
            Some((seller, _)) => seller,
            None => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use payment::v1::{Payment, Purchase, PurchaseMade};
    use prost::Message;

    #[track_caller]
    fn check(seller: &str, seller_reference: &str, sold_by: &str) {
        let (seller, seller_reference) = (seller.to_owned(), seller_reference.to_owned());
        assert_eq!(Payment { seller, seller_reference, ..Payment::default() }.sold_by(), sold_by);
    }

    #[test]
    fn a_payment_tells_who_sold_what_it_is_for() {
        check("market", "car/7", "market");
        check("market", "", "market");
        check("", "", "");
    }

    #[test]
    fn payments_of_before_sellers_were_named_tell_it_by_their_reference() {
        check("", "car/7", "rental");
        check("", "taxi/7", "driving");
        check("", "deposit/7", "wallet");
        check("", "stay/7", "stay");
        check("", "order/7", "order");
        check("", "cars/7", "cars");
    }

    #[test]
    fn a_purchase_is_read_from_the_event_of_its_seller() {
        let rule = |name: &str| EVENTS.iter().find(|event| event.name == name).and_then(|event| event.purchase);
        let reserved = rule("nadeuri.rental.v1.CarReserved").expect("it asks for a payment");
        let price = Some(money::v1::Money { currency_code: "KRW".to_owned(), amount_minor: 7 });
        let reservation = rental::v1::Reservation {
            reservation_id: "id".to_owned(),
            car_id: "k5".to_owned(),
            customer_id: "ann".to_owned(),
            price: price.clone(),
            ..rental::v1::Reservation::default()
        };
        let read = Purchase {
            purchase_id: "id".to_owned(),
            customer_id: "ann".to_owned(),
            amount: price,
            seller_reference: "car/k5".to_owned(),
            used: false,
        };
        let event = |reservation| rental::v1::CarReserved { reservation }.encode_to_vec();
        assert_eq!((reserved.read)(&event(Some(reservation.clone()))), Ok(read.clone()));
        let free = rental::v1::Reservation { price: None, ..reservation };
        assert_eq!((reserved.read)(&event(Some(free))), Err("no price".to_owned()));
        assert_eq!((reserved.read)(&event(None)), Err("no reservation".to_owned()));
        assert!((reserved.read)(&[0xff]).is_err());

        let made = rule("nadeuri.payment.v1.PurchaseMade").expect("it asks for a payment");
        let used = Purchase { used: true, ..read };
        assert_eq!((made.read)(&PurchaseMade { purchase: Some(used.clone()) }.encode_to_vec()), Ok(used));
        assert!(rule("nadeuri.rental.v1.CarRented").is_none());
    }
}
