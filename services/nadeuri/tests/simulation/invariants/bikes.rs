//! The invariants of the bike contexts, and of the wallets.

use std::collections::{BTreeMap, BTreeSet};

use chassis::Timestamp;
use contracts::bike::v1::{Bike, BikeState, BikeTaken, ListBikesRequest};
use contracts::billing::v1::{Bill, BillState, ListBillsRequest};
use contracts::chronicle::v1::Event;
use contracts::mypage::v1::{BikeRide, ListBikeRidesRequest};
use contracts::payment::v1::{Payment, PaymentState};
use contracts::ride::v1::{ListRidesRequest, Ride, RideState};
use contracts::upkeep::v1::{GetManagerRequest, ListReportsRequest, Manager, Report};
use contracts::wallet::v1::{Account, CheckLedgerRequest, Entry, GetWalletRequest, ListEntriesRequest, Wallet};
use prost::Message as _;

use super::{Outcome, Seen, all_pages, body, read};
use crate::harness::Harness;

/// The final state of these contexts.
pub struct Bikes {
    bikes: BTreeMap<String, Bike>,
    rides: BTreeMap<String, Ride>,
    /// By ride.
    bills: BTreeMap<String, Bill>,
    reports: BTreeMap<String, Report>,
    managers: Vec<Manager>,
    /// By owner, each with its entries.
    wallets: BTreeMap<String, (Wallet, Vec<Entry>)>,
    /// The findings of the ledger's own check.
    findings: Vec<String>,
    pages: BTreeMap<String, BikeRide>,
}

impl Bikes {
    pub async fn load(harness: &Harness) -> Result<Bikes, String> {
        let removed =
            |page_token: String| ListBikesRequest { state: BikeState::Removed.into(), page_size: 1_000, page_token };
        let mut bikes = all_pages::<ListBikesRequest>(harness).await?;
        bikes.extend(read(harness, removed(String::new())).await?.map(|answer| answer.bikes).unwrap_or_default());
        let rides = all_pages::<ListRidesRequest>(harness).await?.into_iter();
        let bills = all_pages::<ListBillsRequest>(harness).await?.into_iter();
        let reports = all_pages::<ListReportsRequest>(harness).await?.into_iter();
        let pages = all_pages::<ListBikeRidesRequest>(harness).await?.into_iter();
        let (mut managers, mut wallets) = (Vec::new(), BTreeMap::new());
        for owner in harness.wallet_owners() {
            let manager = read(harness, GetManagerRequest { manager_id: owner.clone() }).await?;
            managers.extend(manager.and_then(|answer| answer.manager));
            let wallet = read(harness, GetWalletRequest { owner_id: owner.clone() }).await?;
            let Some(wallet) = wallet.and_then(|answer| answer.wallet) else { continue };
            let request = ListEntriesRequest { owner_id: owner.clone(), page_size: 1_000, ..Default::default() };
            let entries = read(harness, request).await?.map(|answer| answer.entries).unwrap_or_default();
            wallets.insert(owner, (wallet, entries));
        }
        let checked = read(harness, CheckLedgerRequest {}).await?;
        Ok(Bikes {
            bikes: bikes.into_iter().map(|bike: Bike| (bike.bike_id.clone(), bike)).collect(),
            rides: rides.map(|ride: Ride| (ride.ride_id.clone(), ride)).collect(),
            bills: bills.map(|bill: Bill| (bill.ride_id.clone(), bill)).collect(),
            reports: reports.map(|report: Report| (report.report_id.clone(), report)).collect(),
            managers,
            wallets,
            findings: checked.map(|answer| answer.findings).unwrap_or_default(),
            pages: pages.map(|page: BikeRide| (page.ride_id.clone(), page)).collect(),
        })
    }

    /// A description of pending work, if there is some.
    pub async fn pending_work(harness: &Harness) -> Result<Option<String>, String> {
        let bills = all_pages::<ListBillsRequest>(harness).await?;
        Ok(bills
            .iter()
            .find(|bill: &&Bill| bill.state() == BillState::Due)
            .map(|bill| format!("bill {} is due", bill.bill_id)))
    }

    /// Whether the payment is for a top-up.
    pub fn tops_up(&self, payment: &Payment) -> bool {
        payment.seller_reference.starts_with("deposit/")
    }

    /// Checks a response that a customer got: a started ride exists, a returned ride has ended.
    pub fn keeps(&self, promised: &Ride) -> Outcome {
        let gone = || format!("{} rode {}: it is gone", promised.customer_id, promised.ride_id);
        let kept = self.rides.get(&promised.ride_id).ok_or_else(gone)?;
        let same = (&kept.customer_id, &kept.bike_id, &kept.start_time)
            == (&promised.customer_id, &promised.bike_id, &promised.start_time);
        let holds = match promised.state() {
            RideState::Returned => {
                let is_unchanged = (&kept.to, &kept.end_time) == (&promised.to, &promised.end_time);
                kept.state() == RideState::Voided || kept.state() == RideState::Returned && is_unchanged
            }
            _ => true,
        };
        if same && holds { Ok(()) } else { Err(format!("a customer was promised {promised:?}, but it is {kept:?}")) }
    }

    /// Checks that an acknowledged report exists.
    pub fn keeps_report(&self, promised: &Report) -> Outcome {
        if self.reports.get(&promised.report_id) == Some(promised) {
            return Ok(());
        }
        Err(format!("{promised:?} was taken, but it is {:?}", self.reports.get(&promised.report_id)))
    }

    /// Checks that a bike that was written off is removed.
    pub fn is_gone(&self, bike_id: &str) -> Outcome {
        let state = self.bikes.get(bike_id).map(Bike::state);
        if state == Some(BikeState::Removed) { Ok(()) } else { Err(format!("bike {bike_id} is {state:?}")) }
    }

    /// Checks that a top-up is in the deposit.
    pub fn was_topped_up(&self, owner: &str, minor: i64) -> Outcome {
        self.has_entry(owner, (Account::Cash, Account::Deposit), minor)
    }

    /// Checks that converted points are in the deposit.
    pub fn was_converted(&self, owner: &str, points: i64) -> Outcome {
        self.has_entry(owner, (Account::Points, Account::Deposit), points)
    }

    fn has_entry(&self, owner: &str, accounts: (Account, Account), minor: i64) -> Outcome {
        let entries = self.wallets.get(owner).map(|(_, entries)| entries.as_slice()).unwrap_or_default();
        let is_it = |entry: &Entry| (entry.from(), entry.to()) == accounts && amount(entry) == minor;
        if entries.iter().any(is_it) {
            return Ok(());
        }
        Err(format!("{owner} was promised {minor} for {accounts:?}, but the entries are {entries:?}"))
    }
}

fn amount(entry: &Entry) -> i64 {
    entry.amount.as_ref().map_or(0, |amount| amount.amount_minor)
}

fn minor(money: Option<&contracts::money::v1::Money>) -> i64 {
    money.map_or(0, |money| money.amount_minor)
}

fn micros(time: &Option<prost_types::Timestamp>) -> i64 {
    time.as_ref().and_then(Timestamp::from_proto).map(Timestamp::micros).unwrap_or_default()
}

/// Checks all of them.
pub fn check(harness: &Harness, seen: &Seen) -> Outcome {
    let bikes = &seen.bikes;
    if let Some(finding) = bikes.findings.first() {
        return Err(format!("the check of the ledger finds: {finding}"));
    }
    a_bike_has_one_rider(seen)?;
    every_ride_is_billed_once(bikes)?;
    every_entry_has_its_reason_and_every_reason_its_entry(harness, seen)?;
    wallets_are_the_sum_of_their_entries(bikes)?;
    reports_earn_points_once(seen)?;
    the_read_model_shows_rides_and_bills(bikes)
}

/// Whether a call, and not only an event, can cause such an event; `None` for events of other contexts.
pub fn may_come_from_a_call(event: &Event) -> Option<bool> {
    match event.r#type.strip_prefix("nadeuri.").unwrap_or_default() {
        "bike.v1.BikeReturned" | "bike.v1.BikeReturnRefused" | "ride.v1.RideVoided" => Some(false),
        // A top-up settles bills in arrears.
        "wallet.v1.BillPaid" => Some(true),
        "wallet.v1.BillUnpaid" | "wallet.v1.BillRefunded" | "wallet.v1.BillDropped" | "wallet.v1.PointsEarned" => {
            Some(false)
        }
        kind if kind.starts_with("billing.") => Some(false),
        _ => None,
    }
}

/// The events that the final state requires, each with its subject.
pub fn required_events(seen: &Seen) -> Vec<(&'static str, &str)> {
    let mut required: Vec<_> = seen.bikes.bikes.keys().map(|id| ("BikeRegistered", id.as_str())).collect();
    for (id, ride) in &seen.bikes.rides {
        let names: &[&str] = match ride.state() {
            RideState::Returned => &["RideStarted", "RideReturned"],
            RideState::Voided => &["RideStarted", "RideVoided"],
            _ => &["RideStarted"],
        };
        required.extend(names.iter().map(|name| (*name, id.as_str())));
    }
    for bill in seen.bikes.bills.values() {
        let names: &[&str] = match bill.state() {
            BillState::Arrears => &["BillOpened", "BillDue", "BillInArrears"],
            BillState::Closed => &["BillOpened", "BillDue", "BillClosed"],
            BillState::Void => &["BillOpened", "BillVoided"],
            _ => &["BillOpened"],
        };
        required.extend(names.iter().map(|name| (*name, bill.bill_id.as_str())));
    }
    required
}

/// The events that customers are notified of.
pub const NOTIFIED: &[&str] = &["RideStarted", "RideVoided", "BillClosed", "BillInArrears", "DepositToppedUp"];

/// Checks all events, not only the final state.
fn a_bike_has_one_rider(seen: &Seen) -> Outcome {
    let bikes = &seen.bikes;
    let mut with: BTreeMap<String, (i64, String)> = BTreeMap::new();
    let mut moves: Vec<(String, i64, bool, String)> = Vec::new();
    for event in seen.events.iter().filter(|event| event.source == "bike") {
        // The first field of each of these events is the bike, the second is the ride.
        let kind = event.r#type.rsplit('.').next().unwrap_or_default();
        if let "BikeTaken" | "BikeReturned" | "BikeWrittenOff" = kind {
            let taken = BikeTaken::decode(body(event)).map_err(|error| error.to_string())?;
            moves.push((event.subject.clone(), event.sequence, kind == "BikeTaken", taken.ride_id));
        }
    }
    moves.sort();
    for (bike, sequence, is_taken, ride) in moves {
        match (with.remove(&bike), is_taken) {
            (None, true) => {
                with.insert(bike, (sequence, ride));
            }
            (Some((_, rider)), false) if rider == ride => {}
            (before, _) => {
                return Err(format!("bike {bike} was taken or returned by {ride}, while its ride was {before:?}"));
            }
        }
    }
    for (id, bike) in &bikes.bikes {
        let rides = bikes.rides.values().filter(|ride| ride.bike_id == *id && ride.state() == RideState::Started);
        let riders: Vec<&Ride> = rides.collect();
        let right = usize::from(bike.state() == BikeState::InUse);
        if riders.len() != right {
            return Err(format!("{bike:?} is ridden by {riders:?}"));
        }
        let ended = bikes.rides.values().filter(|ride| ride.bike_id == *id && ride.end_time.is_some());
        let mut periods: Vec<(i64, i64)> =
            ended.map(|ride| (micros(&ride.start_time), micros(&ride.end_time))).collect();
        periods.sort_unstable();
        if let Some(pair) = periods.windows(2).find(|pair| pair[0].1 > pair[1].0) {
            return Err(format!("two rides with bike {id} at once: {pair:?}"));
        }
    }
    Ok(())
}

/// 100 won per whole minute, at least one minute.
fn right_fee(ride: &Ride) -> i64 {
    100 * ((micros(&ride.end_time) - micros(&ride.start_time)) / 60_000_000).max(1)
}

fn every_ride_is_billed_once(bikes: &Bikes) -> Outcome {
    for (id, ride) in &bikes.rides {
        let bill = bikes.bills.get(id).ok_or_else(|| format!("{ride:?} has no bill"))?;
        let fee = minor(bill.fee.as_ref());
        let is_right = match ride.state() {
            RideState::Started => bill.state() == BillState::Open,
            RideState::Returned => {
                matches!(bill.state(), BillState::Closed | BillState::Arrears) && fee == right_fee(ride)
            }
            RideState::Voided => bill.state() == BillState::Void,
            RideState::Unspecified => false,
        };
        if !is_right || bill.customer_id != ride.customer_id {
            return Err(format!("{ride:?} is billed by {bill:?}"));
        }
    }
    match bikes.bills.keys().find(|ride| !bikes.rides.contains_key(*ride)) {
        Some(ride) => Err(format!("there is a bill for {ride}, which does not exist")),
        None => Ok(()),
    }
}

fn every_entry_has_its_reason_and_every_reason_its_entry(harness: &Harness, seen: &Seen) -> Outcome {
    let bikes = &seen.bikes;
    let mut due: BTreeMap<(String, Account, Account, String), i64> = BTreeMap::new();
    for payment in seen.payments.values().filter(|payment| bikes.tops_up(payment)) {
        let held = harness.processor.holds(&payment.payment_id);
        let is_in = payment.state() == PaymentState::Settled;
        if held != if is_in { minor(payment.amount.as_ref()) } else { 0 } {
            return Err(format!("the processor holds {held} for {payment:?}"));
        }
        if is_in {
            let key = (payment.customer_id.clone(), Account::Cash, Account::Deposit, payment.purchase_id.clone());
            due.insert(key, held);
        }
    }
    for report in bikes.reports.values() {
        let key = (report.manager_id.clone(), Account::Rewards, Account::Points, report.report_id.clone());
        due.insert(key, 1_000);
    }
    for bill in bikes.bills.values().filter(|bill| bill.state() == BillState::Closed) {
        let key = (bill.customer_id.clone(), Account::Deposit, Account::Revenue, bill.bill_id.clone());
        due.insert(key, minor(bill.fee.as_ref()));
    }
    let mut refunds: BTreeMap<&str, i64> = BTreeMap::new();
    for (owner, (_, entries)) in &bikes.wallets {
        for entry in entries {
            let key = (owner.clone(), entry.from(), entry.to(), entry.reason_id.clone());
            match (entry.from(), entry.to()) {
                // What was paid for a void bill was refunded; a conversion by its owner has no other record.
                (Account::Revenue, Account::Deposit) => {
                    *refunds.entry(&entry.reason_id).or_default() += amount(entry);
                    continue;
                }
                (Account::Points, Account::Deposit) => continue,
                _ => {}
            }
            let is_void = |bill: &Bill| bill.bill_id == entry.reason_id && bill.state() == BillState::Void;
            if due.remove(&key) == Some(amount(entry)) {
                continue;
            }
            if entry.to() == Account::Revenue && bikes.bills.values().any(is_void) {
                *refunds.entry(&entry.reason_id).or_default() -= amount(entry);
                continue;
            }
            return Err(format!("{owner} has {entry:?} without a reason, or twice"));
        }
    }
    if let Some((reason, left)) = refunds.into_iter().find(|(_, left)| *left != 0) {
        return Err(format!("{left} of the void bill {reason} was not refunded"));
    }
    due.into_iter().next().map_or(Ok(()), |missing| Err(format!("there is no entry for {missing:?}")))
}

fn wallets_are_the_sum_of_their_entries(bikes: &Bikes) -> Outcome {
    for (owner, (wallet, entries)) in &bikes.wallets {
        let sum = |account: Account| -> i64 {
            let signed = entries.iter().map(|entry| {
                let sign = i64::from(entry.to() == account) - i64::from(entry.from() == account);
                sign * amount(entry)
            });
            signed.sum()
        };
        let deposit = minor(wallet.deposit.as_ref());
        if (deposit, wallet.points) != (sum(Account::Deposit), sum(Account::Points)) || deposit < 0 || wallet.points < 0
        {
            return Err(format!("{wallet:?} is not the sum of {entries:?}"));
        }
        let of_owner = bikes.bills.values().filter(|bill| bill.customer_id == *owner);
        let waiting: Vec<&Bill> = of_owner.filter(|bill| bill.state() == BillState::Arrears).collect();
        let owed: i64 = waiting.iter().map(|bill| minor(bill.fee.as_ref())).sum();
        if minor(wallet.arrears.as_ref()) != owed {
            return Err(format!("{wallet:?} should owe {owed}"));
        }
        if waiting.iter().all(|bill| minor(bill.fee.as_ref()) <= deposit) && !waiting.is_empty() {
            return Err(format!("{wallet:?} covers the unpaid bills {waiting:?}"));
        }
    }
    Ok(())
}

fn reports_earn_points_once(seen: &Seen) -> Outcome {
    let bikes = &seen.bikes;
    let known: BTreeSet<&str> = bikes.reports.keys().map(String::as_str).collect();
    for kind in [".BikeInspected", ".ReportTaken", ".PointsEarned"] {
        let recorded = seen.events.iter().filter(|event| event.r#type.ends_with(kind));
        let recorded: Vec<&str> = recorded.map(|event| event.flow_id.as_str()).collect();
        if recorded.len() != known.len() || recorded.iter().copied().collect::<BTreeSet<_>>() != known {
            return Err(format!("the events {kind} are about {recorded:?}, but the reports are {known:?}"));
        }
    }
    for manager in &bikes.managers {
        let reports = bikes.reports.values().filter(|report| report.manager_id == manager.manager_id).count() as i64;
        let points = bikes.wallets.get(&manager.manager_id).map_or(0, |(wallet, _)| wallet.points);
        if (manager.reports, manager.points_earned, manager.points) != (reports, 1_000 * reports, points) {
            return Err(format!("{manager:?} has {reports} reports and {points} points"));
        }
    }
    Ok(())
}

fn the_read_model_shows_rides_and_bills(bikes: &Bikes) -> Outcome {
    if bikes.pages.len() != bikes.rides.len() {
        return Err(format!("{} rides, but {} in the read model", bikes.rides.len(), bikes.pages.len()));
    }
    for (id, ride) in &bikes.rides {
        let (page, bill) = (&bikes.pages[id], &bikes.bills[id]);
        let shown = (page.ride_state(), &page.customer_id, &page.to, page.bill_state(), &page.bill_id, &page.fee);
        let right = (ride.state(), &ride.customer_id, &ride.to, bill.state(), &bill.bill_id, &bill.fee);
        if shown != right {
            return Err(format!("the read model shows {shown:?}, expected {right:?}"));
        }
    }
    Ok(())
}
