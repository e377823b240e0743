//! What messages tell about people: the fields with the option `personal`.
//!
//! An erasure goes through all that was ever stored, once in a while. So these functions read messages by their
//! descriptors, not by generated code, and they keep fields that a newer version added.

use std::sync::LazyLock;

use prost::{DecodeError, Message as _, Name as _};
use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, Value};

use crate::DESCRIPTORS;
use crate::mypage::v1::CustomerErased;
use crate::options::v1::Personal;

/// What an erasure writes in place of a text.
pub const ERASED_TEXT: &str = "erased";

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("the contracts are descriptors"));
static OPTION: LazyLock<ExtensionDescriptor> = LazyLock::new(|| {
    POOL.get_extension_by_name("nadeuri.options.v1.personal").expect("the option is one of the contracts")
});

/// That somebody is to be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Who: the subject of a caller.
    pub subject: String,
    /// What replaces the subject.
    pub pseudonym: String,
}

impl Erasure {
    /// The full name of the event that asks for one.
    pub fn event() -> String {
        CustomerErased::full_name()
    }

    /// What the event asks for. One in which the subject was erased asks for nothing.
    pub fn read(event: &[u8]) -> Result<Option<Erasure>, DecodeError> {
        let CustomerErased { erasure, customer_id: subject } = CustomerErased::decode(event)?;
        let pseudonym = erasure.unwrap_or_default().pseudonym;
        Ok((subject != pseudonym).then_some(Erasure { subject, pseudonym }))
    }

    /// The message without the subject and what it tells about them; `None` if it does not name them, or if the contracts
    /// don't know its type.
    pub fn erased(&self, kind: &str, message: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
        let Some(mut message) = naming(kind, message, &self.subject)? else { return Ok(None) };
        let is_changed = erase(&mut message, self);
        Ok(is_changed.then(|| message.encode_to_vec()))
    }
}

/// Whether a message of this type names the subject.
pub fn names(kind: &str, message: &[u8], subject: &str) -> Result<bool, DecodeError> {
    let nobody = Erasure { subject: subject.to_owned(), pseudonym: String::new() };
    Ok(naming(kind, message, subject)?.is_some_and(|mut message| erase(&mut message, &nobody)))
}

/// A message as JSON, by the rules of Protobuf; `None` if it carries an event that the contracts don't know.
pub fn json<M: prost::Message + prost::Name>(message: &M) -> Option<serde_json::Value> {
    let descriptor = POOL.get_message_by_name(&M::full_name())?;
    let message = DynamicMessage::decode(descriptor, &*message.encode_to_vec()).ok()?;
    serde_json::to_value(message).ok()
}

/// The message, if its bytes contain the subject: texts are encoded as they are, and most messages are about others.
fn naming(kind: &str, message: &[u8], subject: &str) -> Result<Option<DynamicMessage>, DecodeError> {
    let may_name = !subject.is_empty() && message.windows(subject.len()).any(|part| part == subject.as_bytes());
    let known = POOL.get_message_by_name(kind).filter(|_| may_name);
    known.map(|descriptor| DynamicMessage::decode(descriptor, message)).transpose()
}

/// What a field tells about a person.
fn personal(field: &FieldDescriptor) -> Personal {
    let options = field.options();
    let number = options.get_extension(&OPTION).as_enum_number();
    number.and_then(|number| Personal::try_from(number).ok()).unwrap_or_default()
}

/// Erases somebody in a message and those within; whether it named them.
fn erase(message: &mut DynamicMessage, erasure: &Erasure) -> bool {
    let fields: Vec<FieldDescriptor> = message.fields().map(|(field, _)| field).collect();
    let (mut is_named, mut is_theirs) = (false, false);
    for field in &fields {
        let kind = personal(field);
        if matches!(kind, Personal::Customer | Personal::Staff)
            && message.get_field(field).as_str() == Some(&erasure.subject)
        {
            message.set_field(field, Value::String(erasure.pseudonym.clone()));
            is_named = true;
            is_theirs |= kind == Personal::Customer;
        }
    }
    for field in &fields {
        match message.get_field_mut(field) {
            value if is_theirs && personal(field) == Personal::Detail => clear(value),
            Value::Message(inner) => is_named |= erase(inner, erasure),
            Value::List(inner) => {
                for inner in inner.iter_mut().filter_map(Value::as_message_mut) {
                    is_named |= erase(inner, erasure);
                }
            }
            _ => {}
        }
    }
    is_named
}

/// Clears a text, and the texts of a message; removes all else in it.
fn clear(value: &mut Value) {
    match value {
        Value::String(text) => ERASED_TEXT.clone_into(text),
        Value::Message(message) => {
            let fields: Vec<FieldDescriptor> = message.fields().map(|(field, _)| field).collect();
            for field in fields {
                match field.kind() {
                    Kind::String => clear(message.get_field_mut(&field)),
                    _ => message.clear_field(&field),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::MessageDescriptor;

    use super::*;
    use crate::EVENTS;
    use crate::chronicle::v1 as chronicle;
    use crate::dispatch::v1::{Hail, HailState, TaxiHailed};
    use crate::mypage::v1 as mypage;
    use crate::order::v1::{Order, OrderPlaced};
    use crate::place::v1::Place;

    /// Texts of events that tell nothing about a person, by the names of their fields. Ids are left out, but for those of
    /// people.
    const OTHERS: [&str; 22] = [
        "bike_name",
        "car_model",
        "car_plate",
        "code",
        "country_code",
        "currency_code",
        "end_date",
        "kind",
        "model",
        "name",
        "place_name",
        "plate",
        "product_name",
        "pseudonym",
        "reason",
        "refusal",
        "resort_name",
        "seller",
        "seller_reference",
        "start_date",
        "time_zone",
        "topic",
    ];

    fn erasure(subject: &str) -> Erasure {
        Erasure { subject: subject.to_owned(), pseudonym: "erased-1".to_owned() }
    }

    fn hail() -> Hail {
        Hail {
            customer_id: "ann".to_owned(),
            pickup: Some(Place { name: "1 Sejong-daero".to_owned(), latitude: Some(37.5), longitude: Some(127.0) }),
            payment_method: "card-1".to_owned(),
            driver_id: "kim".to_owned(),
            state: HailState::Finished.into(),
            ..Hail::default()
        }
    }

    fn hailed(hail: Hail) -> (String, Vec<u8>) {
        (TaxiHailed::full_name(), TaxiHailed { hail: Some(hail) }.encode_to_vec())
    }

    /// The texts and places in a message and those within, by their full names, with what they tell about a person.
    fn texts(message: &MessageDescriptor, found: &mut Vec<(String, Personal)>) {
        for field in message.fields() {
            let is_place = |inner: &MessageDescriptor| inner.full_name() == "nadeuri.place.v1.Place";
            match field.kind() {
                Kind::Message(inner) if !is_place(&inner) => texts(&inner, found),
                Kind::String | Kind::Message(_) => found.push((field.full_name().to_owned(), personal(&field))),
                _ => {}
            }
        }
    }

    #[test]
    fn x16_every_text_of_an_event_is_known_to_be_personal_or_not() {
        let mut found = Vec::new();
        for event in EVENTS {
            texts(&POOL.get_message_by_name(event.name).expect("it is one of the contracts"), &mut found);
        }
        for (field, kind) in found {
            let name = field.rsplit('.').next().expect("a full name has parts");
            let is_of_person =
                ["customer_id", "owner_id", "driver_id", "courier_id", "manager_id", "admin_id", "staff_id"];
            let is_of_thing = name.ends_with("_id") && !is_of_person.contains(&name) || OTHERS.contains(&name);
            // What staff write is about somebody, other reasons are the program's.
            let is_of_thing = is_of_thing && field != "nadeuri.intervention.v1.Intervention.reason";
            // Where a bike, a car or a resort stands is no secret of its customer.
            let is_of_thing = is_of_thing || matches!(name, "place" | "from" | "to");
            assert_eq!(
                kind == Personal::Unspecified,
                is_of_thing,
                "{field} needs the option `personal`, or must not have it"
            );
        }
    }

    #[test]
    fn x16_a_customer_is_replaced_and_what_it_told_about_them_is_cleared() {
        let (kind, event) = hailed(hail());
        let erased = erasure("ann").erased(&kind, &event).expect("it can be decoded").expect("it names her");
        let expected = Hail {
            customer_id: "erased-1".to_owned(),
            pickup: Some(Place { name: ERASED_TEXT.to_owned(), ..Place::default() }),
            payment_method: ERASED_TEXT.to_owned(),
            ..hail()
        };
        assert_eq!(TaxiHailed::decode(&*erased).expect("it is an event"), TaxiHailed { hail: Some(expected) });
        assert_eq!(erasure("ann").erased(&kind, &erased), Ok(None), "it names her no longer");
    }

    #[test]
    fn x16_a_driver_is_replaced_and_what_it_tells_about_the_customer_stays() {
        let (kind, event) = hailed(hail());
        let erased = erasure("kim").erased(&kind, &event).expect("it can be decoded").expect("it names him");
        let expected = Hail { driver_id: "erased-1".to_owned(), ..hail() };
        assert_eq!(TaxiHailed::decode(&*erased).expect("it is an event"), TaxiHailed { hail: Some(expected) });
    }

    #[test]
    fn x16_others_and_texts_that_only_contain_a_subject_stay() {
        let order = Order { customer_id: "ann".to_owned(), address: "ann lane".to_owned(), ..Order::default() };
        let (kind, event) = (OrderPlaced::full_name(), OrderPlaced { order: Some(order) }.encode_to_vec());
        for other in ["an", "ann lane", "bob", ""] {
            assert_eq!(erasure(other).erased(&kind, &event), Ok(None), "{other}");
        }
        assert_eq!(names(&kind, &event, "ann"), Ok(true));
        assert_eq!(erasure("ann").erased("nadeuri.gift.v1.GiftSent", &event), Ok(None));
        assert!(erasure("ann").erased(&kind, b"\xffann").is_err());
    }

    #[test]
    fn x16_what_a_newer_version_added_stays() {
        let (kind, event) = hailed(hail());
        let newer = [&*event, &[0xf8, 0x07, 1]].concat();
        let erased = erasure("ann").erased(&kind, &newer).expect("it can be decoded").expect("it names her");
        assert!(erased.ends_with(&[0xf8, 0x07, 1]));
    }

    #[test]
    fn x16_the_event_that_asks_for_an_erasure_is_read_and_can_be_erased_itself() {
        let asked = mypage::Erasure { pseudonym: "erased-1".to_owned(), ..mypage::Erasure::default() };
        let asked = CustomerErased { erasure: Some(asked), customer_id: "ann".to_owned() }.encode_to_vec();
        assert_eq!(Erasure::read(&asked), Ok(Some(erasure("ann"))));
        let erased =
            erasure("ann").erased(&Erasure::event(), &asked).expect("it can be decoded").expect("it names her");
        assert_eq!(Erasure::read(&erased), Ok(None));
    }

    #[test]
    fn a_message_is_shown_as_json() {
        let event = |kind: &str| {
            let hail = Hail { driver_id: String::new(), payment_method: String::new(), ..hail() };
            let value = TaxiHailed { hail: Some(hail) }.encode_to_vec();
            let data = Some(prost_types::Any { type_url: format!("type.googleapis.com/{kind}"), value });
            chronicle::Event { position: 7, data, ..chronicle::Event::default() }
        };
        let expected = serde_json::json!({ "position": "7", "data": {
            "@type": "type.googleapis.com/nadeuri.dispatch.v1.TaxiHailed",
            "hail": {
                "customerId": "ann",
                "pickup": { "name": "1 Sejong-daero", "latitude": 37.5, "longitude": 127.0 },
                "state": "HAIL_STATE_FINISHED",
            },
        } });
        assert_eq!(json(&event("nadeuri.dispatch.v1.TaxiHailed")), Some(expected));
        assert_eq!(json(&event("nadeuri.gift.v1.GiftSent")), None);
    }
}
