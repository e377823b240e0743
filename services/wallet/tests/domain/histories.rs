//! Properties of a wallet that hold after any history.

use proptest::prelude::*;
use wallet::ledger::{Replay, Totals};

use super::*;

fn operation() -> impl Strategy<Value = Operation> {
    let (few, amount) = (0..8_u64, 1..500_i64);
    prop_oneof![
        (0..24_u64, amount.clone()).prop_map(|(number, amount)| top_up(number, amount)),
        (0..24_u64, amount.clone()).prop_map(|(number, amount)| pay(number, amount)),
        (0..24_u64).prop_map(void),
        (few.clone(), amount.clone()).prop_map(|(number, points)| Operation::Earn(id(number), points)),
        (few, amount).prop_map(|(number, points)| Operation::Convert(id(number), points)),
    ]
}

/// The wallet and all events; refused operations change nothing.
fn play(operations: &[Operation]) -> (Option<Wallet>, Vec<Event>) {
    let mut all = Vec::new();
    let wallet = operations.iter().fold(None, |wallet: Option<Wallet>, operation| {
        let events = execute(wallet.as_ref(), *operation).unwrap_or_default();
        let wallet = events.iter().fold(wallet, |wallet, event| Some(Wallet::evolve(wallet, event)));
        all.extend(events);
        wallet
    });
    (wallet, all)
}

proptest! {
    #[test]
    fn the_entries_replayed_are_the_balance_and_the_accounts_add_up_to_0(
        operations in prop::collection::vec(operation(), 0..60),
    ) {
        let (wallet, events) = play(&operations);
        let (mut replay, mut totals) = (Replay::default(), Totals::default());
        for entry in events.iter().filter_map(Event::entry) {
            prop_assert_eq!(replay.take(entry), Vec::<String>::new());
            totals.take(entry);
        }
        let balance = wallet.as_ref().map(|wallet| wallet.balance).unwrap_or_default();
        prop_assert_eq!(replay.sum, balance);
        prop_assert_eq!(replay.count, wallet.map_or(0, |wallet| wallet.entries));
        prop_assert_eq!(Account::ALL.map(|account| totals.of(account)).iter().sum::<i64>(), 0);
        prop_assert_eq!(totals.of(Account::Deposit), balance.deposit);
        prop_assert_eq!(totals.of(Account::Points), balance.points);
    }

    #[test]
    fn a_repeated_operation_changes_nothing(operations in prop::collection::vec(operation(), 1..60)) {
        let (wallet, events) = play(&operations);
        for operation in operations {
            // An operation that was refused may succeed later, when there are points.
            let is_done = operation.bill().is_some()
                || events.iter().filter_map(Event::entry).any(|entry| Some(entry.reason.entry()) == operation.entry());
            // A void takes effect whether its bill was paid or not; a late bill that was barred is not paid.
            if is_done {
                prop_assert_eq!(execute(wallet.as_ref(), operation), Ok(vec![]), "{:?}", operation);
            }
        }
    }

    #[test]
    fn a_reason_makes_one_entry_and_no_void_bill_costs_anything(operations in prop::collection::vec(operation(), 0..60)) {
        let (wallet, events) = play(&operations);
        let mut reasons: Vec<Reason> = events.iter().filter_map(|event| Some(event.entry()?.reason)).collect();
        let count = reasons.len();
        reasons.sort();
        reasons.dedup();
        prop_assert_eq!(reasons.len(), count);
        for bill in wallet.iter().flat_map(|wallet| wallet.bills.values()) {
            let has = |reason| reasons.contains(&reason);
            let (paid, refunded) = (has(Reason::Bill(bill.id)), has(Reason::Refund(bill.id)));
            match bill.state {
                BillState::Waiting { .. } => prop_assert!(!paid && !refunded),
                BillState::Paid => prop_assert!(paid && !refunded),
                BillState::Void => prop_assert_eq!(paid, refunded),
            }
        }
    }

    #[test]
    fn bills_wait_only_for_the_oldest_and_are_paid_in_their_order(operations in prop::collection::vec(operation(), 0..60)) {
        let (wallet, events) = play(&operations);
        if let Some(wallet) = &wallet {
            let place = |bill: &&Bill| if let BillState::Waiting { place } = bill.state { place } else { 0 };
            let oldest = wallet.waiting().min_by_key(place);
            prop_assert!(oldest.is_none_or(|bill| bill.amount > wallet.balance.deposit));
        }
        // Of the bills that were not dropped, those that began to wait earlier are paid earlier.
        let waited: Vec<BillId> = events.iter().filter_map(|event| match event {
            Event::BillUnpaid(bill) => Some(bill.id),
            _ => None,
        }).collect();
        let paid: Vec<usize> = events.iter().filter_map(|event| match event {
            Event::BillPaid(bill, _) => waited.iter().position(|id| *id == bill.id),
            _ => None,
        }).collect();
        prop_assert!(paid.is_sorted(), "{:?}", paid);
    }

    #[test]
    fn a_replay_finds_an_entry_that_was_changed(
        operations in prop::collection::vec(operation(), 1..40),
        which in any::<prop::sample::Index>(),
        by in 1..100_i64,
    ) {
        let (_, events) = play(&operations);
        let mut entries: Vec<Entry> = events.iter().filter_map(Event::entry).copied().collect();
        prop_assume!(!entries.is_empty());
        let changed = which.index(entries.len());
        entries[changed].after = Balance { deposit: entries[changed].after.deposit + by, ..entries[changed].after };
        let mut replay = Replay::default();
        let wrong: Vec<String> = entries.iter().flat_map(|entry| replay.take(entry)).collect();
        prop_assert!(!wrong.is_empty());
    }
}
