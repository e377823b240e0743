//! Every transition of a car, and every refusal, once.

use chassis::Refusal as _;
use chassis::error::RefusalCode;

use super::*;

/// A car that is reserved as number 7.
fn given_reserved() -> Vec<Event> {
    vec![registered(), engaged(7, Stage::Reserved, 3), changed(Status::Reserved)]
}

fn given_rented() -> Vec<Event> {
    [given_reserved(), vec![engaged(7, Stage::Rented, 4), changed(Status::Rented)]].concat()
}

fn given_returned() -> Vec<Event> {
    [given_rented(), vec![engaged(7, Stage::Over, 5), changed(Status::Available)]].concat()
}

fn given_removed() -> Vec<Event> {
    vec![registered(), Event::Removed(NOW)]
}

#[test]
fn c1_a_car_is_registered_once() {
    check(&[], register(listing()), NOW, Ok(&[registered()]));
    let other = Listing { model: "K9".to_owned(), ..listing() };
    check(&[registered()], register(other), NOW, Ok(&[]));
}

#[test]
fn nothing_happens_to_a_car_that_was_not_registered() {
    for command in
        [Command::Remove, observe(7, Stage::Reserved, 1), Command::Rate(id(7), engagement(Stage::Over, 5), 4)]
    {
        check(&[], command, NOW, Err(Refusal::NoSuchCar));
    }
    assert_eq!(Refusal::NoSuchCar.code(), RefusalCode::NotFound);
    assert_eq!(Refusal::NoSuchCar.reason(), "CAR_NOT_FOUND");
}

#[test]
fn c1_a_car_is_removed_once() {
    check(&[registered()], Command::Remove, NOW, Ok(&[Event::Removed(NOW)]));
    check(&given_removed(), Command::Remove, NOW, Ok(&[]));
    assert_eq!(car(&given_removed()).map(|car| car.status), Some(Status::Removed));
}

#[test]
fn c7_reservation_rental_and_return_each_change_the_status() {
    let then = [engaged(7, Stage::Reserved, 3), changed(Status::Reserved)];
    check(&[registered()], observe(7, Stage::Reserved, 3), NOW, Ok(&then));
    let then = [engaged(7, Stage::Rented, 4), changed(Status::Rented)];
    check(&given_reserved(), observe(7, Stage::Rented, 4), NOW, Ok(&then));
    let then = [engaged(7, Stage::Over, 5), changed(Status::Available)];
    check(&given_rented(), observe(7, Stage::Over, 5), NOW, Ok(&then));
    check(&given_reserved(), observe(7, Stage::Over, 5), NOW, Ok(&then));
}

#[test]
fn an_older_event_or_the_same_again_changes_nothing() {
    for (stage, sequence) in [(Stage::Reserved, 3), (Stage::Rented, 4), (Stage::Over, 5)] {
        check(&given_returned(), observe(7, stage, sequence), NOW, Ok(&[]));
    }
}

#[test]
fn a_car_that_is_rented_stays_so_when_it_is_reserved_for_another_time() {
    check(&given_rented(), observe(8, Stage::Reserved, 9), NOW, Ok(&[engaged(8, Stage::Reserved, 9)]));
}

#[test]
fn a_car_that_is_returned_is_reserved_while_another_reservation_is_open() {
    let given = [given_rented(), vec![engaged(8, Stage::Reserved, 9)]].concat();
    let then = [engaged(7, Stage::Over, 10), changed(Status::Reserved)];
    check(&given, observe(7, Stage::Over, 10), NOW, Ok(&then));
}

#[test]
fn a_removed_car_stays_removed_whatever_rental_publishes() {
    check(&given_removed(), observe(7, Stage::Reserved, 3), NOW, Ok(&[engaged(7, Stage::Reserved, 3)]));
    check(&given_removed(), observe(7, Stage::Over, 5), NOW, Ok(&[engaged(7, Stage::Over, 5)]));
}

#[test]
fn c9_a_rental_gives_stars_once() {
    let rated = Event::Rated(id(7), 4, NOW);
    let rate = || Command::Rate(id(7), engagement(Stage::Over, 6), 4);
    check(&given_returned(), rate(), NOW, Ok(std::slice::from_ref(&rated)));
    check(&[given_returned(), vec![rated]].concat(), rate(), NOW, Ok(&[]));
}

#[test]
fn stars_of_an_unknown_rental_count_and_its_late_events_are_applied() {
    let then = [engaged(7, Stage::Over, 0), Event::Rated(id(7), 4, NOW)];
    check(&[registered()], Command::Rate(id(7), engagement(Stage::Over, 6), 4), NOW, Ok(&then));
    let given = [vec![registered()], then.to_vec()].concat();
    let then = [engaged(7, Stage::Rented, 4), changed(Status::Rented)];
    check(&given, observe(7, Stage::Rented, 4), NOW, Ok(&then));
    // It stays rated when later events about it arrive.
    let given = [given, then.to_vec()].concat();
    check(&given, Command::Rate(id(7), engagement(Stage::Over, 6), 4), NOW, Ok(&[]));
}

#[test]
fn c9_a_car_shows_the_mean_of_its_stars() {
    let average = |stars: &[i64]| {
        let rated = stars.iter().enumerate().map(|(number, stars)| Event::Rated(id(number as u64), *stars, NOW));
        let given: Vec<Event> = std::iter::once(registered()).chain(rated).collect();
        car(&given).map(|car| car.average_stars())
    };
    assert_eq!(average(&[]), Some(0.0));
    assert_eq!(average(&[5]), Some(5.0));
    assert_eq!(average(&[5, 2]), Some(3.5));
}

#[test]
fn x12_a_car_is_given_to_another_owner() {
    let transfer = |owner: &str| Command::Transfer(owner.to_owned());
    check(&[registered()], transfer("hana"), NOW, Ok(&[Event::Transferred("hana".to_owned(), NOW)]));
    check(&[registered()], transfer("sol"), NOW, Ok(&[]));
}
