//! Reactions to events by policies, each exactly once in effect.
//!
//! While infrastructure is unavailable, events are retried and stay unacknowledged; a refused command counts as
//! handled; an event that can't be decoded, or on which a rule panics, becomes a dead letter, so that later events go
//! on.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use prost::{Message, Name};

use crate::aggregate::{Aggregate, Cause, Store};
use crate::bus::{Handler, Stopped, Subscription};
use crate::db::{Durability, Unit};
use crate::dead_letters::{self, DeadLetter};
use crate::decode::Malformed;
use crate::envelope::Envelope;
use crate::error::Error;
use crate::idempotency::Key;
use crate::runtime::{Backoff, Tasks, guarded};
use crate::telemetry::{self, Meters};
use crate::writer::{CommandMessage, Resources, Writer};

/// The pauses between attempts, from the first to the longest.
const PAUSES: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(1);

/// The commands that an event leads to, each with the aggregate that it is for.
pub type Reactions<A> = Vec<(<A as Aggregate>::Id, <A as Aggregate>::Command)>;
type Rule<A> = Box<dyn Fn(&Envelope) -> Result<Reactions<A>, Malformed> + Send + Sync>;

/// A context's policy: which events lead to which commands.
pub struct Policy<A: Aggregate> {
    rules: BTreeMap<String, Rule<A>>,
}

impl<A: Aggregate> Policy<A> {
    /// Without rules.
    pub fn new() -> Self {
        Policy { rules: BTreeMap::new() }
    }

    /// Adds a rule: an event `M` leads to the commands that `react` returns. It may draw random numbers but must have
    /// no side effects: it is called again for an event that could not be handled yet.
    #[must_use]
    pub fn on<M, R>(self, react: R) -> Self
    where
        M: Message + Name + Default,
        R: Fn(M, &Envelope) -> Result<Reactions<A>, Malformed> + Send + Sync + 'static,
    {
        self.on_kind(&M::full_name(), move |event| react(event.decode::<M>()?, event))
    }

    /// The same for an event that is given by the full name of its message.
    #[must_use]
    pub fn on_kind(
        mut self,
        kind: &str,
        react: impl Fn(&Envelope) -> Result<Reactions<A>, Malformed> + Send + Sync + 'static,
    ) -> Self {
        let previous = self.rules.insert(kind.to_owned(), Box::new(react));
        assert!(previous.is_none(), "two rules for {kind}");
        self
    }

    /// The commands that an event leads to; none if no rule is about it.
    pub fn react(&self, event: &Envelope) -> Result<Reactions<A>, Malformed> {
        self.rules.get(&event.kind).map_or_else(|| Ok(Vec::new()), |rule| rule(event))
    }

    /// The events that it reacts to.
    pub fn subscription(&self) -> Subscription {
        Subscription::Kinds(self.rules.keys().cloned().collect())
    }
}

impl<A: Aggregate> Default for Policy<A> {
    fn default() -> Self {
        Self::new()
    }
}

/// Handles events by a policy.
pub(crate) struct Reactor<A: Store> {
    pub context: &'static str,
    pub policy: Policy<A>,
    pub writer: Writer<A>,
}

/// The outcome of each event of a batch.
pub(crate) type Outcomes = Vec<Result<(), Error>>;

/// Tries once to handle events; [`Persistent`] retries.
pub(crate) trait React: Send + Sync {
    /// Handles them all, in order. An error is either transient or caused by this event.
    fn react<'a>(&'a self, events: &'a [Envelope]) -> BoxFuture<'a, Outcomes>;

    /// The durability of the effect when it returns.
    fn durability(&self) -> Durability {
        Durability::Full
    }
}

impl<A: Store> React for Reactor<A> {
    fn react<'a>(&'a self, events: &'a [Envelope]) -> BoxFuture<'a, Outcomes> {
        // All commands are enqueued before any is awaited, so that they go into one transaction, in order.
        let commands: Vec<_> = events.iter().map(|event| self.enqueue(event)).collect();
        Box::pin(join_all(commands.into_iter().map(|answers| async move {
            for answer in join_all(answers?).await {
                match answer {
                    Ok(_) | Err(Error::Refused { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })))
    }
}

impl<A: Store> Reactor<A> {
    fn enqueue(&self, event: &Envelope) -> Result<Vec<impl Future<Output = Result<A::Answer, Error>> + use<A>>, Error> {
        let reactions = guarded(self.context, "policy", || self.policy.react(event));
        let reactions = reactions.ok_or_else(|| Error::Internal("the policy panicked".into()))?;
        let commands = reactions.map_err(|malformed| Error::Internal(malformed.to_string()))?;
        let traceparent = telemetry::consumed(event);
        let enqueue = |(index, (id, command)): (usize, (A::Id, A::Command))| {
            let key = Key::event(event.event_id, &[A::NAME.as_bytes(), &index.to_be_bytes()].concat());
            let cause = Cause {
                correlation: Some(event.correlation_id),
                causation: Some(event.event_id),
                is_time: false,
                traceparent: traceparent.clone(),
            };
            self.writer.enqueue(CommandMessage { id, command, key: Some(key), cause })
        };
        commands.into_iter().enumerate().map(enqueue).collect()
    }
}

/// Retries until every event is handled or a dead letter, or the tasks stop.
pub(crate) struct Persistent {
    pub reactors: Vec<(Subscription, Arc<dyn React>)>,
    pub resources: Resources,
    pub tasks: Tasks,
}

impl Handler for Persistent {
    fn handle(&self, events: Vec<Envelope>) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(async move {
            Meters::consumed(self.resources.context, &events, self.resources.runtime.now());
            for (subscription, reactor) in &self.reactors {
                let wanted = events.iter().filter(|event| subscription.matches(&event.kind)).cloned().collect();
                self.handle_with(&**reactor, wanted).await?;
            }
            Ok(())
        })
    }

    fn flush(&self, gather: Duration) -> BoxFuture<'static, Result<(), Error>> {
        let is_lazy = self.reactors.iter().any(|(_, reactor)| reactor.durability() == Durability::Lazy);
        if is_lazy { self.resources.database.flush(gather) } else { Box::pin(ready(Ok(()))) }
    }

    fn dead_letter(&self, event: Envelope, reason: &'static str) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(self.dead_letter(event, reason.to_owned()))
    }
}

impl Persistent {
    async fn handle_with(&self, reactor: &dyn React, mut events: Vec<Envelope>) -> Result<(), Stopped> {
        let mut backoff = Backoff::new(PAUSES);
        while !events.is_empty() {
            let outcomes = reactor.react(&events).await;
            let mut again = Vec::new();
            for (event, outcome) in std::iter::zip(events, outcomes) {
                match outcome {
                    Ok(()) => {}
                    Err(error) if error.is_transient() => again.push((event, error)),
                    Err(Error::Internal(reason)) => self.dead_letter(event, reason).await?,
                    Err(error) => self.dead_letter(event, error.to_string()).await?,
                }
            }
            if let Some((event, error)) = again.first() {
                let (context, kind) = (self.resources.context, &event.kind);
                tracing::warn!(context, kind, error = %error.for_log(), waiting = again.len(), "events can't be handled yet; retrying");
                self.pause(&mut backoff).await?;
            }
            events = again.into_iter().map(|(event, _)| event).collect();
        }
        Ok(())
    }

    async fn dead_letter(&self, event: Envelope, reason: String) -> Result<(), Stopped> {
        let context = self.resources.context;
        tracing::error!(context, kind = event.kind, id = %event.event_id, reason, "an event became a dead letter");
        Meters::dead_letter(context);
        let mut backoff = Backoff::new(PAUSES);
        loop {
            let letter =
                DeadLetter { event: event.clone(), reason: reason.clone(), dead_at: self.resources.runtime.now() };
            let unit: Unit<'static, _> =
                Box::new(move |tx| Box::pin(async move { dead_letters::dead_letter(tx, letter).await }));
            match self.resources.database.write(Durability::Full, unit).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::warn!(context, error = %error.for_log(), "a dead letter can't be written yet; retrying")
                }
            }
            self.pause(&mut backoff).await?;
        }
    }

    async fn pause(&self, backoff: &mut Backoff) -> Result<(), Stopped> {
        if backoff.pause(&self.resources.runtime, &self.tasks).await { Ok(()) } else { Err(Stopped) }
    }
}
