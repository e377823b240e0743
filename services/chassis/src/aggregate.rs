//! The pattern of a context's rules: decide, evolve, store, publish.

use std::collections::BTreeMap;
use std::hash::Hash;

use prost::Name;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::db::{Metadata, Tx};
use crate::envelope::EventId;
use crate::error::{Error, Refusal};
use crate::quota::{Quota, Used};

/// A decider: pure rules of one consistency boundary. `None` is an aggregate that does not exist yet.
pub trait Aggregate: Sized + Send + Sync + 'static {
    /// Its name, for keys and logs, such as `payment`. It must not change while events are in flight.
    const NAME: &'static str;
    /// The id of an aggregate.
    type Id: Copy + Ord + Hash + Send + Sync + std::fmt::Debug + 'static;
    /// Its commands.
    type Command: Send + Sync + std::fmt::Debug + 'static;
    /// Its events.
    type Event: Send + Sync + 'static;
    /// Its refusals.
    type Refusal: Refusal;

    /// The rules. A command that took effect before decides nothing, so callers may retry.
    fn decide(state: Option<&Self>, command: &Self::Command, now: Timestamp)
    -> Result<Vec<Self::Event>, Self::Refusal>;

    /// The state after the event.
    fn evolve(state: Option<Self>, event: &Self::Event) -> Self;

    /// What the command takes one of, where a rule says how many a subject may have at once.
    fn quotas(command: &Self::Command) -> Vec<Quota<Self::Refusal>> {
        let _ = command;
        Vec::new()
    }

    /// When its timer is due, and the command that it executes then.
    fn due_at(&self) -> Option<(Timestamp, Self::Command)> {
        None
    }
}

/// How an aggregate is stored, answered and published.
pub trait Store: Aggregate + Clone {
    /// The answer to a command.
    type Answer: prost::Message + Default + Clone + 'static;

    /// Reads aggregates, all in a statement or few. Those that don't exist are missing in the result.
    fn load(
        tx: Tx<'_>,
        request: &LoadRequest<'_, Self>,
    ) -> impl Future<Output = Result<Vec<Loaded<Self>>, Error>> + Send;

    /// Writes changed aggregates, all in a statement or few. [`Error::Conflict`] if one is not at the version it was
    /// read at.
    fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> impl Future<Output = Result<(), Error>> + Send;

    /// Those whose timers are due by now, the longest due first, at most `limit`.
    fn due(tx: Tx<'_>, now: Timestamp, limit: i64) -> impl Future<Output = Result<Vec<Self::Id>, Error>> + Send {
        let _ = (tx, now, limit);
        std::future::ready(Ok(Vec::new()))
    }

    /// What these subjects have of the resources of [`Aggregate::quotas`], each one by itself.
    fn usage(tx: Tx<'_>, subjects: &[String]) -> impl Future<Output = Result<Vec<Used>, Error>> + Send {
        let _ = (tx, subjects);
        std::future::ready(Ok(Vec::new()))
    }

    /// The answer to a command that was just executed.
    fn answer(&self, command: &Self::Command) -> Self::Answer;

    /// The published form of an event; the state is the one after it.
    fn publish(&self, event: &Self::Event) -> Option<Publication>;

    /// The last event of the part that the event is about, if parts of the aggregate have timers of their own.
    /// Otherwise the chassis stores one last event for the whole aggregate, if its table has the column.
    fn last_event_of_part(&mut self, event: &Self::Event) -> Option<&mut Option<EventId>> {
        let _ = event;
        None
    }
}

/// The aggregates that a batch needs, each with its commands.
pub struct LoadRequest<'a, A: Aggregate>(BTreeMap<A::Id, Vec<&'a A::Command>>);

impl<'a, A: Aggregate> LoadRequest<'a, A> {
    /// Without aggregates.
    pub fn new() -> Self {
        LoadRequest(BTreeMap::new())
    }

    /// Adds an aggregate, or a command for it.
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

/// An aggregate as it is stored.
pub struct Loaded<A: Aggregate> {
    /// Its id.
    pub id: A::Id,
    /// The chassis' columns.
    pub metadata: Metadata,
    /// Its state.
    pub state: A,
}

/// A changed aggregate, to be saved.
pub struct Change<'a, A: Aggregate> {
    /// Its id.
    pub id: A::Id,
    /// Its new state.
    pub state: &'a A,
    /// Its events, in order.
    pub events: &'a [A::Event],
    /// The version at which it was read; 0 if it is new.
    pub read: i64,
    /// The chassis' columns after the change: the version is one more for each event.
    pub metadata: Metadata,
}

/// The published form of an event.
pub struct Publication {
    /// The full name of the message.
    pub kind: String,
    /// The id of its subject.
    pub subject: String,
    /// The flow that it belongs to; that of its cause if `None`.
    pub flow: Option<Uuid>,
    /// The event that caused it, where a timer leads to it and the chassis does not store that event.
    pub after: Option<EventId>,
    /// The encoded message.
    pub body: Vec<u8>,
}

/// The subject and flow of events: [`About::publish`] publishes one.
#[derive(Clone, Debug)]
pub struct About {
    subject: String,
    flow: Option<Uuid>,
}

impl About {
    /// Publishes this message.
    pub fn publish<M: prost::Message + Name>(self, message: &M) -> Option<Publication> {
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

    /// Sets the event that caused it, where the chassis does not store that event.
    #[must_use]
    pub fn after(self, event: Option<EventId>) -> Publication {
        Publication { after: event, ..self }
    }
}

/// The cause of a command, for correlation and tracing.
#[derive(Clone, Debug, Default)]
pub struct Cause {
    /// The flow of the event that caused it.
    pub correlation: Option<Uuid>,
    /// The event that caused it.
    pub causation: Option<Uuid>,
    /// A timer caused it.
    pub is_time: bool,
    /// The W3C trace context.
    pub traceparent: Option<String>,
}

impl Cause {
    /// Caused by a timer.
    pub fn time() -> Cause {
        Cause { is_time: true, ..Cause::default() }
    }
}
