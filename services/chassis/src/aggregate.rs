//! The pattern of a context's rules: decide, evolve, keep, publish.

use std::collections::BTreeMap;
use std::hash::Hash;

use prost::Name;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::db::{Metadata, Tx};
use crate::envelope::EventId;
use crate::error::{Error, Refusal};

/// A decider: pure rules over one consistency boundary. `None` is an aggregate that does not exist yet.
pub trait Aggregate: Sized + Send + Sync + 'static {
    /// What it is called, for keys and for the log, such as `payment`. It must not change while events are under way.
    const NAME: &'static str;
    /// Names one aggregate.
    type Id: Copy + Ord + Hash + Send + Sync + std::fmt::Debug + 'static;
    /// What it is asked to do.
    type Command: Send + Sync + std::fmt::Debug + 'static;
    /// What happened to it.
    type Event: Send + Sync + 'static;
    /// Why it refused.
    type Refusal: Refusal;

    /// The rules. A command that took effect before decides nothing, so callers may retry.
    fn decide(state: Option<&Self>, command: &Self::Command, now: Timestamp)
    -> Result<Vec<Self::Event>, Self::Refusal>;

    /// What the event makes of the state.
    fn evolve(state: Option<Self>, event: &Self::Event) -> Self;

    /// When its timer is due, and which command it brings.
    fn due_at(&self) -> Option<(Timestamp, Self::Command)> {
        None
    }
}

/// How an aggregate is stored, answered with, and published.
pub trait Store: Aggregate + Clone {
    /// What a caller is answered after a command.
    type Answer: prost::Message + Default + Clone + 'static;

    /// Reads aggregates, all in a statement or few. Those that don't exist are missing in the result.
    fn load(
        tx: Tx<'_>,
        request: &LoadRequest<'_, Self>,
    ) -> impl Future<Output = Result<Vec<Loaded<Self>>, Error>> + Send;

    /// Writes changed aggregates, all in a statement or few. [`Error::Conflict`] if one is not at the version it was read at.
    fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> impl Future<Output = Result<(), Error>> + Send;

    /// Those whose timers are due by now, the longest due first, at most `limit`.
    fn due(tx: Tx<'_>, now: Timestamp, limit: i64) -> impl Future<Output = Result<Vec<Self::Id>, Error>> + Send {
        let _ = (tx, now, limit);
        std::future::ready(Ok(Vec::new()))
    }

    /// The answer to a command that was just executed.
    fn answer(&self, command: &Self::Command) -> Self::Answer;

    /// What is published of an event; the state is the one it led to.
    fn publish(&self, event: &Self::Event) -> Option<Publication>;

    /// Where a part of the aggregate that waits by itself keeps its last event, if the event is about one. Without such
    /// parts the chassis keeps one for the whole aggregate, if its table has the column.
    fn last_event_of_part(&mut self, event: &Self::Event) -> Option<&mut Option<EventId>> {
        let _ = event;
        None
    }
}

/// The aggregates that a batch is about, each with the commands for it.
pub struct LoadRequest<'a, A: Aggregate>(BTreeMap<A::Id, Vec<&'a A::Command>>);

impl<'a, A: Aggregate> LoadRequest<'a, A> {
    /// No aggregate yet.
    pub fn new() -> Self {
        LoadRequest(BTreeMap::new())
    }

    /// One more aggregate, or one more command for it.
    pub fn add(&mut self, id: A::Id, command: Option<&'a A::Command>) {
        self.0.entry(id).or_default().extend(command);
    }

    /// The ids, each once.
    pub fn ids(&self) -> Vec<A::Id> {
        self.0.keys().copied().collect()
    }

    /// All the commands.
    pub fn commands(&self) -> impl Iterator<Item = &'a A::Command> + '_ {
        self.0.values().flatten().copied()
    }
}

impl<A: Aggregate> Default for LoadRequest<'_, A> {
    fn default() -> Self {
        Self::new()
    }
}

/// An aggregate as it is kept.
pub struct Loaded<A: Aggregate> {
    /// Which one.
    pub id: A::Id,
    /// What the chassis keeps of it.
    pub metadata: Metadata,
    /// What it is.
    pub state: A,
}

/// An aggregate that was changed and is to be kept.
pub struct Change<'a, A: Aggregate> {
    /// Which one.
    pub id: A::Id,
    /// What it is now.
    pub state: &'a A,
    /// What happened to it, in order.
    pub events: &'a [A::Event],
    /// The version at which it was read; 0 if it is new.
    pub read: i64,
    /// What the chassis keeps of it now: the version is one more for each event.
    pub metadata: Metadata,
}

/// What is published of an event.
pub struct Publication {
    /// The full name of the message.
    pub kind: String,
    /// The id of what it happened to.
    pub subject: String,
    /// The flow that it belongs to; that of its cause if `None`.
    pub flow: Option<Uuid>,
    /// The event since which it waited, if the chassis does not know it: the cause of what a timer brings.
    pub after: Option<EventId>,
    /// The encoded message.
    pub body: Vec<u8>,
}

/// What events of one aggregate are about: [`About::tell`] publishes one.
#[derive(Clone, Debug)]
pub struct About {
    subject: String,
    flow: Option<Uuid>,
}

impl About {
    /// Publishes this message.
    pub fn tell<M: prost::Message + Name>(self, message: &M) -> Option<Publication> {
        Some(Publication::of(message, self.subject, self.flow))
    }
}

impl Publication {
    /// Publishes messages about `subject`, as part of a flow.
    pub fn about(subject: impl ToString, flow: Uuid) -> About {
        About { subject: subject.to_string(), flow: Some(flow) }
    }

    /// Publishes a message about `subject`.
    pub fn of<M: prost::Message + Name>(message: &M, subject: impl ToString, flow: Option<Uuid>) -> Publication {
        let (kind, body) = (M::full_name(), message.encode_to_vec());
        Publication { kind, subject: subject.to_string(), flow, after: None, body }
    }

    /// Names the event since which it waited, where the chassis does not keep it.
    #[must_use]
    pub fn after(self, event: Option<EventId>) -> Publication {
        Publication { after: event, ..self }
    }
}

/// Why something was commanded, for the story of the flow.
#[derive(Clone, Debug, Default)]
pub struct Cause {
    /// The flow of the event that caused it.
    pub correlation: Option<Uuid>,
    /// The event that caused it.
    pub causation: Option<Uuid>,
    /// Nobody commanded it: its time had come.
    pub is_time: bool,
    /// The W3C trace that it happened in.
    pub traceparent: Option<String>,
}

impl Cause {
    /// Its time had come.
    pub fn time() -> Cause {
        Cause { is_time: true, ..Cause::default() }
    }
}
