//! Properties of a car that hold however late, often and disordered its events arrive.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A car as the store would hold it: with all its engagements, of which a decision sees the open ones and its own.
#[derive(Clone, Default)]
struct Stored {
    car: Option<Car>,
    all: BTreeMap<ReservationId, Engagement>,
}

impl Stored {
    fn new() -> Stored {
        Stored { car: car(&[registered()]), all: BTreeMap::new() }
    }

    fn load(&self, command: &Command) -> Option<Car> {
        let own = match command {
            Command::Observe(id, _) | Command::Rate(id, ..) => Some(*id),
            _ => None,
        };
        let mut car = self.car.clone()?;
        car.engagements = self.all.clone();
        car.engagements.retain(|id, stored| stored.stage != Stage::Over || own == Some(*id));
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

    fn execute_all<'a>(mut self, commands: impl IntoIterator<Item = &'a Command>) -> Stored {
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

/// The events of `rental` about reservations that went these ways, in order, as commands.
fn commands_in_order(ways: &[Way]) -> Vec<Command> {
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

/// Each command once and some repeated, in any order.
fn commands_in_any_order() -> impl Strategy<Value = (Vec<Way>, Vec<Command>)> {
    ways().prop_flat_map(|ways| {
        let once = commands_in_order(&ways);
        let again = proptest::collection::vec(proptest::sample::select(once.clone()), 0..10);
        let all = again.prop_map(move |again| [once.clone(), again].concat()).prop_shuffle();
        (Just(ways), all)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn c7_the_status_is_the_same_in_whatever_order_and_however_often_events_arrive((ways, commands) in commands_in_any_order()) {
        let right = Stored::new().execute_all(&commands_in_order(&ways));
        let stored = Stored::new().execute_all(&commands);
        prop_assert_eq!(stored.car().status, right.car().status);
        let stages = |stored: &Stored| stored.all.iter().map(|(id, stored)| (*id, stored.stage, stored.rated)).collect::<Vec<_>>();
        prop_assert_eq!(stages(&stored), stages(&right));
    }

    #[test]
    fn c7_the_status_says_what_is_open((ways, commands) in commands_in_any_order()) {
        let is_rented = ways.iter().any(|way| matches!(way, Way::Rented));
        let is_reserved = ways.iter().any(|way| matches!(way, Way::Open));
        let status = match (is_rented, is_reserved) {
            (true, _) => Status::Rented,
            (false, true) => Status::Reserved,
            (false, false) => Status::Available,
        };
        prop_assert_eq!(Stored::new().execute_all(&commands).car().status, status);
    }

    #[test]
    fn c9_stars_are_those_that_were_given_each_once((ways, commands) in commands_in_any_order()) {
        let stars: Vec<i64> = ways.iter().filter_map(|way| if let Way::Rated(stars) = way { Some(*stars) } else { None })
            .collect();
        let stored = Stored::new().execute_all(&commands);
        prop_assert_eq!((stored.car().stars_sum, stored.car().rating_count), (stars.iter().sum(), stars.len() as i64));
    }

    #[test]
    fn a_removed_car_stays_removed((_, commands) in commands_in_any_order(), removed_after in 0usize..20) {
        let (before, after) = commands.split_at(removed_after.min(commands.len()));
        let stored = Stored::new().execute_all(before).execute_all([&Command::Remove]).execute_all(after);
        prop_assert_eq!(stored.car().status, Status::Removed);
    }

    #[test]
    fn a_command_that_was_executed_decides_nothing_when_it_is_repeated((_, commands) in commands_in_any_order()) {
        let mut stored = Stored::new();
        for command in commands.iter().chain([&register(listing()), &Command::Remove]) {
            stored.execute(command);
            prop_assert_eq!(stored.decide(command), vec![]);
        }
    }
}
