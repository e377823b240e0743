//! Calls between contexts whose peer is in trouble. A stand-in takes the place of the peer's process and counts the calls
//! that arrive: a breaker, a bulkhead and a budget of retries are seen by the calls that do not.
//!
//! The calls of one context to another all go the same way, so what is not about a requirement of a line of business is
//! shown of the way from `rental` to `payment`. Each check begins with a caller that has just started: it has made no call.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::sync::MutexGuard;
use tonic::{Code, Status};

use crate::runner::{Suite, journeys};
use crate::support::cluster::Cluster;
use crate::support::stand_in::{Behaviour, COME_BACK, REFUSAL, StandIn};
use crate::support::{PATIENCE, eventually_within, period, reason, refused, retry_delay};

type Fragile = MutexGuard<'static, Option<Cluster>>;

/// The longest pause of a breaker.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A breaker judges by the last calls, of which there are so many.
const WINDOW: usize = 20;

pub fn add(suite: &mut Suite) {
    journeys! { suite.fragile:
        x4_more_calls_than_the_bulkhead_has_places_are_turned_away_at_once,
        x4_retries_stay_within_their_budget,
    }
}

/// A context that calls another one, and what its own callers are told when there is no answer.
pub struct PeerClient {
    pub caller: &'static str,
    pub peer: &'static str,
    pub reason: &'static str,
}

impl PeerClient {
    /// Puts a stand-in in the place of the peer, before a caller that has not called it yet.
    pub async fn stand_in(&self, app: &mut Cluster, behaviour: Behaviour) -> StandIn {
        let peer = app.replace(self.peer, behaviour).await;
        app.kill(self.caller);
        app.start(self.caller).await;
        peer
    }

    /// Checks that a customer is told that there is no answer, and when to come back.
    #[track_caller]
    pub fn is_away<T: Debug>(&self, answer: Result<T, Status>) -> Duration {
        let away = refused(answer, Code::Unavailable, self.reason);
        let delay = retry_delay(&away).expect("they are told when to come back");
        assert!(Duration::ZERO < delay && delay <= LONGEST_PAUSE, "{delay:?}");
        delay
    }

    /// The peer hangs: the breaker opens, and from then on it keeps calls away from the peer.
    pub async fn opens_when_calls_hang<T: Debug>(&self, peer: &StandIn, ask: impl AsyncFn() -> Result<T, Status>) {
        const AT_ONCE: usize = 8;
        peer.behave(Behaviour::Hangs);
        let before = peer.arrived(self.caller);
        for answer in join_all((0..AT_ONCE).map(|_| ask())).await {
            self.is_away(answer);
        }
        assert_eq!(peer.arrived(self.caller) - before, AT_ONCE, "each of them is tried, and is not tried again");
        self.keeps_calls_away(peer, ask).await;
    }

    /// The peer is overloaded and says so: the breaker opens, and from then on it keeps calls away from the peer.
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
            assert_eq!(peer.arrived(self.caller), arrived, "an overloaded peer is not asked again");
            assert_eq!(delay, COME_BACK, "the customer is told what the peer said");
        }
        self.keeps_calls_away(peer, ask).await;
    }

    /// The breaker is open. After its pause it lets one call through to find out; while that call is under way, the others
    /// are turned away and do not arrive.
    async fn keeps_calls_away<T: Debug>(&self, peer: &StandIn, ask: impl AsyncFn() -> Result<T, Status>) {
        const MEANWHILE: usize = 20;
        peer.behave(Behaviour::Hangs);
        let before = peer.arrived(self.caller);
        let probe = loop {
            let mut call = Box::pin(ask());
            tokio::select! {
                answer = &mut call => {
                    self.is_away(answer);
                    assert_eq!(peer.arrived(self.caller), before, "who is told at once was turned away");
                }
                () = peer.has(self.caller, before + 1) => break call,
            }
        };
        for answer in join_all((0..MEANWHILE).map(|_| ask())).await {
            self.is_away(answer);
        }
        assert_eq!(peer.arrived(self.caller) - before, 1, "while one call finds out, no other one arrives");
        drop(probe);
    }
}

const RENT: PeerClient = PeerClient { caller: "rental", peer: "payment", reason: "PAYMENT_AWAY" };

async fn x4_more_calls_than_the_bulkhead_has_places_are_turned_away_at_once(mut app: Fragile) {
    const PLACES: usize = 256;
    const TOO_MANY: usize = 44;
    let app = app.as_mut().expect("it runs");
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    let peer = RENT.stand_in(app, Behaviour::Hangs).await;
    let mut rents: FuturesUnordered<_> = (0..PLACES + TOO_MANY).map(|_| mina.rent(&trip)).collect();
    for _ in 0..TOO_MANY {
        let answer = rents.next().await.expect("more are under way");
        assert_eq!(RENT.is_away(answer), Duration::from_secs(1), "there is no place");
    }
    peer.has(RENT.caller, PLACES).await;
    let counts = (peer.arrived(RENT.caller), peer.held(RENT.caller));
    assert_eq!(counts, (PLACES, PLACES), "the others were turned away while each of these had its place");
    drop(rents);
    // Those who give up leave their places to others.
    eventually_within(PATIENCE, "nobody waits", async || (peer.held(RENT.caller) == 0).then_some(())).await;
    peer.leave().await;
    app.start(RENT.peer).await;
    eventually_within(PATIENCE * 2, "paying works", async || mina.rent(&trip).await.ok()).await;
}

async fn x4_retries_stay_within_their_budget(mut app: Fragile) {
    const CALLS: usize = 60;
    // What there is at first, and a tenth of the calls.
    const BUDGET: std::ops::RangeInclusive<usize> = 10..=10 + CALLS / 10;
    let app = app.as_mut().expect("it runs");
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    // A third of its answers are failures: too few for the breaker, so that only the budget is left to end the retries.
    let peer = RENT.stand_in(app, Behaviour::Flaky).await;
    let mut away = 0;
    for _ in 0..CALLS {
        let status = mina.rent(&trip).await.expect_err("it is never paid");
        if status.code() == Code::FailedPrecondition {
            assert_eq!(reason(&status), REFUSAL, "the peer's refusal is the answer");
        } else {
            RENT.is_away::<()>(Err(status));
            away += 1;
        }
    }
    let retries = peer.arrived(RENT.caller) - CALLS;
    assert!(BUDGET.contains(&retries), "{retries} retries of {CALLS} calls");
    assert!(away > 0, "without budget a call that found nobody is not tried again");
    peer.leave().await;
    app.start(RENT.peer).await;
    eventually_within(PATIENCE * 2, "paying works", async || mina.rent(&trip).await.ok()).await;
}
