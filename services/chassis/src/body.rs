//! Bodies with limits: a request must arrive soon, and a stream of responses ends when it must.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;

/// How long a request may take from its headers to its end. Every request is one small message.
pub const ARRIVAL: Duration = Duration::from_secs(5);

/// A request body that fails with `late` if it has not arrived completely after [`ARRIVAL`].
pub fn arriving_soon(body: Body, late: fn() -> Status) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::new(Arriving { body, late, due: Instant::now() + ARRIVAL, timer: None })
}

struct Arriving {
    body: Body,
    late: fn() -> Status,
    due: Instant,
    /// Most requests have arrived when they are read, and need none.
    timer: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Arriving {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let Arriving { body, late, due, timer } = self.get_mut();
        let polled = Pin::new(body).poll_frame(cx);
        if polled.is_pending() {
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(*due)));
            return timer.poll_unpin(cx).map(|()| Some(Err(late())));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream of responses that ends with the status of `ended`, when there is one, and holds `held` until it ends.
pub fn ending<H: Send + Unpin + 'static>(body: Body, ended: BoxFuture<'static, Status>, held: H) -> Body {
    Body::new(Ending { open: Some((body, ended, held)) })
}

struct Ending<H> {
    open: Option<(Body, BoxFuture<'static, Status>, H)>,
}

impl<H: Unpin> http_body::Body for Ending<H> {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let this = self.get_mut();
        let Some((body, ended, _)) = &mut this.open else { return Poll::Ready(None) };
        if let Poll::Ready(status) = ended.poll_unpin(cx) {
            this.open = None;
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))));
        }
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) {
            this.open = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.open.is_none()
    }
}
