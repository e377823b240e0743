//! Accounts, and entries that move money between them. Pure.
//!
//! An entry is one transfer, by double entry: money flows from the credit account to the debit account, so the accounts of
//! the ledger always add up to 0. What an entry was made for determines the two accounts and the entry's id: so it is made
//! once.
//!
//! ```text
//! CASH ----top up----> DEPOSIT ----bill----> REVENUE
//!                      ^     ^               |
//!                      |     +----refund-----+
//! REWARDS --report--> POINTS (conversion)
//! ```
//! The house's accounts have no balance of their own that all would write to: they are sums of entries.

use std::collections::BTreeMap;
use std::fmt;

use chassis::{Timestamp, ids};

chassis::ids! {
    /// The id of a wallet, made from its owner.
    WalletId = "wallet";
    /// The id of an entry, made from what it was made for.
    EntryId = "entry";
    /// The id of what an entry was made for, whatever that is.
    ReasonId = "reason";
    /// The id of a top up: that of the purchase in `payment`, and of the flow.
    TopUpId = "top up";
    /// The id of a bill, which `billing` gave it.
    BillId = "bill";
    /// The id of the flow that a bill belongs to: of the ride.
    FlowId = "flow";
    /// The id of a manager's report, which `upkeep` gave it. It is the id of the flow.
    ReportId = "report";
    /// The id of a conversion of points. It is the id of the flow.
    ConversionId = "conversion";
}

/// The wallet of an owner.
pub fn wallet_of(owner: &str) -> WalletId {
    WalletId::new(ids::hash(&[b"wallet", owner.as_bytes()]))
}

/// What holds money or points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// The owner's deposit.
    Deposit,
    /// The owner's points.
    Points,
    /// The house: money that came in.
    Cash,
    /// The house: what it earned.
    Revenue,
    /// The house: what it gave for reports.
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

/// What an entry was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Money came in.
    TopUp(TopUpId),
    /// A bill was paid.
    Bill(BillId),
    /// A bill that was paid is void.
    Refund(BillId),
    /// Points were earned.
    Report(ReportId),
    /// Points became deposit.
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

    /// The id of the top up, bill, report or conversion.
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

    /// The id of the entry that is made for it, once.
    pub fn entry(self) -> EntryId {
        let (credit, debit) = (self.credit().name().as_bytes(), self.debit().name().as_bytes());
        EntryId::new(ids::hash(&[b"entry", credit, debit, self.id().uuid().as_bytes()]))
    }
}

/// What a wallet holds, in the minor unit of its currency; a point counts as one.
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
    /// What it is after an entry of so much, made for this. An `i64` has room for nine million of the largest amounts.
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

/// Money or points that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which one of its wallet, from 1 on.
    pub number: i64,
    /// What it was made for; between which accounts.
    pub reason: Reason,
    /// How much.
    pub amount: i64,
    /// What the wallet holds after it.
    pub after: Balance,
    /// When.
    pub created_at: Timestamp,
}

/// What the accounts hold, by their entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals(BTreeMap<Account, i64>);

impl Totals {
    /// Takes an entry in.
    pub fn take(&mut self, entry: &Entry) {
        *self.0.entry(entry.reason.credit()).or_default() -= entry.amount;
        *self.0.entry(entry.reason.debit()).or_default() += entry.amount;
    }

    /// What an account holds.
    pub fn of(&self, account: Account) -> i64 {
        self.0.get(&account).copied().unwrap_or_default()
    }
}

/// The entries of a wallet, replayed from the first one on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replay {
    /// How many there were.
    pub count: i64,
    /// What they add up to.
    pub sum: Balance,
    /// What the last one says that the wallet holds.
    last: Balance,
}

impl Replay {
    /// Replays the next entry; returns what is wrong with it.
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
        // From here on by its own account, so that one fault is found once.
        *self = Replay { count: number, sum: self.sum.after(reason, amount), last: after };
        wrong
    }
}
