//! What callers notice of a server that dies: for how long requests are refused, and how late events arrive.
//!
//! Probes make requests all the time, one right after the other, and never repeat one that was refused.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use contracts::chronicle::v1::ListEventsRequest;
use contracts::fleet::v1::{Car, CarRegistered};
use prost::Name as _;
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::load::seen;
use crate::support::LOOK;
use crate::support::client::Client;
use crate::support::cluster::Cluster;
use crate::support::verbs::{some_car, won};

/// The probes, and what they noticed.
pub struct Probes {
    admin: Client,
    car: Car,
    /// When each refused request was sent, and refused.
    refused: RefCell<Vec<(Instant, Instant)>>,
    answered: Cell<usize>,
    /// The longest time between two successes of the same probe.
    gap: Cell<Duration>,
    /// When a car was registered.
    registered: RefCell<BTreeMap<String, Instant>>,
    /// When the event of a car was seen.
    arrived: RefCell<BTreeMap<String, Instant>>,
}

impl Probes {
    /// The probes start with [`Probes::run`].
    pub async fn new(cluster: &Cluster) -> Probes {
        let admin = cluster.admin();
        let car = admin.new_car("Probe", 10_000).await;
        Probes {
            admin,
            car,
            refused: RefCell::default(),
            answered: Cell::new(0),
            gap: Cell::default(),
            registered: RefCell::default(),
            arrived: RefCell::default(),
        }
    }

    /// Runs until the workload is stopped.
    pub async fn run(&self, stopped: &Cell<bool>) {
        let write = self.repeat(stopped, async || {
            let car = self.admin.register(some_car("Probe", won(10_000))).await?;
            self.registered.borrow_mut().insert(car.car_id, Instant::now());
            Ok(())
        });
        let read = self.repeat(stopped, async || self.admin.car(&self.car).await.map(drop));
        futures::join!(write, read, self.events(stopped));
    }

    /// For how long requests were refused: from when the first of them was sent to when the last was refused.
    pub fn refused(&self) -> Duration {
        let refused = self.refused.borrow();
        let (sent, received) = (refused.iter().map(|(sent, _)| *sent).min(), refused.iter().map(|(_, at)| *at).max());
        sent.zip(received).map(|(first, last)| last - first).unwrap_or_default()
    }

    /// The longest time between two successes of the same probe, so also while requests hung.
    pub fn gap(&self) -> Duration {
        self.gap.get()
    }

    /// The times from the response to a request until its event had arrived, from the shortest to the longest.
    pub fn delays(&self) -> Vec<Duration> {
        let (registered, arrived) = (self.registered.borrow(), self.arrived.borrow());
        let delay = |(car, at): (&String, &Instant)| Some(arrived.get(car)?.saturating_duration_since(*at));
        let mut delays: Vec<Duration> = registered.iter().filter_map(delay).collect();
        delays.sort();
        delays
    }

    /// What was noticed, in a sentence.
    pub fn summary(&self) -> String {
        let delays = self.delays();
        let (usual, longest) = (delays[delays.len() / 2], delays[delays.len() - 1]);
        format!(
            "of {} requests {} were refused, within {} ms; {} ms at most between successes; events arrived after {} ms as a rule, {} ms at most",
            self.answered.get() + self.refused.borrow().len(),
            self.refused.borrow().len(),
            self.refused().as_millis(),
            self.gap().as_millis(),
            usual.as_millis(),
            longest.as_millis(),
        )
    }

    async fn repeat(&self, stopped: &Cell<bool>, ask: impl AsyncFn() -> Result<(), Status>) {
        let mut last_success = Instant::now();
        while !stopped.get() {
            let sent = Instant::now();
            match ask().await {
                Ok(()) => {
                    self.answered.set(self.answered.get() + 1);
                    self.gap.set(self.gap.get().max(last_success.elapsed()));
                    last_success = Instant::now();
                }
                Err(status) => {
                    // Nothing else tells a caller that the same request may succeed later.
                    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                    self.refused.borrow_mut().push((sent, Instant::now()));
                }
            }
            tokio::time::sleep(LOOK * 2).await;
        }
    }

    /// Reads from `chronicle` which events have arrived, until all have.
    async fn events(&self, stopped: &Cell<bool>) {
        let position = Cell::new(0);
        while !stopped.get() {
            self.look(&position).await;
            tokio::time::sleep(LOOK * 2).await;
        }
        seen("all events arrive", async || {
            self.look(&position).await;
            self.registered.borrow().keys().all(|car| self.arrived.borrow().contains_key(car)).then_some(())
        })
        .await;
    }

    async fn look(&self, position: &Cell<i64>) {
        let (types, after_position) = (vec![CarRegistered::full_name()], position.get());
        let request = ListEventsRequest { types, after_position, page_size: 1_000, ..Default::default() };
        for event in self.admin.insist(request).await.unwrap().events {
            position.set(event.position);
            self.arrived.borrow_mut().insert(event.subject, Instant::now());
        }
    }
}
