//! The input of the mesh rules from the contracts: the class of each RPC, and the calls between contexts.

use std::time::Duration;

use chassis::Context;
use contracts::{Idempotency, RPCS, Role};

/// The class of an RPC decides its retries and its timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It only reads, so it is retried after any failure.
    Read,
    /// It changes something, and is idempotent only with a request id, which the mesh can't see. So it is retried only
    /// if it was never received.
    Command,
    /// A read with the deadline of its caller. Its duration says nothing about the health of its replica.
    LongRead,
    /// A command with the deadline of its caller.
    LongCommand,
    /// A stream without end. Sent items can't be taken back, so it is not retried.
    Stream,
    /// The contract has no idempotency level.
    Unknown,
}

/// One RPC.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its HTTP path.
    pub path: &'static str,
    /// Its class.
    pub class: Class,
    /// Whether clients may call it, through the gateway.
    pub is_for_people: bool,
    /// Whether other contexts may call it.
    pub is_for_contexts: bool,
}

impl Call {
    fn new(rpc: &'static contracts::Rpc) -> Call {
        let class = match (rpc.is_stream, rpc.idempotency, rpc.is_long) {
            (true, ..) => Class::Stream,
            (false, Idempotency::Unknown, _) => Class::Unknown,
            (false, Idempotency::NoSideEffects, false) => Class::Read,
            (false, Idempotency::NoSideEffects, true) => Class::LongRead,
            (false, Idempotency::Idempotent, false) => Class::Command,
            (false, Idempotency::Idempotent, true) => Class::LongCommand,
        };
        let is_for_people = rpc.roles.iter().any(|role| *role != Role::Service);
        Call { path: rpc.path, class, is_for_people, is_for_contexts: rpc.roles.contains(&Role::Service) }
    }
}

/// The RPCs of a context, in the order of its contract.
pub fn calls(context: &Context) -> Vec<Call> {
    let own = format!("/nadeuri.{}.", context.name);
    let rpcs = RPCS.iter().filter(|rpc| rpc.path.starts_with(&own));
    rpcs.map(Call::new).collect()
}

/// The contexts that call this one.
pub fn callers(context: &Context) -> Vec<&'static str> {
    let all = nadeuri::contexts::ALL.iter();
    all.filter(|other| other.calls.contains(&context.name)).map(|other| other.name).collect()
}

/// The default and maximum deadline of calls that are not long, as in the servers.
pub fn deadline() -> Duration {
    chassis::access::Limits::default().deadline
}
