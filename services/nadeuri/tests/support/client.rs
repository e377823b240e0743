//! gRPC clients, with a name or a token, and a deadline for each call.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use contracts::Unary;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Response, Status};

use super::cluster::contexts;
use super::identities::Identities;
use super::{LOOK, PATIENCE};

/// The default deadline of a call.
const DEADLINE: Duration = Duration::from_secs(20);

/// The caller, and how they authenticate.
#[derive(Clone, Debug)]
pub enum Who {
    /// With auth off, headers set the caller; otherwise a key of the test signs a token.
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

    /// The metadata that says so, in a call of a context.
    fn credentials(&self, keys: Option<&Identities>, callee: Option<&'static str>) -> Vec<(&'static str, String)> {
        let bearer = |token: String| vec![("authorization", format!("Bearer {token}"))];
        match (self, keys) {
            (Who::Named { name, roles }, None) => vec![("x-user", name.clone()), ("x-roles", (*roles).to_owned())],
            (Who::Named { name, roles: "service" }, Some(keys)) => {
                let callee = callee.expect("a context calls one other context");
                let from = contexts().find(|context| context == name).expect("it is a context");
                bearer(keys.call(from, from, callee))
            }
            (Who::Named { name, roles }, Some(keys)) => keys.person(name, roles).map(bearer).unwrap_or_default(),
            (Who::Token(token), _) => bearer(token.clone()),
            (Who::Nobody, _) => vec![],
        }
    }
}

/// The addresses of the contexts, with a connection to each process.
#[derive(Clone)]
pub struct Places {
    places: Arc<BTreeMap<&'static str, (SocketAddr, Channel)>>,
    tls: Option<ClientTlsConfig>,
    identities: Option<Arc<Identities>>,
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
        Places { places: Arc::new(places.into_iter().map(channel).collect()), tls, identities: None }
    }

    /// The same, where callers need tokens, which these keys sign.
    #[must_use]
    pub fn with_tokens(self, identities: Option<Arc<Identities>>) -> Places {
        Places { identities, ..self }
    }

    /// The keys that sign tokens, if callers need some.
    pub fn identities(&self) -> Option<&Arc<Identities>> {
        self.identities.as_ref()
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
        Places::over(self.addresses(), self.tls.clone()).with_tokens(self.identities.clone())
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
    /// The subject of a named caller.
    pub fn name(&self) -> &str {
        if let Who::Named { name, .. } = &self.who { name } else { "" }
    }

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
        let mut request = self.endless(message);
        request.set_timeout(self.deadline);
        request
    }

    /// A request without deadline, for streams.
    pub fn endless<M>(&self, message: M) -> Request<M> {
        self.signed(message, None)
    }

    fn signed<M>(&self, message: M, callee: Option<&'static str>) -> Request<M> {
        let mut request = Request::new(message);
        for (name, value) in self.who.credentials(self.places.identities.as_deref(), callee) {
            request.metadata_mut().insert(name, value.parse::<MetadataValue<Ascii>>().unwrap());
        }
        request
    }

    /// The metadata of the caller.
    pub fn credentials(&self) -> Vec<(&'static str, String)> {
        self.who.credentials(self.places.identities.as_deref(), None)
    }

    /// Makes a call.
    pub async fn send<M: Unary>(&self, message: M) -> Result<M::Response, Status> {
        let mut request = self.signed(message, Some(M::CONTEXT));
        request.set_timeout(self.deadline);
        ::client::call(self.channel(M::CONTEXT), request).await.map(Response::into_inner)
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
