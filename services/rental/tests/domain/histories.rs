//! Properties of a calendar that hold after each command of any history.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A calendar as the store would hold it: with all its reservations, of which a decision sees the open ones and its
/// own.
#[derive(Clone, Default)]
struct Stored {
    calendar: Option<Calendar>,
    all: BTreeMap<ReservationId, Reservation>,
}

impl Stored {
    fn load(&self, command: &Command) -> Option<Calendar> {
        let mut calendar = self.calendar.clone()?;
        let is_loaded =
            |id: &ReservationId, stored: &Reservation| stored.is_open() || command.reservation() == Some(*id);
        calendar.reservations = self.all.clone();
        calendar.reservations.retain(|id, stored| is_loaded(id, stored));
        Some(calendar)
    }

    fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        Calendar::decide(self.load(command).as_ref(), command, now)
    }

    fn take(&mut self, command: &Command, events: &[Event]) {
        self.calendar = events.iter().fold(self.load(command), |state, event| Some(Calendar::evolve(state, event)));
        let changed = self.calendar.iter().flat_map(|calendar| calendar.reservations.clone());
        self.all.extend(changed);
    }
}

fn commands() -> impl Strategy<Value = Command> {
    let number = || (10u64..18).prop_map(reservation_id);
    prop_oneof![
        1 => Just(register(won(RATE_MINOR))),
        1 => Just(Command::Retire(car())),
        // The server chooses the id of a new reservation: each has a number of its own.
        8 => (10u64..18, 0u64..60, 1u64..40)
            .prop_map(|(number, start, long)| reserve(number, hours(start, start + long), long.div_ceil(24) as u32)),
        2 => number().prop_map(|id| Command::Cancel(id, None)),
        4 => number().prop_map(|id| Command::Rent(id, payment())),
        3 => number().prop_map(|id| Command::Return(id, None, TERMS)),
        2 => (number(), 1u8..6).prop_map(|(id, stars)| Command::Rate(id, stars)),
        1 => number().prop_map(|id| Command::TakeBack(id, TERMS)),
        1 => number().prop_map(Command::Drop),
        1 => number().prop_map(|id| Command::Cancel(id, Some(intervention()))),
        1 => number().prop_map(Command::PayLateFee),
        1 => Just(Command::Lapse),
    ]
}

/// Commands, with the minutes that pass before each.
fn histories() -> impl Strategy<Value = Vec<(u64, Command)>> {
    let step = (0u64..180, commands());
    proptest::collection::vec(step, 1..60).prop_map(|mut steps| {
        steps.insert(0, (0, register(won(RATE_MINOR))));
        steps
    })
}

/// Executes a history; `look` sees what was stored before and after each command, and what was decided.
fn play(
    history: &[(u64, Command)],
    mut look: impl FnMut(&Stored, &Command, &[Event], &Stored, Timestamp) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut stored, mut now) = (Stored::default(), NOW);
    for (minutes, command) in history {
        now = now + Duration::from_secs(60 * minutes);
        let Ok(events) = stored.decide(command, now) else { continue };
        let before = stored.clone();
        stored.take(command, &events);
        look(&before, command, &events, &stored, now)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn c3_open_reservations_never_overlap(history in histories()) {
        play(&history, |_, _, _, stored, _| {
            let open: Vec<&Reservation> = stored.all.values().filter(|reservation| reservation.is_open()).collect();
            for (index, one) in open.iter().enumerate() {
                prop_assert!(open[..index].iter().all(|other| !other.period.overlaps(&one.period)));
            }
            Ok(())
        })?;
    }

    #[test]
    fn c3_the_price_is_the_rate_times_the_days(history in histories()) {
        play(&history, |_, _, _, stored, _| {
            for reservation in stored.all.values() {
                prop_assert_eq!(reservation.price.minor, RATE_MINOR * i64::from(reservation.days));
            }
            Ok(())
        })?;
    }

    #[test]
    fn returned_and_cancelled_are_final(history in histories()) {
        play(&history, |before, _, _, stored, _| {
            for (id, reservation) in &before.all {
                if !reservation.is_open() {
                    prop_assert_eq!(reservation.state, stored.all[id].state);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn c5_what_is_rented_was_paid_for(history in histories()) {
        play(&history, |_, _, _, stored, _| {
            for reservation in stored.all.values() {
                if matches!(reservation.state, State::Rented | State::Returned) {
                    prop_assert_eq!(reservation.payment, Some(payment()));
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn c9_stars_once_given_do_not_change(history in histories()) {
        play(&history, |before, _, _, stored, _| {
            for (id, reservation) in &before.all {
                prop_assert!(reservation.stars.is_none() || reservation.stars == stored.all[id].stars);
            }
            Ok(())
        })?;
    }

    #[test]
    fn c1_nothing_is_open_on_a_retired_car(history in histories()) {
        play(&history, |_, _, _, stored, _| {
            let is_retired = stored.calendar.as_ref().is_some_and(|calendar| calendar.retired);
            prop_assert!(!is_retired || stored.all.values().all(|reservation| !reservation.is_open()));
            Ok(())
        })?;
    }

    #[test]
    fn a_command_that_was_executed_changes_nothing_when_it_is_repeated(history in histories()) {
        play(&history, |_, command, events, stored, now| {
            match stored.decide(command, now) {
                Ok(again) if again.is_empty() => {}
                // A command that was refused is refused again; the calendar stays as it is.
                Ok(again) => {
                    prop_assert_eq!(&again[..], events);
                    let mut after = stored.clone();
                    after.take(command, &again);
                    prop_assert!(after.all == stored.all);
                    prop_assert!(matches!(again[..], [Event::RentRefused(_) | Event::CancellationRefused(_)]));
                }
                Err(refusal) => {
                    prop_assert_eq!(refusal, Refusal::AlreadyRated);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn when_the_timer_fires_what_is_due_lapses_and_the_timer_is_reset(history in histories()) {
        play(&history, |_, _, _, stored, _| {
            let Some((at, command)) = stored.load(&Command::Lapse).and_then(|calendar| calendar.due_at()) else {
                return Ok(());
            };
            let lapsed = stored.decide(&command, at).expect("lapsing is not refused");
            prop_assert!(!lapsed.is_empty());
            let mut after = stored.clone();
            after.take(&command, &lapsed);
            let next = after.load(&command).and_then(|calendar| calendar.due_at());
            prop_assert!(next.is_none_or(|(next, _)| next > at));
            Ok(())
        })?;
    }
}
