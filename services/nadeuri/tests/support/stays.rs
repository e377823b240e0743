//! The requests of guests and managers of resorts, one method each.

use contracts::mypage::v1 as mypage;
use contracts::payment::v1::{ListPaymentsRequest, Payment, PaymentState};
use contracts::period::v1::Dates;
use contracts::resort::v1::{GetResortRequest, RegisterResortRequest, Resort};
use contracts::stay::v1::{CancelStayRequest, GetStayRequest, ReserveStayRequest, Stay, StayState};
use contracts::voucher::v1::{ListVouchersRequest, RedeemVoucherRequest, Voucher, VoucherState};
use jiff::ToSpan as _;
use jiff::tz::TimeZone;
use tonic::Status;

use super::client::{Client, Who};
use super::verbs::won;
use super::{GOOD_CARD, eventually, now};

type Answer<T> = Result<T, Status>;

impl Who {
    /// Staff of resorts.
    pub fn resort_staff() -> Who {
        Who::Named { name: "hana".to_owned(), roles: "resort_staff" }
    }
}

/// Dates of this many nights that start this many days from today in Seoul.
pub fn nights(start: i64, nights: i64) -> Dates {
    let now = jiff::Timestamp::from_microsecond(now().micros()).unwrap();
    let first = now.to_zoned(TimeZone::get("Asia/Seoul").unwrap()).date() + start.days();
    Dates { start_date: first.to_string(), end_date: (first + nights.days()).to_string() }
}

/// A valid villa to register: in Seoul, offered from yesterday for two years.
pub fn some_villa(name: &str, won_a_night: i64) -> Resort {
    Resort {
        name: name.to_owned(),
        kind: "villa".to_owned(),
        nightly_rate: Some(won(won_a_night)),
        offered: vec![nights(-1, 800)],
        ..Default::default()
    }
}

impl Client {
    /// Registers a villa.
    pub async fn new_villa(&self, name: &str, won_a_night: i64) -> Resort {
        self.register_resort(some_villa(name, won_a_night)).await.unwrap()
    }

    /// Registers a resort.
    pub async fn register_resort(&self, resort: Resort) -> Answer<Resort> {
        let request = RegisterResortRequest { resort: Some(resort), ..Default::default() };
        Ok(self.send(request).await?.resort.unwrap())
    }

    /// Gets a resort.
    pub async fn resort(&self, resort: &Resort) -> Resort {
        let request = GetResortRequest { resort_id: resort.resort_id.clone() };
        self.send(request).await.unwrap().resort.unwrap()
    }

    /// Reserves a stay.
    pub async fn book(&self, resort: &Resort, dates: Dates) -> Answer<Stay> {
        let (resort_id, dates) = (resort.resort_id.clone(), Some(dates));
        Ok(self.send(ReserveStayRequest { resort_id, dates, ..Default::default() }).await?.stay.unwrap())
    }

    /// Cancels a stay.
    pub async fn cancel_stay(&self, it: &Stay) -> Answer<Stay> {
        let request = CancelStayRequest { stay_id: it.stay_id.clone(), ..Default::default() };
        Ok(self.send(request).await?.stay.unwrap())
    }

    /// Gets a stay.
    pub async fn stay(&self, it: &Stay) -> Answer<Stay> {
        Ok(self.send(GetStayRequest { stay_id: it.stay_id.clone() }).await?.stay.unwrap())
    }

    /// Waits until the stay is in the state.
    pub async fn sees_stay(&self, it: &Stay, state: StayState) -> Stay {
        let what = format!("the stay to be {}", state.as_str_name());
        eventually(&what, async || self.stay(it).await.ok().filter(|found| found.state() == state)).await
    }

    /// Waits until the payment for a stay is in the state.
    pub async fn sees_stay_payment(&self, it: &Stay, state: PaymentState) -> Payment {
        let request = ListPaymentsRequest { purchase_id: it.stay_id.clone(), ..Default::default() };
        let what = format!("the payment to be {}", state.as_str_name());
        eventually(&what, async || {
            let payments = self.send(request.clone()).await.ok()?.payments;
            assert!(payments.len() < 2, "there is one payment for a purchase");
            payments.into_iter().next().filter(|found| found.state() == state)
        })
        .await
    }

    /// Pays for a stay with a valid card, and waits until it is confirmed.
    pub async fn pay_stay(&self, it: &Stay) -> Stay {
        let payment = self.sees_stay_payment(it, PaymentState::Requested).await;
        self.charge(&payment.payment_id, GOOD_CARD).await.unwrap();
        self.sees_stay(it, StayState::Confirmed).await
    }

    /// Waits until the voucher of a stay is in the state.
    pub async fn sees_voucher(&self, it: &Stay, state: VoucherState) -> Voucher {
        let request = ListVouchersRequest { stay_id: it.stay_id.clone(), ..Default::default() };
        let what = format!("the voucher to be {}", state.as_str_name());
        eventually(&what, async || {
            let vouchers = self.send(request.clone()).await.ok()?.vouchers;
            assert!(vouchers.len() < 2, "there is one voucher for a stay");
            vouchers.into_iter().next().filter(|found| found.state() == state)
        })
        .await
    }

    /// Redeems a voucher by its code.
    pub async fn redeem(&self, code: &str) -> Answer<Voucher> {
        let request = RedeemVoucherRequest { code: code.to_owned(), ..Default::default() };
        Ok(self.send(request).await?.voucher.unwrap())
    }

    /// Gets the read model of a stay.
    pub async fn stay_page(&self, it: &Stay) -> Answer<mypage::Stay> {
        Ok(self.send(mypage::GetStayRequest { stay_id: it.stay_id.clone() }).await?.stay.unwrap())
    }

    /// Waits until the read model of a stay shows these states.
    pub async fn sees_stay_page(
        &self,
        it: &Stay,
        stay: StayState,
        payment: PaymentState,
        voucher: VoucherState,
    ) -> mypage::Stay {
        let states = (stay, payment, voucher);
        eventually(&format!("the read model to show {states:?}"), async || {
            let page = self.stay_page(it).await.ok()?;
            ((page.stay_state(), page.payment_state(), page.voucher_state()) == states).then_some(page)
        })
        .await
    }
}
