//! Whether an event comes from where it says.
//!
//! Who can reach the broker can publish any message. Two things prove that the context in `source` published it: its kind is
//! of the package of that context, and the broker, which checks the property `user-id` of each message against the user of
//! the connection, got it from the user of that context. So nothing has to be signed, which would cost each consumer more
//! time than all else that it does with an event.

use std::sync::LazyLock;

use contracts::{EVENTS, context_of};

use crate::envelope::Envelope;

/// The events that any context may publish.
static OPEN: LazyLock<Vec<&str>> =
    LazyLock::new(|| EVENTS.iter().filter(|event| event.is_open).map(|event| event.name).collect());

/// The users of the broker by whom the events of the contexts come: a pattern, in which `{context}` stands for the name of
/// the context, as in `nadeuri-{context}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Users(String);

impl Users {
    /// The users of this pattern.
    pub fn new(pattern: &str) -> Users {
        Users(pattern.to_owned())
    }

    /// The user of a context.
    pub fn of(&self, context: &str) -> String {
        self.0.replace("{context}", context)
    }

    /// Whether each context has its own.
    pub fn are_separate(&self) -> bool {
        self.0.contains("{context}")
    }
}

/// Why an event is not what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Forged {
    /// A context published an event of another one.
    #[error("only the context of its package publishes events of its kind")]
    Kind,
    /// It comes from another context, or from nobody who is known.
    #[error("events of its source come by the user {0}")]
    User(String),
}

/// Checks the kind of an event and, if the users of the contexts are known, the user who published it.
pub(super) fn check(event: &Envelope, user: Option<&str>, users: Option<&Users>) -> Result<(), Forged> {
    if context_of(&event.kind) != Some(&event.source) && !OPEN.contains(&event.kind.as_str()) {
        return Err(Forged::Kind);
    }
    match users.map(|users| users.of(&event.source)) {
        Some(expected) if user != Some(&expected) => Err(Forged::User(expected)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn event(kind: &str, source: &str) -> Envelope {
        Envelope {
            event_id: uuid::Uuid::nil(),
            kind: kind.to_owned(),
            source: source.to_owned(),
            subject: String::new(),
            at: Timestamp::from_micros(0),
            correlation_id: uuid::Uuid::nil(),
            causation_id: None,
            sequence: 1,
            traceparent: None,
            body: vec![],
        }
    }

    #[test]
    fn a_context_publishes_events_of_its_package_and_open_ones() {
        let open = OPEN.first().expect("the contracts have open events");
        for (kind, source, expected) in [
            ("nadeuri.fleet.v1.CarAdded", "fleet", Ok(())),
            ("nadeuri.fleet.v1.CarAdded", "rental", Err(Forged::Kind)),
            ("nadeuri.fleet.v1.CarAdded", "", Err(Forged::Kind)),
            // What this program does not know, of a newer version or another context.
            ("nadeuri.later.v3.Done", "later", Ok(())),
            ("nadeuri.later.v3.Done", "sooner", Err(Forged::Kind)),
            ("later.v3.Done", "later", Err(Forged::Kind)),
            ("nadeuri.later", "later", Err(Forged::Kind)),
            ("", "", Err(Forged::Kind)),
            (open, "later", Ok(())),
        ] {
            assert_eq!(check(&event(kind, source), None, None), expected, "{kind} of {source}");
        }
    }

    #[test]
    fn an_event_comes_by_the_user_of_its_source() {
        let users = Users::new("nadeuri-{context}");
        let by = |user, event| check(&event, user, Some(&users));
        let added = || event("nadeuri.fleet.v1.CarAdded", "fleet");
        let expected = Err(Forged::User("nadeuri-fleet".to_owned()));
        assert_eq!(by(Some("nadeuri-fleet"), added()), Ok(()));
        assert_eq!(by(Some("nadeuri-rental"), added()), expected);
        assert_eq!(by(None, added()), expected);
        let open = OPEN.first().expect("the contracts have open events");
        assert_eq!(by(Some("nadeuri-later"), event(open, "later")), Ok(()));
        assert_eq!(by(Some("nadeuri-later"), event(open, "fleet")), expected);

        let shared = Users::new("company");
        assert_eq!(check(&added(), Some("company"), Some(&shared)), Ok(()));
        assert!(check(&added(), Some("another"), Some(&shared)).is_err());
        assert!(users.are_separate() && !shared.are_separate());
    }
}
