//! The rules of wallets: as tables of given, when and then; as properties of random histories; and the reactions of the
//! policy.

mod histories;
mod policy;
mod transitions;

use chassis::values::{Currency, Money};
use chassis::{Aggregate, Timestamp};
use wallet::domain::{
    Account, Balance, Bill, BillId, BillState, Command, ConversionId, Entry, Event, FlowId, Holder, Operation, Reason,
    Refusal, ReportId, TopUpId, Wallet, wallet_of,
};

/// 2026-07-01T00:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);

fn krw() -> Currency {
    Currency::parse("KRW").expect("the test gives a currency")
}

fn won(minor: i64) -> Money {
    Money { minor, currency: krw() }
}

fn ann() -> Holder {
    Holder { owner: "ann".to_owned(), currency: krw() }
}

/// The id with this number at its end.
fn id<K>(number: u64) -> chassis::Id<K> {
    let uuid = format!("00000000-0000-4000-8000-{number:012}");
    uuid.parse().expect("the test gives a UUID")
}

fn top_up(number: u64, amount: i64) -> Operation {
    Operation::TopUp(id(number), amount)
}

fn pay(number: u64, amount: i64) -> Operation {
    Operation::Pay(id(number), flow(number), amount)
}

fn void(number: u64) -> Operation {
    Operation::Void(id(number), flow(number))
}

fn flow(number: u64) -> FlowId {
    id(1_000 + number)
}

fn execute(wallet: Option<&Wallet>, operation: Operation) -> Result<Vec<Event>, Refusal> {
    Wallet::decide(wallet, &Command { holder: ann(), operation }, NOW)
}

/// The wallet after these operations, none of which is refused.
fn after(operations: &[Operation]) -> Option<Wallet> {
    operations.iter().fold(None, |wallet, operation| {
        let events = execute(wallet.as_ref(), *operation).expect("the operation is not refused");
        events.iter().fold(wallet, |wallet, event| Some(Wallet::evolve(wallet, event)))
    })
}
