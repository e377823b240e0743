//! A unit of work: one transaction, with the aggregates that were loaded and the changes to write.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::try_join;
use prost::Message;

use super::{Job, Outcome, Resources, Wants, decode};
use crate::aggregate::{Cause, Change, LoadRequest, Publication, Store};
use crate::db::{Metadata, Tx};
use crate::envelope::{Envelope, EventId};
use crate::error::Error;
use crate::idempotency::{self, Key, Known, ProcessedRow};
use crate::ids::Id;
use crate::outbox;
use crate::quota::Usage;

/// An outcome for each command of a batch.
pub type Outcomes<A> = Vec<Result<Outcome<A>, Error>>;

/// An aggregate and its events.
struct Entry<A: Store> {
    state: Option<A>,
    /// As it was read, except for its last event, which is the one to write.
    metadata: Metadata,
    events: Vec<A::Event>,
}

/// The loaded aggregates, and the changes to write.
pub struct UnitOfWork<'a, A: Store> {
    entries: BTreeMap<A::Id, Entry<A>>,
    known: Known,
    usage: Usage,
    processed: Vec<ProcessedRow>,
    envelopes: Vec<Envelope>,
    resources: &'a Resources,
}

impl<A: Store> UnitOfWork<'_, A> {
    /// Executes the commands in order; returns an outcome for each, and whether there are new events.
    pub async fn execute_all(tx: Tx<'_>, jobs: &[Job<A>], resources: &Resources) -> Result<(Outcomes<A>, bool), Error> {
        let keys: Vec<Key> = jobs.iter().filter_map(|job| job.message.key).collect();
        let mut request = LoadRequest::new();
        for Job { message, .. } in jobs {
            request.add(message.id, Some(&message.command));
        }
        let usage = Usage::read::<A>(tx, jobs.iter().map(|job| &job.message.command));
        let (known, loaded, usage) = try_join!(idempotency::find(tx, &keys), A::load(tx, &request), usage)?;
        let entry = |state, metadata| Entry { state, metadata, events: Vec::new() };
        let mut entries: BTreeMap<A::Id, Entry<A>> =
            request.ids().into_iter().map(|id| (id, entry(None, Metadata::default()))).collect();
        entries.extend(loaded.into_iter().map(|loaded| (loaded.id, entry(Some(loaded.state), loaded.metadata))));

        let mut work = UnitOfWork { entries, known, usage, processed: Vec::new(), envelopes: Vec::new(), resources };
        // A panic in the rules fails one command; the shard must survive it.
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let outcomes: Vec<_> = jobs.iter().map(|job| work.execute(job)).collect();
            (outcomes, work)
        }));
        let (outcomes, work) =
            decided.map_err(|_| Error::Internal(format!("a rule of {} panicked", resources.context)))?;
        let has_events = !work.envelopes.is_empty();
        work.write(tx).await?;
        Ok((outcomes, has_events))
    }

    fn execute(&mut self, Job { message, wants }: &Job<A>) -> Result<Outcome<A>, Error> {
        let entry = self.entries.get_mut(&message.id).ok_or_else(|| Error::Internal("it was not loaded".into()))?;
        if let Some(key) = message.key
            && let Some(first) = self.known.answer(key)
        {
            let first = first?;
            return match wants {
                Wants::Answer => decode::<A>(first).map(Outcome::Answer),
                Wants::State => Ok(Outcome::State(entry.state.clone())),
            };
        }
        let now = self.resources.runtime.now();
        let decided = A::decide(entry.state.as_ref(), &message.command, now);
        let allowed = decided.and_then(|events| {
            // A command that decides nothing takes nothing.
            if !events.is_empty() {
                self.usage.take::<A>(&message.command)?;
            }
            Ok(events)
        });
        let events = match allowed {
            Ok(events) => events,
            Err(refusal) => {
                self.remember(message.key.filter(|key| key.is_event), Vec::new());
                return Err(Error::refused(&refusal));
            }
        };
        for event in events {
            let mut state = A::evolve(entry.state.take(), &event);
            let sequence = entry.metadata.version + entry.events.len() as i64 + 1;
            let publication = state.publish(&event);
            let last_event = state.last_event_of_part(&event).unwrap_or(&mut entry.metadata.last_event);
            let envelope = publication
                .map(|publication| enclose(publication, &message.cause, *last_event, sequence, self.resources));
            let envelope = envelope.transpose()?;
            let known_as = envelope.as_ref().map(|envelope| envelope.event_id).or(message.cause.causation);
            *last_event = known_as.map(Id::new).or(*last_event);
            self.envelopes.extend(envelope);
            entry.events.push(event);
            entry.state = Some(state);
        }
        // If it does not exist, the command decided to leave it so.
        let state = entry.state.as_ref();
        let answer = || state.map(|state| state.answer(&message.command)).unwrap_or_default();
        let outcome = match wants {
            Wants::Answer => Outcome::Answer(answer()),
            Wants::State => Outcome::State(state.cloned()),
        };
        // A reaction to an event has no answer to store.
        let is_request = message.key.is_some_and(|key| !key.is_event);
        let kept = match &outcome {
            _ if !is_request => Vec::new(),
            Outcome::Answer(answer) => answer.encode_to_vec(),
            Outcome::State(_) => answer().encode_to_vec(),
        };
        self.remember(message.key, kept);
        Ok(outcome)
    }

    fn remember(&mut self, key: Option<Key>, answer: Vec<u8>) {
        let Some(key) = key else { return };
        self.known.learn(key, answer.clone());
        self.processed.push(key.row(answer, self.resources.runtime.now()));
    }

    async fn write(self, tx: Tx<'_>) -> Result<(), Error> {
        let changed = self.entries.iter().filter(|(_, entry)| !entry.events.is_empty());
        let changes: Vec<Change<'_, A>> = changed
            .filter_map(|(id, entry)| {
                let read = entry.metadata.version;
                let version = read + entry.events.len() as i64;
                let wake_at = entry.state.as_ref()?.due_at().map(|(at, _)| at);
                let metadata = Metadata { version, wake_at, ..entry.metadata };
                Some(Change { id: *id, state: entry.state.as_ref()?, events: &entry.events, read, metadata })
            })
            .collect();
        let save = async { if changes.is_empty() { Ok(()) } else { A::save(tx, &changes).await } };
        let usage = self.usage.write(tx, A::NAME, self.resources.runtime.now());
        let written = (outbox::append(tx, self.envelopes), idempotency::write(tx, &self.processed));
        try_join!(save, usage, written.0, written.1)?;
        Ok(())
    }
}

fn enclose(
    publication: Publication,
    cause: &Cause,
    last_event: Option<EventId>,
    sequence: i64,
    Resources { context, runtime, sealing, .. }: &Resources,
) -> Result<Envelope, Error> {
    let waited_since = publication.after.or(last_event).filter(|_| cause.is_time);
    let at = runtime.now();
    let event_id = runtime.ids.uuid(at);
    // From here on, the event is in the outbox, the bus and the stores of others.
    let body = sealing.seal_event(&publication.kind, publication.body)?;
    Ok(Envelope {
        event_id,
        kind: publication.kind,
        source: (*context).to_owned(),
        subject: publication.subject,
        at,
        correlation_id: publication.flow.or(cause.correlation).unwrap_or(event_id),
        causation_id: cause.causation.or(waited_since.map(Id::uuid)),
        sequence,
        traceparent: cause.traceparent.clone(),
        body,
    })
}
