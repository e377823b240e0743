//! Events of the past, from the chronicle.

use chassis::projection::History;
use chassis::{Envelope, Error, Id, PeerClient, Subscription, Timestamp};
use contracts::chronicle::v1::chronicle_service_client::ChronicleServiceClient;
use contracts::chronicle::v1::{Event, ListEventsRequest};
use futures::future::BoxFuture;

/// Events per request.
const PAGE_SIZE: i32 = 1_000;

/// Reads the events of a projection from the chronicle.
pub struct FromChronicle {
    peer: PeerClient,
    /// Full names; all if there are none.
    types: Vec<String>,
}

impl FromChronicle {
    /// Reads these events.
    pub fn new(peer: PeerClient, subscription: Subscription) -> FromChronicle {
        let types = match subscription {
            Subscription::All => Vec::new(),
            Subscription::Kinds(kinds) => kinds,
        };
        FromChronicle { peer, types }
    }
}

impl History for FromChronicle {
    fn after(&self, position: i64) -> BoxFuture<'_, Result<(Vec<Envelope>, i64), Error>> {
        Box::pin(async move {
            let types = self.types.clone();
            let request =
                ListEventsRequest { page_size: PAGE_SIZE, types, after_position: position, ..Default::default() };
            let answer = self.peer.call(None, request, |transport, request| async move {
                ChronicleServiceClient::new(transport).list_events(request).await
            });
            let away = "the chronicle is unavailable, so the projection is incomplete; rebuild it later";
            let events = answer.await.map_err(|none| none.into_error("CHRONICLE_AWAY", away))?.events;
            let last = events.last().map_or(position, |event| event.position);
            Ok((events.into_iter().map(envelope).collect::<Result<_, Error>>()?, last))
        })
    }
}

fn envelope(event: Event) -> Result<Envelope, Error> {
    let corrupt = |what: &str| Error::Internal(format!("event {} of the chronicle: corrupt {what}", event.position));
    let uuid = |what: &str, text: &str| text.parse().map(Id::<()>::uuid).map_err(|_| corrupt(what));
    let causation_id =
        if event.causation_id.is_empty() { None } else { Some(uuid("causation_id", &event.causation_id)?) };
    Ok(Envelope {
        event_id: uuid("event_id", &event.event_id)?,
        at: event.time.as_ref().and_then(Timestamp::from_proto).ok_or_else(|| corrupt("time"))?,
        correlation_id: uuid("flow_id", &event.flow_id)?,
        causation_id,
        sequence: event.sequence,
        traceparent: Some(event.traceparent).filter(|traceparent| !traceparent.is_empty()),
        kind: event.r#type,
        source: event.source,
        subject: event.subject,
        body: event.data.unwrap_or_default().value,
    })
}
