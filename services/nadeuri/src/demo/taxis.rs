//! A day of taxis.

use anyhow::Context as _;
use client::Error;
use contracts::dispatch::v1::{CancelHailRequest, Hail, HailState, HailTaxiRequest};
use contracts::driving::v1::{
    AcceptDriveRequest, Drive, FareState, FinishDriveRequest, ListOffersRequest, StartDriveRequest, StartShiftRequest,
};
use contracts::mypage::v1::{GetTaxiRideRequest, TaxiRide};
use contracts::payment::v1::PaymentState;
use contracts::place::v1::Place;

use super::Day;

/// City Hall of Seoul.
const CITY_HALL: (f64, f64) = (37.5663, 126.9779);

impl Day {
    /// Runs it.
    pub(super) async fn play_taxis(&self) -> anyhow::Result<()> {
        println!("\nNIGHT. Mina hails a taxi home; Kim and Lee see the offer, and both accept it.");
        for driver in ["driver:kim", "driver:lee"] {
            self.ask(driver, StartShiftRequest::default()).await?;
        }
        let hail = self.hail("mina").await?;
        let drive = self.wait_for_offer("driver:kim", &hail).await?;
        let (kim, lee) = tokio::join!(self.accept("driver:kim", &drive), self.accept("driver:lee", &drive));
        let (winner, refused) = match (kim, lee) {
            (Ok(_), Err(refused)) => ("driver:kim", refused),
            (Err(refused), Ok(_)) => ("driver:lee", refused),
            _ => anyhow::bail!("one driver should have got it"),
        };
        let name = winner.trim_start_matches("driver:");
        println!("  {name} gets it; the other one is refused: {}", refused.message());
        self.wait_for_ride("mina", &hail, |page| page.hail_state() == HailState::Allocated).await?;

        println!("\nShe boards, tells the driver her code, and rides home; the fare is charged to her card there.");
        let (drive_id, start_code) = (drive.drive_id.clone(), hail.start_code.clone());
        let request = StartDriveRequest { drive_id, start_code, ..Default::default() };
        self.ask(winner, request).await?;
        let request = FinishDriveRequest { drive_id: drive.drive_id.clone(), ..Default::default() };
        let finished = self.ask(winner, request).await?.drive.context("no drive")?;
        let fare = finished.fare.as_ref().map_or(0, |fare| fare.amount_minor);
        println!(
            "  the drive is {}: {fare} won, {}",
            finished.state().as_str_name(),
            finished.fare_state().as_str_name()
        );
        anyhow::ensure!(finished.fare_state() == FareState::Paid, "a good card should have paid");
        let page = self.wait_for_ride("mina", &hail, |page| page.payment_state() == PaymentState::Settled).await?;
        println!("  mina's page: {} and {}", page.hail_state().as_str_name(), page.payment_state().as_str_name());

        println!("\nJun hails one too, and then walks: his request is cancelled before a driver starts.");
        let hail = self.hail("jun").await?;
        let request = CancelHailRequest { hail_id: hail.hail_id.clone(), ..Default::default() };
        self.ask("jun", request).await?;
        let page = self.wait_for_ride("jun", &hail, |page| page.hail_state() == HailState::Cancelled).await?;
        println!("  jun's hail is {}", page.hail_state().as_str_name());
        Ok(())
    }

    async fn hail(&self, who: &str) -> anyhow::Result<Hail> {
        let (latitude, longitude) = (Some(CITY_HALL.0), Some(CITY_HALL.1));
        let request = HailTaxiRequest {
            pickup: Some(Place { name: "City Hall".to_owned(), latitude, longitude }),
            destination: Some(Place { name: "Mapo".to_owned(), ..Default::default() }),
            payment_method: "sandbox-approve".to_owned(),
            ..Default::default()
        };
        let hail = self.ask(who, request).await?.hail.context("no hail in the answer")?;
        println!("  {who} hails a taxi at City Hall: hail {}", hail.hail_id);
        Ok(hail)
    }

    /// `driving` offers a hail a moment after the customer made it.
    async fn wait_for_offer(&self, who: &str, hail: &Hail) -> anyhow::Result<Drive> {
        let (latitude, longitude) = (Some(CITY_HALL.0), Some(CITY_HALL.1));
        let request = ListOffersRequest { latitude, longitude, page_size: 1_000, ..Default::default() };
        self.wait_for(who, request, |answer| {
            let mut drives = answer.offers.into_iter().filter_map(|offer| offer.drive);
            drives.find(|drive| drive.hail_id == hail.hail_id)
        })
        .await
    }

    async fn accept(&self, who: &str, drive: &Drive) -> Result<(), Error> {
        self.ask(who, AcceptDriveRequest { drive_id: drive.drive_id.clone(), ..Default::default() }).await.map(drop)
    }

    async fn wait_for_ride(
        &self,
        who: &str,
        hail: &Hail,
        is_so: impl Fn(&TaxiRide) -> bool,
    ) -> anyhow::Result<TaxiRide> {
        let request = GetTaxiRideRequest { hail_id: hail.hail_id.clone() };
        self.wait_for(who, request, |answer| answer.taxi_ride.filter(&is_so)).await
    }
}
