//! Streams of results: lists over all pages, and events as they arrive.

use contracts::Paged;
use contracts::chronicle::v1::{Event, WatchEventsRequest, WatchEventsResponse};
use futures::stream::{BoxStream, StreamExt as _, try_unfold};
use tonic::{Status, Streaming};

use crate::{Client, Error};

/// A watch survives a restart of the server: this many failures in a row take about a minute, with the pauses between
/// them.
const WATCH_FAILURES: u32 = 60;

impl Client {
    /// All items of a list. Each page is requested when it is needed. The stream ends after an error.
    pub fn items<M: Paged<Item: Send>>(&self, request: M) -> BoxStream<'static, Result<M::Item, Error>> {
        let listing = Listing { client: self.clone(), page: Vec::new().into_iter(), next: Some(request) };
        try_unfold(listing, |mut listing| async { Ok(listing.next().await?.map(|item| (item, listing))) }).boxed()
    }

    /// Events as they arrive, without an end. After a lost connection, it resumes after the last received event.
    ///
    /// Without an `after_position` it starts with the events from now on; if the connection is lost before the first
    /// event, it starts again from that time on. The stream ends after an error: if the server refuses, or is not
    /// reachable for about a minute.
    pub fn watch(&self, request: WatchEventsRequest) -> BoxStream<'static, Result<Event, Error>> {
        let watch = Watch { client: self.clone(), request, stream: None, failures: 0 };
        try_unfold(watch, |mut watch| async { Ok(Some((watch.next().await?, watch))) }).boxed()
    }
}

struct Listing<M: Paged> {
    client: Client,
    page: std::vec::IntoIter<M::Item>,
    /// The request of the next page.
    next: Option<M>,
}

impl<M: Paged> Listing<M> {
    async fn next(&mut self) -> Result<Option<M::Item>, Error> {
        loop {
            if let Some(item) = self.page.next() {
                return Ok(Some(item));
            }
            let Some(mut request) = self.next.take() else { return Ok(None) };
            let (items, token) = M::page(self.client.send(request.clone()).await?);
            self.page = items.into_iter();
            if !token.is_empty() {
                request.set_page_token(token);
                self.next = Some(request);
            }
        }
    }
}

struct Watch {
    client: Client,
    request: WatchEventsRequest,
    stream: Option<Streaming<WatchEventsResponse>>,
    /// The failures since the last event.
    failures: u32,
}

impl Watch {
    async fn next(&mut self) -> Result<Event, Error> {
        loop {
            let error = match self.follow().await {
                Ok(event) => {
                    (self.failures, self.request.after_position) = (0, Some(event.position));
                    return Ok(event);
                }
                Err(error) => error,
            };
            self.stream = None;
            self.failures += 1;
            match error.pause(self.failures) {
                Some(pause) if self.failures < WATCH_FAILURES => tokio::time::sleep(pause).await,
                _ => return Err(error),
            }
        }
    }

    /// The next event of the open stream, or of a new one.
    async fn follow(&mut self) -> Result<Event, Error> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(self.client.open(self.request.clone()).await?),
        };
        let response = stream.message().await?.ok_or_else(|| Status::unavailable("the stream of events ended"))?;
        Ok(response.event.unwrap_or_default())
    }
}
