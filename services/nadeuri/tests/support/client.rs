//! Clients as apps are: over gRPC, with a name or a token, each call with a deadline.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use contracts::Unary;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use super::{LOOK, PATIENCE};

/// How long a call may take, if nothing else is said.
const DEADLINE: Duration = Duration::from_secs(20);

/// Who calls, and how they say so.
#[derive(Clone, Debug)]
pub enum Who {
    /// Where everybody is believed.
    Named {
        /// The subject.
        name: String,
        /// Separated by commas.
        roles: &'static str,
    },
    /// Where tokens are checked.
    Token(String),
    /// Says nothing.
    Nobody,
}

impl Who {
    /// A customer.
    pub fn customer(name: &str) -> Who {
        Who::Named { name: name.to_owned(), roles: "customer" }
    }

    /// Who runs the company.
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

/// Where the contexts are, with a connection to each process.
#[derive(Clone)]
pub struct Places(Arc<BTreeMap<&'static str, (SocketAddr, Channel)>>);

impl Places {
    /// Connects when first used, and again whenever a connection is lost.
    pub fn new(places: BTreeMap<&'static str, SocketAddr>) -> Places {
        let mut channels: BTreeMap<SocketAddr, Channel> = BTreeMap::new();
        let connect = |address: SocketAddr| {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
            endpoint.connect_timeout(Duration::from_secs(5)).tcp_nodelay(true).connect_lazy()
        };
        let channel = |(context, address): (&'static str, SocketAddr)| {
            let channel = channels.entry(address).or_insert_with(|| connect(address)).clone();
            (context, (address, channel))
        };
        Places(Arc::new(places.into_iter().map(channel).collect()))
    }

    /// The same places, with new connections.
    pub fn reconnected(&self) -> Places {
        Places::new(self.0.iter().map(|(context, (address, _))| (*context, *address)).collect())
    }

    /// How many processes there are.
    pub fn processes(&self) -> usize {
        let addresses: std::collections::BTreeSet<_> = self.0.values().map(|(address, _)| address).collect();
        addresses.len()
    }

    /// Where a context can be called.
    pub fn url(&self, context: &str) -> String {
        format!("http://{}", self.0[context].0)
    }

    /// A client.
    pub fn client(&self, who: Who) -> Client {
        Client { places: self.clone(), who, deadline: DEADLINE }
    }
}

/// Somebody who calls.
#[derive(Clone)]
pub struct Client {
    places: Places,
    who: Who,
    deadline: Duration,
}

impl Client {
    /// The same, less or more patient.
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Client {
        Client { deadline, ..self.clone() }
    }

    /// The way to a context, for what is no plain call.
    pub fn channel(&self, context: &str) -> Channel {
        self.places.0[context].1.clone()
    }

    /// A request with name and deadline.
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

    /// Makes a call again and again, with the same request, until there is an answer: what a good client does when a
    /// server is away. The request should carry a request id.
    pub async fn insist<M: Unary>(&self, message: M) -> Result<M::Response, Status> {
        let limit = tokio::time::Instant::now() + PATIENCE;
        let patient = self.within(Duration::from_secs(5));
        loop {
            match patient.send(message.clone()).await {
                Err(status) if is_passing(&status) && tokio::time::Instant::now() < limit => {
                    tokio::time::sleep(LOOK * 3).await;
                }
                answer => return answer,
            }
        }
    }
}

/// Whether it is nobody's no: the server is away, is busy, or the connection was lost.
pub fn is_passing(status: &Status) -> bool {
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
