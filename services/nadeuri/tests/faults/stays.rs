//! Stays under the same load: guests reserve and pay, some cancel, and record the responses.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use contracts::mypage::v1::{ListStaysRequest as ListStayPagesRequest, Stay as StayPage};
use contracts::payment::v1::{ChargePaymentRequest, ListPaymentsRequest, PaymentState};
use contracts::resort::v1::{GetResortRequest, HoldState, Resort};
use contracts::stay::v1::{CancelStayRequest, ListStaysRequest, ReserveStayRequest, Stay, StayState};
use contracts::voucher::v1::{ListVouchersRequest, Voucher, VoucherState};
use tonic::Status;

use crate::audit::{Snapshot, all, by_id, ensure};
use crate::load::{seen, think};
use crate::support::client::{Client, Who};
use crate::support::cluster::Cluster;
use crate::support::stays::{nights, some_villa};
use crate::support::{GOOD_CARD, below, new_id, reason};

const GUESTS: u64 = 4;
const VILLAS: usize = 2;

/// Villas and their guests.
pub struct Stays {
    guests: Vec<Client>,
    villas: Vec<Resort>,
    /// The paid stays, and whether each was cancelled afterwards.
    pub acknowledged: RefCell<Vec<(Stay, bool)>>,
}

impl Stays {
    /// Registers the villas. The guests start with [`Stays::run`].
    pub async fn new(cluster: &Cluster) -> Stays {
        let mut villas = Vec::new();
        for number in 0..VILLAS {
            let villa = some_villa(&format!("Villa {number}"), 90_000);
            villas.push(cluster.client(Who::resort_staff()).register_resort(villa).await.unwrap());
        }
        let guests = (0..GUESTS).map(|number| cluster.by(&format!("guest{number}"))).collect();
        Stays { guests, villas, acknowledged: RefCell::default() }
    }

    /// Runs them until the workload is stopped.
    pub async fn run(&self, stopped: &Cell<bool>) {
        let guests = self.guests.iter().map(async |guest| {
            while !stopped.get() {
                let acknowledged = self.stay(guest).await.unwrap_or_else(|status| panic!("a stay: {status:?}"));
                self.acknowledged.borrow_mut().extend(acknowledged);
                think().await;
            }
        });
        futures::future::join_all(guests).await;
    }

    async fn stay(&self, me: &Client) -> Result<Option<(Stay, bool)>, Status> {
        let resort_id = self.villas[usize::try_from(below(VILLAS as u64)).unwrap()].resort_id.clone();
        let dates = Some(nights(2 + i64::try_from(below(600)).unwrap(), 2));
        let reserved =
            me.insist(ReserveStayRequest { request_id: new_id(), resort_id, dates, ..Default::default() }).await;
        let stay = match reserved {
            Ok(answer) => answer.stay.unwrap(),
            Err(status) if reason(&status) == "DATES_TAKEN" => return Ok(None),
            Err(status) => return Err(status),
        };
        // This needs an event, which may wait until a killed server is back.
        let payment_id = seen("the payment is requested", async || {
            let request = ListPaymentsRequest { purchase_id: stay.stay_id.clone(), ..Default::default() };
            me.insist(request).await.ok()?.payments.pop().map(|payment| payment.payment_id)
        })
        .await;
        let payment_method = GOOD_CARD.to_owned();
        me.insist(ChargePaymentRequest { request_id: new_id(), payment_id, payment_method }).await?;
        let is_off = below(3) == 0;
        if is_off {
            let stay_id = stay.stay_id.clone();
            me.insist(CancelStayRequest { request_id: new_id(), stay_id, ..Default::default() }).await?;
        }
        Ok(Some((stay, is_off)))
    }
}

/// Every stay is as its guest's last response says, is the same in all contexts, and no night is sold twice.
pub async fn audit(stays: &Stays, snapshot: &Snapshot, admin: &Client) -> Result<(), String> {
    let acknowledged = stays.acknowledged.borrow().clone();
    let known = by_id(all!(admin, ListStaysRequest, stays), |stay: &Stay| stay.stay_id.clone())?;
    let pages = by_id(all!(admin, ListStayPagesRequest, stays), |page: &StayPage| page.stay_id.clone())?;
    let vouchers = all!(admin, ListVouchersRequest, vouchers);
    let vouchers = by_id(vouchers, |voucher: &Voucher| voucher.stay_id.clone())?;
    let counts = [known.len(), pages.len()];
    ensure(counts == [acknowledged.len(); 2], || {
        format!("{} stays were acknowledged, there are {counts:?}", acknowledged.len())
    })?;
    for (promised, is_off) in &acknowledged {
        let id = &promised.stay_id;
        let (stay, page) = (&known[id], &pages[id]);
        let (state, payment_state) = match is_off {
            true => (StayState::Cancelled, PaymentState::Cancelled),
            false => (StayState::Confirmed, PaymentState::Approved),
        };
        let is_same = (&stay.dates, &stay.price) == (&promised.dates, &promised.price) && stay.state() == state;
        ensure(is_same, || format!("{promised:?} became {stay:?}, cancelled: {is_off}"))?;
        let payment = snapshot.payments.get(id).ok_or_else(|| format!("{stay:?} was never charged"))?;
        let is_right = payment.state() == payment_state && payment.refunded == *is_off;
        ensure(is_right && payment.amount == stay.price, || format!("{stay:?} has {payment:?}"))?;
        // A stay that was cancelled before its confirmation never had a voucher.
        let voucher = vouchers.get(id).map(|voucher| voucher.state());
        let is_right = match is_off {
            true => matches!(voucher, None | Some(VoucherState::Deactivated)),
            false => voucher == Some(VoucherState::Sent),
        };
        ensure(is_right, || format!("the voucher of {stay:?} is {voucher:?}"))?;
        let shows = (page.stay_state(), page.payment_state(), page.voucher_state());
        let is = (state, payment_state, voucher.unwrap_or_default());
        ensure(shows == is, || format!("{stay:?} is shown as {page:?}"))?;
    }
    for villa in &stays.villas {
        nights_are_sold_once(villa, &known, admin).await?;
    }
    Ok(())
}

/// The villa is booked for its confirmed stays, each night for one.
async fn nights_are_sold_once(villa: &Resort, stays: &BTreeMap<String, Stay>, admin: &Client) -> Result<(), String> {
    let request = GetResortRequest { resort_id: villa.resort_id.clone() };
    let found = admin.insist(request).await.map_err(|status| format!("{status:?}"))?.resort.unwrap_or_default();
    let mut taken: Vec<(String, String)> = Vec::new();
    for occupancy in &found.occupied {
        ensure(occupancy.state() == HoldState::Booked, || format!("{occupancy:?} belongs to no stay"))?;
        let dates = occupancy.dates.clone().unwrap_or_default();
        taken.push((dates.start_date, dates.end_date));
    }
    taken.sort();
    let twice = taken.windows(2).find(|pair| pair[0].1 > pair[1].0);
    ensure(twice.is_none(), || format!("{twice:?} overlap"))?;
    let is_here = |stay: &&Stay| stay.resort_id == villa.resort_id && stay.state() == StayState::Confirmed;
    let booked = stays.values().filter(is_here).count();
    ensure(taken.len() == booked, || format!("{booked} stays are paid, {} are booked", taken.len()))
}
