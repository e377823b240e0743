//! People of a run. They try things at random, repeat what was not answered under the same request id, and remember what
//! they were promised. What they do is told in a module for each line of business.

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

use crate::faults::Chance;
use crate::harness::{Harness, Line};
use crate::invariants::{Outcome, Seen};

/// What people were answered.
#[derive(Default)]
pub struct Record {
    /// In the order of the answers.
    pub acknowledged: Vec<Acknowledged>,
    /// What follows from them for the end of the run.
    pub promises: Vec<Promise>,
}

/// Something that must be so when everything has come to rest.
pub type Promise = Box<dyn Fn(&Seen) -> Outcome + Send>;

/// A yes, and how to ask the same again.
pub struct Acknowledged {
    /// Who asked for what.
    pub what: String,
    /// The answer, encoded.
    pub answer: Vec<u8>,
    /// Asks again, under the same request id.
    pub again: Again,
}

type Again = Box<dyn Fn() -> BoxFuture<'static, Result<Vec<u8>, Status>> + Send>;

/// Somebody.
#[derive(Clone)]
pub struct Person {
    /// Who.
    pub name: String,
    /// As what.
    pub role: &'static str,
    pub chance: Chance,
    pub runtime: Runtime,
    peers: Peers,
    verbose: bool,
    record: Arc<Mutex<Record>>,
}

/// People begin.
pub fn arrive(harness: &Harness, record: &Arc<Mutex<Record>>) -> Vec<JoinHandle<()>> {
    let person = |name: String, role: &'static str| Person {
        name,
        role,
        chance: harness.chance.clone(),
        runtime: harness.environment.runtime.clone(),
        peers: harness.environment.peers.clone(),
        verbose: harness.verbose,
        record: record.clone(),
    };
    let mut arrived = Vec::new();
    for line in &harness.lines {
        arrived.extend(match line {
            Line::Cars => cars::arrive(person),
            Line::Taxis => taxis::arrive(person),
            Line::Stays => stays::arrive(person),
            Line::Bikes => bikes::arrive(person),
            Line::Orders => orders::arrive(person),
        });
    }
    arrived
}

/// Calls as somebody.
pub fn by<M>(who: &str, role: &str, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(10));
    request.metadata_mut().insert("x-user", who.parse().expect("a plain name"));
    request.metadata_mut().insert("x-roles", role.parse().expect("a plain name"));
    request
}

impl Person {
    /// The same one, in a role of the company.
    pub fn serving_as(&self, role: &'static str) -> Person {
        Person { name: role.to_owned(), role, ..self.clone() }
    }

    /// Waits, up to so many milliseconds.
    pub async fn pause(&self, most_ms: u64) {
        tokio::time::sleep(self.chance.pause(most_ms)).await;
    }

    /// One of them.
    pub fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[self.chance.pick(0..from.len() as u64) as usize]
    }

    /// Makes a call once.
    pub async fn call<M: Unary>(&self, request: M) -> Result<M::Response, Status> {
        let way = self.peers.local(M::CONTEXT).ok_or_else(|| Status::unavailable("it is down"))?;
        let answered = client::call(way, by(&self.name, self.role, request));
        let answered = tokio::time::timeout(Duration::from_secs(12), answered).await;
        Ok(answered.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))?.into_inner())
    }

    /// Makes a call, and hangs up at some moment of it: whether it was executed, nobody knows.
    pub async fn walk_away_from<M: Unary>(&self, request: M) {
        let mut call = std::pin::pin!(self.call(request));
        for _ in 0..self.chance.pick(0..40) {
            if futures::poll!(&mut call).is_ready() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Asks, and asks again under the same request id while there is no answer, up to a point.
    pub async fn ask<M: Unary>(&self, mut request: M) -> Option<M::Response> {
        request.set_request_id(self.runtime.ids.uuid(self.runtime.now()).to_string());
        for _ in 0..6 {
            let answer = self.call(request.clone()).await;
            if self.verbose {
                let said = answer.as_ref().map(|_| "yes").map_err(|status| (status.code(), status.message()));
                println!("{} {} asks {request:?}: {said:?}", self.runtime.now(), self.name);
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

    /// Asks under this request id until there is an answer: what must be there before anything can happen.
    pub async fn insist<M: Unary>(&self, mut request: M, request_id: u128) -> M::Response {
        request.set_request_id(uuid::Uuid::from_u128(request_id).to_string());
        loop {
            match self.call(request.clone()).await {
                Ok(answer) => return answer,
                Err(status) if is_no_answer(&status) => self.pause(500).await,
                Err(status) => panic!("{request:?} is refused for good: {status:?}"),
            }
        }
    }

    /// From now on this must be so in the end.
    pub fn promised(&self, promise: impl Fn(&Seen) -> Outcome + Send + 'static) {
        self.record.lock().expect("one thread").promises.push(Box::new(promise));
    }

    fn keep<M: Unary>(&self, request: &M, answer: &M::Response) {
        let (person, request) = (self.clone(), request.clone());
        let what = format!("{}: {request:?}", self.name);
        let again: Again = Box::new(move || {
            let (person, request) = (person.clone(), request.clone());
            Box::pin(async move { person.call(request).await.map(|answer| answer.encode_to_vec()) })
        });
        let acknowledged = Acknowledged { what, answer: answer.encode_to_vec(), again };
        self.record.lock().expect("one thread").acknowledged.push(acknowledged);
    }
}

fn is_no_answer(status: &Status) -> bool {
    !matches!(status.code(), Code::FailedPrecondition | Code::InvalidArgument | Code::NotFound | Code::PermissionDenied)
}
