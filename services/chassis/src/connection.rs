//! Connections with limits: so many at once, and each has to say something soon. With TLS, its handshake is a part of
//! that.

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
use tonic::transport::server::{Connected, TcpIncoming};

use crate::tls::Tls;
use crate::tls::stream::Stream as MaybeTls;

/// Connections at once; more are closed.
const MAX_CONNECTIONS: usize = 4096;
/// How long a connection may take for its greeting, with the TLS handshake before it.
const GREETING_LIMIT: Duration = Duration::from_secs(10);
/// The bytes with which an HTTP/2 connection begins: its preface and the head of the first frame (RFC 9113, 3.4).
const GREETING_BYTES: usize = 24 + 9;

/// The connections that arrive, within the limits.
pub fn limited(incoming: TcpIncoming, tls: Tls) -> impl Stream<Item = io::Result<Connection<TcpStream>>> {
    limited_to(MAX_CONNECTIONS, incoming, tls)
}

fn limited_to<S, I>(most: usize, incoming: S, tls: Tls) -> impl Stream<Item = io::Result<Connection<I>>>
where
    S: Stream<Item = io::Result<I>>,
    I: AsyncRead + AsyncWrite + Connected + Unpin,
{
    let places = Arc::new(Semaphore::new(most));
    incoming.filter_map(move |arrived| {
        let place = places.clone().try_acquire_owned();
        std::future::ready(match (arrived, place) {
            (Ok(stream), Ok(place)) => Some(Ok(Connection::new(stream, &tls, place))),
            (Ok(_), Err(_)) => {
                tracing::warn!(most, "too many connections: one was closed");
                None
            }
            (Err(error), _) => Some(Err(error)),
        })
    })
}

/// A connection that fails if its greeting does not come in time.
pub struct Connection<I: Connected> {
    stream: MaybeTls<I>,
    greeting: Option<(usize, Pin<Box<Sleep>>)>,
    info: I::ConnectInfo,
    _place: OwnedSemaphorePermit,
}

/// Nothing in it is pinned.
impl<I: Connected> Unpin for Connection<I> {}

impl<I: AsyncRead + AsyncWrite + Connected + Unpin> Connection<I> {
    fn new(stream: I, tls: &Tls, place: OwnedSemaphorePermit) -> Connection<I> {
        let limit = Box::pin(tokio::time::sleep(GREETING_LIMIT));
        let info = stream.connect_info();
        Connection { stream: tls.accept(stream), greeting: Some((GREETING_BYTES, limit)), info, _place: place }
    }

    /// Calls a method of the stream, which fails if it waits longer than the greeting may take. A write waits for the
    /// handshake, too.
    fn poll_in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut MaybeTls<I>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let polled = poll(Pin::new(&mut self.stream), cx);
        match &mut self.greeting {
            Some((_, limit)) if polled.is_pending() => {
                limit.poll_unpin(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
            _ => polled,
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Connected + Unpin> AsyncRead for Connection<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = this.poll_in_time(cx, |stream, cx| stream.poll_read(cx, buffer));
        if let Some((missing, _)) = &mut this.greeting {
            *missing = missing.saturating_sub(buffer.filled().len() - before);
            if *missing == 0 {
                this.greeting = None;
            }
        }
        polled
    }
}

impl<I: AsyncRead + AsyncWrite + Connected + Unpin> AsyncWrite for Connection<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_in_time(cx, |stream, cx| stream.poll_write(cx, data))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_in_time(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_in_time(cx, |stream, cx| stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_in_time(cx, |stream, cx| stream.poll_write_vectored(cx, data))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<I: Connected> Connected for Connection<I> {
    type ConnectInfo = I::ConnectInfo;

    fn connect_info(&self) -> I::ConnectInfo {
        self.info.clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;
    use crate::tls::tests::Folder;

    fn arriving(streams: Vec<DuplexStream>) -> impl Stream<Item = io::Result<DuplexStream>> + Unpin {
        futures::stream::iter(streams).map(Ok)
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_does_not_greet_is_given_up_and_one_that_did_may_be_idle() {
        let (mut client, server) = duplex(64);
        let mut taken = std::pin::pin!(limited_to(1, arriving(vec![server]), Tls::default()));
        let mut connection = taken.next().await.unwrap().unwrap();
        let start = Instant::now();
        client.write_all(&[0; GREETING_BYTES - 1]).await.unwrap();
        let mut read = [0; GREETING_BYTES];
        let failed = connection.read_exact(&mut read).await.unwrap_err();
        assert_eq!((failed.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, GREETING_LIMIT.as_secs()));

        let (mut client, server) = duplex(64);
        let mut taken = std::pin::pin!(limited_to(1, arriving(vec![server]), Tls::default()));
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
        let mut taken = std::pin::pin!(limited_to(2, receiver, Tls::default()));
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

    /// The connection of one client that has sent this, to a server with TLS.
    async fn over_tls(sent: &[u8]) -> (DuplexStream, Connection<DuplexStream>) {
        let tls = Tls::start(Folder::new().files()).await.unwrap();
        let (mut client, server) = duplex(64);
        client.write_all(sent).await.unwrap();
        let mut taken = std::pin::pin!(limited_to(1, arriving(vec![server]), tls));
        (client, taken.next().await.unwrap().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_that_stalls_is_given_up_with_the_greeting() {
        // The head of a record, whose content does not come.
        let stalled = [0x16, 3, 1, 1, 0];
        let (_client, mut connection) = over_tls(&stalled).await;
        let start = Instant::now();
        let failed = connection.read(&mut [0; GREETING_BYTES]).await.unwrap_err();
        assert_eq!((failed.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, GREETING_LIMIT.as_secs()));
        // HTTP/2 writes its settings before it reads.
        let (_client, mut connection) = over_tls(&stalled).await;
        let start = Instant::now();
        let failed = connection.write_all(&[0; 9]).await.unwrap_err();
        assert_eq!((failed.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, GREETING_LIMIT.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn plain_text_to_a_server_with_tls_fails_at_once() {
        let (_client, mut connection) = over_tls(b"PRI * HTTP/2.0").await;
        let start = Instant::now();
        let failed = connection.write_all(&[0; 9]).await.unwrap_err();
        assert_eq!((failed.kind(), start.elapsed().as_secs()), (io::ErrorKind::InvalidData, 0));
        let failed = connection.read(&mut [0; GREETING_BYTES]).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::NotConnected);
    }
}
