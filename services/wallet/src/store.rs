//! Wallets, their entries and bills in tables, and the events that they publish.

pub mod check;

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::{self, Name, prelude::*};
use chassis::values::{Currency, Money};
use chassis::{Change, Error, LoadRequest, Loaded, Page, Publication, Store, Timestamp, Tx, loaded, read, sql};
use contracts::wallet::v1 as proto;

use crate::domain::{
    Account, Balance, Bill, BillId, BillState, Command, Entry, EntryId, Event, FlowId, Holder, Reason, Wallet, WalletId,
};
use crate::ledger::ReasonId;

chassis::table! {
    /// A wallet without its bills.
    wallets (id) of Wallet as WalletRow with version {
        id: WalletId as SqlUuid,
        entries: i64 as BigInt,
        waited: i64 as BigInt,
        created_at: Timestamp as SqlTime,
        updated_at: Timestamp as SqlTime,
    }
    columns |wallet| {
        owner: String as Text = wallet.holder.owner.clone(),
        currency: Currency as Text = wallet.holder.currency,
        deposit_minor: i64 as BigInt = wallet.balance.deposit,
        points: i64 as BigInt = wallet.balance.points,
    }
    fields |row, corrupt, bills: BTreeMap<BillId, Bill>, posted: BTreeSet<EntryId>| {
        holder: Holder { owner: row.owner, currency: row.currency },
        balance: Balance { deposit: row.deposit_minor, points: row.points },
        bills: bills,
        posted: posted,
    }
}

chassis::table! {
    /// An entry. Its money flows from the credit account (column `giver`) to the debit account (`taker`).
    entries (id) of Entry as EntryRow given (wallet: WalletId as SqlUuid) {
        number: i64 as BigInt,
        created_at: Timestamp as SqlTime,
    }
    columns |entry| {
        id: EntryId as SqlUuid = entry.reason.entry(),
        giver: String as Text = entry.reason.credit().name().to_owned(),
        taker: String as Text = entry.reason.debit().name().to_owned(),
        amount_minor: i64 as BigInt = entry.amount,
        reason: ReasonId as SqlUuid = entry.reason.id(),
        deposit_minor: i64 as BigInt = entry.after.deposit,
        points: i64 as BigInt = entry.after.points,
    }
    fields |row, corrupt| {
        reason: Reason::between(&row.giver, &row.taker, row.reason)
            .filter(|reason| reason.entry() == row.id)
            .ok_or_else(|| corrupt("reason"))?,
        amount: row.amount_minor,
        after: Balance { deposit: row.deposit_minor, points: row.points },
    }
}

chassis::table! {
    /// A bill.
    bills (wallet, id) of Bill as BillRow given (wallet: WalletId as SqlUuid) {
        id: BillId as SqlUuid,
        flow: FlowId as SqlUuid,
        since: Timestamp as SqlTime,
    }
    columns |bill| {
        amount_minor: i64 as BigInt = bill.amount,
        state: String as Text = match bill.state {
            BillState::Waiting { .. } => "waiting",
            BillState::Paid => "paid",
            BillState::Void => "void",
        }.to_owned(),
        place: Option<i64> as Nullable<BigInt> = bill.state.place(),
    }
    fields |row, corrupt| {
        amount: row.amount_minor,
        state: match (row.state.as_str(), row.place) {
            ("waiting", Some(place)) => BillState::Waiting { place },
            ("paid", None) => BillState::Paid,
            ("void", None) => BillState::Void,
            _ => return Err(corrupt("state")),
        },
    }
}

impl Store for Wallet {
    type Answer = proto::Wallet;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let ids = request.ids();
        let about: Vec<BillId> = request.commands().filter_map(|command| command.operation.bill()).collect();
        let made: Vec<EntryId> = request.commands().filter_map(|command| command.operation.entry()).collect();
        let waiting = bills::wallet.eq_any(&ids).and(bills::place.is_not_null());
        let named = bills::id.eq_any(&about);
        let posted = async {
            let query = entries::table.filter(entries::id.eq_any(&made)).select((entries::wallet, entries::id));
            if made.is_empty() { Ok(vec![]) } else { Ok(sql!(tx, |c| query.load::<(WalletId, EntryId)>(c))?) }
        };
        // The version is read first: later reads are at least as new, so no decision on stale rows is written.
        let (wallets, bills, posted) = db::try_join!(
            read!(tx, WalletRow in wallets where wallets::id.eq_any(&ids)),
            read!(tx, BillRow in bills where waiting; and named, of about),
            posted
        )?;
        let mut bills = db::grouped(bills, |row| Ok((row.wallet, (row.id, row.read()?))))?;
        let mut posted = db::grouped(posted, Ok)?;
        loaded!(wallets, |row, id| row.read(bills.take(id), posted.take(id))?)
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        // The version of the wallet guards its entries and bills too.
        let bill = |change: &Change<'_, Self>, id| Some(BillRow::of(change.state.bills.get(&id)?, change.id));
        let changed = db::changed_parts(changes, |event| Some(event.bill()?.id), bill);
        let made: Vec<EntryRow> = changes.iter().flat_map(made).collect();
        let saved =
            db::try_join!(db::save(tx, changes, WalletRow::of), db::upsert(tx, &changed), db::insert(tx, &made));
        let ((), _, inserted) = saved?;
        if inserted < made.len() {
            // No concurrent transaction wrote these wallets, so a retry would not help: two wallets have an entry for
            // one reason.
            return Err(Error::Internal("what an entry is made for was done in another wallet".into()));
        }
        Ok(())
    }

    fn answer(&self, _: &Command) -> proto::Wallet {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let wallet = Some(proto::Wallet::from(self));
        let entry = event.entry().map(|entry| to_proto(&self.holder, entry));
        let bill_id = event.bill().map(|bill| bill.id.to_string()).unwrap_or_default();
        let flow = event.bill().map(|bill| bill.flow.uuid());
        let about = Publication::about(self.id, flow.or_else(|| Some(event.entry()?.reason.id().uuid()))?);
        match event {
            Event::ToppedUp(_) => about.publish(&proto::DepositToppedUp { wallet, entry }),
            Event::BillPaid(..) => about.publish(&proto::BillPaid { wallet, entry, bill_id }),
            Event::BillUnpaid(_) => about.publish(&proto::BillUnpaid { wallet, bill_id }),
            Event::BillRefunded(..) => about.publish(&proto::BillRefunded { wallet, entry, bill_id }),
            Event::BillDropped(..) => about.publish(&proto::BillDropped { wallet, bill_id }),
            Event::PointsEarned(_) => about.publish(&proto::PointsEarned { wallet, entry }),
            Event::PointsConverted(_) => about.publish(&proto::PointsConverted { wallet, entry }),
            // These are not published.
            Event::Opened(..) | Event::BillBarred(_) => None,
        }
    }
}

/// The entries that were posted.
fn made(change: &Change<'_, Wallet>) -> Vec<EntryRow> {
    change.events.iter().filter_map(|event| Some(EntryRow::of(event.entry()?, change.id))).collect()
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
    let entries = rows.into_iter().map(|row| Ok(to_proto(holder, &row.read()?)));
    Ok((entries.collect::<Result<_, Error>>()?, next))
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
            update_time: Some(wallet.updated_at.to_proto()),
        }
    }
}

/// The account in the contract.
fn account(account: Account) -> proto::Account {
    Name::parse(account.name()).unwrap_or_default()
}

fn to_proto(holder: &Holder, entry: &Entry) -> proto::Entry {
    let money = |minor| Some(Money { minor, currency: holder.currency }.into());
    proto::Entry {
        entry_id: entry.reason.entry().to_string(),
        owner_id: holder.owner.clone(),
        from: account(entry.reason.credit()).into(),
        to: account(entry.reason.debit()).into(),
        amount: money(entry.amount),
        reason_id: entry.reason.id().to_string(),
        deposit: money(entry.after.deposit),
        points: entry.after.points,
        create_time: Some(entry.created_at.to_proto()),
    }
}
