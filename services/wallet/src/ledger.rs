//! Accounts, and entries that move money between them. Pure.
//!
//! An entry is one transfer, by double entry: money flows from the credit account to the debit account, so the accounts
//! of the ledger always add up to 0. The reason of an entry determines the two accounts and the entry's id, so it is
//! posted once.
//!
//! ```text
//! CASH ----top up----> DEPOSIT ----bill----> REVENUE
//!                      ^     ^               |
//!                      |     +----refund-----+
//! REWARDS --report--> POINTS (conversion)
//! ```
//! The company's accounts have no stored balance, which every transaction would write: they are sums of entries.

use std::collections::BTreeMap;
use std::fmt;

use chassis::{Timestamp, ids};

chassis::ids! {
    /// The id of a wallet, made from its owner.
    WalletId = "wallet";
    /// The id of an entry, made from its reason.
    EntryId = "entry";
    /// The id of a reason: of a top-up, bill, report or conversion.
    ReasonId = "reason";
    /// The id of a top-up: that of the purchase in `payment`, and of the flow.
    TopUpId = "top up";
    /// The id of a bill, assigned by `billing`.
    BillId = "bill";
    /// The id of the flow that a bill belongs to: of the ride.
    FlowId = "flow";
    /// The id of a manager's report, assigned by `upkeep`. It is the id of the flow.
    ReportId = "report";
    /// The id of a conversion of points. It is the id of the flow.
    ConversionId = "conversion";
}

/// The wallet of an owner.
pub fn wallet_of(owner: &str) -> WalletId {
    WalletId::new(ids::hash(&[b"wallet", owner.as_bytes()]))
}

/// An account of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// The owner's deposit.
    Deposit,
    /// The owner's points.
    Points,
    /// The company's: money that came in.
    Cash,
    /// The company's: its revenue.
    Revenue,
    /// The company's: rewards for reports.
    Rewards,
}

impl Account {
    /// All of them.
    pub const ALL: [Account; 5] =
        [Account::Deposit, Account::Points, Account::Cash, Account::Revenue, Account::Rewards];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Account::Deposit => "deposit",
            Account::Points => "points",
            Account::Cash => "cash",
            Account::Revenue => "revenue",
            Account::Rewards => "rewards",
        }
    }
}

/// The reason of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Money came in.
    TopUp(TopUpId),
    /// A bill was paid.
    Bill(BillId),
    /// A paid bill was voided.
    Refund(BillId),
    /// Points were earned.
    Report(ReportId),
    /// Points were converted to deposit.
    Conversion(ConversionId),
}

impl Reason {
    /// The credit account, from which the money flows, and the debit account, to which it flows.
    pub fn accounts(self) -> (Account, Account) {
        match self {
            Reason::TopUp(_) => (Account::Cash, Account::Deposit),
            Reason::Bill(_) => (Account::Deposit, Account::Revenue),
            Reason::Refund(_) => (Account::Revenue, Account::Deposit),
            Reason::Report(_) => (Account::Rewards, Account::Points),
            Reason::Conversion(_) => (Account::Points, Account::Deposit),
        }
    }

    /// The account from which the money flows.
    pub fn credit(self) -> Account {
        self.accounts().0
    }

    /// The account to which the money flows.
    pub fn debit(self) -> Account {
        self.accounts().1
    }

    /// The id of the top-up, bill, report or conversion.
    pub fn id(self) -> ReasonId {
        ReasonId::new(match self {
            Reason::TopUp(id) => id.uuid(),
            Reason::Bill(id) | Reason::Refund(id) => id.uuid(),
            Reason::Report(id) => id.uuid(),
            Reason::Conversion(id) => id.uuid(),
        })
    }

    /// The reason with this id for an entry between accounts of these names, if there is one.
    pub fn between(credit: &str, debit: &str, id: ReasonId) -> Option<Reason> {
        let id = id.uuid();
        let all = [
            Reason::TopUp(TopUpId::new(id)),
            Reason::Bill(BillId::new(id)),
            Reason::Refund(BillId::new(id)),
            Reason::Report(ReportId::new(id)),
            Reason::Conversion(ConversionId::new(id)),
        ];
        all.into_iter().find(|reason| (reason.credit().name(), reason.debit().name()) == (credit, debit))
    }

    /// The id of its one entry.
    pub fn entry(self) -> EntryId {
        let (credit, debit) = (self.credit().name().as_bytes(), self.debit().name().as_bytes());
        EntryId::new(ids::hash(&[b"entry", credit, debit, self.id().uuid().as_bytes()]))
    }
}

/// A balance, in the minor unit of the currency; a point counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Money.
    pub deposit: i64,
    /// Points.
    pub points: i64,
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a deposit of {} and {} points", self.deposit, self.points)
    }
}

impl Balance {
    /// The balance after an entry of this reason and amount. An `i64` has room for nine million of the largest amounts.
    #[must_use]
    pub fn after(self, reason: Reason, amount: i64) -> Balance {
        let (credit, debit) = reason.accounts();
        let change = |account: Account| {
            let debited = if debit == account { amount } else { 0 };
            debited - if credit == account { amount } else { 0 }
        };
        Balance { deposit: self.deposit + change(Account::Deposit), points: self.points + change(Account::Points) }
    }
}

/// An entry of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the wallet, from 1 on.
    pub number: i64,
    /// Its reason, which determines the accounts.
    pub reason: Reason,
    /// The amount.
    pub amount: i64,
    /// The balance after it.
    pub after: Balance,
    /// When it was posted.
    pub created_at: Timestamp,
}

/// The balances of the accounts: sums of their entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals(BTreeMap<Account, i64>);

impl Totals {
    /// Adds an entry.
    pub fn take(&mut self, entry: &Entry) {
        *self.0.entry(entry.reason.credit()).or_default() -= entry.amount;
        *self.0.entry(entry.reason.debit()).or_default() += entry.amount;
    }

    /// The balance of an account.
    pub fn of(&self, account: Account) -> i64 {
        self.0.get(&account).copied().unwrap_or_default()
    }
}

/// The entries of a wallet, replayed from the first one on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replay {
    /// The number of entries.
    pub count: i64,
    /// Their sum.
    pub sum: Balance,
    /// The balance in the last entry.
    last: Balance,
}

impl Replay {
    /// Replays the next entry; returns its errors.
    pub fn take(&mut self, entry: &Entry) -> Vec<String> {
        let Entry { number, reason, amount, after, .. } = *entry;
        let mut wrong = Vec::new();
        if number != self.count + 1 {
            wrong.push(format!("entry {number} follows entry {}", self.count));
        }
        if amount <= 0 {
            wrong.push(format!("entry {number} moves {amount}"));
        }
        if after != self.last.after(reason, amount) {
            wrong.push(format!("entry {number} of {amount} leaves {after} of {}", self.last));
        }
        if after.deposit < 0 || after.points < 0 {
            wrong.push(format!("entry {number} leaves less than nothing: {after}"));
        }
        // Go on with the entry's own number and balance, so that one fault is reported once.
        *self = Replay { count: number, sum: self.sum.after(reason, amount), last: after };
        wrong
    }
}
