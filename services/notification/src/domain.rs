//! Messages, and how often their delivery is attempted. Pure: no clock, no database, no network.
//!
//! A message has the id of its event, so an event leads to one message only.
//!
//! ```text
//! (none) --Write--> Pending --Confirm--> Delivered
//!                    |  ^ |
//!                    |  | +--Postpone, the last attempt--> Undeliverable
//!                    +--+ Postpone
//! ```

use std::time::Duration;

use chassis::error::RefusalCode;
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of a message: that of the event that it is about.
    MessageId = "message";
    /// The id of the flow that a message is about, such as that of a reservation.
    FlowId = "flow";
}

/// The attempts to deliver a message, at most.
pub const ATTEMPTS: u32 = 10;

/// The pause after a failed attempt, counted from 0: twice as long each time, from 5 seconds to 21 minutes.
fn pause(attempt: u32) -> Duration {
    Duration::from_secs(5 << attempt.min(8))
}

/// A message to a customer.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its text and recipient.
    pub content: Content,
    /// Its state.
    pub state: State,
    /// When it was written.
    pub created_at: Timestamp,
}

/// The text and recipient of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// The subject of the customer.
    pub customer: String,
    /// The flow that it is about.
    pub flow: FlowId,
    /// The kind of message, `UPPER_SNAKE_CASE` and stable.
    pub topic: String,
    /// The text. A code that is worth money is sealed in it.
    pub text: String,
    /// Whether its text is a secret of the customer: no log and no other reader shows it, and its delivery is
    /// published.
    pub sensitive: bool,
}

/// States of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It is to be delivered.
    Pending {
        /// Failed attempts so far.
        attempt: u32,
        /// When the next attempt is due.
        deliver_at: Timestamp,
    },
    /// The carrier took it, at this time.
    Delivered(Timestamp),
    /// The carrier did not take it in [`ATTEMPTS`] attempts.
    Undeliverable,
}

/// Commands of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Write the message about an event.
    Write(MessageId, Content),
    /// The carrier took it.
    Confirm,
    /// The carrier did not take it.
    Postpone {
        /// The attempt, counted from 0: two that ran at the same time count as one.
        attempt: u32,
    },
    /// The timer is due. Decides nothing: the carrier is called first.
    Deliver,
}

/// Events of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It was written, and is due at once.
    Written(MessageId, Content, Timestamp),
    /// The carrier took it.
    Delivered(Timestamp),
    /// An attempt failed; the next one is due at this time.
    Postponed(Timestamp),
    /// The last attempt failed.
    GivenUp,
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// It was not written.
    #[error("there is no such message")]
    NoSuchMessage,
}

impl Aggregate for Message {
    const NAME: &'static str = "message";
    type Id = MessageId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(message: Option<&Message>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let state = message.map(|message| &message.state);
        match (state, command) {
            (None, Command::Write(id, content)) => Ok(vec![Event::Written(*id, content.clone(), now)]),
            (None, _) => Err(Refusal::NoSuchMessage),
            (Some(State::Pending { .. }), Command::Confirm) => Ok(vec![Event::Delivered(now)]),
            (Some(State::Pending { attempt, .. }), Command::Postpone { attempt: failed }) if attempt == failed => {
                let is_last = attempt + 1 >= ATTEMPTS;
                Ok(vec![if is_last { Event::GivenUp } else { Event::Postponed(now + pause(*attempt)) }])
            }
            // It was written before, or the answer of the carrier is late.
            (Some(_), _) => Ok(vec![]),
        }
    }

    fn evolve(message: Option<Message>, event: &Event) -> Message {
        match (message, event) {
            (_, Event::Written(id, content, now)) => {
                let state = State::Pending { attempt: 0, deliver_at: *now };
                Message { id: *id, content: content.clone(), state, created_at: *now }
            }
            (Some(message), event) => Message { state: message.state.after(event), ..message },
            (None, event) => unreachable!("{event:?} can't be the first event of a message"),
        }
    }

    fn due_at(&self) -> Option<(Timestamp, Command)> {
        match self.state {
            State::Pending { deliver_at, .. } => Some((deliver_at, Command::Deliver)),
            State::Delivered(_) | State::Undeliverable => None,
        }
    }
}

impl State {
    fn after(self, event: &Event) -> State {
        match (self, event) {
            (_, Event::Delivered(now)) => State::Delivered(*now),
            (State::Pending { attempt, .. }, Event::Postponed(until)) => {
                State::Pending { attempt: attempt + 1, deliver_at: *until }
            }
            (_, Event::GivenUp) => State::Undeliverable,
            (state, Event::Written(..) | Event::Postponed(_)) => state,
        }
    }
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchMessage => RefusalCode::NotFound,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchMessage => "MESSAGE_NOT_FOUND",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(0);

    fn at(seconds: u64) -> Timestamp {
        NOW + Duration::from_secs(seconds)
    }

    fn id() -> MessageId {
        "00000000-0000-4000-8000-000000000001".parse().expect("the test gives a UUID")
    }

    fn content(text: &str) -> Content {
        let flow = FlowId::new(id().uuid());
        Content {
            customer: "ann".to_owned(),
            flow,
            topic: "CAR_RESERVED".to_owned(),
            text: text.to_owned(),
            sensitive: false,
        }
    }

    fn written() -> Event {
        Event::Written(id(), content("hello"), NOW)
    }

    /// Written, with this many failed attempts.
    fn failed(times: u32) -> Vec<Event> {
        std::iter::once(written()).chain((0..times).map(|_| Event::Postponed(NOW))).collect()
    }

    fn message(given: &[Event]) -> Option<Message> {
        given.iter().fold(None, |message, event| Some(Message::evolve(message, event)))
    }

    #[track_caller]
    fn check(given: &[Event], when: Command, then: Result<&[Event], Refusal>) {
        assert_eq!(Message::decide(message(given).as_ref(), &when, NOW), then.map(<[Event]>::to_vec));
    }

    #[test]
    fn a_message_is_written_once() {
        check(&[], Command::Write(id(), content("hello")), Ok(&[written()]));
        check(&[written()], Command::Write(id(), content("again")), Ok(&[]));
    }

    #[test]
    fn nothing_is_delivered_that_was_not_written() {
        for command in [Command::Confirm, Command::Postpone { attempt: 0 }, Command::Deliver] {
            check(&[], command, Err(Refusal::NoSuchMessage));
        }
    }

    #[test]
    fn a_message_is_due_at_once_and_no_more_when_it_was_delivered() {
        let due = |given: &[Event]| message(given).and_then(|message| message.due_at());
        assert_eq!(due(&[written()]), Some((NOW, Command::Deliver)));
        assert_eq!(due(&[written(), Event::Postponed(at(5))]), Some((at(5), Command::Deliver)));
        assert_eq!(due(&[written(), Event::Delivered(NOW)]), None);
        assert_eq!(due(&[written(), Event::GivenUp]), None);
    }

    #[test]
    fn a_message_that_the_carrier_took_is_delivered() {
        check(&[written()], Command::Deliver, Ok(&[]));
        check(&[written()], Command::Confirm, Ok(&[Event::Delivered(NOW)]));
        check(&failed(3), Command::Confirm, Ok(&[Event::Delivered(NOW)]));
    }

    #[test]
    fn pauses_between_attempts_grow_until_the_last_attempt() {
        check(&failed(0), Command::Postpone { attempt: 0 }, Ok(&[Event::Postponed(at(5))]));
        check(&failed(1), Command::Postpone { attempt: 1 }, Ok(&[Event::Postponed(at(10))]));
        check(&failed(8), Command::Postpone { attempt: 8 }, Ok(&[Event::Postponed(at(1280))]));
        check(&failed(9), Command::Postpone { attempt: 9 }, Ok(&[Event::GivenUp]));
    }

    #[test]
    fn two_attempts_that_failed_at_the_same_time_count_as_one() {
        check(&failed(1), Command::Postpone { attempt: 0 }, Ok(&[]));
    }

    #[test]
    fn what_is_delivered_or_given_up_stays_so() {
        for last in [Event::Delivered(NOW), Event::GivenUp] {
            for command in [Command::Confirm, Command::Postpone { attempt: 0 }, Command::Write(id(), content("again"))]
            {
                check(&[written(), last.clone()], command, Ok(&[]));
            }
        }
    }
}
