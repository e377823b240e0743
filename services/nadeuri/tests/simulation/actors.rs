//! The actors of a run: customers and staff. They send random requests, repeat those without a response under the same
//! request id, and record what the responses promise. Each line of business has its own module.

pub mod bikes;
pub mod cars;
pub mod orders;
pub mod stays;
pub mod taxis;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::peer::Peers;
use chassis::runtime::Runtime;
use contracts::Unary;
use futures::future::BoxFuture;
use prost::Message as _;
use tokio::task::JoinHandle;
use tonic::{Code, Request, Status};

use crate::faults::SimulationRandom;
use crate::harness::{BusinessLine, Harness};
use crate::invariants::{Outcome, Seen};

/// What staff write about the flows of customers that they end.
pub const REASONS: [&str; 2] = ["the customer is away", "it was found"];

/// The responses that actors got.
#[derive(Default)]
pub struct History {
    /// In the order of the responses.
    pub acknowledged: Vec<Acknowledged>,
    /// What they guarantee for the end of the run.
    pub promises: Vec<Promise>,
}

/// A check of the final state.
pub type Promise = Box<dyn Fn(&Seen) -> Outcome + Send>;

/// A successful response, and how to repeat its request.
pub struct Acknowledged {
    /// The caller and the request, for messages.
    pub request: String,
    /// The encoded response.
    pub answer: Vec<u8>,
    /// Repeats the request under the same request id.
    pub repeat: Repeat,
}

type Repeat = Box<dyn Fn() -> BoxFuture<'static, Result<Vec<u8>, Status>> + Send>;

/// A caller.
#[derive(Clone)]
pub struct Actor {
    /// The subject.
    pub name: String,
    /// The role.
    pub role: &'static str,
    pub random: SimulationRandom,
    pub runtime: Runtime,
    /// Those of each zone.
    peers: Vec<Peers>,
    verbose: bool,
    history: Arc<Mutex<History>>,
}

/// Starts the actors.
pub fn spawn(harness: &Harness, history: &Arc<Mutex<History>>) -> Vec<JoinHandle<()>> {
    let actor = |name: String, role: &'static str| Actor {
        name,
        role,
        random: harness.random.clone(),
        runtime: harness.environment().runtime.clone(),
        peers: harness.zones.iter().map(|zone| zone.peers.clone()).collect(),
        verbose: harness.verbose,
        history: history.clone(),
    };
    let mut spawned = Vec::new();
    for line in &harness.lines {
        spawned.extend(match line {
            BusinessLine::Cars => cars::spawn(actor),
            BusinessLine::Taxis => taxis::spawn(actor),
            BusinessLine::Stays => stays::spawn(actor),
            BusinessLine::Bikes => bikes::spawn(actor),
            BusinessLine::Orders => orders::spawn(actor),
        });
    }
    spawned
}

/// A request of a caller, with a deadline.
pub fn by<M>(who: &str, role: &str, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(10));
    request.metadata_mut().insert("x-user", who.parse().expect("a plain name"));
    request.metadata_mut().insert("x-roles", role.parse().expect("a plain name"));
    request
}

impl Actor {
    /// The same actor in another role.
    pub fn with_role(&self, role: &'static str) -> Actor {
        Actor { name: role.to_owned(), role, ..self.clone() }
    }

    /// Waits for a random time of up to so many milliseconds.
    pub async fn pause(&self, most_ms: u64) {
        tokio::time::sleep(self.random.pause(most_ms)).await;
    }

    /// A random one of them.
    pub fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[self.random.pick(0..from.len() as u64) as usize]
    }

    /// Makes a call, without retries.
    pub async fn call<M: Unary>(&self, request: M) -> Result<M::Response, Status> {
        let channel =
            self.pick(&self.peers).local(M::CONTEXT).ok_or_else(|| Status::unavailable("the context is down"))?;
        let answered = client::call(channel, by(&self.name, self.role, request));
        let answered = tokio::time::timeout(Duration::from_secs(12), answered).await;
        Ok(answered.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))?.into_inner())
    }

    /// Makes a call and cancels it at a random moment, so that its outcome is unknown.
    pub async fn call_and_cancel<M: Unary>(&self, request: M) {
        let mut call = std::pin::pin!(self.call(request));
        for _ in 0..self.random.pick(0..40) {
            if futures::poll!(&mut call).is_ready() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Makes a call, and repeats it under the same request id while there is no response, up to six times.
    pub async fn ask<M: Unary>(&self, mut request: M) -> Option<M::Response> {
        request.set_request_id(self.runtime.ids.uuid(self.runtime.now()).to_string());
        for _ in 0..6 {
            let answer = self.call(request.clone()).await;
            if self.verbose {
                let outcome = answer.as_ref().map(|_| "yes").map_err(|status| (status.code(), status.message()));
                println!("{} {} sends {request:?}: {outcome:?}", self.runtime.now(), self.name);
            }
            match answer {
                Ok(answer) => {
                    self.keep(&request, &answer);
                    return Some(answer);
                }
                Err(status) if is_no_answer(&status) => self.pause(1_500).await,
                Err(_) => return None,
            }
        }
        None
    }

    /// Repeats a call under this request id until there is a response: for data that the run needs.
    pub async fn insist<M: Unary>(&self, mut request: M, request_id: u128) -> M::Response {
        request.set_request_id(uuid::Uuid::from_u128(request_id).to_string());
        loop {
            match self.call(request.clone()).await {
                Ok(answer) => return answer,
                Err(status) if is_no_answer(&status) => self.pause(500).await,
                Err(status) => panic!("{request:?} is refused: {status:?}"),
            }
        }
    }

    /// Adds a check of the final state.
    pub fn promised(&self, promise: impl Fn(&Seen) -> Outcome + Send + 'static) {
        self.history.lock().expect("one thread").promises.push(Box::new(promise));
    }

    fn keep<M: Unary>(&self, request: &M, answer: &M::Response) {
        let (actor, request) = (self.clone(), request.clone());
        let what = format!("{}: {request:?}", self.name);
        let repeat: Repeat = Box::new(move || {
            let (actor, request) = (actor.clone(), request.clone());
            Box::pin(async move { actor.call(request).await.map(|answer| answer.encode_to_vec()) })
        });
        let acknowledged = Acknowledged { request: what, answer: answer.encode_to_vec(), repeat };
        self.history.lock().expect("one thread").acknowledged.push(acknowledged);
    }
}

fn is_no_answer(status: &Status) -> bool {
    !matches!(status.code(), Code::FailedPrecondition | Code::InvalidArgument | Code::NotFound | Code::PermissionDenied)
}
