//! Pages: rows that show one flow of a line of business each, made from the events of all who take part in it.
//!
//! **Invariant**: a row is a function of the events, whatever their order. What changes, the newest event says: a row
//! knows the sequence of what it shows, and an older event does not touch that. What never changes, such as a period, any
//! event says. The time of something is said by the one event that tells of it.

use std::collections::{BTreeMap, BTreeSet};

use chassis::page::Cursor;
use chassis::{Envelope, Error, Subscription, Malformed, Tx, Projection, db, decode};
use contracts::payment::v1::{
    Payment, PaymentApproved, PaymentCancellationRefused, PaymentCancellationRequested, PaymentCancelled,
    PaymentRefused, PaymentRequested, PaymentSettled,
};
use prost::{Message, Name};

use crate::bike_rides::BikeRide;
use crate::car_rentals::CarRental;
use crate::orders::Order;
use crate::stays::Stay;
use crate::taxi_rides::TaxiRide;
use crate::wallets::Wallet;

chassis::ids! {
    /// The id of the flow that a page shows: that of a reservation, of a hail.
    FlowId = "flow";
}

/// All pages. They are made anew together.
pub enum Pages {}

impl Projection for Pages {
    fn subscription() -> Subscription {
        let lines = [CarRental::rules().kinds(), TaxiRide::rules().kinds(), Stay::rules().kinds()];
        let others = [BikeRide::rules().kinds(), Wallet::rules().kinds(), Order::rules().kinds()];
        let kinds: BTreeSet<String> = lines.into_iter().chain(others).flatten().collect();
        Subscription::Kinds(kinds.into_iter().collect())
    }

    async fn apply(tx: Tx<'_>, events: &[Envelope]) -> Result<(), Error> {
        db::try_join!(
            take_in::<CarRental>(tx, events),
            take_in::<TaxiRide>(tx, events),
            take_in::<Stay>(tx, events),
            take_in::<BikeRide>(tx, events),
            take_in::<Wallet>(tx, events),
            take_in::<Order>(tx, events),
        )?;
        Ok(())
    }

    async fn clear(tx: Tx<'_>) -> Result<(), Error> {
        db::try_join!(
            CarRental::clear(tx),
            TaxiRide::clear(tx),
            Stay::clear(tx),
            BikeRide::clear(tx),
            Wallet::clear(tx),
            Order::clear(tx),
        )?;
        Ok(())
    }
}

/// A kind of page.
pub trait Page: db::Row {
    /// What it is made from.
    fn rules() -> &'static Rules<Self>;
    /// The page of a flow of which nothing was heard.
    fn blank(flow: FlowId) -> Self;
    /// Which flow it shows.
    fn flow(&self) -> FlowId;
    /// Whose it is; none while only others' events were heard of.
    fn customer(&self) -> Option<&str>;
    /// How often it was written.
    fn version(&mut self) -> &mut i64;
    /// Pages by flow.
    fn read(tx: Tx<'_>, flows: &[FlowId]) -> impl Future<Output = Result<Vec<Self>, Error>> + Send;
    /// Some of them, newest first: those of a customer, or all. Nobody sees one whose beginning was not heard of, for it is
    /// not known whose it is.
    fn list(
        tx: Tx<'_>,
        customer: Option<&str>,
        which: &chassis::Page<Cursor>,
    ) -> impl Future<Output = Result<(Vec<Self>, String), Error>> + Send;
    /// Removes all of them.
    fn clear(tx: Tx<'_>) -> impl Future<Output = Result<(), Error>> + Send;
}

/// A kind of page of what is paid through `payment`.
pub trait PaidPage: Page {
    /// What it shows of the payment.
    fn payment(&mut self) -> Paid<'_>;
}

/// Makes pages of a table's rows. The table has the columns `id` (of the flow), `version` and `customer`, and if it is
/// `paid` those of the payment; the one named is the time that pages are listed by.
macro_rules! page {
    ($Row:ident in $table:ident by $at:ident, paid) => {
        $crate::pages::page!($Row in $table by $at);

        impl $crate::pages::PaidPage for $Row {
            fn payment(&mut self) -> $crate::pages::Paid<'_> {
                let $Row { payment, payment_state, payment_sequence, .. } = self;
                $crate::pages::Paid { id: payment, state: payment_state, sequence: payment_sequence }
            }
        }
    };

    ($Row:ident in $table:ident by $at:ident) => {
        impl $crate::pages::Page for $Row {
            fn rules() -> &'static $crate::pages::Rules<$Row> {
                &super::RULES
            }

            fn blank(flow: $crate::pages::FlowId) -> $Row {
                $Row::new(flow)
            }

            fn flow(&self) -> $crate::pages::FlowId {
                self.id
            }

            fn customer(&self) -> Option<&str> {
                self.customer.as_deref()
            }

            fn version(&mut self) -> &mut i64 {
                &mut self.version
            }

            async fn read(tx: chassis::Tx<'_>, flows: &[$crate::pages::FlowId]) -> Result<Vec<$Row>, chassis::Error> {
                let query = $table::table.filter($table::id.eq_any(flows));
                Ok(chassis::sql!(tx, |c| query.select($Row::as_select()).load(c))?)
            }

            async fn list(
                tx: chassis::Tx<'_>,
                customer: Option<&str>,
                which: &chassis::Page<chassis::page::Cursor>,
            ) -> Result<(Vec<$Row>, String), chassis::Error> {
                let began_at = $table::$at.assume_not_null();
                let mut rows: Vec<(chassis::Timestamp, $Row)> = chassis::sql!(tx, |c| {
                    let query = $table::table.filter($table::customer.is_not_null());
                    let mut query = query.select((began_at, $Row::as_select())).into_boxed();
                    if let Some(customer) = customer {
                        query = query.filter($table::customer.eq(customer));
                    }
                    if let Some(chassis::page::Cursor { at, id }) = which.after {
                        let id = $crate::pages::FlowId::new(id);
                        query = query.filter(began_at.lt(at).or(began_at.eq(at).and($table::id.lt(id))));
                    }
                    query.order((began_at.desc(), $table::id.desc())).limit(which.limit()).load(c)
                })?;
                let next = which.cut(&mut rows, |(at, row)| chassis::page::Cursor { at: *at, id: row.id.uuid() });
                Ok((rows.into_iter().map(|(_, row)| row).collect(), next))
            }

            async fn clear(tx: chassis::Tx<'_>) -> Result<(), chassis::Error> {
                chassis::sql!(tx, |c| diesel::delete($table::table).execute(c))?;
                Ok(())
            }
        }
    };
}
pub(crate) use page;

/// What a page shows of the payment of its flow.
pub struct Paid<'a> {
    /// Its id.
    pub id: &'a mut Option<String>,
    /// Where it stands, as the contract's number.
    pub state: &'a mut i32,
    /// The sequence of the event that said so.
    pub sequence: &'a mut i64,
}

/// What an event tells of one page.
pub struct News<P> {
    flow: FlowId,
    fold: Box<dyn Fn(&mut P) + Send + Sync>,
}

impl<P> News<P> {
    /// Tells this of the page of a flow.
    pub fn of(flow: FlowId, fold: impl Fn(&mut P) + Send + Sync + 'static) -> News<P> {
        News { flow, fold: Box::new(fold) }
    }
}

/// Tells what an event says; none if it is about another line's flow.
type Rule<P> = Box<dyn Fn(&Envelope) -> Result<Option<News<P>>, Malformed> + Send + Sync>;

/// The events that a kind of page is made from, by full name, and what each tells.
pub struct Rules<P>(BTreeMap<String, Rule<P>>);

impl<P: Page> Rules<P> {
    /// No rule yet.
    pub fn new() -> Rules<P> {
        Rules(BTreeMap::new())
    }

    /// An `M` tells this.
    #[must_use]
    pub fn on<M, T>(mut self, tell: T) -> Rules<P>
    where
        M: Message + Name + Default,
        T: Fn(M, &Envelope) -> Result<News<P>, Malformed> + Send + Sync + 'static,
    {
        self.0.insert(M::full_name(), Box::new(move |event| tell(event.decode::<M>()?, event).map(Some)));
        self
    }

    /// The full names of the events.
    pub fn kinds(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn tell(&self, event: &Envelope) -> Result<Option<News<P>>, Malformed> {
        self.0.get(&event.kind).map_or(Ok(None), |rule| rule(event))
    }
}

impl<P: PaidPage> Rules<P> {
    /// The payments of a line of business, known by what its contexts note with a purchase: `car/…` is the line `car`.
    #[must_use]
    pub fn payments_of(self, line: &'static str) -> Rules<P> {
        self.payment(line, |event: PaymentRequested| event.payment)
            .payment(line, |event: PaymentApproved| event.payment)
            .payment(line, |event: PaymentRefused| event.payment)
            .payment(line, |event: PaymentCancellationRequested| event.payment)
            .payment(line, |event: PaymentCancellationRefused| event.payment)
            .payment(line, |event: PaymentCancelled| event.payment)
            .payment(line, |event: PaymentSettled| event.payment)
    }

    fn payment<M>(mut self, line: &'static str, payment: fn(M) -> Option<Payment>) -> Rules<P>
    where
        M: Message + Name + Default + 'static,
    {
        let rule: Rule<P> = Box::new(move |event| {
            let payment = decode::present("payment", payment(event.decode::<M>()?))?;
            if payment.seller_reference.split('/').next() != Some(line) {
                return Ok(None);
            }
            let (sequence, flow) = (event.sequence, decode::parsed("purchase_id", &payment.purchase_id)?);
            Ok(Some(News::of(flow, move |page: &mut P| {
                let shown = page.payment();
                *shown.id = Some(payment.payment_id.clone());
                if sequence > *shown.sequence {
                    (*shown.sequence, *shown.state) = (sequence, payment.state);
                }
            })))
        });
        self.0.insert(M::full_name(), rule);
        self
    }
}

/// Takes events into the pages that they are about. [`Error::Conflict`] if one was changed by others meanwhile: the past
/// comes from the chronicle while new events come in.
async fn take_in<P: Page>(tx: Tx<'_>, events: &[Envelope]) -> Result<(), Error> {
    let told = events.iter().map(|event| P::rules().tell(event)).collect::<Result<Vec<_>, Malformed>>();
    let news: Vec<News<P>> =
        told.map_err(|malformed| Error::Internal(malformed.to_string()))?.into_iter().flatten().collect();
    let flows: BTreeSet<FlowId> = news.iter().map(|news| news.flow).collect();
    if flows.is_empty() {
        return Ok(());
    }
    let flows: Vec<FlowId> = flows.into_iter().collect();
    let known = P::read(tx, &flows).await?;
    let mut pages: BTreeMap<FlowId, P> = known.into_iter().map(|page| (page.flow(), page)).collect();
    for News { flow, fold } in news {
        fold(pages.entry(flow).or_insert_with(|| P::blank(flow)));
    }
    save(tx, pages.into_values().collect()).await
}

async fn save<P: Page>(tx: Tx<'_>, pages: Vec<P>) -> Result<(), Error> {
    let count = pages.len();
    let (mut new, mut old, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for mut page in pages {
        let version = page.version();
        *version += 1;
        match *version {
            1 => new.push(page),
            now => {
                read.push(now - 1);
                old.push(page);
            }
        }
    }
    let (inserted, updated) = db::try_join!(db::insert(tx, &new), db::update(tx, &old, &read))?;
    if inserted + updated == count { Ok(()) } else { Err(Error::Conflict) }
}

/// What the tests of all kinds of pages need.
#[cfg(test)]
pub mod testing {
    use super::*;
    use chassis::Timestamp;
    use contracts::payment::v1::PaymentState;

    /// The flow that the tests tell of.
    pub const FLOW: &str = "00000000-0000-4000-8000-000000000001";

    pub fn flow() -> FlowId {
        FLOW.parse().expect("the test gives a UUID")
    }

    pub fn envelope<M: Message + Name>(message: &M, sequence: i64) -> Envelope {
        Envelope {
            event_id: flow().uuid(),
            kind: M::full_name(),
            source: String::new(),
            subject: String::new(),
            at: Timestamp::from_micros(sequence * 1_000_000),
            correlation_id: flow().uuid(),
            causation_id: None,
            sequence,
            traceparent: None,
            body: message.encode_to_vec(),
        }
    }

    pub fn paid(line: &str, state: PaymentState) -> Option<Payment> {
        let (payment_id, purchase_id, seller_reference) = ("pay".into(), FLOW.into(), format!("{line}/it"));
        Some(Payment { payment_id, purchase_id, seller_reference, state: state.into(), ..Default::default() })
    }

    impl<P: Page> Rules<P> {
        /// Takes an event into a page, whichever it is.
        pub fn take(&self, event: &Envelope, page: &mut P) {
            if let Some(news) = self.tell(event).expect("it is right") {
                (news.fold)(page);
            }
        }
    }

    /// The page that the events make in this order.
    pub fn page<'a, P: Page>(events: impl IntoIterator<Item = &'a Envelope>) -> P {
        let mut page = P::blank(flow());
        for event in events {
            P::rules().take(event, &mut page);
        }
        page
    }

    /// Checks that the events make the same page in every order, and that none of them changes it when it comes again.
    pub fn check_every_order<P: Page + PartialEq + std::fmt::Debug>(mut events: Vec<Envelope>) {
        let (expected, mut orders, length) = (page::<P>(&events), 0, events.len());
        for again in &events {
            assert_eq!(page::<P>(events.iter().chain([again])), expected, "{} came again", again.kind);
        }
        for_every_order(&mut events, length, &mut |events| {
            assert_eq!(page::<P>(events), expected);
            orders += 1;
        });
        assert_eq!(orders, (1..=length).product::<usize>());
    }

    /// Calls `check` with every order of `items[..length]` before the rest.
    fn for_every_order<T>(items: &mut [T], length: usize, check: &mut impl FnMut(&[T])) {
        if length <= 1 {
            return check(items);
        }
        for index in 0..length {
            items.swap(index, length - 1);
            for_every_order(items, length - 1, check);
            items.swap(index, length - 1);
        }
    }

    #[test]
    fn an_event_that_breaks_its_contract_is_malformed() {
        let nothing = envelope(&PaymentRequested { payment: None }, 1);
        assert!(CarRental::rules().tell(&nothing).is_err());
    }

    #[test]
    fn a_payment_of_another_line_is_not_told() {
        let other = envelope(&PaymentRequested { payment: paid("cart", PaymentState::Requested) }, 1);
        assert!(CarRental::rules().tell(&other).expect("it is right").is_none());
    }
}
