//! What holds of a resort after any story, and at each moment of it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A resort as the store would hold it: with all its holds, of which a decision sees the open ones and its own.
#[derive(Clone, Default)]
struct Kept {
    resort: Option<Resort>,
    all: BTreeMap<StayId, Hold>,
}

impl Kept {
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

/// What each stay wants is the same whenever it comes: its dates follow from its number.
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
fn stories() -> impl Strategy<Value = Vec<(u64, Command)>> {
    let register = Command::Register(resort_id(), listing_in("Asia/Seoul"), vec![july(1, 32)]);
    proptest::collection::vec((0u64..100, commands()), 1..60).prop_map(move |mut steps| {
        steps.insert(0, (0, register.clone()));
        steps
    })
}

/// Plays a story; `look` sees what was kept before and after each command, and what was decided.
fn play(
    story: &[(u64, Command)],
    mut look: impl FnMut(&Kept, &Command, &[Event], &Kept, Timestamp) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut kept, mut now) = (Kept::default(), NOW);
    for (seconds, command) in story {
        now = now + Duration::from_secs(*seconds);
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
    fn r2_no_night_is_kept_for_two_stays(story in stories()) {
        play(&story, |_, _, _, kept, _| {
            let open: Vec<&Hold> = kept.all.values().filter(|hold| hold.is_open()).collect();
            for (index, one) in open.iter().enumerate() {
                prop_assert!(open[..index].iter().all(|other| !other.claim.dates.overlaps(&one.claim.dates)));
            }
            Ok(())
        })?;
    }

    #[test]
    fn what_is_over_or_lost_stays_so(story in stories()) {
        play(&story, |before, _, _, kept, _| {
            for (stay, hold) in &before.all {
                if matches!(hold.state, State::Over | State::Lost) {
                    prop_assert_eq!(hold.state, kept.all[stay].state);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn r4_what_is_reserved_or_booked_ends_by_its_stay_alone(story in stories()) {
        play(&story, |before, command, _, kept, _| {
            for (stay, hold) in &before.all {
                if matches!(hold.state, State::Reserved | State::Booked) && !kept.all[stay].is_open() {
                    prop_assert!(matches!(command, Command::Free(of, ..) if of == stay));
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn r2_the_price_is_the_rate_times_the_nights(story in stories()) {
        play(&story, |_, _, _, kept, _| {
            for hold in kept.all.values() {
                prop_assert_eq!(hold.price.minor, RATE_MINOR * i64::from(hold.claim.dates.nights()));
            }
            Ok(())
        })?;
    }

    #[test]
    fn what_is_offered_is_in_order_and_apart(story in stories()) {
        play(&story, |_, _, _, kept, _| {
            let offered = kept.resort.iter().flat_map(|resort| resort.offered.clone()).collect::<Vec<_>>();
            prop_assert!(offered.windows(2).all(|pair| pair[0].end < pair[1].start), "{:?}", offered);
            Ok(())
        })?;
    }

    #[test]
    fn a_command_that_was_obeyed_changes_nothing_when_it_comes_again(story in stories()) {
        play(&story, |_, command, _, kept, now| {
            prop_assert_eq!(kept.decide(command, now), Ok(vec![]));
            Ok(())
        })?;
    }

    #[test]
    fn when_a_resort_is_woken_what_is_due_lapses_and_it_sleeps_on(story in stories()) {
        play(&story, |_, _, _, kept, _| {
            let Some((at, command)) = kept.load(&Command::Lapse).and_then(|resort| resort.due_at()) else {
                return Ok(());
            };
            let lapsed = kept.decide(&command, at).expect("lapsing is not refused");
            prop_assert!(!lapsed.is_empty());
            let mut after = kept.clone();
            after.take(&command, &lapsed);
            let next = after.load(&command).and_then(|resort| resort.due_at());
            prop_assert!(next.is_none_or(|(next, _)| next > at));
            Ok(())
        })?;
    }
}
