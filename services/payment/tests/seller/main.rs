//! X7: a context that payments know nothing of sells something, and is paid. Both run in one process, as they are.

#![allow(clippy::unwrap_used, reason = "all of it is a test, though its functions are not marked so")]

mod wash;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chassis::access::{Guard, Limits};
use chassis::auth::Auth;
use chassis::bus::local::Local;
use chassis::context::{Environment, Running};
use chassis::db::Database;
use chassis::identity::Identity;
use chassis::peer::{self, PeerClient, Peers};
use chassis::runtime::Runtime;
use chassis::sealing::SealingKeys;
use chassis::{CallError, Context, Envelope, Id};
use contracts::payment::v1::payment_service_client::PaymentServiceClient;
use contracts::payment::v1::{CollectPaymentRequest, GetPaymentRequest, Payment, PaymentState};
use contracts::rental::v1::{CarReserved, Reservation, ReservationCancelled};
use payment::domain::{PurchaseId, payment_of};
use prost::{Message, Name};

use crate::wash::{WASH, price, wash_of};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Payments and the car wash, at work on a bus of their own.
struct Harness {
    environment: Environment,
    running: Vec<Running>,
}

impl Harness {
    async fn start(folder: &Path) -> Harness {
        let runtime = Runtime::real();
        let subscriptions = vec![
            (payment::CONTEXT.name, payment::policy::policy().subscription()),
            (WASH.name, wash::policy().subscription()),
        ];
        let calls = ["wash", "mall"].map(|seller| (seller, payment::CONTEXT.name)).into_iter();
        let environment = Environment {
            bus: Arc::new(Local::new(subscriptions)),
            peers: Peers::default(),
            identity: Identity::Named,
            limits: peer::Limits::default(),
            guard: Guard::new(Auth::Off, runtime.clock.clone(), Limits::default(), calls.collect()),
            settings: "".parse().unwrap(),
            sealing: SealingKeys::default(),
            key_retention: Duration::from_secs(3_600),
            dead_letter_retention: None,
            erasure_delay: Duration::from_secs(600),
            runtime,
        };
        let mut running = Vec::new();
        for context in [&payment::CONTEXT, &WASH] {
            running.push(Self::start_one(context, folder, &environment).await);
        }
        Harness { environment, running }
    }

    async fn start_one(context: &Context, folder: &Path, environment: &Environment) -> Running {
        let store = format!("sqlite:{}", folder.join(format!("{}.db", context.name)).display());
        let database = Database::open(&store, context.name, &environment.runtime).await.unwrap();
        context.migrate(&database).await.unwrap();
        context.start(database, environment).unwrap()
    }

    /// An event of a reservation, as `rental` publishes it.
    async fn publish<M: Message + Name>(&self, reservation: Id<()>, message: &M) {
        let now = self.environment.runtime.now();
        let event = Envelope {
            event_id: self.environment.runtime.ids.mint::<()>(now).uuid(),
            kind: M::full_name(),
            source: "rental".to_owned(),
            subject: reservation.to_string(),
            at: now,
            correlation_id: reservation.uuid(),
            causation_id: None,
            sequence: 1,
            traceparent: None,
            body: message.encode_to_vec(),
        };
        let events = [event];
        let published = tokio::time::timeout(PATIENCE, self.environment.bus.publish("rental", &events)).await;
        published.expect("both handle it").unwrap();
    }

    fn payments_for(&self, caller: &'static str) -> PeerClient {
        let Environment { peers, identity, runtime, limits, .. } = self.environment.clone();
        PeerClient::new(caller, "payment", peers, identity, runtime.clock, limits)
    }

    /// Waits until the payment of a purchase is in this state.
    async fn eventually(&self, purchase: PurchaseId, state: PaymentState) -> Payment {
        let (client, payment_id) = (self.payments_for("wash"), payment_of(purchase).to_string());
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let request = GetPaymentRequest { payment_id: payment_id.clone() };
                let got = client.call(None, request, |transport, request| async move {
                    PaymentServiceClient::new(transport).get_payment(request).await
                });
                match got.await.ok().and_then(|response| response.payment) {
                    Some(payment) if payment.state() == state => return payment,
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("the payment never was {state:?}"))
    }

    /// A context has a purchase paid.
    async fn collect(&self, seller: &'static str, purchase: PurchaseId) -> Result<Payment, CallError> {
        let request = CollectPaymentRequest {
            request_id: String::new(),
            purchase_id: purchase.to_string(),
            customer_id: "ann".to_owned(),
            amount: Some(price()),
            payment_method: "sandbox-approve".to_owned(),
            seller_reference: "wash".to_owned(),
            used: false,
        };
        let client = self.payments_for(seller);
        let collected = client.call(None, request, |transport, request| async move {
            PaymentServiceClient::new(transport).collect_payment(request).await
        });
        collected.await.map(|response| response.payment.unwrap())
    }

    async fn stop(self) {
        for context in self.running {
            context.stop(Duration::from_secs(5)).await;
        }
    }
}

fn reservation(id: Id<()>) -> Option<Reservation> {
    Some(Reservation {
        reservation_id: id.to_string(),
        car_id: "7".to_owned(),
        customer_id: "ann".to_owned(),
        price: Some(price()),
        ..Reservation::default()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x7_a_new_context_sells_something_and_is_paid_and_no_other_changes() {
    let folder = tempfile::tempdir().unwrap();
    let harness = Harness::start(folder.path()).await;
    let new_trip = || harness.environment.runtime.ids.mint::<()>(harness.environment.runtime.now());
    let (trip, cancelled): (Id<()>, Id<()>) = (new_trip(), new_trip());
    let wash = |reservation| PurchaseId::new(wash_of(reservation).uuid());

    harness.publish(trip, &CarReserved { reservation: reservation(trip) }).await;
    let requested = harness.eventually(wash(trip), PaymentState::Requested).await;
    assert_eq!((requested.seller.as_str(), requested.seller_reference.as_str()), ("wash", "wash"));
    assert_eq!((requested.customer_id.as_str(), requested.amount), ("ann", Some(price())));
    let for_the_car = harness.eventually(PurchaseId::new(trip.uuid()), PaymentState::Requested).await;
    assert_eq!(for_the_car.seller, "rental", "the seller is who published the event");

    let other = harness.collect("mall", wash(trip)).await.expect_err("what the wash sold is not the mall's");
    assert_eq!(other.reason(), "PURCHASE_DIFFERS");
    let paid = harness.collect("wash", wash(trip)).await.unwrap();
    assert_eq!(paid.payment_id, requested.payment_id, "it is the payment that was asked for");
    // It hears that it is paid, washes the car, and says so.
    harness.eventually(wash(trip), PaymentState::Settled).await;

    harness.publish(cancelled, &CarReserved { reservation: reservation(cancelled) }).await;
    harness.eventually(wash(cancelled), PaymentState::Requested).await;
    harness.publish(cancelled, &ReservationCancelled { reservation: reservation(cancelled) }).await;
    harness.eventually(wash(cancelled), PaymentState::Cancelled).await;
    harness.stop().await;
}
