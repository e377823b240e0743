//! What holds of a calendar after any story, and at each moment of it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A calendar as the store would hold it: with all its reservations, of which a decision sees the open ones and its own.
#[derive(Clone, Default)]
struct Kept {
    calendar: Option<Calendar>,
    all: BTreeMap<ReservationId, Reservation>,
}

impl Kept {
    fn load(&self, command: &Command) -> Option<Calendar> {
        let mut calendar = self.calendar.clone()?;
        let is_loaded = |id: &ReservationId, kept: &Reservation| kept.is_open() || command.reservation() == Some(*id);
        calendar.reservations = self.all.clone();
        calendar.reservations.retain(|id, kept| is_loaded(id, kept));
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
        1 => Just(Command::Register(car(), won(RATE_MINOR))),
        1 => Just(Command::Retire(car())),
        // What a new reservation is called is not chosen by the one who reserves: each has a number of its own.
        8 => (10u64..18, 0u64..60, 1u64..40)
            .prop_map(|(number, start, long)| reserve(number, hours(start, start + long), long.div_ceil(24) as u32)),
        2 => number().prop_map(Command::Cancel),
        4 => number().prop_map(|id| Command::Rent(id, payment())),
        3 => number().prop_map(Command::Return),
        2 => (number(), 1u8..6).prop_map(|(id, stars)| Command::Rate(id, stars)),
        1 => number().prop_map(Command::TakeBack),
        1 => number().prop_map(Command::Drop),
        1 => Just(Command::Lapse),
    ]
}

/// Commands, with the minutes that pass before each.
fn stories() -> impl Strategy<Value = Vec<(u64, Command)>> {
    let step = (0u64..40, commands());
    proptest::collection::vec(step, 1..60).prop_map(|mut steps| {
        steps.insert(0, (0, Command::Register(car(), won(RATE_MINOR))));
        steps
    })
}

/// Plays a story; `look` sees what was kept before and after each command, and what was decided.
fn play(
    story: &[(u64, Command)],
    mut look: impl FnMut(&Kept, &Command, &[Event], &Kept, Timestamp) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut kept, mut now) = (Kept::default(), NOW);
    for (minutes, command) in story {
        now = now + Duration::from_secs(60 * minutes);
        let Ok(events) = kept.decide(command, now) else { continue };
        let before = kept.clone();
        kept.take(command, &events);
        look(&before, command, &events, &kept, now)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn c3_open_reservations_never_overlap(story in stories()) {
        play(&story, |_, _, _, kept, _| {
            let open: Vec<&Reservation> = kept.all.values().filter(|reservation| reservation.is_open()).collect();
            for (index, one) in open.iter().enumerate() {
                prop_assert!(open[..index].iter().all(|other| !other.period.overlaps(&one.period)));
            }
            Ok(())
        })?;
    }

    #[test]
    fn c3_the_price_is_the_rate_times_the_days(story in stories()) {
        play(&story, |_, _, _, kept, _| {
            for reservation in kept.all.values() {
                prop_assert_eq!(reservation.price.minor, RATE_MINOR * i64::from(reservation.days));
            }
            Ok(())
        })?;
    }

    #[test]
    fn what_is_returned_or_cancelled_stays_so(story in stories()) {
        play(&story, |before, _, _, kept, _| {
            for (id, reservation) in &before.all {
                if !reservation.is_open() {
                    prop_assert_eq!(reservation.state, kept.all[id].state);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn c5_what_is_rented_was_paid_for(story in stories()) {
        play(&story, |_, _, _, kept, _| {
            for reservation in kept.all.values() {
                if matches!(reservation.state, State::Rented | State::Returned) {
                    prop_assert_eq!(reservation.payment, Some(payment()));
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn c9_stars_once_given_do_not_change(story in stories()) {
        play(&story, |before, _, _, kept, _| {
            for (id, reservation) in &before.all {
                prop_assert!(reservation.stars.is_none() || reservation.stars == kept.all[id].stars);
            }
            Ok(())
        })?;
    }

    #[test]
    fn c1_nothing_is_open_on_a_retired_car(story in stories()) {
        play(&story, |_, _, _, kept, _| {
            let is_retired = kept.calendar.as_ref().is_some_and(|calendar| calendar.retired);
            prop_assert!(!is_retired || kept.all.values().all(|reservation| !reservation.is_open()));
            Ok(())
        })?;
    }

    #[test]
    fn a_command_that_was_obeyed_changes_nothing_when_it_comes_again(story in stories()) {
        play(&story, |_, command, events, kept, now| {
            match kept.decide(command, now) {
                Ok(again) if again.is_empty() => {}
                // To the one who asked again in vain it is said again; the calendar stays as it is.
                Ok(again) => {
                    prop_assert_eq!(&again[..], events);
                    let mut after = kept.clone();
                    after.take(command, &again);
                    prop_assert!(after.all == kept.all);
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
    fn when_a_calendar_is_woken_what_is_due_lapses_and_it_sleeps_on(story in stories()) {
        play(&story, |_, _, _, kept, _| {
            let Some((at, command)) = kept.load(&Command::Lapse).and_then(|calendar| calendar.due_at()) else {
                return Ok(());
            };
            let lapsed = kept.decide(&command, at).expect("lapsing is not refused");
            prop_assert!(!lapsed.is_empty());
            let mut after = kept.clone();
            after.take(&command, &lapsed);
            let next = after.load(&command).and_then(|calendar| calendar.due_at());
            prop_assert!(next.is_none_or(|(next, _)| next > at));
            Ok(())
        })?;
    }
}
