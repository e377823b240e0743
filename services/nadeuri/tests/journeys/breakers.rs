//! Calls between contexts with a faulty peer. A stand-in replaces the peer's process and counts the calls that arrive:
//! circuit breaker, bulkhead and retry budget show in the calls that do not arrive.
//!
//! All peer calls use the same client, so whatever is not specific to a line of business is tested with the calls from
//! `rental` to `payment`. Each check starts with a caller that has just been started and has made no call.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::sync::MutexGuard;
use tonic::{Code, Status};

use crate::runner::{Suite, journeys};
use crate::support::client::Client;
use crate::support::cluster::Cluster;
use crate::support::stand_in::{Behaviour, COME_BACK, REFUSAL, StandIn};
use crate::support::{PATIENCE, eventually_within, new_id, period, reason, refused, retry_delay};

type Fragile = MutexGuard<'static, Option<Cluster>>;

/// The longest open period of a breaker.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The number of recent calls by which a breaker decides.
const WINDOW: usize = 20;

pub fn add(suite: &mut Suite) {
    journeys! { suite.fragile:
        x4_more_calls_than_the_bulkhead_has_places_are_rejected_at_once,
        x4_retries_stay_within_their_budget,
    }
}

/// A peer call, and the reason that the caller's own callers get when there is no response.
pub struct PeerClient {
    pub caller: &'static str,
    pub peer: &'static str,
    pub reason: &'static str,
}

impl PeerClient {
    /// Replaces the peer by a stand-in, and restarts the caller so that it has made no call.
    pub async fn stand_in(&self, app: &mut Cluster, behaviour: Behaviour) -> StandIn {
        let peer = app.replace(self.peer, behaviour).await;
        app.kill(self.caller);
        app.start(self.caller).await;
        peer
    }

    /// Checks that a customer gets the reason and a retry delay. Returns the delay.
    #[track_caller]
    pub fn is_away<T: Debug>(&self, answer: Result<T, Status>) -> Duration {
        let away = refused(answer, Code::Unavailable, self.reason);
        let delay = retry_delay(&away).expect("the response has a retry delay");
        assert!(Duration::ZERO < delay && delay <= LONGEST_PAUSE, "{delay:?}");
        delay
    }

    /// The peer hangs: the breaker opens, and then no calls reach the peer.
    pub async fn opens_when_calls_hang<T: Debug>(&self, peer: &StandIn, ask: impl AsyncFn() -> Result<T, Status>) {
        const AT_ONCE: usize = 8;
        peer.behave(Behaviour::Hangs);
        let before = peer.arrived(self.caller);
        for answer in join_all((0..AT_ONCE).map(|_| ask())).await {
            self.is_away(answer);
        }
        assert_eq!(peer.arrived(self.caller) - before, AT_ONCE, "each is tried once, without retries");
        self.keeps_calls_away(peer, ask).await;
    }

    /// The peer is overloaded: the breaker opens, and then no calls reach the peer.
    pub async fn opens_when_overloaded<T: Debug>(&self, peer: &StandIn, ask: impl AsyncFn() -> Result<T, Status>) {
        peer.behave(Behaviour::Overloaded);
        let mut arrived = peer.arrived(self.caller);
        for asked in 0.. {
            assert!(asked <= WINDOW, "the breaker is open after {WINDOW} calls, and all of them failed");
            let delay = self.is_away(ask().await);
            if peer.arrived(self.caller) == arrived {
                break;
            }
            arrived += 1;
            assert_eq!(peer.arrived(self.caller), arrived, "an overloaded peer is not retried");
            assert_eq!(delay, COME_BACK, "the customer gets the retry delay of the peer");
        }
        self.keeps_calls_away(peer, ask).await;
    }

    /// The breaker is open. After its pause, it lets one probe call through. Until that call ends, all others are
    /// rejected and do not reach the peer.
    async fn keeps_calls_away<T: Debug>(&self, peer: &StandIn, ask: impl AsyncFn() -> Result<T, Status>) {
        const MEANWHILE: usize = 20;
        peer.behave(Behaviour::Hangs);
        let before = peer.arrived(self.caller);
        let probe = loop {
            let mut call = Box::pin(ask());
            tokio::select! {
                answer = &mut call => {
                    self.is_away(answer);
                    assert_eq!(peer.arrived(self.caller), before, "an immediate response is a rejection");
                }
                () = peer.has(self.caller, before + 1) => break call,
            }
        };
        for answer in join_all((0..MEANWHILE).map(|_| ask())).await {
            self.is_away(answer);
        }
        assert_eq!(peer.arrived(self.caller) - before, 1, "no other call arrives during the probe call");
        drop(probe);
    }
}

const RENT: PeerClient = PeerClient { caller: "rental", peer: "payment", reason: "PAYMENT_AWAY" };

async fn x4_more_calls_than_the_bulkhead_has_places_are_rejected_at_once(mut app: Fragile) {
    // An eighth of 256 is for admins and contexts, and a customer gets a quarter.
    const PLACES: usize = 256 - 256 / 8;
    const SHARE: usize = 256 / 4;
    const CUSTOMERS: usize = 4;
    const TOO_MANY: usize = CUSTOMERS * SHARE - PLACES;
    let app = app.as_mut().expect("it runs");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let customers: Vec<Client> = (0..CUSTOMERS).map(|_| app.by(&format!("rider-{}", new_id()))).collect();
    let mut trips = Vec::new();
    for (number, customer) in customers.iter().enumerate() {
        trips.push(customer.reserve(&car, period(1 + 2 * number as u64, 1)).await.unwrap());
    }
    let peer = RENT.stand_in(app, Behaviour::Hangs).await;
    let all = customers.iter().zip(&trips);
    let mut rents: FuturesUnordered<_> =
        all.flat_map(|(customer, trip)| (0..SHARE).map(move |_| customer.rent(trip))).collect();
    for _ in 0..TOO_MANY {
        let answer = rents.next().await.expect("more are under way");
        assert_eq!(RENT.is_away(answer), Duration::from_secs(1), "the bulkhead is full");
    }
    peer.has(RENT.caller, PLACES).await;
    let counts = (peer.arrived(RENT.caller), peer.held(RENT.caller));
    assert_eq!(counts, (PLACES, PLACES), "all further calls are rejected while the bulkhead is full");
    drop(rents);
    // Calls that time out free their places.
    eventually_within(PATIENCE, "no call waits", async || (peer.held(RENT.caller) == 0).then_some(())).await;
    peer.leave().await;
    app.start(RENT.peer).await;
    eventually_within(PATIENCE * 2, "paying works", async || customers[0].rent(&trips[0]).await.ok()).await;
}

async fn x4_retries_stay_within_their_budget(mut app: Fragile) {
    const CALLS: usize = 60;
    // The initial budget, and a tenth of the calls.
    const BUDGET: std::ops::RangeInclusive<usize> = 10..=10 + CALLS / 10;
    let app = app.as_mut().expect("it runs");
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    // A third of its responses are failures: too few to open the breaker, so only the budget limits the retries.
    let peer = RENT.stand_in(app, Behaviour::Flaky).await;
    let mut away = 0;
    for _ in 0..CALLS {
        let status = mina.rent(&trip).await.expect_err("it is never paid");
        if status.code() == Code::FailedPrecondition {
            assert_eq!(reason(&status), REFUSAL, "the caller gets the peer's refusal");
        } else {
            RENT.is_away::<()>(Err(status));
            away += 1;
        }
    }
    let retries = peer.arrived(RENT.caller) - CALLS;
    assert!(BUDGET.contains(&retries), "{retries} retries of {CALLS} calls");
    assert!(away > 0, "without budget a failed call is not retried");
    peer.leave().await;
    app.start(RENT.peer).await;
    eventually_within(PATIENCE * 2, "paying works", async || mina.rent(&trip).await.ok()).await;
}
