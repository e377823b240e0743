//! Journeys of customers and admins through the product, over gRPC as they see it, in every set-up: one suite, every
//! topology. A trial is named by its set-up and the requirement that it shows.
//!
//! `cargo test --test journeys -- embedded::c3` runs a part of them. The servers that a set-up's trials share are started
//! when the first of them is run; trials that stop servers have their own.

#![allow(clippy::unwrap_used, reason = "all of it is a test, though it brings its own harness")]

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod bikes;
mod bikes_down;
mod breakers;
mod cars;
mod deliveries;
mod erasure;
mod failures;
mod gateway;
mod hostile;
mod hostile_stays;
mod lists;
mod newcomer;
mod operations;
mod orders;
mod orders_down;
mod payments;
mod plans;
mod rentals;
mod repetition;
mod runner;
mod secrets;
mod shifts;
mod stays;
mod stays_down;
mod story;
mod taxis;
mod taxis_down;
mod tls;
mod traces;
mod upkeep;
mod wallets;
mod wire;

use std::process::ExitCode;

use runner::Suite;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    cars::add(&mut suite);
    rentals::add(&mut suite);
    payments::add(&mut suite);
    story::add(&mut suite);
    taxis::add(&mut suite);
    shifts::add(&mut suite);
    taxis_down::add(&mut suite);
    stays::add(&mut suite);
    stays_down::add(&mut suite);
    bikes::add(&mut suite);
    bikes_down::add(&mut suite);
    wallets::add(&mut suite);
    upkeep::add(&mut suite);
    orders::add(&mut suite);
    orders_down::add(&mut suite);
    deliveries::add(&mut suite);
    repetition::add(&mut suite);
    lists::add(&mut suite);
    hostile::add(&mut suite);
    hostile_stays::add(&mut suite);
    attacks::add(&mut suite);
    secrets::add(&mut suite);
    gateway::add(&mut suite);
    tls::add(&mut suite);
    erasure::add(&mut suite);
    failures::add(&mut suite);
    breakers::add(&mut suite);
    newcomer::add(&mut suite);
    operations::add(&mut suite);
    traces::add(&mut suite);
    suite.run()
}
