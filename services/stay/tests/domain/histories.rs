//! Properties of a stay that hold after each command of any history.

use proptest::prelude::*;

use super::*;

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        1 => Just(reserve()),
        2 => Just(Command::Cancel(None)),
        3 => Just(Command::Confirm(payment())),
        1 => Just(Command::TakeBack),
        1 => Just(Command::Drop),
        1 => Just(Command::Lose),
        1 => Just(Command::Lapse),
        2 => Just(Command::Complete),
    ]
}

/// Commands, with the minutes that pass before each.
fn histories() -> impl Strategy<Value = Vec<(u64, Command)>> {
    let step = (prop_oneof![3 => 0u64..20, 1 => 0u64..6_000], commands());
    proptest::collection::vec(step, 1..20).prop_map(|mut steps| {
        steps.insert(0, (0, reserve()));
        steps
    })
}

/// Executes a history; `look` sees the stay before and after each command, and what was decided.
fn play(
    history: &[(u64, Command)],
    mut look: impl FnMut(Option<&Stay>, &Command, &[Event], &Stay, Timestamp) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut stay, mut now) = (None, NOW);
    for (minutes, command) in history {
        now = now + Duration::from_secs(60 * minutes);
        let Ok(events) = Stay::decide(stay.as_ref(), command, now) else { continue };
        let before = stay.clone();
        stay = events.iter().fold(stay, |stay, event| Some(Stay::evolve(stay, event)));
        let after = stay.as_ref().expect("it was reserved");
        look(before.as_ref(), command, &events, after, now)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn completed_and_cancelled_are_final(history in histories()) {
        play(&history, |before, _, _, after, _| {
            if let Some(Stay { state: state @ (State::Completed | State::Cancelled(_)), .. }) = before {
                prop_assert_eq!(*state, after.state);
            }
            Ok(())
        })?;
    }

    #[test]
    fn r3_what_is_confirmed_was_paid_for(history in histories()) {
        play(&history, |_, _, _, after, _| {
            if matches!(after.state, State::Confirmed | State::Completed) {
                prop_assert_eq!(after.payment_id, Some(payment()));
            }
            Ok(())
        })?;
    }

    #[test]
    fn r6_a_paid_stay_is_not_cancelled_by_its_customer_when_it_is_near(history in histories()) {
        play(&history, |before, _, _, after, now| {
            let was_paid = before.is_some_and(|stay| stay.state == State::Confirmed);
            let by_customer = matches!(after.state, State::Cancelled(Cause::Customer | Cause::Payment));
            prop_assert!(!(was_paid && by_customer) || now < near());
            Ok(())
        })?;
    }

    #[test]
    fn a_command_that_was_executed_changes_nothing_when_it_is_repeated(history in histories()) {
        play(&history, |_, command, events, after, now| {
            let again = Stay::decide(Some(after), command, now).expect("what was executed is not refused");
            // A command that was refused is refused again.
            prop_assert!(again.is_empty() || again == [Event::CancellationRefused] && again == events);
            Ok(())
        })?;
    }

    #[test]
    fn when_the_timer_fires_the_stay_lapses_or_is_completed(history in histories()) {
        play(&history, |_, _, _, after, _| {
            if let Some((at, command)) = after.due_at() {
                let events = Stay::decide(Some(after), &command, at).expect("the command of a timer is not refused");
                let after_timer = events.iter().fold(after.clone(), |stay, event| Stay::evolve(Some(stay), event));
                prop_assert!(!events.is_empty() && after_timer.due_at().is_none());
            }
            Ok(())
        })?;
    }
}
