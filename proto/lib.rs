//! The contracts of the contexts, generated from `proto/`.
//!
//! The messages, clients and servers of a package `nadeuri.rental.v1` are in [`rental::v1`]. [`RPCS`] and [`EVENTS`]
//! hold the options of the contracts: who may call, what may be retried, which events need no subscriber, which events
//! request a payment. Every request implements [`Request`], which names its RPC and its response. Every message that may
//! hold [`SECRETS`] implements [`Redact`], which clears them; [`SEALED_EVENTS`] have values that are sealed before they are
//! published; [`personal`] erases people from messages.

mod generated {
    // The comments of the contracts are the documentation. Items that prost adds have none.
    #![allow(
        missing_docs,
        clippy::doc_lazy_continuation,
        clippy::doc_overindented_list_items,
        clippy::derive_partial_eq_without_eq,
        clippy::too_many_lines
    )]
    include!(concat!(env!("OUT_DIR"), "/nadeuri.rs"));
}

pub mod personal;
mod redact;
mod request;

pub use generated::nadeuri::*;
pub use options::v1::Role;
pub use redact::{Reader, Redact, Seal};
pub use request::{Enumeration, Extract, Paged, Request, Streaming, Unary};

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// The encoded `FileDescriptorSet` of all contracts with their comments, for reflection and for contract tests.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// One RPC, with its options.
#[derive(Clone, Copy, Debug)]
pub struct Rpc {
    /// The HTTP path, such as `/nadeuri.rental.v1.RentalService/ReserveCar`.
    pub path: &'static str,
    /// The context that serves it, such as `rental`.
    pub context: &'static str,
    /// The staff of its line of business, who act for its customers; `None` for contexts of all lines.
    pub staff: Option<Role>,
    /// The roles that may call it: a caller needs one of them. If empty, nobody may call it.
    pub roles: &'static [Role],
    /// Whether it may be repeated.
    pub idempotency: Idempotency,
    /// Whether its caller sets the deadline, up to one hour.
    pub is_long: bool,
    /// Whether it is answered with a stream of messages.
    pub is_stream: bool,
    /// The full name of the response message.
    pub response: &'static str,
    /// Whether the response may hold secrets, which its server clears for all but their customer: see [`Redact`].
    pub has_secrets: bool,
}

/// The staff of the line of business of a context; `None` if it belongs to all lines.
pub fn staff_of(context: &str) -> Option<Role> {
    RPCS.iter().find(|rpc| rpc.context == context).and_then(|rpc| rpc.staff)
}

/// The effect of a repeated call: `idempotency_level` of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Not set in the contract. A test rejects this.
    Unknown,
    /// It only reads.
    NoSideEffects,
    /// It changes something; with the same request id, only once.
    Idempotent,
}

/// One event that a context publishes.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The full name of the message, such as `nadeuri.rental.v1.CarReserved`.
    pub name: &'static str,
    /// Only the chronicle subscribes to it, intentionally.
    pub is_final: bool,
    /// Any context may publish it, and not only that of its package.
    pub is_open: bool,
    /// Its payment rule, if it is an event of a seller.
    pub purchase: Option<PurchaseRule>,
    /// Encodes it again without the secrets of all customers but one; `None` if it holds none.
    pub redact: Option<redact::Encoded>,
}

impl Event {
    /// The context of its package.
    pub fn context(&self) -> &'static str {
        context_of(self.name).unwrap_or_default()
    }
}

/// The context in whose package a message is: `payment` for `nadeuri.payment.v1.PaymentApproved`.
pub fn context_of(message: &str) -> Option<&str> {
    message.strip_prefix("nadeuri.")?.split_once('.').map(|(context, _)| context)
}

/// The payment rule of an event of a seller: the option `purchase` of the contract.
#[derive(Clone, Copy, Debug)]
pub struct PurchaseRule {
    /// The action on the payment.
    pub action: options::v1::PurchaseAction,
    /// Reads the purchase from the event. Unless a payment is requested, it has only its id and, as its amount, what the
    /// seller keeps of it. The error names the missing field.
    pub read: fn(&[u8]) -> Result<payment::v1::Purchase, String>,
}

impl payment::v1::Payment {
    /// The context of the seller. Older events in the chronicle have no field `seller`: there it follows from the
    /// prefix of the seller's reference.
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
    fn a_payment_names_its_seller() {
        check("market", "car/7", "market");
        check("market", "", "market");
        check("", "", "");
    }

    #[test]
    fn the_seller_of_an_older_payment_follows_from_its_reference() {
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
