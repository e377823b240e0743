//! Clears the secrets in messages: the fields with the option `debug_redact`, such as the code of a voucher.
//!
//! `build.rs` implements [`Redact`] from the descriptors for each message that may hold secrets, also in a message
//! within. Where a message names its customer, that customer reads the secrets in its own fields, and nobody else;
//! without a customer, nobody does. Those that are worth money (the option `sealed`) are encrypted in events: see
//! [`Seal`].

use prost::{DecodeError, Message};
use prost_types::Any;

use crate::EVENTS;

/// Who reads a message.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The subject of the caller.
    pub subject: &'a str,
    /// Unseals the values in a text of theirs.
    pub unseal: &'a dyn Fn(&str) -> String,
}

/// A reader of messages in which nothing is sealed.
impl<'a> From<&'a str> for Reader<'a> {
    fn from(subject: &'a str) -> Reader<'a> {
        Reader { subject, unseal: &|text| text.to_owned() }
    }
}

/// A message that may hold secrets.
pub trait Redact: Sized {
    /// Clears the secrets of all customers but the reader, and unseals those of the reader. An empty text is what the
    /// contracts promise to other readers: no client takes it for a value.
    fn redact_for(&mut self, reader: &Reader<'_>);

    /// The message without the secrets of others.
    #[must_use]
    fn redacted_for<'a>(mut self, reader: impl Into<Reader<'a>>) -> Self {
        self.redact_for(&reader.into());
        self
    }
}

/// A message with values that are worth money.
pub trait Seal {
    /// Replaces each value, which is not empty, by what `seal` makes of it and of the customer whom its message names.
    fn seal(&mut self, seal: &mut dyn FnMut(&str, &str) -> String);
}

/// Seals a field of a customer.
pub(crate) fn seal_field(field: &mut String, customer: &str, seal: &mut dyn FnMut(&str, &str) -> String) {
    if !field.is_empty() {
        *field = seal(field, customer);
    }
}

/// Decodes a message of one type, and encodes it without the secrets of all customers but one.
pub type Encoded = fn(&[u8], &Reader<'_>) -> Result<Vec<u8>, DecodeError>;

/// [`Encoded`] for messages of type `M`.
pub(crate) fn encoded<M: Message + Redact + Default>(
    message: &[u8],
    reader: &Reader<'_>,
) -> Result<Vec<u8>, DecodeError> {
    Ok(M::decode(message)?.redacted_for(*reader).encode_to_vec())
}

/// Decodes a message of one type, and encodes it with its values sealed.
pub type Sealed = fn(&[u8], &mut dyn FnMut(&str, &str) -> String) -> Result<Vec<u8>, DecodeError>;

/// [`Sealed`] for messages of type `M`.
pub(crate) fn sealed<M: Message + Seal + Default>(
    message: &[u8],
    seal: &mut dyn FnMut(&str, &str) -> String,
) -> Result<Vec<u8>, DecodeError> {
    let mut message = M::decode(message)?;
    message.seal(seal);
    Ok(message.encode_to_vec())
}

/// An event. One that these contracts don't know, or can't decode, may hold anything: nothing of it is left.
impl Redact for Any {
    fn redact_for(&mut self, reader: &Reader<'_>) {
        let name = self.type_url.rsplit('/').next().unwrap_or_default();
        self.value = match EVENTS.iter().find(|event| event.name == name).map(|event| event.redact) {
            Some(None) => return,
            Some(Some(redact)) => redact(&self.value, reader).unwrap_or_default(),
            None => Vec::new(),
        };
    }
}

#[cfg(test)]
mod tests {
    use prost::Name;
    use prost_types::field_descriptor_proto::Type;
    use prost_types::{FieldDescriptorProto, FileDescriptorSet};

    use super::*;
    use crate::chronicle::v1::{Event, GetFlowResponse};
    use crate::dispatch::v1::{Hail, TaxiHailed};
    use crate::payment::v1::{Payment, PaymentApproved};
    use crate::voucher::v1::{ListVouchersResponse, RedeemVoucherRequest, Voucher, VoucherIssued};
    use crate::{DESCRIPTORS, SEALED_EVENTS, SECRETS};

    const CODE: &str = "01AB-CDEF-GHJK-MNPQ";
    /// Codes of standards.
    const PUBLIC_CODES: [&str; 2] = ["currency_code", "country_code"];

    fn voucher() -> Voucher {
        let (customer_id, code) = ("ann".to_owned(), CODE.to_owned());
        Voucher { customer_id, code, resort_name: "Sea View".to_owned(), ..Voucher::default() }
    }

    fn carried<M: Message + Name>(event: &M) -> Any {
        Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: event.encode_to_vec() }
    }

    /// Whether a field holds a secret, by its name.
    fn is_secret(message: &str, field: &FieldDescriptorProto) -> bool {
        let last_word = field.name().rsplit('_').next();
        let is_text = field.r#type() == Type::String;
        // The text of a message may contain the code of a voucher.
        is_text && matches!(last_word, Some("code" | "method")) && !PUBLIC_CODES.contains(&field.name())
            || message == "nadeuri.notification.v1.Message" && field.name() == "text"
    }

    #[test]
    fn every_field_that_holds_a_secret_is_marked() {
        let files = FileDescriptorSet::decode(DESCRIPTORS).expect("the contracts are descriptors").file;
        let ours = files.iter().filter(|file| file.package().starts_with("nadeuri."));
        let mut named: Vec<String> = Vec::new();
        for (file, message) in ours.flat_map(|file| file.message_type.iter().map(move |message| (file, message))) {
            let full_name = format!("{}.{}", file.package(), message.name());
            let fields = message.field.iter().filter(|field| is_secret(&full_name, field));
            named.extend(fields.map(|field| format!("{full_name}.{}", field.name())));
        }
        let mut marked = SECRETS.to_vec();
        named.sort();
        marked.sort_unstable();
        assert_eq!(marked, named);
        for holder in ["dispatch.v1.Hail.payment_method", "voucher.v1.Voucher.code", "mypage.v1.Stay.voucher_code"] {
            assert!(marked.contains(&&*format!("nadeuri.{holder}")), "{holder}");
        }
    }

    #[test]
    fn only_its_customer_reads_a_secret_and_all_read_the_rest() {
        assert_eq!(voucher().redacted_for("ann"), voucher());
        let hidden = Voucher { code: String::new(), ..voucher() };
        assert_eq!(voucher().redacted_for("bob"), hidden);
        let listed = ListVouchersResponse { vouchers: vec![voucher(), voucher()], next_page_token: "2".to_owned() };
        let shown = listed.redacted_for("admin");
        assert_eq!((shown.vouchers, shown.next_page_token.as_str()), (vec![hidden.clone(), hidden], "2"));
        let request = RedeemVoucherRequest { code: CODE.to_owned(), ..RedeemVoucherRequest::default() };
        assert_eq!(request.redacted_for("ann").code, "", "it names no customer");
    }

    #[test]
    fn an_event_is_redacted_in_whatever_carries_it() {
        let issued = VoucherIssued { voucher: Some(voucher()) };
        let hail = Hail { customer_id: "ann".to_owned(), payment_method: "card".to_owned(), ..Hail::default() };
        let events = [carried(&issued), carried(&TaxiHailed { hail: Some(hail.clone()) })];
        let flow = GetFlowResponse {
            events: events.into_iter().map(|data| Event { data: Some(data), ..Event::default() }).collect(),
        };
        assert_eq!(flow.clone().redacted_for("ann"), flow);
        let shown: Vec<Any> = flow.redacted_for("admin").events.into_iter().filter_map(|event| event.data).collect();
        let hidden = VoucherIssued { voucher: Some(Voucher { code: String::new(), ..voucher() }) };
        assert_eq!(shown[0].to_msg(), Ok(hidden));
        assert_eq!(shown[1].to_msg(), Ok(TaxiHailed { hail: Some(Hail { payment_method: String::new(), ..hail }) }));
    }

    #[test]
    fn an_event_without_secrets_stays_as_it_is_and_of_an_unknown_one_nothing_is_left() {
        let approved = carried(&PaymentApproved { payment: Some(Payment::default()) });
        assert_eq!(approved.clone().redacted_for("bob"), approved);
        // A newer version added a field.
        let newer = Any { value: [&*approved.value, &[0xf8, 0x07, 1]].concat(), ..approved.clone() };
        assert_eq!(newer.clone().redacted_for("bob"), newer);
        let unknown = Any { type_url: "type.googleapis.com/nadeuri.gift.v1.GiftSent".to_owned(), ..approved };
        assert_eq!(unknown.redacted_for("bob").value, [0; 0]);
        let malformed = Any { value: vec![0xff], ..carried(&VoucherIssued::default()) };
        assert_eq!(malformed.redacted_for("bob").value, [0; 0]);
    }

    #[test]
    fn a_value_that_is_worth_money_is_sealed_in_events_for_its_customer_who_unseals_it() {
        let (_, seal) =
            SEALED_EVENTS.iter().find(|(name, _)| *name == VoucherIssued::full_name()).expect("it has a code");
        let issued = VoucherIssued { voucher: Some(voucher()) };
        let mut sealed = seal(&issued.encode_to_vec(), &mut |value, customer| format!("{customer}:{value}"));
        let sealed = VoucherIssued::decode(&**sealed.as_mut().expect("it decodes")).expect("it decodes");
        assert_eq!(sealed.voucher, Some(Voucher { code: format!("ann:{CODE}"), ..voucher() }));
        let unseal = |text: &str| text.trim_start_matches("ann:").to_owned();
        assert_eq!(sealed.clone().redacted_for(Reader { subject: "ann", unseal: &unseal }), issued);
        let seen = sealed.redacted_for(Reader { subject: "bob", unseal: &unseal });
        assert_eq!(seen.voucher, Some(Voucher { code: String::new(), ..voucher() }));
        let unissued = VoucherIssued { voucher: Some(Voucher { code: String::new(), ..voucher() }) };
        let bytes = unissued.encode_to_vec();
        assert_eq!(seal(&bytes, &mut |_, _| unreachable!("there is nothing to seal")), Ok(bytes.clone()));
        let others = SEALED_EVENTS.iter().filter(|(name, _)| !name.starts_with("nadeuri.voucher.v1."));
        assert_eq!(others.count(), 0, "no other event has a code in the clear");
    }

    #[test]
    fn a_secret_is_not_shown_where_messages_are_printed() {
        let issued = VoucherIssued { voucher: Some(voucher()) };
        let shown = format!("{issued:?}");
        assert!(shown.contains("Sea View") && !shown.contains(CODE), "{shown}");
    }
}
