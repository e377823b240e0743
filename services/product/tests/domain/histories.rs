//! Properties of a product that hold after each command of any history.

use product::domain::State;
use proptest::prelude::*;

use super::*;

/// The stock at first.
const STOCK: u64 = 10;

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        1 => (0u64..10).prop_map(Command::Add),
        4 => (1u64..8, 1u32..6).prop_map(|(number, quantity)| Command::Take(order(number), quantity)),
        3 => (1u64..8, 1u32..6).prop_map(|(number, quantity)| Command::Restore(order(number), quantity)),
        1 => (1i64..9).prop_map(|price| Command::Reprice(won(price))),
    ]
}

fn histories() -> impl Strategy<Value = Vec<Command>> {
    proptest::collection::vec(commands(), 1..40)
}

/// Executes a history; `look` sees the product before and after each command, and what was decided.
fn play(
    history: &[Command],
    mut look: impl FnMut(&Product, &Command, &[Event], &Product) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut now = product(&[created(STOCK)]).expect("it was created");
    for command in history {
        let Ok(events) = Product::decide(Some(&now), command, NOW) else { continue };
        let before = now.clone();
        now = events.iter().fold(now, |product, event| Product::evolve(Some(product), event));
        look(&before, command, &events, &now)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn o3_what_was_added_is_in_stock_or_taken(history in histories()) {
        let mut added = STOCK;
        play(&history, |_, _, events, after| {
            added += events.iter().map(|event| if let Event::Added(more, _) = event { *more } else { 0 }).sum::<u64>();
            let taken = after.takings.values().filter(|taking| taking.state == State::Taken);
            let taken: u64 = taken.map(|taking| u64::from(taking.quantity)).sum();
            prop_assert_eq!(after.stock + taken, added);
            Ok(())
        })?;
    }

    #[test]
    fn o5_what_an_order_did_not_get_or_gave_back_it_never_has_again(history in histories()) {
        play(&history, |before, _, _, after| {
            for (order, taking) in &before.takings {
                prop_assert!(taking.state == State::Taken || after.takings[order] == *taking);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_repeated_command_of_an_order_changes_nothing(history in histories()) {
        play(&history, |_, command, _, after| {
            if command.order().is_some() {
                prop_assert_eq!(Product::decide(Some(after), command, NOW), Ok(vec![]));
            }
            Ok(())
        })?;
    }
}
