//! Properties of a resort that hold after each command of any history.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A resort as the store would hold it: with all its holds, of which a decision sees the open ones and its own.
#[derive(Clone, Default)]
struct Stored {
    resort: Option<Resort>,
    all: BTreeMap<StayId, Hold>,
}

impl Stored {
    fn load(&self, command: &Command) -> Option<Resort> {
        let mut resort = self.resort.clone()?;
        let is_loaded = |stay: &StayId, hold: &Hold| hold.is_open() || command.stay() == Some(*stay);
        resort.holds = self.all.clone();
        resort.holds.retain(|stay, hold| is_loaded(stay, hold));
        Some(resort)
    }

    fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        Resort::decide(self.load(command).as_ref(), command, now)
    }

    fn take(&mut self, command: &Command, events: &[Event]) {
        self.resort = events.iter().fold(self.load(command), |state, event| Some(Resort::evolve(state, event)));
        let changed = self.resort.iter().flat_map(|resort| resort.holds.clone());
        self.all.extend(changed);
    }
}

/// The dates of a stay, derived from its number: the same in each of its commands.
fn dates_of(number: u64) -> Dates {
    let start = 2 + (number * 7 % 20) as i8;
    july(start, start + 1 + (number % 4) as i8)
}

fn commands() -> impl Strategy<Value = Command> {
    let number = || 10u64..22;
    prop_oneof![
        6 => number().prop_map(|number| hold(number, dates_of(number))),
        4 => number().prop_map(|number| keep(number, dates_of(number))),
        3 => number().prop_map(|number| book(number, dates_of(number))),
        2 => number().prop_map(|number| free(number, dates_of(number))),
        2 => Just(Command::Lapse),
        1 => (1i8..40, 1i8..9).prop_map(|(start, long)| Command::Offer(july(start, start + long))),
    ]
}

/// Commands, with the seconds that pass before each.
fn histories() -> impl Strategy<Value = Vec<(u64, Command)>> {
    let register = Command::Register(resort_id(), listing_in("Asia/Seoul"), vec![july(1, 32)], "hana".to_owned());
    proptest::collection::vec((0u64..100, commands()), 1..60).prop_map(move |mut steps| {
        steps.insert(0, (0, register.clone()));
        steps
    })
}

/// Executes a history; `look` sees what was stored before and after each command, and what was decided.
fn play(
    history: &[(u64, Command)],
    mut look: impl FnMut(&Stored, &Command, &[Event], &Stored, Timestamp) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut stored, mut now) = (Stored::default(), NOW);
    for (seconds, command) in history {
        now = now + Duration::from_secs(*seconds);
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
    fn r2_no_night_is_kept_for_two_stays(history in histories()) {
        play(&history, |_, _, _, stored, _| {
            let open: Vec<&Hold> = stored.all.values().filter(|hold| hold.is_open()).collect();
            for (index, one) in open.iter().enumerate() {
                prop_assert!(open[..index].iter().all(|other| !other.claim.dates.overlaps(&one.claim.dates)));
            }
            Ok(())
        })?;
    }

    #[test]
    fn over_and_lost_are_final(history in histories()) {
        play(&history, |before, _, _, stored, _| {
            for (stay, hold) in &before.all {
                if matches!(hold.state, State::Over | State::Lost) {
                    prop_assert_eq!(hold.state, stored.all[stay].state);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn r4_only_its_stay_ends_what_is_reserved_or_booked(history in histories()) {
        play(&history, |before, command, _, stored, _| {
            for (stay, hold) in &before.all {
                if matches!(hold.state, State::Reserved | State::Booked) && !stored.all[stay].is_open() {
                    prop_assert!(matches!(command, Command::Free(of, ..) if of == stay));
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn r2_the_price_is_the_rate_times_the_nights(history in histories()) {
        play(&history, |_, _, _, stored, _| {
            for hold in stored.all.values() {
                prop_assert_eq!(hold.price.minor, RATE_MINOR * i64::from(hold.claim.dates.nights()));
            }
            Ok(())
        })?;
    }

    #[test]
    fn what_is_offered_is_in_order_and_apart(history in histories()) {
        play(&history, |_, _, _, stored, _| {
            let offered = stored.resort.iter().flat_map(|resort| resort.offered.clone()).collect::<Vec<_>>();
            prop_assert!(offered.windows(2).all(|pair| pair[0].end < pair[1].start), "{:?}", offered);
            Ok(())
        })?;
    }

    #[test]
    fn a_command_that_was_executed_changes_nothing_when_it_is_repeated(history in histories()) {
        play(&history, |_, command, _, stored, now| {
            prop_assert_eq!(stored.decide(command, now), Ok(vec![]));
            Ok(())
        })?;
    }

    #[test]
    fn when_the_timer_fires_what_is_due_lapses_and_the_timer_is_reset(history in histories()) {
        play(&history, |_, _, _, stored, _| {
            let Some((at, command)) = stored.load(&Command::Lapse).and_then(|resort| resort.due_at()) else {
                return Ok(());
            };
            let lapsed = stored.decide(&command, at).expect("lapsing is not refused");
            prop_assert!(!lapsed.is_empty());
            let mut after = stored.clone();
            after.take(&command, &lapsed);
            let next = after.load(&command).and_then(|resort| resort.due_at());
            prop_assert!(next.is_none_or(|(next, _)| next > at));
            Ok(())
        })?;
    }
}
