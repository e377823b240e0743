//! What holds of a car however late, often and disordered it is told.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A car as the store would hold it: with all its engagements, of which a decision sees the open ones and its own.
#[derive(Clone, Default)]
struct Kept {
    car: Option<Car>,
    all: BTreeMap<ReservationId, Engagement>,
}

impl Kept {
    fn new() -> Kept {
        Kept { car: car(&[registered()]), all: BTreeMap::new() }
    }

    fn load(&self, command: &Command) -> Option<Car> {
        let own = match command {
            Command::Observe(id, _) | Command::Rate(id, ..) => Some(*id),
            _ => None,
        };
        let mut car = self.car.clone()?;
        car.engagements = self.all.clone();
        car.engagements.retain(|id, kept| kept.stage != Stage::Over || own == Some(*id));
        Some(car)
    }

    fn decide(&self, command: &Command) -> Vec<Event> {
        Car::decide(self.load(command).as_ref(), command, NOW).expect("a car that is known refuses nothing")
    }

    fn execute(&mut self, command: &Command) {
        let events = self.decide(command);
        self.car = events.iter().fold(self.load(command), |car, event| Some(Car::evolve(car, event)));
        self.all.extend(self.car.iter().flat_map(|car| car.engagements.clone()));
    }

    fn execute_all<'a>(mut self, commands: impl IntoIterator<Item = &'a Command>) -> Kept {
        commands.into_iter().for_each(|command| self.execute(command));
        self
    }

    fn car(&self) -> &Car {
        self.car.as_ref().expect("it is registered")
    }
}

/// How a reservation went.
#[derive(Clone, Copy, Debug)]
enum Way {
    Open,
    Cancelled,
    Rented,
    TakenBack,
    Returned,
    Rated(i64),
}

fn ways() -> impl Strategy<Value = Vec<Way>> {
    let way = prop_oneof![
        Just(Way::Open),
        Just(Way::Cancelled),
        Just(Way::Rented),
        Just(Way::TakenBack),
        Just(Way::Returned),
        (1i64..6).prop_map(Way::Rated),
    ];
    proptest::collection::vec(way, 1..5)
}

/// What `rental` tells of reservations that went these ways, in order.
fn told_in_order(ways: &[Way]) -> Vec<Command> {
    let mut sequence = 0;
    let mut commands = Vec::new();
    for (way, number) in ways.iter().zip(10..) {
        let stages: &[Stage] = match way {
            Way::Open => &[Stage::Reserved],
            Way::Cancelled => &[Stage::Reserved, Stage::Over],
            Way::Rented => &[Stage::Reserved, Stage::Rented],
            Way::TakenBack | Way::Returned | Way::Rated(_) => &[Stage::Reserved, Stage::Rented, Stage::Over],
        };
        for stage in stages {
            sequence += 1;
            commands.push(observe(number, *stage, sequence));
        }
        if let Way::Rated(stars) = way {
            sequence += 1;
            commands.push(Command::Rate(id(number), engagement(Stage::Over, sequence), *stars));
        }
    }
    commands
}

/// Everything once and some of it again, in any order.
fn told_anyhow() -> impl Strategy<Value = (Vec<Way>, Vec<Command>)> {
    ways().prop_flat_map(|ways| {
        let once = told_in_order(&ways);
        let again = proptest::collection::vec(proptest::sample::select(once.clone()), 0..10);
        let all = again.prop_map(move |again| [once.clone(), again].concat()).prop_shuffle();
        (Just(ways), all)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn c7_the_status_is_the_same_in_whatever_order_and_however_often_it_is_told((ways, commands) in told_anyhow()) {
        let right = Kept::new().execute_all(&told_in_order(&ways));
        let kept = Kept::new().execute_all(&commands);
        prop_assert_eq!(kept.car().status, right.car().status);
        let stages = |kept: &Kept| kept.all.iter().map(|(id, kept)| (*id, kept.stage, kept.rated)).collect::<Vec<_>>();
        prop_assert_eq!(stages(&kept), stages(&right));
    }

    #[test]
    fn c7_the_status_says_what_is_open((ways, commands) in told_anyhow()) {
        let is_rented = ways.iter().any(|way| matches!(way, Way::Rented));
        let is_reserved = ways.iter().any(|way| matches!(way, Way::Open));
        let status = match (is_rented, is_reserved) {
            (true, _) => Status::Rented,
            (false, true) => Status::Reserved,
            (false, false) => Status::Available,
        };
        prop_assert_eq!(Kept::new().execute_all(&commands).car().status, status);
    }

    #[test]
    fn c9_stars_are_those_that_were_given_each_once((ways, commands) in told_anyhow()) {
        let stars: Vec<i64> = ways.iter().filter_map(|way| if let Way::Rated(stars) = way { Some(*stars) } else { None })
            .collect();
        let kept = Kept::new().execute_all(&commands);
        prop_assert_eq!((kept.car().stars_sum, kept.car().rating_count), (stars.iter().sum(), stars.len() as i64));
    }

    #[test]
    fn a_removed_car_stays_so((_, commands) in told_anyhow(), removed_after in 0usize..20) {
        let (before, after) = commands.split_at(removed_after.min(commands.len()));
        let kept = Kept::new().execute_all(before).execute_all([&Command::Remove]).execute_all(after);
        prop_assert_eq!(kept.car().status, Status::Removed);
    }

    #[test]
    fn a_command_that_was_obeyed_decides_nothing_when_it_comes_again((_, commands) in told_anyhow()) {
        let mut kept = Kept::new();
        for command in commands.iter().chain([&Command::Register(car_id(), listing()), &Command::Remove]) {
            kept.execute(command);
            prop_assert_eq!(kept.decide(command), vec![]);
        }
    }
}
