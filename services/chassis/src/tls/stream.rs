//! A client's connection, as it is or encrypted.
//!
//! The handshake is a part of the first reads and writes. So the task of the connection does it, not the one that accepts
//! connections, and the limits of a connection hold from its start.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::Accept;
use tokio_rustls::server::TlsStream;

/// A connection.
pub(crate) enum Stream<I> {
    /// Plain text.
    Plain(I),
    /// TLS whose handshake goes on.
    Handshake(Box<Accept<I>>),
    /// TLS.
    Encrypted(Box<TlsStream<I>>),
    /// TLS whose handshake has failed.
    Failed,
}

impl<I> Stream<I> {
    /// TLS that begins with this handshake.
    pub fn handshake(handshake: Accept<I>) -> Stream<I> {
        Stream::Handshake(Box::new(handshake))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Stream<I> {
    /// Goes on with the handshake, if there is one.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Stream::Handshake(handshake) = self else { return Poll::Ready(Ok(())) };
        let (stream, outcome) = match ready!(Pin::new(handshake).poll(cx)) {
            Ok(stream) => (Stream::Encrypted(Box::new(stream)), Ok(())),
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                (Stream::Failed, Err(error))
            }
        };
        *self = stream;
        Poll::Ready(outcome)
    }
}

/// The error of a stream that has no connection, because its handshake is not done.
fn closed() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

/// Calls a method of the stream below, after the handshake.
macro_rules! after_handshake {
    ($self:ident, $cx:ident, $method:ident($($argument:expr),*)) => {{
        let this = $self.get_mut();
        ready!(this.poll_open($cx))?;
        match this {
            Stream::Plain(stream) => Pin::new(stream).$method($cx, $($argument),*),
            Stream::Encrypted(stream) => Pin::new(&mut **stream).$method($cx, $($argument),*),
            Stream::Handshake(_) | Stream::Failed => Poll::Ready(Err(closed())),
        }
    }};
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        after_handshake!(self, cx, poll_read(buffer))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        after_handshake!(self, cx, poll_write(data))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        after_handshake!(self, cx, poll_flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Encrypted(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            // Nothing was promised yet that would have to be finished.
            Stream::Handshake(_) | Stream::Failed => Poll::Ready(Ok(())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        after_handshake!(self, cx, poll_write_vectored(data))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Handshake(_) | Stream::Encrypted(_) | Stream::Failed => true,
        }
    }
}
