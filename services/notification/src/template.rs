//! Templates: the text and recipient of a message about an event. The lines of business register theirs, each in a
//! module of its own; this one knows none of them.

use chassis::consumer::Reactions;
use chassis::{Envelope, Malformed, Policy, decode};
use prost::Name;

use crate::domain::{Command, Content, FlowId, Message, MessageId};

/// The text of a message.
pub type Text = Result<String, Malformed>;

/// The message about an event; none if there is none for it.
pub type Rendered = Result<Option<Notice>, Malformed>;

/// The text and recipient of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The subject of the customer.
    pub customer: String,
    /// The text.
    pub text: String,
    /// Its topic, if it is not that of all messages about such events.
    pub topic: Option<&'static str>,
}

impl Notice {
    /// The same under another topic.
    #[must_use]
    pub fn under(self, topic: &'static str) -> Notice {
        Notice { topic: Some(topic), ..self }
    }
}

/// Renders a message to the customer of a resource.
pub fn render<T>(
    name: &str,
    resource: Option<T>,
    customer: fn(T) -> String,
    text: impl FnOnce(&T) -> Text,
) -> Rendered {
    let resource = decode::present(name, resource)?;
    let text = text(&resource)?;
    Ok(Some(Notice { customer: customer(resource), text, topic: None }))
}

/// The templates, by event.
#[derive(Default)]
pub struct Templates(Policy<Message>);

impl Templates {
    /// An event `M` leads to this message, under the topic.
    #[must_use]
    pub fn on<M>(self, topic: &'static str, template: fn(M) -> Rendered) -> Templates
    where
        M: prost::Message + Name + Default + 'static,
    {
        Templates(self.0.on(move |decoded: M, event| write(event, topic, template(decoded)?, false)))
    }

    /// The same for a message that only its customer may read.
    #[must_use]
    pub fn on_sensitive<M>(self, topic: &'static str, template: fn(M) -> Rendered) -> Templates
    where
        M: prost::Message + Name + Default + 'static,
    {
        Templates(self.0.on(move |decoded: M, event| write(event, topic, template(decoded)?, true)))
    }

    /// The policy that writes the messages.
    pub fn into_policy(self) -> Policy<Message> {
        self.0
    }
}

fn write(
    event: &Envelope,
    topic: &str,
    notice: Option<Notice>,
    sensitive: bool,
) -> Result<Reactions<Message>, Malformed> {
    let Some(Notice { customer, text, topic: own }) = notice else { return Ok(vec![]) };
    if customer.is_empty() {
        return Err(Malformed("no customer_id".into()));
    }
    let (id, flow) = (MessageId::new(event.event_id), FlowId::new(event.correlation_id));
    Ok(vec![(
        id,
        Command::Write(id, Content { customer, flow, topic: own.unwrap_or(topic).to_owned(), text, sensitive }),
    )])
}

/// What the tests of all lines of business need.
#[cfg(test)]
pub mod testing {
    use super::*;
    use chassis::Timestamp;

    /// How a line registers its templates.
    type Register = fn(Templates) -> Templates;

    pub fn envelope<M: prost::Message + Name>(message: &M) -> Envelope {
        let id = |text: &str| text.parse().map(FlowId::uuid).expect("the test gives a UUID");
        Envelope {
            event_id: id("00000000-0000-4000-8000-000000000001"),
            kind: M::full_name(),
            source: String::new(),
            subject: String::new(),
            at: Timestamp::from_micros(0),
            correlation_id: id("00000000-0000-4000-8000-000000000002"),
            causation_id: None,
            sequence: 1,
            traceparent: None,
            body: message.encode_to_vec(),
        }
    }

    /// What is written about an event, by a line that has a template for it.
    fn written<M: prost::Message + Name>(register: Register, event: &M) -> Result<Vec<Content>, Malformed> {
        let policy = register(Templates::default()).into_policy();
        assert!(policy.subscription().matches(&M::full_name()), "{} has no template", M::full_name());
        let content = |(_, command)| match command {
            Command::Write(_, content) => content,
            other => panic!("{other:?} writes nothing"),
        };
        Ok(policy.react(&envelope(event))?.into_iter().map(content).collect())
    }

    /// Checks the message to Ann about an event.
    #[track_caller]
    pub fn check<M: prost::Message + Name>(register: Register, event: &M, topic: &str, text: &str) {
        let contents = written(register, event).expect("it is right");
        let messages: Vec<_> =
            contents.iter().map(|content| (&*content.customer, &*content.topic, &*content.text)).collect();
        assert_eq!(messages, [("ann", topic, text)]);
    }

    /// Checks that an event leads to no message.
    #[track_caller]
    pub fn check_silent<M: prost::Message + Name>(register: Register, event: &M) {
        assert_eq!(written(register, event).expect("it is right"), []);
    }

    /// Checks how an event breaks its contract.
    #[track_caller]
    pub fn check_malformed<M: prost::Message + Name>(register: Register, event: &M, why: &str) {
        assert_eq!(written(register, event).expect_err("it is malformed").0, why);
    }
}
