//! Properties of a drive that hold after each command of any history.

use proptest::prelude::*;

use super::*;

fn commands() -> impl Strategy<Value = Command> {
    let driver = || prop_oneof!["kim", "lee", "park"];
    let by = || prop_oneof![4 => driver().prop_map(By::Driver), 1 => Just(staff())];
    prop_oneof![
        2 => Just(offer()),
        1 => Just(Command::CallOff(hail())),
        1 => Just(Command::Lapse),
        3 => driver().prop_map(|name| Command::Accept(name, LIMITS)),
        2 => driver().prop_map(Command::Decline),
        1 => by().prop_map(|by| Command::Release(by, LIMITS)),
        1 => by().prop_map(|by| Command::Cancel(by, LIMITS)),
        3 => by().prop_map(|by| Command::Start(by, CODE.to_owned(), LIMITS)),
        3 => by().prop_map(|by| Command::Finish { by, tariff: tariff(), fare: None }),
        1 => Just(Command::Paid(payment())),
        1 => Just(Command::Refused),
        2 => (0u32..3).prop_map(|attempt| Command::Postpone { attempt, attempts: 3 }),
        1 => Just(Command::Retry),
        1 => Just(Command::Collect),
    ]
}

fn is_over(drive: &Drive) -> bool {
    matches!(drive.state, State::Cancelled(_) | State::Lapsed | State::Finished)
}

proptest! {
    #[test]
    fn a_history_keeps_driver_end_and_fare(steps in proptest::collection::vec((0u64..400, commands()), 1..60)) {
        let (mut drive, mut now): (Option<Drive>, Timestamp) = (None, NOW);
        for (pause, command) in steps {
            now = now + Duration::from_secs(pause);
            let Ok(events) = Drive::decide(drive.as_ref(), &command, now) else { continue };
            let before = drive.clone();
            drive = events.iter().fold(drive, |drive, event| Some(Drive::evolve(drive, event)));
            let Some(after) = &drive else { continue };
            // A command that took effect decides nothing when it comes again.
            if !matches!(command, Command::CallOff(_)) && !events.contains(&Event::CodeRefused) {
                prop_assert_eq!(Drive::decide(Some(after), &command, now).unwrap_or_default(), vec![]);
            }
            if let Some(before) = before {
                let is_released = matches!(after.state, State::Offered { .. });
                let is_kept = before.driver.is_none() || before.driver == after.driver;
                prop_assert!(is_kept || is_released, "one driver has it, until it is released");
                prop_assert!(!is_over(&before) || before.state == after.state, "the end is the end");
                let amount = |drive: &Drive| drive.fare.map(|fare| fare.amount);
                prop_assert!(amount(&before).is_none() || amount(&before) == amount(after), "a fare is frozen");
                let is_paid = |drive: &Drive| matches!(drive.fare, Some(fare) if matches!(fare.state, FareState::Paid(_)));
                prop_assert!(!is_paid(&before) || is_paid(after), "what is paid is paid");
            }
            prop_assert_eq!(after.fare.is_some(), after.state == State::Finished);
            prop_assert_eq!(after.overdue_at.is_some(), matches!(after.state, State::Accepted | State::Started));
            let is_waiting = matches!(after.state, State::Offered { .. })
                || matches!(after.fare, Some(fare) if matches!(fare.state, FareState::Due { .. }));
            prop_assert_eq!(after.due_at().is_some(), is_waiting);
        }
    }
}
