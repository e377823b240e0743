//! The policy of vouchers: their reactions to other contexts' events.
//!
//! | whenever                           | then                                            |
//! |------------------------------------|-------------------------------------------------|
//! | `stay.v1.StayConfirmed`            | issue a voucher with a code of its own          |
//! | `stay.v1.StayCancelled`            | deactivate it, if the stay had been paid        |
//! | `notification.v1.MessageDelivered` | it is sent, if that was the message with it     |

use chassis::ids::Ids;
use chassis::values::Period;
use chassis::{Malformed, Policy, decode};
use contracts::notification::v1::{Message, MessageDelivered};
use contracts::stay::v1::{Stay, StayCancelled, StayConfirmed};

use crate::code::Code;
use crate::domain::{Command, Grant, StayId, Voucher, VoucherId, voucher_of};

type Reaction = Result<Vec<(VoucherId, Command)>, Malformed>;

/// The table above. `ids` generates the codes; if there are several for one voucher, the first one that is written
/// counts.
pub fn policy(ids: Ids) -> Policy<Voucher> {
    Policy::new()
        .on(move |event: StayConfirmed, _| issue(event.stay, Code::new(ids.secret())))
        .on(|event: StayCancelled, _| deactivate(event.stay))
        .on(|event: MessageDelivered, _| sent(event.message))
}

/// The topic of the messages in which `notification` sends codes.
const TOPIC: &str = "VOUCHER_ISSUED";

fn issue(stay: Option<Stay>, code: Code) -> Reaction {
    let (id, stay) = known(stay)?;
    let grant = Grant {
        code,
        resort: decode::parsed("resort_id", &stay.resort_id)?,
        dates: decode::dates("dates", stay.dates)?,
        period: Period {
            start: decode::time("begin_time", stay.begin_time)?,
            end: decode::time("end_time", stay.end_time)?,
        },
        customer: stay.customer_id,
        resort_name: stay.resort_name,
    };
    Ok(vec![(voucher_of(id), Command::Issue(id, grant))])
}

fn deactivate(stay: Option<Stay>) -> Reaction {
    let (id, stay) = known(stay)?;
    // A stay that ended unpaid is never confirmed, so it never has a voucher.
    let was_paid = !stay.payment_id.is_empty();
    Ok(was_paid.then(|| (voucher_of(id), Command::Deactivate(id))).into_iter().collect())
}

fn sent(message: Option<Message>) -> Reaction {
    let message = decode::present("message", message)?;
    if message.topic != TOPIC {
        return Ok(vec![]);
    }
    Ok(vec![(voucher_of(decode::parsed("flow_id", &message.flow_id)?), Command::Send)])
}

fn known(stay: Option<Stay>) -> Result<(StayId, Stay), Malformed> {
    let stay = decode::present("stay", stay)?;
    Ok((decode::parsed("stay_id", &stay.stay_id)?, stay))
}
