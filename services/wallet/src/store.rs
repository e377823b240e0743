//! Wallets, their entries and bills in tables, and what others hear of them.

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::{self, prelude::*};
use chassis::values::{Currency, Money};
use chassis::{Change, Error, Loaded, Page, Publication, Store, Timestamp, Tx, LoadRequest, sql};
use contracts::wallet::v1 as proto;

use crate::domain::{
    Account, Balance, Bill, BillId, BillState, Command, Entry, EntryId, Event, FlowId, Holder, Reason, Wallet, WalletId,
};
use crate::ledger::ReasonId;

diesel::table! {
    use chassis::db::sql_types::*;
    wallets (id) {
        id -> SqlUuid,
        version -> BigInt,
        owner -> Text,
        currency -> Text,
        deposit_minor -> BigInt,
        points -> BigInt,
        entries -> BigInt,
        waited -> BigInt,
        created_at -> SqlTime,
        updated_at -> SqlTime,
    }
}

diesel::table! {
    use chassis::db::sql_types::*;
    entries (id) {
        id -> SqlUuid,
        wallet -> SqlUuid,
        number -> BigInt,
        giver -> Text,
        taker -> Text,
        amount_minor -> BigInt,
        reason -> SqlUuid,
        deposit_minor -> BigInt,
        points -> BigInt,
        created_at -> SqlTime,
    }
}

diesel::table! {
    use chassis::db::sql_types::*;
    bills (wallet, id) {
        wallet -> SqlUuid,
        id -> SqlUuid,
        flow -> SqlUuid,
        amount_minor -> BigInt,
        state -> Text,
        place -> Nullable<BigInt>,
        since -> SqlTime,
    }
}

chassis::rows! {
    /// A wallet without its bills.
    pub struct WalletRow in wallets (id) {
        id: WalletId,
        version: i64,
        owner: String,
        currency: String,
        deposit_minor: i64,
        points: i64,
        entries: i64,
        waited: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

chassis::rows! {
    /// An entry.
    pub struct EntryRow in entries (id) {
        id: EntryId,
        wallet: WalletId,
        number: i64,
        giver: String,
        taker: String,
        amount_minor: i64,
        reason: ReasonId,
        deposit_minor: i64,
        points: i64,
        created_at: Timestamp,
    }
}

chassis::rows! {
    /// A bill.
    pub struct BillRow in bills (wallet, id) {
        wallet: WalletId,
        id: BillId,
        flow: FlowId,
        amount_minor: i64,
        state: String,
        place: Option<i64>,
        since: Timestamp,
    }
}

impl Store for Wallet {
    type Answer = proto::Wallet;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let ids = request.ids();
        let about: Vec<BillId> = request.commands().filter_map(|command| command.order.bill()).collect();
        let made: Vec<EntryId> = request.commands().filter_map(|command| command.order.entry()).collect();
        let wallets = async {
            let query = wallets::table.filter(wallets::id.eq_any(&ids));
            sql!(tx, |c| query.select(WalletRow::as_select()).load::<WalletRow>(c))
        };
        let bills = async {
            // Written out, so that each half has an index, whatever has piled up.
            let waiting = bills::wallet.eq_any(&ids).and(bills::place.is_not_null());
            let named = bills::wallet.eq_any(&ids).and(bills::id.eq_any(&about));
            let query = bills::table.filter(waiting.or(named));
            sql!(tx, |c| query.select(BillRow::as_select()).load::<BillRow>(c))
        };
        let posted = async {
            let query = entries::table.filter(entries::id.eq_any(&made)).select((entries::wallet, entries::id));
            if made.is_empty() { Ok(vec![]) } else { sql!(tx, |c| query.load::<(WalletId, EntryId)>(c)) }
        };
        // The version first: what is read after it is at least as new, so what is decided on old rows is never written.
        let (wallets, bills, posted) = db::try_join!(wallets, bills, posted)?;
        let mut bills_of: BTreeMap<WalletId, BTreeMap<BillId, Bill>> = BTreeMap::new();
        for row in bills {
            bills_of.entry(row.wallet).or_default().insert(row.id, row.try_into()?);
        }
        let mut posted_of: BTreeMap<WalletId, BTreeSet<EntryId>> = BTreeMap::new();
        for (wallet, entry) in posted {
            posted_of.entry(wallet).or_default().insert(entry);
        }
        let loaded = |row: WalletRow| {
            let (id, version) = (row.id, row.version);
            let (bills, posted) = (bills_of.remove(&id).unwrap_or_default(), posted_of.remove(&id).unwrap_or_default());
            Ok(Loaded { id, version, state: row.wallet(bills, posted)? })
        };
        wallets.into_iter().map(loaded).collect()
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        // The version of the wallet guards its entries and bills too.
        let touched: Vec<BillRow> = changes.iter().flat_map(touched).collect();
        let made: Vec<EntryRow> = changes.iter().flat_map(made).collect();
        let saved =
            db::try_join!(db::save(tx, changes, WalletRow::new), db::upsert(tx, &touched), db::insert(tx, &made));
        let ((), _, inserted) = saved?;
        if inserted < made.len() {
            // Nobody else wrote these wallets, so it is not for trying again: two wallets were told to do the same thing.
            return Err(Error::Internal("what an entry is made for was done in another wallet".into()));
        }
        Ok(())
    }

    fn answer(&self, _: &Command) -> proto::Wallet {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (id, wallet) = (self.id, Some(proto::Wallet::from(self)));
        let entry = event.entry().map(|entry| to_proto(&self.holder, entry));
        let bill_id = event.bill().map(|bill| bill.id.to_string()).unwrap_or_default();
        let flow = event.bill().map(|bill| bill.flow.uuid());
        let flow = flow.or_else(|| event.entry().map(|entry| entry.reason.id().uuid()));
        match event {
            Event::ToppedUp(_) => Some(Publication::of(&proto::DepositToppedUp { wallet, entry }, id, flow)),
            Event::BillPaid(..) => Some(Publication::of(&proto::BillPaid { wallet, entry, bill_id }, id, flow)),
            Event::BillUnpaid(_) => Some(Publication::of(&proto::BillUnpaid { wallet, bill_id }, id, flow)),
            Event::BillRefunded(..) => Some(Publication::of(&proto::BillRefunded { wallet, entry, bill_id }, id, flow)),
            Event::BillDropped(..) => Some(Publication::of(&proto::BillDropped { wallet, bill_id }, id, flow)),
            Event::PointsEarned(_) => Some(Publication::of(&proto::PointsEarned { wallet, entry }, id, flow)),
            Event::PointsConverted(_) => Some(Publication::of(&proto::PointsConverted { wallet, entry }, id, flow)),
            // Nobody waits for them.
            Event::Opened(..) | Event::BillBarred(_) => None,
        }
    }
}

/// The bills that the events of a change are about, each once, as they are now.
fn touched(change: &Change<'_, Wallet>) -> Vec<BillRow> {
    let ids: BTreeSet<BillId> = change.events.iter().filter_map(|event| Some(event.bill()?.id)).collect();
    ids.iter().filter_map(|id| Some(BillRow::new(change.id, change.state.bills.get(id)?))).collect()
}

/// The entries that were made.
fn made(change: &Change<'_, Wallet>) -> Vec<EntryRow> {
    change.events.iter().filter_map(|event| Some(EntryRow::new(change.id, event.entry()?))).collect()
}

/// A page of entries of a wallet, newest first.
pub async fn list(tx: Tx<'_>, holder: &Holder, page: &Page<i64>) -> Result<(Vec<proto::Entry>, String), Error> {
    let wallet = crate::domain::wallet_of(&holder.owner);
    let mut rows: Vec<EntryRow> = sql!(tx, |c| {
        let mut query = entries::table.select(EntryRow::as_select()).filter(entries::wallet.eq(wallet)).into_boxed();
        if let Some(before) = page.after {
            query = query.filter(entries::number.lt(before));
        }
        query.order(entries::number.desc()).limit(page.limit()).load(c)
    })?;
    let next = page.cut(&mut rows, |row| row.number);
    let entries = rows.into_iter().map(|row| Ok(to_proto(holder, &row.try_into()?)));
    Ok((entries.collect::<Result<_, Error>>()?, next))
}

impl WalletRow {
    fn new(wallet: &Wallet, version: i64) -> WalletRow {
        WalletRow {
            id: wallet.id,
            version,
            owner: wallet.holder.owner.clone(),
            currency: wallet.holder.currency.to_string(),
            deposit_minor: wallet.balance.deposit,
            points: wallet.balance.points,
            entries: wallet.entries,
            waited: wallet.waited,
            created_at: wallet.created,
            updated_at: wallet.updated,
        }
    }

    fn wallet(self, bills: BTreeMap<BillId, Bill>, posted: BTreeSet<EntryId>) -> Result<Wallet, Error> {
        let corrupt = || Error::Internal(format!("wallet {}: corrupt currency", self.id));
        let currency = Currency::parse(&self.currency).ok_or_else(corrupt)?;
        Ok(Wallet {
            id: self.id,
            holder: Holder { owner: self.owner, currency },
            balance: Balance { deposit: self.deposit_minor, points: self.points },
            entries: self.entries,
            waited: self.waited,
            bills,
            posted,
            created: self.created_at,
            updated: self.updated_at,
        })
    }
}

impl EntryRow {
    fn new(wallet: WalletId, entry: &Entry) -> EntryRow {
        let (giver, taker) = entry.reason.accounts();
        EntryRow {
            id: entry.reason.entry(),
            wallet,
            number: entry.number,
            giver: giver.name().to_owned(),
            taker: taker.name().to_owned(),
            amount_minor: entry.amount,
            reason: entry.reason.id(),
            deposit_minor: entry.after.deposit,
            points: entry.after.points,
            created_at: entry.at,
        }
    }
}

impl TryFrom<EntryRow> for Entry {
    type Error = Error;

    fn try_from(row: EntryRow) -> Result<Entry, Error> {
        let reason = Reason::between(&row.giver, &row.taker, row.reason).filter(|reason| reason.entry() == row.id);
        let reason = reason.ok_or_else(|| Error::Internal(format!("entry {}: corrupt reason", row.id)))?;
        let after = Balance { deposit: row.deposit_minor, points: row.points };
        Ok(Entry { number: row.number, reason, amount: row.amount_minor, after, at: row.created_at })
    }
}

impl BillRow {
    fn new(wallet: WalletId, bill: &Bill) -> BillRow {
        let (state, place) = match bill.state {
            BillState::Waiting { place } => ("waiting", Some(place)),
            BillState::Paid => ("paid", None),
            BillState::Void => ("void", None),
        };
        let (state, amount_minor) = (state.to_owned(), bill.amount);
        BillRow { wallet, id: bill.id, flow: bill.flow, amount_minor, state, place, since: bill.since }
    }
}

impl TryFrom<BillRow> for Bill {
    type Error = Error;

    fn try_from(row: BillRow) -> Result<Bill, Error> {
        let state = match (row.state.as_str(), row.place) {
            ("waiting", Some(place)) => BillState::Waiting { place },
            ("paid", None) => BillState::Paid,
            ("void", None) => BillState::Void,
            _ => return Err(Error::Internal(format!("bill {}: corrupt state", row.id))),
        };
        Ok(Bill { id: row.id, flow: row.flow, amount: row.amount_minor, state, since: row.since })
    }
}

impl From<&Wallet> for proto::Wallet {
    fn from(wallet: &Wallet) -> Self {
        let currency = wallet.holder.currency;
        let money = |minor| Money { minor, currency }.into();
        let arrears: i64 = wallet.waiting().map(|bill| bill.amount).sum();
        proto::Wallet {
            owner_id: wallet.holder.owner.clone(),
            deposit: Some(money(wallet.balance.deposit)),
            points: wallet.balance.points,
            arrears: (arrears > 0).then(|| money(arrears)),
            update_time: Some(wallet.updated.to_proto()),
        }
    }
}

/// The account as others see it.
pub fn account(account: Account) -> proto::Account {
    match account {
        Account::Deposit => proto::Account::Deposit,
        Account::Points => proto::Account::Points,
        Account::Cash => proto::Account::Cash,
        Account::Revenue => proto::Account::Revenue,
        Account::Rewards => proto::Account::Rewards,
    }
}

fn to_proto(holder: &Holder, entry: &Entry) -> proto::Entry {
    let (giver, taker) = entry.reason.accounts();
    let money = |minor| Some(Money { minor, currency: holder.currency }.into());
    proto::Entry {
        entry_id: entry.reason.entry().to_string(),
        owner_id: holder.owner.clone(),
        from: account(giver).into(),
        to: account(taker).into(),
        amount: money(entry.amount),
        reason_id: entry.reason.id().to_string(),
        deposit: money(entry.after.deposit),
        points: entry.after.points,
        create_time: Some(entry.at.to_proto()),
    }
}
