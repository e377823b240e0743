//! Summaries: rows that show one flow of a line of business each, made from the events of all who take part in it. The
//! kinds of summaries are in modules of their own; this one knows none of them.
//!
//! **Invariant**: a row is a function of the events, whatever their order. A value that changes comes from the newest
//! event: the row stores the sequence of that event, and an older one does not overwrite it. A value that never
//! changes, such as a period, comes from any event. The time of a step comes from the one event about that step.

#[cfg(test)]
pub mod testing;

use std::collections::{BTreeMap, BTreeSet};

use chassis::ids::Kind;
use chassis::page::{Cursor, MAX_SIZE};
use chassis::values::Intervention;
use chassis::{Envelope, Error, Fields, Id, Malformed, Page, Timestamp, Tx, db, decode};
use contracts::money::v1::Money;
use contracts::payment::v1::{
    Payment, PaymentApproved, PaymentCancellationRefused, PaymentCancellationRequested, PaymentCancelled,
    PaymentDelayed, PaymentRefunded, PaymentRefused, PaymentRequested, PaymentSettled, PaymentState,
};
use contracts::place::v1::Place;
use prost::{Message, Name};

/// A kind of summary. [`summary!`] makes it.
pub trait Summary: db::Row + Kind + Clone {
    /// Its label, such as `car rental`. Its [`Kind`] is that of its id: `reservation`.
    const LABEL: &'static str;
    /// The events that it is made from, and how.
    fn rules() -> &'static Rules<Self>;
    /// The summary of a flow without events.
    fn blank(id: Id<Self>) -> Self;
    /// The flow that it shows.
    fn id(&self) -> Id<Self>;
    /// Whose it is; none as long as its first event is missing.
    fn customer(&self) -> Option<&str>;
    /// Whether the flow is not at its end, or not paid.
    fn is_open(&self) -> bool;
    /// The version of the row.
    fn version(&mut self) -> &mut i64;
    /// Summaries by id.
    fn read(tx: Tx<'_>, ids: &[Id<Self>]) -> impl Future<Output = Result<Vec<Self>, Error>> + Send;
    /// A page of them, newest first: those of a customer, or all. Those without a customer are left out: they are not
    /// visible yet.
    fn list(
        tx: Tx<'_>,
        customer: Option<&str>,
        page: &Page<Cursor>,
    ) -> impl Future<Output = Result<(Vec<Self>, String), Error>> + Send;
    /// Removes all of them.
    fn clear(tx: Tx<'_>) -> impl Future<Output = Result<(), Error>> + Send;
}

/// A kind of summary of what is paid through `payment`.
pub trait PaidSummary: Summary {
    /// What it shows of the payment.
    fn payment(&mut self) -> Paid<'_>;
}

/// What a summary shows of the payment of its flow.
pub struct Paid<'a> {
    /// Its id.
    pub id: &'a mut Option<String>,
    /// Its state, as the contract's number.
    pub state: &'a mut i32,
    /// The sequence of the event that the state comes from.
    pub sequence: &'a mut i64,
}

/// Declares a kind of summary, with its label, the kind of its id, the time that lists are ordered by, and the columns
/// of its table besides `id`, `version` and `customer`; if it is `paid`, also besides those of the payment. The
/// function `rules` beside it makes its rules, the function `is_open` says whether its flow is open.
macro_rules! summary {
    (
        $(#[$attribute:meta])*
        $table:ident as $Row:ident, $label:literal of a $kind:literal, newest by $at:ident, paid { $($columns:tt)+ }
    ) => {
        $crate::summary::summary! {
            $(#[$attribute])*
            $table as $Row, $label of a $kind, newest by $at {
                payment: Option<String> as Nullable<Text>,
                payment_sequence: i64 as BigInt,
                payment_state: i32 as Integer,
                $($columns)+
            }
        }

        impl $crate::summary::PaidSummary for $Row {
            fn payment(&mut self) -> $crate::summary::Paid<'_> {
                let $Row { payment, payment_state, payment_sequence, .. } = self;
                $crate::summary::Paid { id: payment, state: payment_state, sequence: payment_sequence }
            }
        }
    };

    (
        $(#[$attribute:meta])*
        $table:ident as $Row:ident, $label:literal of a $kind:literal, newest by $at:ident
        { $($column:ident: $type:ty as $sql:ty),+ $(,)? }
    ) => {
        chassis::table! {
            $(#[$attribute])*
            $table (id) as pub $Row {
                id: chassis::Id<$Row> as SqlUuid,
                version: i64 as BigInt,
                customer: Option<String> as Nullable<Text>,
                $($column: $type as $sql),+
            }
        }

        impl chassis::ids::Kind for $Row {
            const NAME: &'static str = $kind;
        }

        impl $crate::summary::Summary for $Row {
            const LABEL: &'static str = $label;

            fn rules() -> &'static $crate::summary::Rules<$Row> {
                static RULES: std::sync::LazyLock<$crate::summary::Rules<$Row>> = std::sync::LazyLock::new(rules);
                &RULES
            }

            fn blank(id: chassis::Id<$Row>) -> $Row {
                $Row { id, version: 0, customer: None, $($column: Default::default()),+ }
            }

            fn id(&self) -> chassis::Id<$Row> {
                self.id
            }

            fn customer(&self) -> Option<&str> {
                self.customer.as_deref()
            }

            fn is_open(&self) -> bool {
                is_open(self)
            }

            fn version(&mut self) -> &mut i64 {
                &mut self.version
            }

            async fn read(tx: chassis::Tx<'_>, ids: &[chassis::Id<$Row>]) -> Result<Vec<$Row>, chassis::Error> {
                let query = $table::table.filter($table::id.eq_any(ids));
                Ok(chassis::sql!(tx, |c| query.select($Row::as_select()).load(c))?)
            }

            async fn list(
                tx: chassis::Tx<'_>,
                customer: Option<&str>,
                page: &chassis::Page<chassis::page::Cursor>,
            ) -> Result<(Vec<$Row>, String), chassis::Error> {
                chassis::newest!(
                    tx, page, $Row in $table by nullable $at where $table::customer.is_not_null();
                    customer: $table::customer.eq(customer);
                    |row| row
                )
            }

            async fn clear(tx: chassis::Tx<'_>) -> Result<(), chassis::Error> {
                chassis::sql!(tx, |c| diesel::delete($table::table).execute(c))?;
                Ok(())
            }
        }
    };
}
pub(crate) use summary;

/// What an event changes in one summary.
pub struct Update<S> {
    id: Id<S>,
    apply: Box<dyn FnOnce(&mut S) + Send>,
}

impl<S> Update<S> {
    /// Changes the summary of a flow.
    pub fn of(id: Id<S>, apply: impl FnOnce(&mut S) + Send + 'static) -> Update<S> {
        Update { id, apply: Box::new(apply) }
    }
}

/// Decodes an event to its update; none if it is about another line's flow.
type Rule<S> = Box<dyn Fn(&Envelope) -> Result<Option<Update<S>>, Malformed> + Send + Sync>;

/// The events that a kind of summary is made from, by full name, and the update of each.
pub struct Rules<S>(BTreeMap<String, Rule<S>>);

impl<S: Summary> Rules<S> {
    /// No rule yet.
    pub fn new() -> Rules<S> {
        Rules(BTreeMap::new())
    }

    /// An `M` leads to this update.
    #[must_use]
    pub fn on<M, T>(mut self, update: T) -> Rules<S>
    where
        M: Message + Name + Default,
        T: Fn(M, &Envelope) -> Result<Update<S>, Malformed> + Send + Sync + 'static,
    {
        self.0.insert(M::full_name(), Box::new(move |event| update(event.decode::<M>()?, event).map(Some)));
        self
    }

    /// The full names of the events.
    pub fn events(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// The update that an event leads to; none if it is about another line's flow.
    pub fn decode(&self, event: &Envelope) -> Result<Option<Update<S>>, Malformed> {
        self.0.get(&event.kind).map_or(Ok(None), |rule| rule(event))
    }
}

impl<S: PaidSummary> Rules<S> {
    /// The payments for what this context sells.
    #[must_use]
    pub fn payments_of(self, seller: &'static str) -> Rules<S> {
        self.payment(seller, |event: PaymentRequested| event.payment)
            .payment(seller, |event: PaymentApproved| event.payment)
            .payment(seller, |event: PaymentRefused| event.payment)
            .payment(seller, |event: PaymentCancellationRequested| event.payment)
            .payment(seller, |event: PaymentCancellationRefused| event.payment)
            .payment(seller, |event: PaymentCancelled| event.payment)
            .payment(seller, |event: PaymentSettled| event.payment)
            .payment(seller, |event: PaymentDelayed| event.payment)
            .payment(seller, |event: PaymentRefunded| event.payment)
    }

    fn payment<M>(mut self, seller: &'static str, payment: fn(M) -> Option<Payment>) -> Rules<S>
    where
        M: Message + Name + Default + 'static,
    {
        let rule: Rule<S> = Box::new(move |event| {
            let payment = decode::present("payment", payment(event.decode::<M>()?))?;
            if payment.sold_by() != seller {
                return Ok(None);
            }
            let (sequence, id) = (event.sequence, decode::parsed("purchase_id", &payment.purchase_id)?);
            Ok(Some(Update::of(id, move |summary: &mut S| {
                let shown = summary.payment();
                *shown.id = Some(payment.payment_id);
                if sequence > *shown.sequence {
                    (*shown.sequence, *shown.state) = (sequence, payment.state);
                }
            })))
        });
        self.0.insert(M::full_name(), rule);
        self
    }
}

/// Applies events to the summaries that they are about. [`Error::Conflict`] if another transaction changed one of them
/// meanwhile: a rebuild reads the chronicle while new events come in.
pub async fn apply<S: Summary>(tx: Tx<'_>, events: &[Envelope]) -> Result<(), Error> {
    let updates = events.iter().filter_map(|event| S::rules().decode(event).transpose());
    let updates: Result<Vec<Update<S>>, Malformed> = updates.collect();
    let updates = updates.map_err(|malformed| Error::Internal(malformed.to_string()))?;
    let ids: BTreeSet<Id<S>> = updates.iter().map(|update| update.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<Id<S>> = ids.into_iter().collect();
    let known = S::read(tx, &ids).await?;
    let mut summaries: BTreeMap<Id<S>, S> = known.into_iter().map(|summary| (summary.id(), summary)).collect();
    for Update { id, apply } in updates {
        apply(summaries.entry(id).or_insert_with(|| S::blank(id)));
    }
    save(tx, summaries.into_values().collect()).await
}

async fn save<S: Summary>(tx: Tx<'_>, summaries: Vec<S>) -> Result<(), Error> {
    let count = summaries.len();
    let (mut new, mut old, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for mut summary in summaries {
        let version = summary.version();
        *version += 1;
        match *version {
            1 => new.push(summary),
            now => {
                read.push(now - 1);
                old.push(summary);
            }
        }
    }
    let (inserted, updated) = db::try_join!(db::insert(tx, &new), db::update(tx, &old, &read))?;
    if inserted + updated == count { Ok(()) } else { Err(Error::Conflict) }
}

/// Whether a payment in this state is not at its end: the customer owes it, or gets it back.
pub fn is_owed(state: i32) -> bool {
    use PaymentState::{Cancelling, Charging, Refunding, Refused, Requested};
    matches!(PaymentState::try_from(state), Ok(Requested | Charging | Refused | Cancelling | Refunding))
}

/// The open flows of a customer, for people: `car rental 0190…`.
pub async fn open<S: Summary>(tx: Tx<'_>, customer: &str) -> Result<Vec<String>, Error> {
    let (mut open, mut token) = (Vec::new(), String::new());
    loop {
        let mut fields = Fields::new();
        let page = Page::parse(&mut fields, MAX_SIZE, &token, &[]);
        let page = fields.finish(page)?;
        let (summaries, next) = S::list(tx, Some(customer), &page).await?;
        open.extend(
            summaries.iter().filter(|summary| summary.is_open()).map(|one| format!("{} {}", S::LABEL, one.id())),
        );
        if next.is_empty() {
            return Ok(open);
        }
        token = next;
    }
}

/// A time of a row in the contract.
pub fn time(time: Option<Timestamp>) -> Option<prost_types::Timestamp> {
    time.map(Timestamp::to_proto)
}

/// An amount of a row in the contract.
pub fn money(currency: Option<String>, minor: Option<i64>) -> Option<Money> {
    currency.zip(minor).map(|(currency_code, amount_minor)| Money { currency_code, amount_minor })
}

/// What staff did, in the contract.
pub fn intervention(
    staff: Option<String>,
    reason: Option<String>,
    at: Option<Timestamp>,
) -> Option<contracts::intervention::v1::Intervention> {
    Intervention::from_columns(staff, reason, at).map(Into::into)
}

/// A place of a row in the contract.
pub fn place(name: Option<String>, latitude: Option<f64>, longitude: Option<f64>) -> Option<Place> {
    name.map(|name| Place { name, latitude, longitude })
}
