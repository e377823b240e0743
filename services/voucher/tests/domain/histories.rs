//! Properties of a voucher that hold after each command of any history.

use proptest::prelude::*;

use super::*;

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        3 => any::<u8>().prop_map(|seed| Command::Issue(stay(), Grant { code: Code::new([seed; 10]), ..grant() })),
        2 => Just(Command::Send),
        3 => Just(Command::Redeem),
        1 => Just(Command::Deactivate(stay())),
    ]
}

/// Commands, with the hours that pass before each.
fn histories() -> impl Strategy<Value = Vec<(u64, Command)>> {
    proptest::collection::vec((0u64..40, commands()), 1..20)
}

/// Executes a history; `look` sees the voucher before and after each command that was executed.
fn play(
    history: &[(u64, Command)],
    mut look: impl FnMut(Option<&Voucher>, &Command, &Voucher, Timestamp) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut voucher, mut now) = (None, NOW);
    for (hours, command) in history {
        now = now + Duration::from_secs(3_600 * hours);
        let Ok(events) = Voucher::decide(voucher.as_ref(), command, now) else { continue };
        let before = voucher.clone();
        voucher = events.iter().fold(voucher, |voucher, event| Some(Voucher::evolve(voucher, event)));
        look(before.as_ref(), command, voucher.as_ref().expect("it is there now"), now)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn redeemed_and_deactivated_are_final(history in histories()) {
        play(&history, |before, _, after, _| {
            if let Some(Voucher { state: state @ (State::Redeemed | State::Deactivated), .. }) = before {
                prop_assert_eq!(*state, after.state);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_code_never_changes(history in histories()) {
        play(&history, |before, _, after, _| {
            let grant = before.map(|voucher| voucher.grant.as_ref().map(|grant| grant.code));
            prop_assert!(grant.is_none_or(|code| code == after.grant.as_ref().map(|grant| grant.code)));
            Ok(())
        })?;
    }

    #[test]
    fn a_voucher_is_redeemed_only_while_the_stay_lasts(history in histories()) {
        play(&history, |before, _, after, now| {
            let was_redeemed = before.is_some_and(|voucher| voucher.state == State::Redeemed);
            let is_redeemed_now = after.state == State::Redeemed && !was_redeemed;
            prop_assert!(!is_redeemed_now || (begin() <= now && now < end()));
            Ok(())
        })?;
    }

    #[test]
    fn a_command_that_was_executed_changes_nothing_when_it_is_repeated(history in histories()) {
        play(&history, |_, command, after, now| {
            match Voucher::decide(Some(after), command, now) {
                Ok(again) => prop_assert_eq!(again, vec![]),
                Err(refusal) => prop_assert_eq!(refusal, Refusal::AlreadyRedeemed),
            }
            Ok(())
        })?;
    }
}
