//! A day of resorts.

use anyhow::Context as _;
use client::Error;
use contracts::money::v1::Money;
use contracts::mypage::v1::{GetStayRequest, Stay as StayPage};
use contracts::payment::v1::{ChargePaymentRequest, PaymentState};
use contracts::period::v1::Dates;
use contracts::resort::v1::{RegisterResortRequest, Resort};
use contracts::stay::v1::{CancelStayRequest, ReserveStayRequest, ReserveStayResponse, Stay, StayState};
use contracts::voucher::v1::VoucherState;

use super::Day;

impl Day {
    /// Runs it.
    pub(super) async fn play_stays(&self) -> anyhow::Result<()> {
        println!("\nNEXT WEEKEND. The company lets a villa by the sea, and mina and jun want the same night at once.");
        let villa = self.register_villa("Sea View", 90_000).await?;
        let dates = self.days(7, 9)?;
        let (mina, jun) = tokio::join!(self.stay("mina", &villa, &dates), self.stay("jun", &villa, &dates));
        let (winner, stay, refused) = match (mina, jun) {
            (Ok(stay), Err(refused)) => ("mina", stay, refused),
            (Err(refused), Ok(stay)) => ("jun", stay, refused),
            _ => anyhow::bail!("one customer should have got it"),
        };
        let stay = stay.stay.context("no stay in the answer")?;
        println!("  {winner} gets it; the other one is refused: {}", refused.message());

        println!("\nThe stay is unpaid; {winner} pays, and gets a voucher.");
        let page = self.wait_for_stay(winner, &stay, |page| page.payment_state() == PaymentState::Requested).await?;
        let (payment_id, payment_method) = (page.payment_id, "sandbox-approve".to_owned());
        let request = ChargePaymentRequest { payment_id, payment_method, ..Default::default() };
        self.ask(winner, request).await?;
        self.wait_for_stay(winner, &stay, |page| page.voucher_state() == VoucherState::Sent).await?;

        println!("\nThen {winner} cancels: the voucher is deactivated, and the payment is refunded.");
        let request = CancelStayRequest { stay_id: stay.stay_id.clone(), ..Default::default() };
        self.ask(winner, request).await?;
        let is_undone = |page: &StayPage| {
            page.voucher_state() == VoucherState::Deactivated && page.payment_state() == PaymentState::Cancelled
        };
        let page = self.wait_for_stay(winner, &stay, is_undone).await?;
        anyhow::ensure!(page.stay_state() == StayState::Cancelled, "the stay should be cancelled");
        Ok(())
    }

    async fn register_villa(&self, name: &str, won_a_night: i64) -> anyhow::Result<Resort> {
        let resort = Resort {
            name: name.to_owned(),
            kind: "villa".to_owned(),
            nightly_rate: Some(Money { currency_code: "KRW".to_owned(), amount_minor: won_a_night }),
            offered: vec![self.days(0, 365)?],
            ..Default::default()
        };
        let request = RegisterResortRequest { resort: Some(resort), ..Default::default() };
        let villa = self.ask("admin", request).await?.resort.context("no resort in the answer")?;
        println!("  {name} for {won_a_night} won a night: resort {}", villa.resort_id);
        Ok(villa)
    }

    async fn stay(&self, who: &str, villa: &Resort, dates: &Dates) -> Result<ReserveStayResponse, Error> {
        let (resort_id, dates) = (villa.resort_id.clone(), Some(dates.clone()));
        self.ask(who, ReserveStayRequest { resort_id, dates, ..Default::default() }).await
    }

    /// Dates that begin and end this many days from today.
    fn days(&self, start: i64, end: i64) -> anyhow::Result<Dates> {
        let today = jiff::Timestamp::from_microsecond(chassis::clock::Clock::system().now().micros())?;
        let day = |days: i64| anyhow::Ok(today.in_tz("Asia/Seoul")?.date().checked_add(jiff::Span::new().days(days))?);
        Ok(Dates { start_date: day(start)?.to_string(), end_date: day(end)?.to_string() })
    }

    async fn wait_for_stay(
        &self,
        who: &str,
        stay: &Stay,
        is_so: impl Fn(&StayPage) -> bool,
    ) -> anyhow::Result<StayPage> {
        let request = GetStayRequest { stay_id: stay.stay_id.clone() };
        let page = self.wait_for(who, request, |answer| answer.stay.filter(&is_so)).await?;
        let states = (page.stay_state().as_str_name(), page.payment_state().as_str_name());
        println!("  {who}'s page: {}, {}, {}", states.0, states.1, page.voucher_state().as_str_name());
        Ok(page)
    }
}
