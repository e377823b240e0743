//! The check of the ledger: the entries of each wallet are replayed, and must add up to the wallet's balance.
//!
//! It runs during writes. Entries are only appended, so it replays as many as a wallet had when it was read: later ones
//! are left to the next check. Wallets are read in pages, so writes are not blocked.

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::Database;
use chassis::db::prelude::*;
use chassis::values::Currency;
use chassis::{Error, Tx, read, sql};
use contracts::wallet::v1 as proto;

use super::{BillRow, EntryRow, WalletRow, account, bills, entries, wallets};
use crate::domain::{Account, Balance, BillId, Reason, WalletId};
use crate::ledger::{Replay, Totals};

/// Wallets that are checked together.
const WALLETS: i64 = 100;
/// Entries that are read in one statement.
const ENTRIES: i64 = 1_000;
/// Findings that are reported, at most.
const FINDINGS: usize = 100;

/// Checks the whole ledger, whose currency this is.
pub async fn check(database: &Database, currency: Currency) -> Result<proto::CheckLedgerResponse, Error> {
    let mut audit = Audit::default();
    let mut last = None;
    loop {
        let reader = database.reader().await?;
        let page = read_wallets(reader.tx(), last).await?;
        let Some(end) = page.last().map(|wallet| wallet.id) else { return Ok(audit.report()) };
        for wallet in page.iter().filter(|wallet| wallet.currency != currency) {
            audit.find(wallet, format!("it is in {}, the ledger in {currency}", wallet.currency));
        }
        audit.look_at(reader.tx(), page, last).await?;
        last = Some(end);
        drop(reader);
        // Reads from SQLite run on this thread: yield to other tasks in between.
        tokio::task::yield_now().await;
    }
}

/// The results so far.
#[derive(Default)]
struct Audit {
    wallets: i64,
    entries: i64,
    totals: Totals,
    /// The sum of the wallets' balances.
    held: Balance,
    findings: Vec<String>,
}

impl Audit {
    fn find(&mut self, wallet: &WalletRow, what: impl std::fmt::Display) {
        if self.findings.len() < FINDINGS {
            self.findings.push(format!("wallet of {}: {what}", wallet.owner));
        }
    }

    /// Looks at a page of wallets, those after a wallet.
    async fn look_at(&mut self, tx: Tx<'_>, page: Vec<WalletRow>, after: Option<WalletId>) -> Result<(), Error> {
        let wallets: BTreeMap<WalletId, WalletRow> = page.into_iter().map(|row| (row.id, row)).collect();
        let ids: Vec<WalletId> = wallets.keys().copied().collect();
        // Read after the wallets: a bill that waits now was not paid then either.
        let waiting: BTreeSet<(WalletId, BillId)> =
            read_waiting(tx, &ids).await?.into_iter().map(|bill| (bill.wallet, bill.id)).collect();
        let mut replays: BTreeMap<WalletId, Replay> = BTreeMap::new();
        let mut grown: BTreeMap<WalletId, i64> = BTreeMap::new();
        let Some(last) = ids.last().copied() else { return Ok(()) };
        // After the last entry of the wallet before.
        let mut position = (after, i64::MAX);
        loop {
            let rows = read_entries(tx, position, last).await?;
            let Some(end) = rows.last() else { break };
            position = (Some(end.wallet), end.number);
            for row in rows {
                // Other wallets are new: they are left to the next check.
                let Some(wallet) = wallets.get(&row.wallet) else { continue };
                if row.number > wallet.entries {
                    grown.insert(wallet.id, row.number);
                } else {
                    self.replay(wallet, replays.entry(wallet.id).or_default(), row, &waiting);
                }
            }
        }
        for wallet in wallets.values() {
            self.compare(wallet, &replays.remove(&wallet.id).unwrap_or_default());
        }
        // A wallet with more entries than it counted must have been written meanwhile.
        for wallet in read_these(tx, &grown.keys().copied().collect::<Vec<_>>()).await? {
            if wallet.entries < grown[&wallet.id] {
                self.find(&wallet, format!("there is an entry {}, it knows of {}", grown[&wallet.id], wallet.entries));
            }
        }
        Ok(())
    }

    fn replay(
        &mut self,
        wallet: &WalletRow,
        replay: &mut Replay,
        row: EntryRow,
        waiting: &BTreeSet<(WalletId, BillId)>,
    ) {
        let entry = match row.read() {
            Ok(entry) => entry,
            Err(error) => return self.find(wallet, error.for_log()),
        };
        self.entries += 1;
        self.totals.take(&entry);
        for wrong in replay.take(&entry) {
            self.find(wallet, wrong);
        }
        if let Reason::Bill(bill) = entry.reason
            && waiting.contains(&(wallet.id, bill))
        {
            self.find(wallet, format!("bill {bill} waits for money, though entry {} paid it", entry.number));
        }
    }

    fn compare(&mut self, wallet: &WalletRow, replay: &Replay) {
        let says = Balance { deposit: wallet.deposit_minor, points: wallet.points };
        self.wallets += 1;
        self.held = Balance { deposit: self.held.deposit + says.deposit, points: self.held.points + says.points };
        if says != replay.sum {
            self.find(wallet, format!("it holds {says}, its entries add up to {}", replay.sum));
        }
        if wallet.entries != replay.count {
            self.find(wallet, format!("it knows of {} entries, there are {}", wallet.entries, replay.count));
        }
    }

    fn report(mut self) -> proto::CheckLedgerResponse {
        let house = [Account::Cash, Account::Revenue, Account::Rewards];
        let rest =
            self.held.deposit + self.held.points + house.map(|account| self.totals.of(account)).iter().sum::<i64>();
        if rest != 0 && self.findings.len() < FINDINGS {
            self.findings.push(format!("what the wallets hold and what the house gave and got differ by {rest}"));
        }
        let balance = |of| proto::AccountBalance { account: account(of).into(), amount_minor: self.totals.of(of) };
        proto::CheckLedgerResponse {
            wallets: self.wallets,
            entries: self.entries,
            balances: Account::ALL.map(balance).to_vec(),
            findings: self.findings,
        }
    }
}

async fn read_wallets(tx: Tx<'_>, after: Option<WalletId>) -> Result<Vec<WalletRow>, Error> {
    Ok(sql!(tx, |c| {
        let mut query = wallets::table.select(WalletRow::as_select()).into_boxed();
        if let Some(after) = after {
            query = query.filter(wallets::id.gt(after));
        }
        query.order(wallets::id).limit(WALLETS).load(c)
    })?)
}

async fn read_these(tx: Tx<'_>, ids: &[WalletId]) -> Result<Vec<WalletRow>, Error> {
    read!(tx, WalletRow in wallets where wallets::id.eq_any(ids); of ids).await
}

async fn read_waiting(tx: Tx<'_>, ids: &[WalletId]) -> Result<Vec<BillRow>, Error> {
    read!(tx, BillRow in bills where bills::wallet.eq_any(ids).and(bills::place.is_not_null())).await
}

/// The next entries after one of a wallet, in the order of wallets and numbers, up to the last entry of another wallet.
///
/// Two statements, because both databases would read the entries of a wallet from its first one on if the rest of it and
/// the next wallets were one condition.
async fn read_entries(
    tx: Tx<'_>,
    (after, number): (Option<WalletId>, i64),
    last: WalletId,
) -> Result<Vec<EntryRow>, Error> {
    let mut rows: Vec<EntryRow> = Vec::new();
    if let Some(wallet) = after {
        let rest = entries::table.filter(entries::wallet.eq(wallet).and(entries::number.gt(number)));
        let rest = rest.order(entries::number).limit(ENTRIES);
        rows = sql!(tx, |c| rest.select(EntryRow::as_select()).load(c))?;
    }
    let missing = ENTRIES - rows.len() as i64;
    if missing > 0 {
        let next: Vec<EntryRow> = sql!(tx, |c| {
            let mut query = entries::table.filter(entries::wallet.le(last)).select(EntryRow::as_select()).into_boxed();
            if let Some(wallet) = after {
                query = query.filter(entries::wallet.gt(wallet));
            }
            query.order((entries::wallet, entries::number)).limit(missing).load(c)
        })?;
        rows.extend(next);
    }
    Ok(rows)
}
