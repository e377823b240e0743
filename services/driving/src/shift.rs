//! The shift of a driver: whether they are on duty. Pure: no clock, no database, no network.

use chassis::{Aggregate, Id, Timestamp};

chassis::ids! {
    /// The id of a shift, made from its driver.
    ShiftId = "shift";
}

/// The shift of a driver.
pub fn shift_of(driver: &str) -> ShiftId {
    Id::derived_from(chassis::ids::hash(&[driver.as_bytes()]))
}

/// Whether a driver is on duty. One that never was has no shift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    /// The subject of the driver.
    pub driver: String,
    /// Whether they are on duty.
    pub on_duty: bool,
    /// Since when.
    pub updated_at: Timestamp,
}

/// Commands of a shift, each with its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The driver goes on duty.
    Start(String),
    /// The driver goes off duty.
    End(String),
}

/// Events of a shift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The driver.
    pub driver: String,
    /// Whether they are on duty now.
    pub on_duty: bool,
    /// Since when.
    pub at: Timestamp,
}

/// Why a driver is refused. No command of a shift is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A driver who is off duty neither looks for drives nor accepts them.
    #[error("you are off duty: start your shift first")]
    OffDuty,
}

impl chassis::Refusal for Refusal {
    fn reason(&self) -> &'static str {
        "OFF_DUTY"
    }
}

impl Aggregate for Shift {
    const NAME: &'static str = "shift";
    type Id = ShiftId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(shift: Option<&Shift>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let (driver, on_duty) = match command {
            Command::Start(driver) => (driver, true),
            Command::End(driver) => (driver, false),
        };
        let is_so = shift.is_some_and(|shift| shift.on_duty) == on_duty;
        let changed = (!is_so || shift.is_none()).then(|| Event { driver: driver.clone(), on_duty, at: now });
        Ok(changed.into_iter().collect())
    }

    fn evolve(_: Option<Shift>, Event { driver, on_duty, at }: &Event) -> Shift {
        Shift { driver: driver.clone(), on_duty: *on_duty, updated_at: *at }
    }
}
