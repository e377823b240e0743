//! What the mesh has to know of the contracts: every RPC with its class, and who calls whom.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::Context;
use contracts::{DESCRIPTORS, Idempotency, RPCS, Role};
use prost::Message as _;
use prost_types::FileDescriptorSet;

/// How often and on what a call is repeated, and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It only reads: whatever went wrong on the way, it is asked again.
    Read,
    /// It changes something, and how often may depend on a request id, which the mesh can't see: repeated only if it was
    /// surely never received.
    Command,
    /// A read that may take as long as its caller says; how long it takes tells nothing about its replica.
    LongRead,
    /// A command that may take as long as its caller says.
    LongCommand,
    /// It answers for as long as it is listened to. What was answered can't be taken back, so nothing is repeated.
    Stream,
    /// The contract doesn't say what a repetition does.
    Unknown,
}

/// One RPC.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its HTTP path.
    pub path: &'static str,
    /// How it may be repeated.
    pub class: Class,
    /// People may call it, who come by the gateway.
    pub is_for_people: bool,
    /// Other contexts may call it.
    pub is_for_contexts: bool,
}

impl Call {
    fn new(rpc: &'static contracts::Rpc, is_stream: bool) -> Call {
        let class = match (is_stream, rpc.idempotency, rpc.is_long) {
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
    let streams = streams();
    let own = format!("/nadeuri.{}.", context.name);
    let rpcs = RPCS.iter().filter(|rpc| rpc.path.starts_with(&own));
    rpcs.map(|rpc| Call::new(rpc, streams[rpc.path])).collect()
}

/// By path, whether an RPC streams.
fn streams() -> BTreeMap<String, bool> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).expect("the contracts are descriptors");
    let mut streams = BTreeMap::new();
    for file in &set.file {
        for service in &file.service {
            let path = |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
            let own = service.method.iter();
            streams.extend(own.map(|rpc| (path(rpc.name()), rpc.client_streaming() || rpc.server_streaming())));
        }
    }
    streams
}

/// The contexts that wait for answers of this one.
pub fn callers(context: &Context) -> Vec<&'static str> {
    let all = nadeuri::contexts::ALL.iter();
    all.filter(|other| other.calls.contains(&context.name)).map(|other| other.name).collect()
}

/// How long a call may take that nobody gave a deadline, and at most any that is not long: as the servers have it.
pub fn deadline() -> Duration {
    chassis::access::Limits::default().deadline
}
