//! A connection that sends what it is told to, as an attacker does: no client's timers, retries or checks.

use std::net::SocketAddr;

use contracts::Unary;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use prost::bytes::Bytes;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::Status;
use tonic::codegen::http::{HeaderMap, Method, Request, Response};

use crate::support::PATIENCE;

/// A message as gRPC frames it.
pub fn framed<M: prost::Message>(message: &M) -> Bytes {
    let body = message.encode_to_vec();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), &body].concat().into()
}

/// An HTTP/2 connection.
pub struct Wire {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<()>,
}

/// A call whose headers are sent.
pub struct Sent {
    response: ResponseFuture,
    /// The rest of the request.
    pub body: SendStream<Bytes>,
}

impl Wire {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Wire {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        // A busy machine reads answers late: h2 closes a connection on which some 130 small ones wait to be read.
        let mut client = h2::client::Builder::new();
        client.data_frame_budget(usize::MAX);
        let (requests, connection) = client.handshake(stream).await.unwrap();
        // A connection that the server resets is an answer, too: its calls fail with the reason.
        let connection = tokio::spawn(async move { drop(connection.await) });
        Wire { requests, connection }
    }

    /// Sends the headers of a call, when the server allows one more stream.
    pub async fn open(&mut self, path: &str, headers: &[(&'static str, String)]) -> Result<Sent, h2::Error> {
        let mut request = Request::builder().method(Method::POST).uri(format!("http://nadeuri{path}"));
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/grpc");
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut requests = self.requests.clone().ready().await?;
        let (response, body) = requests.send_request(request.body(()).unwrap(), false)?;
        Ok(Sent { response, body })
    }

    /// Makes a call, and returns its status.
    pub async fn call<M: Unary>(&mut self, message: &M, headers: &[(&'static str, String)]) -> Status {
        let mut sent = self.open(M::RPC.path, headers).await.unwrap();
        // It fails if the server has refused the headers, and says so in its response.
        let _ = sent.body.send_data(framed(message), true);
        sent.status().await
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Sent {
    /// The head of the response and the stream of its messages. Until then the request goes on.
    pub async fn response(self) -> Response<RecvStream> {
        let Sent { response, body: _open } = self;
        timeout(PATIENCE, response).await.expect("a response comes").unwrap()
    }

    /// The status, after all messages.
    pub async fn status(self) -> Status {
        let (head, body) = self.response().await.into_parts();
        match Status::from_header_map(&head.headers) {
            Some(status) => status,
            None => status_after(body).await,
        }
    }
}

/// The status at the end of a stream.
pub async fn status_after(mut body: RecvStream) -> Status {
    let rest = async {
        while let Some(data) = body.data().await {
            body.flow_control().release_capacity(data?.len())?;
        }
        body.trailers().await
    };
    let trailers: Option<HeaderMap> = timeout(PATIENCE, rest).await.expect("the stream ends").unwrap();
    Status::from_header_map(&trailers.unwrap_or_default()).unwrap_or_else(|| Status::unknown("no status came"))
}
