//! Connections with limits: so many at once, and each has to say something soon.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::transport::server::{Connected, TcpConnectInfo, TcpIncoming};

/// Connections at once; more are closed.
const MAX_CONNECTIONS: usize = 4096;
/// How long a connection may take for its greeting.
const GREETING_LIMIT: Duration = Duration::from_secs(10);
/// The bytes with which an HTTP/2 connection begins: its preface and the head of the first frame (RFC 9113, 3.4).
const GREETING_BYTES: usize = 24 + 9;

/// The connections that arrive, within the limits.
pub fn limited(incoming: TcpIncoming) -> impl Stream<Item = io::Result<Connection<TcpStream>>> {
    limited_to(MAX_CONNECTIONS, incoming)
}

fn limited_to<S, I>(most: usize, incoming: S) -> impl Stream<Item = io::Result<Connection<I>>>
where
    S: Stream<Item = io::Result<I>>,
{
    let places = Arc::new(Semaphore::new(most));
    incoming.filter_map(move |arrived| {
        let place = places.clone().try_acquire_owned();
        std::future::ready(match (arrived, place) {
            (Ok(stream), Ok(place)) => Some(Ok(Connection::new(stream, place))),
            (Ok(_), Err(_)) => {
                tracing::warn!(most, "too many connections: one was closed");
                None
            }
            (Err(error), _) => Some(Err(error)),
        })
    })
}

/// A connection that fails to be read if its greeting does not come in time.
#[derive(Debug)]
pub struct Connection<I> {
    stream: I,
    greeting: Option<(usize, Pin<Box<Sleep>>)>,
    _place: OwnedSemaphorePermit,
}

impl<I> Connection<I> {
    fn new(stream: I, place: OwnedSemaphorePermit) -> Connection<I> {
        let limit = Box::pin(tokio::time::sleep(GREETING_LIMIT));
        Connection { stream, greeting: Some((GREETING_BYTES, limit)), _place: place }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Connection<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let Some((missing, limit)) = &mut this.greeting else { return polled };
        if polled.is_pending() {
            return limit.poll_unpin(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        *missing = missing.saturating_sub(buffer.filled().len() - before);
        if *missing == 0 {
            this.greeting = None;
        }
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Connection<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Connected for Connection<TcpStream> {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;

    fn arriving(streams: Vec<DuplexStream>) -> impl Stream<Item = io::Result<DuplexStream>> + Unpin {
        futures::stream::iter(streams).map(Ok)
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_does_not_greet_is_given_up_and_one_that_did_may_be_idle() {
        let (mut client, server) = duplex(64);
        let mut taken = std::pin::pin!(limited_to(1, arriving(vec![server])));
        let mut connection = taken.next().await.unwrap().unwrap();
        let start = Instant::now();
        client.write_all(&[0; GREETING_BYTES - 1]).await.unwrap();
        let mut read = [0; GREETING_BYTES];
        let failed = connection.read_exact(&mut read).await.unwrap_err();
        assert_eq!((failed.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, GREETING_LIMIT.as_secs()));

        let (mut client, server) = duplex(64);
        let mut taken = std::pin::pin!(limited_to(1, arriving(vec![server])));
        let mut connection = taken.next().await.unwrap().unwrap();
        client.write_all(&[0; GREETING_BYTES]).await.unwrap();
        connection.read_exact(&mut read).await.unwrap();
        let idle = tokio::time::timeout(GREETING_LIMIT * 100, connection.read(&mut read)).await;
        assert!(idle.is_err(), "it waits for the client");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_above_the_limit_are_closed_until_one_ends() {
        let (pairs, servers): (Vec<_>, Vec<_>) = (0..4).map(|_| duplex(64)).unzip();
        let mut servers = servers.into_iter();
        let (sender, receiver) = futures::channel::mpsc::unbounded();
        let mut arrive = || sender.unbounded_send(Ok(servers.next().unwrap())).unwrap();
        let mut taken = std::pin::pin!(limited_to(2, receiver));
        (0..3).for_each(|_| arrive());
        let first = taken.next().await.unwrap().unwrap();
        let _second = taken.next().await.unwrap().unwrap();
        assert!(taken.next().now_or_never().is_none(), "the third is not served");
        let [_, _, mut third, _] = <[DuplexStream; 4]>::try_from(pairs).unwrap();
        assert_eq!(third.read(&mut [0; 1]).await.unwrap(), 0, "it was closed");
        drop(first);
        arrive();
        assert!(taken.next().now_or_never().is_some());
    }
}
