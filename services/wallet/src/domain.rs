//! A wallet and its legal transitions. Pure: no clock, no database, no network.
//!
//! There is one wallet per owner, so nothing is spent twice. Whatever raises the deposit pays the waiting bills,
//! strictly the oldest first; a bill that arrives while others wait queues behind them.
//!
//! ```text
//!             Pay                       Void
//! (no bill) -------> Paid ------------------------> Void, its money is back in the deposit
//!     |  |             ^ the deposit suffices
//!     |  +--Pay--> Waiting --Void--> Void
//!     +--Void--> Void, and a bill that comes late pays nothing
//! ```
//! Money that a card was charged for is always accepted: the limits are checked before the charge (`Expect`).

use std::collections::{BTreeMap, BTreeSet};

use chassis::error::RefusalCode;
use chassis::values::{Currency, Money};
use chassis::{Aggregate, Timestamp};

pub use crate::ledger::{
    Account, Balance, BillId, ConversionId, Entry, EntryId, FlowId, Reason, ReportId, TopUpId, WalletId, wallet_of,
};

/// The owner and the currency of a wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The subject of the owner.
    pub owner: String,
    /// The currency.
    pub currency: Currency,
}

/// The deposit and points of an owner.
#[derive(Clone, Debug, PartialEq)]
pub struct Wallet {
    /// Its id.
    pub id: WalletId,
    /// Its owner and currency.
    pub holder: Holder,
    /// Its balance.
    pub balance: Balance,
    /// The number of its entries.
    pub entries: i64,
    /// The number of bills that ever waited: the next place in the queue.
    pub waited: i64,
    /// The waiting bills, and those that a command is about.
    pub bills: BTreeMap<BillId, Bill>,
    /// The entries of what a command is about, if they were posted already.
    pub posted: BTreeSet<EntryId>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A bill to be paid from the deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill {
    /// Its id.
    pub id: BillId,
    /// The flow that it belongs to.
    pub flow: FlowId,
    /// The amount.
    pub amount: i64,
    /// Its state.
    pub state: BillState,
    /// When the first event about it was processed.
    pub since: Timestamp,
}

/// States of a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BillState {
    /// It waits for money.
    Waiting {
        /// Its place in the queue.
        place: i64,
    },
    /// It was paid.
    Paid,
    /// It costs nothing.
    Void,
}

impl BillState {
    /// Its place in the queue, if it waits.
    pub fn place(self) -> Option<i64> {
        if let BillState::Waiting { place } = self { Some(place) } else { None }
    }
}

/// Commands of a wallet.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The owner and currency of the wallet.
    pub holder: Holder,
    /// What to do.
    pub operation: Operation,
}

/// The operation of a command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    /// A card will be charged for a top-up. Decides nothing, but refuses one that would exceed a limit.
    Expect(TopUpId, Money),
    /// A card was charged.
    TopUp(TopUpId, i64),
    /// A bill is due.
    Pay(BillId, FlowId, i64),
    /// A bill costs nothing after all.
    Void(BillId, FlowId),
    /// A manager's report earned points.
    Earn(ReportId, i64),
    /// The owner converts points to deposit.
    Convert(ConversionId, i64),
}

impl Operation {
    /// The entry that the operation posts.
    pub fn entry(&self) -> Option<EntryId> {
        match self {
            Operation::Expect(id, _) | Operation::TopUp(id, _) => Some(Reason::TopUp(*id).entry()),
            Operation::Earn(id, _) => Some(Reason::Report(*id).entry()),
            Operation::Convert(id, _) => Some(Reason::Conversion(*id).entry()),
            // The state of the bill says whether it was paid.
            Operation::Pay(..) | Operation::Void(..) => None,
        }
    }

    /// The bill that the operation is about.
    pub fn bill(&self) -> Option<BillId> {
        match self {
            Operation::Pay(id, ..) | Operation::Void(id, _) => Some(*id),
            _ => None,
        }
    }
}

/// Events of a wallet.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The wallet was opened.
    Opened(Holder, Timestamp),
    /// Money came in.
    ToppedUp(Entry),
    /// A bill was paid.
    BillPaid(Bill, Entry),
    /// A bill waits for money.
    BillUnpaid(Bill),
    /// A bill that was paid is void.
    BillRefunded(Bill, Entry),
    /// A bill that waited is void.
    BillDropped(Bill, Timestamp),
    /// A bill was voided before it arrived.
    BillBarred(Bill),
    /// Points were earned.
    PointsEarned(Entry),
    /// Points were converted to deposit.
    PointsConverted(Entry),
}

impl Event {
    /// The bill, in its state after the event.
    pub fn bill(&self) -> Option<&Bill> {
        match self {
            Event::BillPaid(bill, _)
            | Event::BillUnpaid(bill)
            | Event::BillRefunded(bill, _)
            | Event::BillDropped(bill, _)
            | Event::BillBarred(bill) => Some(bill),
            _ => None,
        }
    }

    /// The entry that was posted.
    pub fn entry(&self) -> Option<&Entry> {
        match self {
            Event::ToppedUp(entry)
            | Event::BillPaid(_, entry)
            | Event::BillRefunded(_, entry)
            | Event::PointsEarned(entry)
            | Event::PointsConverted(entry) => Some(entry),
            _ => None,
        }
    }
}

/// Why a command of a wallet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("the deposit is kept in {0}: the amount must be in it, too")]
    WalletCurrency(Currency),
    #[error("the deposit would be more than {max}, which is the most that it can be", max = Money::MAX_MINOR)]
    DepositTooLarge,
    #[error("there are not so many points")]
    NotEnoughPoints,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        RefusalCode::Precondition
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::WalletCurrency(_) => "WALLET_CURRENCY",
            Refusal::DepositTooLarge => "DEPOSIT_TOO_LARGE",
            Refusal::NotEnoughPoints => "NOT_ENOUGH_POINTS",
        }
    }
}

impl Aggregate for Wallet {
    const NAME: &'static str = "wallet";
    type Id = WalletId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(wallet: Option<&Wallet>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Command { holder, operation } = command;
        let is_money = matches!(
            operation,
            Operation::Expect(..) | Operation::TopUp(..) | Operation::Pay(..) | Operation::Convert(..)
        );
        if let Some(kept) =
            wallet.map(|wallet| wallet.holder.currency).filter(|kept| is_money && *kept != holder.currency)
        {
            return Err(Refusal::WalletCurrency(kept));
        }
        let mut book = Book::open(wallet, holder, now);
        match *operation {
            Operation::Expect(_, amount) if amount.currency != holder.currency => {
                return Err(Refusal::WalletCurrency(holder.currency));
            }
            // A repeated operation changes nothing: only a new one is checked.
            _ if operation.entry().is_some_and(|entry| book.wallet.posted.contains(&entry)) => {}
            Operation::Expect(_, amount) => book.check_room(amount.minor)?,
            Operation::TopUp(id, amount) => {
                let entry = book.entry(Reason::TopUp(id), amount);
                book.record(Event::ToppedUp(entry));
            }
            Operation::Pay(id, flow, amount) => book.pay(id, flow, amount),
            Operation::Void(id, flow) => book.void(id, flow),
            Operation::Earn(id, points) => {
                let entry = book.entry(Reason::Report(id), points);
                book.record(Event::PointsEarned(entry));
            }
            Operation::Convert(id, points) => book.convert(id, points)?,
        }
        book.settle();
        Ok(book.events)
    }

    fn evolve(wallet: Option<Wallet>, event: &Event) -> Wallet {
        match (wallet, event) {
            (None, Event::Opened(holder, now)) => Wallet::empty(holder.clone(), *now),
            (None, event) => unreachable!("{event:?} can't be the first event of a wallet"),
            (Some(mut wallet), event) => {
                wallet.apply(event);
                wallet
            }
        }
    }
}

impl Wallet {
    /// A wallet without entries.
    pub fn empty(holder: Holder, now: Timestamp) -> Wallet {
        Wallet {
            id: wallet_of(&holder.owner),
            holder,
            balance: Balance::default(),
            entries: 0,
            waited: 0,
            bills: BTreeMap::new(),
            posted: BTreeSet::new(),
            created_at: now,
            updated_at: now,
        }
    }

    /// The waiting bills.
    pub fn waiting(&self) -> impl Iterator<Item = &Bill> {
        self.bills.values().filter(|bill| bill.state.place().is_some())
    }

    fn oldest_waiting(&self) -> Option<Bill> {
        self.waiting().min_by_key(|bill| bill.state.place()).copied()
    }

    fn apply(&mut self, event: &Event) {
        if let Some(bill) = event.bill() {
            self.bills.insert(bill.id, *bill);
            self.updated_at = bill.since;
        }
        if let Event::BillUnpaid(_) = event {
            self.waited += 1;
        }
        if let Event::BillDropped(_, now) = event {
            self.updated_at = *now;
        }
        if let Some(entry) = event.entry() {
            self.posted.insert(entry.reason.entry());
            self.balance = entry.after;
            self.entries = entry.number;
            self.updated_at = entry.created_at;
        }
    }
}

/// The working copy of a wallet during a decision, with the events so far.
struct Book {
    wallet: Wallet,
    is_new: bool,
    now: Timestamp,
    events: Vec<Event>,
}

impl Book {
    fn open(wallet: Option<&Wallet>, holder: &Holder, now: Timestamp) -> Book {
        let (is_new, events) = (wallet.is_none(), Vec::new());
        let wallet = wallet.cloned().unwrap_or_else(|| Wallet::empty(holder.clone(), now));
        Book { wallet, is_new, now, events }
    }

    fn record(&mut self, event: Event) {
        if self.is_new && self.events.is_empty() {
            self.events.push(Event::Opened(self.wallet.holder.clone(), self.now));
        }
        self.wallet.apply(&event);
        self.events.push(event);
    }

    /// The next entry.
    fn entry(&self, reason: Reason, amount: i64) -> Entry {
        let (number, after) = (self.wallet.entries + 1, self.wallet.balance.after(reason, amount));
        Entry { number, reason, amount, after, created_at: self.now }
    }

    fn check_room(&self, amount: i64) -> Result<(), Refusal> {
        let fits = self.wallet.balance.deposit <= Money::MAX_MINOR - amount;
        if fits { Ok(()) } else { Err(Refusal::DepositTooLarge) }
    }

    /// A bill waits whatever the amount of the arrears: `ride` decides who may rent.
    fn pay(&mut self, id: BillId, flow: FlowId, amount: i64) {
        if self.wallet.bills.contains_key(&id) {
            return;
        }
        let bill = Bill { id, flow, amount, state: BillState::Paid, since: self.now };
        if self.wallet.oldest_waiting().is_none() && self.wallet.balance.deposit >= amount {
            self.pay_from_deposit(bill);
        } else {
            let state = BillState::Waiting { place: self.wallet.waited + 1 };
            self.record(Event::BillUnpaid(Bill { state, ..bill }));
        }
    }

    fn pay_from_deposit(&mut self, bill: Bill) {
        let entry = self.entry(Reason::Bill(bill.id), bill.amount);
        self.record(Event::BillPaid(Bill { state: BillState::Paid, ..bill }, entry));
    }

    fn void(&mut self, id: BillId, flow: FlowId) {
        let known = self.wallet.bills.get(&id).copied();
        let bill = known.unwrap_or(Bill { id, flow, amount: 0, state: BillState::Void, since: self.now });
        let void = Bill { state: BillState::Void, ..bill };
        match known.map(|bill| bill.state) {
            None => self.record(Event::BillBarred(void)),
            Some(BillState::Waiting { .. }) => self.record(Event::BillDropped(void, self.now)),
            Some(BillState::Paid) => {
                let entry = self.entry(Reason::Refund(id), bill.amount);
                self.record(Event::BillRefunded(void, entry));
            }
            Some(BillState::Void) => {}
        }
    }

    fn convert(&mut self, id: ConversionId, points: i64) -> Result<(), Refusal> {
        if self.wallet.balance.points < points {
            return Err(Refusal::NotEnoughPoints);
        }
        self.check_room(points)?;
        let entry = self.entry(Reason::Conversion(id), points);
        self.record(Event::PointsConverted(entry));
        Ok(())
    }

    /// Pays the waiting bills, the oldest first, as far as the deposit suffices.
    fn settle(&mut self) {
        while let Some(bill) = self.wallet.oldest_waiting().filter(|bill| bill.amount <= self.wallet.balance.deposit) {
            self.pay_from_deposit(bill);
        }
    }
}
