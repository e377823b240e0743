//! A voucher, which a guest shows at the resort, and its legal transitions. Pure: no clock, no database, no network.
//!
//! ```text
//! (none) --Issue--> Issued --Send--> Sent --Redeem--> Redeemed
//!                     |               |        ^
//!                     +--Redeem-------|--------+
//!                     +--Deactivate---+--> Deactivated
//! ```
//! `Deactivate` may arrive before `Issue`: then no voucher is issued. It does not conflict with `Redeem`: a stay can be
//! cancelled until shortly before it begins, and its voucher is redeemed from its begin on. If it arrives all the same
//! (the resort lost the stay, the two times are equal, the event was late), a redeemed voucher stays redeemed.

use chassis::error::RefusalCode;
use chassis::values::{Dates, Period};
use chassis::{Aggregate, Timestamp};

use crate::code::Code;

chassis::ids! {
    /// The id of a voucher, made from its stay.
    VoucherId = "voucher";
    /// The id of a stay, assigned by `stay`. It is the id of the flow.
    StayId = "stay";
    /// The id of a resort, assigned by `resort`.
    ResortId = "resort";
}

/// The voucher for a stay.
pub fn voucher_of(stay: StayId) -> VoucherId {
    VoucherId::derived_from(stay.uuid())
}

/// A voucher for a stay.
#[derive(Clone, Debug, PartialEq)]
pub struct Voucher {
    /// Its id.
    pub id: VoucherId,
    /// The stay that it is for.
    pub stay_id: StayId,
    /// Its guest, resort and dates; `None` while only the end of the stay is known.
    pub grant: Option<Grant>,
    /// Its state.
    pub state: State,
    /// When the first event about it was processed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The guest, resort, dates and code of a voucher.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The code that the guest shows.
    pub code: Code,
    /// The subject of the customer.
    pub customer: String,
    /// The resort.
    pub resort: ResortId,
    /// The name of the resort.
    pub resort_name: String,
    /// From the first night to the morning of departure.
    pub dates: Dates,
    /// When it can be redeemed.
    pub period: Period,
}

/// States of a voucher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is valid.
    Issued,
    /// It is valid, and its customer has received it.
    Sent,
    /// The guest has arrived.
    Redeemed,
    /// The stay was cancelled.
    Deactivated,
}

/// Commands of a voucher.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The stay was paid.
    Issue(StayId, Grant),
    /// Its customer has received it.
    Send,
    /// The guest shows it.
    Redeem,
    /// The stay was cancelled.
    Deactivate(StayId),
}

/// Events of a voucher.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It is valid.
    Issued(StayId, Grant, Timestamp),
    /// Its customer has received it.
    Sent(Timestamp),
    /// The guest has arrived.
    Redeemed(Timestamp),
    /// It is no longer valid.
    Deactivated(Timestamp),
    /// The stay was cancelled before the voucher was issued.
    Barred(StayId, Timestamp),
}

/// Why a command of a voucher is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("there is no voucher with this code")]
    NoSuchVoucher,
    #[error("the stay was cancelled, so the voucher is worth nothing any more")]
    VoucherDeactivated,
    #[error("the voucher was redeemed already")]
    AlreadyRedeemed,
    #[error("the stay has not begun: the voucher can be redeemed from {0} on")]
    TooEarly(Timestamp),
    #[error("the stay is over: the voucher could be redeemed until {0}")]
    Expired(Timestamp),
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchVoucher => RefusalCode::NotFound,
            _ => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchVoucher => "VOUCHER_NOT_FOUND",
            Refusal::VoucherDeactivated => "VOUCHER_DEACTIVATED",
            Refusal::AlreadyRedeemed => "ALREADY_REDEEMED",
            Refusal::TooEarly(_) => "TOO_EARLY",
            Refusal::Expired(_) => "EXPIRED",
        }
    }
}

impl Aggregate for Voucher {
    const NAME: &'static str = "voucher";
    type Id = VoucherId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(voucher: Option<&Voucher>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Some(voucher) = voucher else {
            return match command {
                Command::Issue(stay, grant) => Ok(vec![Event::Issued(*stay, grant.clone(), now)]),
                Command::Deactivate(stay) => Ok(vec![Event::Barred(*stay, now)]),
                Command::Send | Command::Redeem => Err(Refusal::NoSuchVoucher),
            };
        };
        match (command, voucher.state) {
            (Command::Send, State::Issued) => Ok(vec![Event::Sent(now)]),
            (Command::Redeem, _) => voucher.decide_redeem(now),
            (Command::Deactivate(_), State::Issued | State::Sent) => Ok(vec![Event::Deactivated(now)]),
            (Command::Issue(..) | Command::Send | Command::Deactivate(_), _) => Ok(vec![]),
        }
    }

    fn evolve(voucher: Option<Voucher>, event: &Event) -> Voucher {
        let first = |stay_id: StayId, grant: Option<Grant>, state: State, now: Timestamp| {
            let (id, created_at, updated_at) = (voucher_of(stay_id), now, now);
            Voucher { id, stay_id, grant, state, created_at, updated_at }
        };
        match (voucher, event) {
            (_, Event::Issued(stay, grant, now)) => first(*stay, Some(grant.clone()), State::Issued, *now),
            (_, Event::Barred(stay, now)) => first(*stay, None, State::Deactivated, *now),
            (Some(voucher), Event::Sent(now)) => Voucher { state: State::Sent, updated_at: *now, ..voucher },
            (Some(voucher), Event::Redeemed(now)) => Voucher { state: State::Redeemed, updated_at: *now, ..voucher },
            (Some(voucher), Event::Deactivated(now)) => {
                Voucher { state: State::Deactivated, updated_at: *now, ..voucher }
            }
            (None, event) => unreachable!("{event:?} can't be the first event of a voucher"),
        }
    }
}

impl Voucher {
    fn decide_redeem(&self, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Period { start, end } = self.grant.as_ref().ok_or(Refusal::NoSuchVoucher)?.period;
        match self.state {
            State::Redeemed => Err(Refusal::AlreadyRedeemed),
            State::Deactivated => Err(Refusal::VoucherDeactivated),
            State::Issued | State::Sent if now < start => Err(Refusal::TooEarly(start)),
            State::Issued | State::Sent if now >= end => Err(Refusal::Expired(end)),
            State::Issued | State::Sent => Ok(vec![Event::Redeemed(now)]),
        }
    }
}
