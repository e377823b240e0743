//! Properties of a delivery that hold after each command of any history.

use proptest::prelude::*;

use super::*;

fn commands() -> impl Strategy<Value = Command> {
    let courier = || prop_oneof![Just("kim".to_owned()), Just("lee".to_owned())];
    prop_oneof![
        2 => Just(prepare()),
        2 => courier().prop_map(Command::Start),
        2 => courier().prop_map(Command::Complete),
        1 => Just(call_off()),
    ]
}

/// Executes a history, one command a minute; `look` sees the delivery before and after each command, and what was
/// decided.
fn play(
    history: &[Command],
    mut look: impl FnMut(Option<&Delivery>, &Command, &[Event], Option<&Delivery>) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut delivery, mut now) = (None, NOW);
    for command in history {
        now = now + Duration::from_secs(60);
        let Ok(events) = Delivery::decide(delivery.as_ref(), command, now) else { continue };
        let before: Option<Delivery> = delivery.clone();
        delivery = events.iter().fold(delivery, |delivery, event| Some(Delivery::evolve(delivery, event)));
        look(before.as_ref(), command, &events, delivery.as_ref())?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_final_state_does_not_change(history in proptest::collection::vec(commands(), 1..20)) {
        play(&history, |before, _, _, after| {
            if let Some(before @ Delivery { state: State::Completed | State::Cancelled, .. }) = before {
                prop_assert_eq!(Some(before), after);
            }
            Ok(())
        })?;
    }

    #[test]
    fn o4_a_delivery_has_one_courier_from_its_start_to_its_end(history in proptest::collection::vec(commands(), 1..20)) {
        play(&history, |before, _, _, after| {
            let is_out = |delivery: &Delivery| matches!(delivery.state, State::Started | State::Completed);
            if let Some(after) = after {
                prop_assert_eq!(after.courier.is_some(), is_out(after));
                let courier = before.and_then(|before| before.courier.clone());
                prop_assert!(courier.is_none() || courier == after.courier);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_command_that_was_executed_changes_nothing_when_it_is_repeated(
        history in proptest::collection::vec(commands(), 1..20),
    ) {
        play(&history, |_, command, events, after| {
            let again = Delivery::decide(after, command, NOW).expect("what was executed is not refused");
            // A command that was refused is refused again.
            prop_assert!(again.is_empty() || again == [Event::CancellationRefused] && again == events);
            Ok(())
        })?;
    }
}
