//! An incoming call: its caller, deadline and request id.

use contracts::{Extract, Role, Rpc};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::access::Deadline;
use crate::aggregate::{Aggregate, Cause};
use crate::auth::Caller;
use crate::error::{Error, Violation};
use crate::fields::{Fields, Parsed};
use crate::idempotency::Key;
use crate::telemetry;
use crate::timestamp::Timestamp;
use crate::values::Intervention;
use crate::writer::CommandMessage;

/// The caller, deadline and idempotency key of a call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The caller.
    pub caller: Caller,
    /// The deadline.
    pub deadline: Option<Deadline>,
    /// The idempotency key; none if the caller gave no request id.
    pub key: Option<Key>,
    /// Whether the caller acts as staff: sees what belongs to others, and may act in their place. Admins do, and the
    /// staff of the context's line of business.
    pub is_staff: bool,
    bad_request_id: Option<Violation>,
}

/// The guard around every service has stored the caller in the extensions of the request.
impl Extract for Call {
    fn extract<M: contracts::Request>(request: Request<M>) -> Result<(Call, M), Status> {
        let (_, extensions, message) = request.into_parts();
        let caller = extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Error::Internal("a service without a guard was called".into()))?;
        let request_id = message.request_id().filter(|id| !id.is_empty()).map(Uuid::try_parse);
        let (key, bad_request_id) = match request_id {
            Some(Ok(id)) => (Some(Key::request(&caller, id, &message)), None),
            Some(Err(_)) => {
                let (field, description) = ("request_id".to_owned(), "must be a UUID".to_owned());
                (None, Some(Violation { field, description }))
            }
            None => (None, None),
        };
        let deadline = extensions.get::<Deadline>().copied();
        let is_staff = acts_as_staff(&caller, M::RPC);
        Ok((Call { caller, deadline, key, is_staff, bad_request_id }, message))
    }
}

impl Call {
    /// Parses the fields of the request: all of them, so that the error lists every violation.
    ///
    /// `let (car, stars) = call.parse(|fields| (fields.id("car_id", &request.car_id), fields.stars(…)))?;`
    pub fn parse<T: Parsed>(&self, parse: impl FnOnce(&mut Fields) -> T) -> Result<T::Values, Error> {
        let mut fields = Fields::with(self.bad_request_id.clone());
        let parsed = parse(&mut fields);
        fields.finish(parsed.values())
    }

    /// The owner that a list is filtered by: the caller, or none for staff.
    pub fn own(&self) -> Option<&str> {
        (!self.is_staff).then(|| self.caller.subject())
    }

    /// Whether the caller acts as staff about what somebody owns: admins do, and its owner. What has no owner, because it
    /// is older than owners, is of all staff of the line.
    pub fn is_staff_of(&self, owner: &str) -> bool {
        self.is_staff && (self.caller.has(Role::Admin) || owner.is_empty() || self.caller.is(owner))
    }

    /// The owner that a list of what staff look after is filtered by: the caller, or none for admins and for those who are
    /// no staff.
    pub fn owner(&self) -> Option<&str> {
        (self.is_staff && !self.caller.has(Role::Admin)).then(|| self.caller.subject())
    }

    /// What the call is about something of `owner`: nothing special if they call themselves, else an intervention of
    /// staff, who have to say why. Whoever else calls does not get here: they don't see it.
    pub fn intervention(&self, owner: &str, reason: &str, now: Timestamp) -> Result<Option<Intervention>, Error> {
        if self.caller.is(owner) {
            return Ok(None);
        }
        let reason = self.parse(|fields| fields.text("reason", reason, 1..=Intervention::LONGEST_REASON))?;
        Ok(Some(Intervention { staff: self.caller.subject().to_owned(), reason, at: now }))
    }

    /// A command of this call, with its idempotency key.
    pub fn command<A: Aggregate>(&self, id: A::Id, command: A::Command) -> CommandMessage<A> {
        let cause = Cause { traceparent: telemetry::current_traceparent(), ..Cause::default() };
        CommandMessage { id, command, key: self.key, cause }
    }
}

/// A caller who has every role, because none was named, is taken for a customer where customers may call, too.
fn acts_as_staff(caller: &Caller, rpc: &Rpc) -> bool {
    let is_staff = |role: &Role| *role == Role::Admin || Some(*role) == rpc.staff;
    let has_staff_role = rpc.roles.iter().any(|role| is_staff(role) && caller.has(*role));
    has_staff_role && (caller.names_roles() || rpc.roles.iter().all(is_staff))
}
