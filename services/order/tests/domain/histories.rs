//! Properties of an order that hold after each command of any history.

use proptest::prelude::*;

use super::*;

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        1 => Just(draft()),
        3 => Just(Command::Place(payment())),
        3 => Just(Command::Confirm),
        1 => Just(Command::Reject),
        2 => Just(Command::Cancel(None)),
        1 => Just(Command::TakeBack),
        1 => Just(Command::Drop),
        2 => Just(Command::Dispatch),
        2 => Just(Command::Complete),
        1 => Just(Command::Withdraw),
        1 => Just(Command::Lapse),
    ]
}

/// Commands, with the minutes that pass before each.
fn histories() -> impl Strategy<Value = Vec<(u64, Command)>> {
    let step = (prop_oneof![5 => 0u64..5, 1 => 0u64..60], commands());
    proptest::collection::vec(step, 1..20).prop_map(|mut steps| {
        steps.insert(0, (0, draft()));
        steps
    })
}

/// Executes a history; `look` sees the order before and after each command, and what was decided.
fn play(
    history: &[(u64, Command)],
    mut look: impl FnMut(Option<&Order>, &Command, &[Event], &Order, Timestamp) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut order, mut now) = (None, NOW);
    for (minutes, command) in history {
        now = now + Duration::from_secs(60 * minutes);
        let Ok(events) = Order::decide(order.as_ref(), command, now) else { continue };
        let before = order.clone();
        order = events.iter().fold(order, |order, event| Some(Order::evolve(order, event)));
        let after = order.as_ref().expect("it was drafted");
        look(before.as_ref(), command, &events, after, now)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_final_state_does_not_change(history in histories()) {
        play(&history, |before, _, _, after, _| {
            if let Some(Order { state: state @ (State::Delivered | State::Cancelled(_) | State::Lapsed), .. }) = before {
                prop_assert_eq!(*state, after.state);
            }
            Ok(())
        })?;
    }

    #[test]
    fn o2_an_order_is_paid_and_a_draft_is_not(history in histories()) {
        play(&history, |_, _, _, after, _| {
            prop_assert_eq!(after.is_order(), after.payment_id == Some(payment()));
            Ok(())
        })?;
    }

    #[test]
    fn o5_what_is_on_its_way_is_never_cancelled(history in histories()) {
        play(&history, |before, _, _, after, _| {
            let was_on_its_way = before.is_some_and(|order| order.state == State::Delivering);
            prop_assert!(!was_on_its_way || matches!(after.state, State::Delivering | State::Delivered));
            Ok(())
        })?;
    }

    #[test]
    fn a_command_that_was_executed_changes_nothing_when_it_is_repeated(history in histories()) {
        play(&history, |_, command, events, after, now| {
            let again = Order::decide(Some(after), command, now).expect("what was executed is not refused");
            // A command that was refused is refused again.
            prop_assert!(again.is_empty() || again == [Event::CancellationRefused] && again == events);
            Ok(())
        })?;
    }

    #[test]
    fn o2_a_draft_whose_timer_fires_lapses(history in histories()) {
        play(&history, |_, _, _, after, _| {
            if let Some((at, command)) = after.due_at() {
                let events = Order::decide(Some(after), &command, at);
                prop_assert_eq!(events, Ok(vec![Event::Lapsed(at)]));
            }
            Ok(())
        })?;
    }
}
