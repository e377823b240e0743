//! The connection, with request ids, deadlines, retries and credentials for every call.

use std::sync::Arc;
use std::time::Duration;

use contracts::{Idempotency, Streaming, Unary};
use http::Uri;
use http::uri::Scheme;
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::options::Token;
use crate::{Error, Options, call};

/// Without keepalive, a stream without events would not notice a lost connection.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A connection to a server, with the credentials of a caller. Clones share the connection.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    token: Token,
    headers: Arc<MetadataMap>,
    deadline: Duration,
    attempts: u32,
}

impl Client {
    /// Creates a client of `http://HOST:PORT` or, over TLS, `https://HOST:PORT`. It connects at the first call, and
    /// reconnects whenever the connection is lost.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidArgument`] if the address, a header or the certificates are invalid.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn connect(address: &str, options: Options) -> Result<Client, Error> {
        let wrong =
            || invalid(format!("{address:?} is no address: give http://HOST:PORT, or https://HOST:PORT for TLS"));
        let uri: Uri = address.parse().map_err(|_| wrong())?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(wrong()),
        };
        let mut endpoint = Endpoint::from(uri).tcp_nodelay(true).http2_keep_alive_interval(KEEPALIVE);
        if is_tls {
            let tls = match &options.ca {
                None => ClientTlsConfig::new().with_native_roots(),
                Some(file) => {
                    let pem = std::fs::read(file);
                    let pem = pem.map_err(|error| invalid(format!("cannot read {}: {error}", file.display())))?;
                    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
                }
            };
            endpoint = endpoint.tls_config(tls).map_err(|error| invalid(format!("cannot use TLS: {error}")))?;
        }
        Client::over(endpoint.connect_lazy(), options)
    }

    /// Creates a client over an existing channel. The certificates in the options are not used.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidArgument`] if a header is invalid.
    pub fn over(channel: Channel, options: Options) -> Result<Client, Error> {
        let mut headers = MetadataMap::new();
        for (name, value) in &options.headers {
            let name_: Result<MetadataKey<Ascii>, _> = name.parse();
            let (Ok(name_), Ok(value)) = (name_, value.parse()) else {
                return Err(invalid(format!("{name:?} can't be a header with this value")));
            };
            headers.insert(name_, value);
        }
        let Options { token, deadline, attempts, .. } = options;
        Ok(Client { channel, token, headers: Arc::new(headers), deadline, attempts })
    }

    /// The same caller with another deadline for each call, with all its attempts.
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Client {
        Client { deadline, ..self.clone() }
    }

    /// Sends a request. It gets a request id unless it has one. Retries use the same request id, so the server executes
    /// the request once.
    ///
    /// It is retried if the contract allows it, and the error has a retry delay or the server is not reachable.
    ///
    /// # Errors
    ///
    /// The error of the last attempt. There is no retry if its delay would end after the deadline.
    pub async fn send<M: Unary>(&self, mut request: M) -> Result<M::Response, Error> {
        if request.request_id() == Some("") {
            #[expect(clippy::disallowed_methods, reason = "a client is not simulated")]
            request.set_request_id(Uuid::new_v4().to_string());
        }
        let end = Instant::now() + self.deadline;
        let attempts = if M::RPC.idempotency == Idempotency::Unknown { 1 } else { self.attempts };
        let mut attempt = 1;
        loop {
            let error = match self.send_once(request.clone(), end).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            match error.pause(attempt) {
                Some(pause) if attempt < attempts && Instant::now() + pause < end => tokio::time::sleep(pause).await,
                _ => return Err(error),
            }
            attempt += 1;
        }
    }

    async fn send_once<M: Unary>(&self, message: M, end: Instant) -> Result<M::Response, Error> {
        let sent = async {
            let mut request = self.request(message).await?;
            request.set_timeout(end - Instant::now());
            Ok(call::call(self.channel.clone(), request).await.map(Response::into_inner)?)
        };
        let late = || Error::from(Status::deadline_exceeded("there was no answer in time"));
        let sent: Result<M::Response, Error> = tokio::time::timeout_at(end, sent).await.map_err(|_| late())?;
        // The channel enforces the deadline too, but with the code `Cancelled`.
        sent.map_err(|error| if error.code() == Code::Cancelled && end <= Instant::now() { late() } else { error })
    }

    /// Opens a stream. It has no deadline.
    ///
    /// # Errors
    ///
    /// The error with which the server refuses it, or that says why there is no response.
    pub async fn open<M: Streaming>(&self, request: M) -> Result<tonic::Streaming<M::Response>, Error> {
        Ok(call::open(self.channel.clone(), self.request(request).await?).await?)
    }

    async fn request<M>(&self, message: M) -> Result<Request<M>, Error> {
        let mut request = Request::new(message);
        *request.metadata_mut() = MetadataMap::clone(&self.headers);
        let token = match &self.token {
            Token::None => return Ok(request),
            Token::Static(token) => token.clone(),
            Token::Asked(ask) => ask().await.map_err(|error| no_token(&error.to_string()))?,
        };
        let value: Result<MetadataValue<Ascii>, _> = format!("Bearer {token}").parse();
        request.metadata_mut().insert("authorization", value.map_err(|_| no_token("it is malformed"))?);
        Ok(request)
    }
}

fn invalid(message: String) -> Error {
    Status::invalid_argument(message).into()
}

fn no_token(why: &str) -> Error {
    Status::unauthenticated(format!("there is no token to call with: {why}")).into()
}
