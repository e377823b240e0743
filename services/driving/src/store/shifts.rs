//! The shifts of drivers in a table.

use chassis::db::prelude::*;
use chassis::{Publication, Store, Timestamp};
use contracts::driving::v1 as proto;

use crate::shift::{Command, Event, Shift, ShiftId, shift_of};

chassis::table! {
    /// The shift of a driver.
    shifts (id) of Shift as Row with version {
        driver: String as Text,
        on_duty: bool as Bool,
        updated_at: Timestamp as SqlTime,
    }
    columns |shift| { id: ShiftId as SqlUuid = shift_of(&shift.driver) }
    fields |row, corrupt| {}
}

impl Store for Shift {
    type Answer = proto::Shift;

    chassis::flat!(Row in shifts);

    fn answer(&self, _: &Command) -> proto::Shift {
        self.into()
    }

    /// Nobody but `driving` asks who is on duty.
    fn publish(&self, _: &Event) -> Option<Publication> {
        None
    }
}

impl From<&Shift> for proto::Shift {
    fn from(shift: &Shift) -> Self {
        let update_time = Some(shift.updated_at.to_proto());
        proto::Shift { driver_id: shift.driver.clone(), on_duty: shift.on_duty, update_time }
    }
}
