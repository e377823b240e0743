//! gRPC clients, with a name or a token, and a deadline for each call.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use contracts::Unary;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Response, Status};

use super::{LOOK, PATIENCE};

/// The default deadline of a call.
const DEADLINE: Duration = Duration::from_secs(20);

/// The caller, and how they authenticate.
#[derive(Clone, Debug)]
pub enum Who {
    /// Auth is off: the headers set the caller.
    Named {
        /// The subject.
        name: String,
        /// The roles, separated by commas.
        roles: &'static str,
    },
    /// A token.
    Token(String),
    /// No credentials.
    Nobody,
}

impl Who {
    /// A customer.
    pub fn customer(name: &str) -> Who {
        Who::Named { name: name.to_owned(), roles: "customer" }
    }

    /// An admin.
    pub fn admin() -> Who {
        Who::Named { name: "admin".to_owned(), roles: "admin" }
    }

    fn sign<M>(&self, request: &mut Request<M>) {
        let text = |text: &str| -> MetadataValue<Ascii> { text.parse().unwrap() };
        let metadata = request.metadata_mut();
        match self {
            Who::Named { name, roles } => {
                metadata.insert("x-user", text(name));
                metadata.insert("x-roles", text(roles));
            }
            Who::Token(token) => {
                metadata.insert("authorization", text(&format!("Bearer {token}")));
            }
            Who::Nobody => {}
        }
    }
}

/// The addresses of the contexts, with a connection to each process.
#[derive(Clone)]
pub struct Places {
    places: Arc<BTreeMap<&'static str, (SocketAddr, Channel)>>,
    tls: Option<ClientTlsConfig>,
}

impl Places {
    /// Connects at the first call, and reconnects whenever a connection is lost.
    pub fn new(places: BTreeMap<&'static str, SocketAddr>) -> Places {
        Places::over(places, None)
    }

    /// The same, over TLS with these settings.
    pub fn over(places: BTreeMap<&'static str, SocketAddr>, tls: Option<ClientTlsConfig>) -> Places {
        let mut channels: BTreeMap<SocketAddr, Channel> = BTreeMap::new();
        let connect = |address: SocketAddr| {
            let endpoint = endpoint(address, tls.as_ref());
            endpoint.connect_timeout(Duration::from_secs(5)).tcp_nodelay(true).connect_lazy()
        };
        let channel = |(context, address): (&'static str, SocketAddr)| {
            let channel = channels.entry(address).or_insert_with(|| connect(address)).clone();
            (context, (address, channel))
        };
        Places { places: Arc::new(places.into_iter().map(channel).collect()), tls }
    }

    /// The settings of TLS, if it is used.
    pub fn tls(&self) -> Option<&ClientTlsConfig> {
        self.tls.as_ref()
    }

    /// The addresses.
    pub fn addresses(&self) -> BTreeMap<&'static str, SocketAddr> {
        self.places.iter().map(|(context, (address, _))| (*context, *address)).collect()
    }

    /// The same addresses, with new connections.
    pub fn reconnected(&self) -> Places {
        Places::over(self.addresses(), self.tls.clone())
    }

    /// The number of processes.
    pub fn processes(&self) -> usize {
        let addresses: std::collections::BTreeSet<_> = self.places.values().map(|(address, _)| address).collect();
        addresses.len()
    }

    /// The address of a context.
    pub fn address(&self, context: &str) -> SocketAddr {
        self.places[context].0
    }

    /// The URL of a context.
    pub fn url(&self, context: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address(context))
    }

    /// A client.
    pub fn client(&self, who: Who) -> Client {
        Client { places: self.clone(), who, deadline: DEADLINE }
    }
}

/// The endpoint at an address, over TLS if there are settings of it.
pub fn endpoint(address: SocketAddr, tls: Option<&ClientTlsConfig>) -> Endpoint {
    match tls {
        Some(tls) => Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls.clone()).unwrap(),
        None => Endpoint::from_shared(format!("http://{address}")).unwrap(),
    }
}

/// A client of one caller.
#[derive(Clone)]
pub struct Client {
    places: Places,
    who: Who,
    deadline: Duration,
}

impl Client {
    /// The same client with another deadline.
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Client {
        Client { deadline, ..self.clone() }
    }

    /// The channel to a context, for anything but unary calls.
    pub fn channel(&self, context: &str) -> Channel {
        self.places.places[context].1.clone()
    }

    /// A request with credentials and deadline.
    pub fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        self.who.sign(&mut request);
        request
    }

    /// A request without deadline, for streams.
    pub fn endless<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        self.who.sign(&mut request);
        request
    }

    /// Makes a call.
    pub async fn send<M: Unary>(&self, message: M) -> Result<M::Response, Status> {
        ::client::call(self.channel(M::CONTEXT), self.request(message)).await.map(Response::into_inner)
    }

    /// Repeats a call with the same request until there is a response, as a correct client does when a server is down.
    /// The request should have a request id.
    pub async fn insist<M: Unary>(&self, message: M) -> Result<M::Response, Status> {
        let limit = tokio::time::Instant::now() + PATIENCE;
        let patient = self.within(Duration::from_secs(5));
        loop {
            match patient.send(message.clone()).await {
                Err(status) if is_transient(&status) && tokio::time::Instant::now() < limit => {
                    tokio::time::sleep(LOOK * 3).await;
                }
                answer => return answer,
            }
        }
    }
}

/// Whether the error is transient: the server is down or busy, or the connection was lost.
pub fn is_transient(status: &Status) -> bool {
    let codes = [
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::Cancelled,
        Code::Unknown,
        Code::Aborted,
        Code::ResourceExhausted,
    ];
    codes.contains(&status.code()) || status.code() == Code::Internal && super::reason(status).is_empty()
}
