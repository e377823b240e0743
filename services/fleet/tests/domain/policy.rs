//! Each row of the policy's table, and malformed events.

use chassis::{Envelope, Malformed};
use contracts::rental::v1::{
    CarRented, CarReserved, CarRetired, CarReturned, RentRefused, RentalOverdue, RentalRated, Reservation,
    ReservationCancelled,
};
use fleet::policy::policy;
use prost::{Message, Name};

use super::*;

const SEQUENCE: i64 = 5;

fn event<M: Message + Name>(message: &M) -> Envelope {
    Envelope {
        event_id: car_id().uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: NOW,
        correlation_id: car_id().uuid(),
        causation_id: None,
        sequence: SEQUENCE,
        traceparent: None,
        body: message.encode_to_vec(),
    }
}

fn reservation() -> Reservation {
    Reservation {
        reservation_id: id::<ReservationId>(7).to_string(),
        car_id: car_id().to_string(),
        period: Some(engagement(Stage::Reserved, 0).period.into()),
        stars: 4,
        ..Reservation::default()
    }
}

#[track_caller]
fn check(event: &Envelope, then: &[Command]) {
    let commands = policy().react(event).expect("the event is right");
    assert_eq!(commands, then.iter().map(|command| (car_id(), command.clone())).collect::<Vec<_>>());
}

#[track_caller]
fn check_malformed(event: &Envelope, then: &str) {
    let reaction = policy().react(event).map_err(|Malformed(what)| what);
    assert!(reaction.as_ref().is_err_and(|what| what.contains(then)), "{reaction:?}");
}

#[test]
fn c7_the_car_observes_the_events_of_its_reservations() {
    let reservation = || Some(reservation());
    let reserved = event(&CarReserved { reservation: reservation() });
    check(&reserved, &[observe(7, Stage::Reserved, SEQUENCE)]);
    check(&event(&CarRented { reservation: reservation() }), &[observe(7, Stage::Rented, SEQUENCE)]);
    check(&event(&ReservationCancelled { reservation: reservation() }), &[observe(7, Stage::Over, SEQUENCE)]);
    check(&event(&CarReturned { reservation: reservation() }), &[observe(7, Stage::Over, SEQUENCE)]);
}

#[test]
fn c14_a_car_that_is_not_back_is_in_use_without_an_end() {
    let commands = policy().react(&event(&RentalOverdue { reservation: Some(reservation()) })).expect("it is right");
    let [(_, Command::Observe(_, engagement))] = &*commands else { panic!("{commands:?}") };
    assert!(engagement.stage == Stage::Rented && engagement.period.end > Timestamp::from_micros(NOW.micros() * 100));
}

#[test]
fn c9_a_rated_rental_gives_the_car_its_stars() {
    let rated = event(&RentalRated { reservation: Some(reservation()) });
    check(&rated, &[Command::Rate(id(7), engagement(Stage::Over, SEQUENCE), 4)]);
}

#[test]
fn c1_a_retired_car_is_removed() {
    check(&event(&CarRetired { car_id: car_id().to_string() }), &[Command::Remove]);
}

#[test]
fn an_event_that_no_rule_is_about_leads_to_nothing() {
    check(&event(&RentRefused { reservation: Some(reservation()) }), &[]);
}

#[test]
fn an_event_that_breaks_its_contract_is_malformed() {
    check_malformed(&event(&CarRetired { car_id: "K5".to_owned() }), "car_id");
    check_malformed(&event(&CarReserved { reservation: None }), "no reservation");
    check_malformed(&event(&RentalRated { reservation: None }), "no reservation");
    let carless = Reservation { car_id: String::new(), ..reservation() };
    check_malformed(&event(&CarRented { reservation: Some(carless) }), "car_id");
    let nameless = Reservation { reservation_id: String::new(), ..reservation() };
    check_malformed(&event(&CarRented { reservation: Some(nameless) }), "reservation_id");
    let timeless = Reservation { period: None, ..reservation() };
    check_malformed(&event(&CarReturned { reservation: Some(timeless) }), "no period");
    let garbage = Envelope { body: vec![0xff], ..event(&CarReserved { reservation: None }) };
    check_malformed(&garbage, "");
}
