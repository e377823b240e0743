//! The gRPC service of the chronicle: flows, pages of events, and a stream of events as they arrive.

use std::sync::Arc;
use std::time::Duration;

use chassis::auth::Caller;
use chassis::db::Database;
use chassis::places::{Place, Places};
use chassis::runtime::Tasks;
use chassis::sealing::SealingKeys;
use chassis::{Call, Error, Fields, Page};
use contracts::chronicle::v1::{self as proto, *};
use contracts::{Redact, Role, personal};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::store::{self, FlowId};

/// Types that a request may filter by, at most.
const MAX_TYPES: usize = 100;
/// Streams that are served at once, at most. One caller gets a share of them.
const MAX_STREAMS: usize = 64;
/// Events that are read for a stream together, and that are buffered for its client, at most.
const WATCH_BATCH: usize = 100;
/// Events that are read for an export together: most are about others.
const EXPORT_BATCH: usize = 1_000;
/// How often a stream polls for new events. Other replicas append too, so a signal within the process would not
/// suffice.
const WATCH_PERIOD: Duration = Duration::from_millis(200);

/// How long a client may take until there is room for one more event.
const SEND_LIMIT: Duration = Duration::from_secs(30);

/// Serves the chronicle.
#[derive(Clone)]
pub struct Service {
    database: Database,
    tasks: Tasks,
    sealing: SealingKeys,
    streams: Places,
}

impl Service {
    /// Serves the events of this store. The streams run as these tasks. The keys unseal what customers read.
    pub fn new(database: Database, tasks: Tasks, sealing: SealingKeys) -> Service {
        Service { database, tasks, sealing, streams: Places::new(MAX_STREAMS) }
    }

    /// A place for a stream of this caller.
    fn place(&self, call: &Call) -> Result<Place, Error> {
        self.streams.take(Some(&call.caller)).map_err(|full| full.into_error("the chronicle"))
    }

    /// Starts a stream of these events, each in a message `M`.
    fn stream<M: Redact + Send + 'static>(
        &self,
        place: Place,
        selection: Selection,
        message: fn(proto::Event) -> M,
    ) -> ReceiverStream<Result<M, Status>> {
        let (events, received) = mpsc::channel(WATCH_BATCH + 1);
        let last = events.clone().try_reserve_owned().ok();
        let stream = Stream {
            database: self.database.clone(),
            sealing: self.sealing.clone(),
            selection,
            message,
            events,
            last,
            _place: place,
        };
        let state = (stream, self.tasks.clone());
        self.tasks.supervise("chronicle", "stream", state, |(stream, tasks)| Box::pin(stream.run(tasks)));
        ReceiverStream::new(received)
    }
}

impl ChronicleApi for Service {
    type Call = Call;
    type Error = Error;
    type ExportCustomerStream = ReceiverStream<Result<ExportCustomerResponse, Status>>;
    type WatchEventsStream = ReceiverStream<Result<WatchEventsResponse, Status>>;

    async fn get_flow(&self, call: Call, request: GetFlowRequest) -> Result<GetFlowResponse, Error> {
        let id: FlowId = call.parse(|fields| fields.id("flow_id", &request.flow_id))?;
        let reader = self.database.reader().await?;
        let events = store::flow(reader.tx(), id).await?;
        if events.is_empty() {
            return Err(Error::not_found("flow", id));
        }
        Ok(Audience::of(&call.caller).show(&self.sealing, GetFlowResponse { events }))
    }

    async fn list_events(&self, call: Call, request: ListEventsRequest) -> Result<ListEventsResponse, Error> {
        let (page, types, after) = call.parse(|fields| {
            let filter: Vec<&[u8]> = request.types.iter().map(String::as_bytes).collect();
            let page = Page::<i64>::parse(fields, request.page_size, &request.page_token, &filter);
            let types = types(fields, request.types);
            (page, types, position(fields, request.after_position))
        })?;
        let reader = self.database.reader().await?;
        let (events, next_page_token) = store::list(reader.tx(), &types, after, &page).await?;
        Ok(Audience::of(&call.caller).show(&self.sealing, ListEventsResponse { events, next_page_token }))
    }

    async fn watch_events(&self, call: Call, request: WatchEventsRequest) -> Result<Self::WatchEventsStream, Error> {
        let (types, after) = call.parse(|fields| {
            let types = types(fields, request.types);
            (types, request.after_position.map_or(Some(None), |after| position(fields, after).map(Some)))
        })?;
        let place = self.place(&call)?;
        let after = match after {
            Some(after) => after,
            None => store::last_position(self.database.reader().await?.tx()).await?,
        };
        let selection = Selection { audience: Audience::of(&call.caller), types, about: None, after };
        Ok(self.stream(place, selection, |event| WatchEventsResponse { event: Some(event) }))
    }

    async fn export_customer(
        &self,
        call: Call,
        request: ExportCustomerRequest,
    ) -> Result<Self::ExportCustomerStream, Error> {
        let customer = call.parse(|fields| fields.subject("customer_id", &request.customer_id))?;
        let audience = Audience::Person(customer.as_str().into());
        let selection = Selection { audience, types: Vec::new(), about: Some(customer), after: 0 };
        Ok(self.stream(self.place(&call)?, selection, |event| ExportCustomerResponse { event: Some(event) }))
    }
}

/// Who reads events.
enum Audience {
    /// Another context, which builds its projections from them: it gets them as they were published, and what is sealed
    /// stays so.
    Context,
    /// Anyone else, by their subject: they get no secrets but their own, and those unsealed.
    Person(Arc<str>),
}

impl Audience {
    /// By the role `service`, whatever other roles the caller has.
    fn of(caller: &Caller) -> Audience {
        if caller.has(Role::Service) { Audience::Context } else { Audience::Person(caller.shared_subject()) }
    }

    /// A response as they may read it.
    fn show<M: Redact>(&self, sealing: &SealingKeys, response: M) -> M {
        match self {
            Audience::Context => response,
            Audience::Person(subject) => sealing.show(response, subject),
        }
    }
}

/// Known types, at most [`MAX_TYPES`].
fn types(fields: &mut Fields, types: Vec<String>) -> Option<Vec<String>> {
    if types.len() > MAX_TYPES {
        fields.violate("types", format!("must be at most {MAX_TYPES}"));
        return None;
    }
    for (index, kind) in types.iter().enumerate() {
        if !contracts::EVENTS.iter().any(|event| event.name == kind) {
            let remedy = "must be the full name of an event, such as nadeuri.rental.v1.CarReserved";
            fields.violate(&format!("types[{index}]"), remedy);
        }
    }
    Some(types)
}

fn position(fields: &mut Fields, position: i64) -> Option<i64> {
    fields.take("after_position", (position >= 0).then_some(position).ok_or("must be 0 or more"))
}

/// The events of a stream.
struct Selection {
    audience: Audience,
    types: Vec<String>,
    /// Only those so far that tell about this subject; otherwise the stream has no end.
    about: Option<String>,
    /// The last event that was read.
    after: i64,
}

impl Selection {
    fn has(&self, event: &proto::Event) -> bool {
        let Some(subject) = &self.about else { return true };
        let body = event.data.as_ref().map(|data| data.value.as_slice()).unwrap_or_default();
        // What can't be decoded can't be handed out: nobody knows whom else it is about.
        personal::names(&event.r#type, body, subject).unwrap_or(false)
    }

    /// Events that are read together.
    fn batch(&self) -> usize {
        if self.about.is_some() { EXPORT_BATCH } else { WATCH_BATCH }
    }
}

/// A stream of events to one client, each in a message `M`.
struct Stream<M> {
    database: Database,
    sealing: SealingKeys,
    selection: Selection,
    message: fn(proto::Event) -> M,
    events: mpsc::Sender<Result<M, Status>>,
    /// Room for the reason of the end, also if the client reads nothing.
    last: Option<mpsc::OwnedPermit<Result<M, Status>>>,
    /// Released when the stream ends.
    _place: Place,
}

impl<M: Redact + Send + 'static> Stream<M> {
    /// Sends events until the client disconnects, reads too slowly, or the context stops.
    async fn run(&mut self, tasks: &Tasks) {
        let events = self.events.clone();
        let outcome = tokio::select! {
            biased;
            () = tasks.stopping() => Err(Error::Stopping),
            () = events.closed() => Ok(()),
            outcome = self.follow() => outcome,
        };
        if let (Err(error), Some(last)) = (outcome, self.last.take()) {
            last.send(Err(error.into()));
        }
    }

    /// Sends events, and polls for more if it has no end. Ends on an error, too, or when the client has disconnected.
    async fn follow(&mut self) -> Result<(), Error> {
        loop {
            let found = self.read().await?;
            let is_last = found.len() < self.selection.batch();
            for event in found {
                self.selection.after = event.position;
                if !self.selection.has(&event) {
                    continue;
                }
                let event = self.selection.audience.show(&self.sealing, (self.message)(event));
                match self.events.send_timeout(Ok(event), SEND_LIMIT).await {
                    Ok(()) => {}
                    Err(SendTimeoutError::Closed(_)) => return Ok(()),
                    Err(SendTimeoutError::Timeout(_)) => return Err(too_slow()),
                }
            }
            if is_last && self.selection.about.is_some() {
                return Ok(());
            }
            if is_last {
                tokio::time::sleep(WATCH_PERIOD).await;
            }
        }
    }

    async fn read(&self) -> Result<Vec<proto::Event>, Error> {
        let reader = self.database.reader().await?;
        let Selection { types, after, .. } = &self.selection;
        store::after_position(reader.tx(), types, *after, self.selection.batch() as i64).await
    }
}

fn too_slow() -> Error {
    Error::Away {
        reason: "WATCH_TOO_SLOW",
        message: "the events were not read in time; call again, and go on after the last position that you got"
            .to_owned(),
        retry_after: Duration::from_secs(1),
    }
}
