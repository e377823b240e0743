//! A day of bikes.

use anyhow::Context as _;
use chassis::clock::Clock;
use contracts::bike::v1::{Bike, RegisterBikeRequest, SearchBikesRequest};
use contracts::billing::v1::BillState;
use contracts::money::v1::Money;
use contracts::mypage::v1::{BikeRide, ListBikeRidesRequest};
use contracts::place::v1::Place;
use contracts::ride::v1::{RentBikeRequest, ReturnBikeRequest, Ride};
use contracts::upkeep::v1::ReportBikeRequest;
use contracts::wallet::v1::{ConvertPointsRequest, GetWalletRequest, TopUpRequest, Wallet};

use super::{Day, wait};

/// Seoul Forest.
const FOREST: (f64, f64) = (37.5444, 127.0374);

fn won(money: Option<&Money>) -> i64 {
    money.map_or(0, |money| money.amount_minor)
}

impl Day {
    /// Runs it.
    pub(super) async fn play_bikes(&self) -> anyhow::Result<()> {
        println!("\nNEXT MORNING. Two bikes stand at Seoul Forest; Bora looks for the nearest, and rides off.");
        // A new customer each time: a customer with a deposit does not get into arrears.
        let rider = &format!("bora-{}", Clock::system().now().micros() % 1_000_000);
        for (name, north) in [("S-1024", 0.001), ("S-2048", 0.002)] {
            let request = RegisterBikeRequest {
                name: name.to_owned(),
                place: Some(forest(north)),
                battery_percent: Some(80),
                ..Default::default()
            };
            self.ask("admin", request).await?;
        }
        let (latitude, longitude) = (Some(FOREST.0), Some(FOREST.1));
        let request = SearchBikesRequest { latitude, longitude, ..Default::default() };
        let near = self.ask(rider, request).await?.bikes;
        let nearest = near.into_iter().next().context("no bike is near")?;
        let bike = nearest.bike.context("no bike in the answer")?;
        println!("  bike {} is {:.0} m away", bike.name, nearest.distance_km * 1_000.0);
        let ride = self.rent_bike(rider, &bike).await?;
        let request = RentBikeRequest { bike_id: bike.bike_id.clone(), ..Default::default() };
        let refused = self.ask("jun", request).await.err().context("one bike had two riders")?;
        println!("  jun wants the same one and is refused: {}", refused.message());

        self.ride_without_deposit(rider, &bike, &ride).await?;
        self.top_up_and_settle(rider, &ride).await?;
        self.look_after(&bike).await?;
        self.tell_messages(rider).await
    }

    async fn ride_without_deposit(&self, rider: &str, bike: &Bike, ride: &Ride) -> anyhow::Result<()> {
        println!("\nShe returns it, but has no deposit: the bill is in arrears, and she can't rent another bike.");
        self.return_bike(rider, ride).await?;
        let page = self.wait_for_bill(rider, ride, BillState::Arrears).await?;
        println!(
            "  {} min, {} won: the bill is {}",
            page.minutes,
            won(page.fee.as_ref()),
            page.bill_state().as_str_name()
        );
        let refused = wait("the next rent to be refused".to_owned(), async || {
            let request = RentBikeRequest { bike_id: bike.bike_id.clone(), ..Default::default() };
            match self.ask(rider, request).await {
                // `ride` receives the event of the arrears a moment later.
                Ok(answer) => {
                    let ride = answer.ride.context("no ride in the answer")?;
                    self.return_bike(rider, &ride).await?;
                    Ok(None)
                }
                // The bike is free a moment after the return.
                Err(error) if error.message().contains("someone rides") => Ok(None),
                Err(error) => Ok(Some(error)),
            }
        });
        println!("  she can't rent another: {}", refused.await?.message());
        Ok(())
    }

    async fn top_up_and_settle(&self, rider: &str, ride: &Ride) -> anyhow::Result<()> {
        println!("\nShe tops her deposit up by 10,000 won: the bill settles itself.");
        let amount = Some(Money { currency_code: "KRW".to_owned(), amount_minor: 10_000 });
        let request = TopUpRequest { amount, payment_method: "sandbox-approve".to_owned(), ..Default::default() };
        self.ask(rider, request).await?;
        let page = self.wait_for_bill(rider, ride, BillState::Closed).await?;
        let wallet = self.wallet(rider).await?;
        println!("  the bill is {}, the deposit {} won", page.bill_state().as_str_name(), won(wallet.deposit.as_ref()));
        Ok(())
    }

    async fn look_after(&self, bike: &Bike) -> anyhow::Result<()> {
        println!("\nHana looks after the bikes: a report earns her points, and points become deposit.");
        let request = ReportBikeRequest {
            bike_id: bike.bike_id.clone(),
            battery_percent: Some(35),
            usable: Some(true),
            ..Default::default()
        };
        let report = self.ask("staff:hana", request).await?.report.context("no report")?;
        println!("  her report on {} earns {} points", bike.name, report.points);
        let points = wait("the points".to_owned(), async || {
            let points = self.wallet("staff:hana").await?.points;
            Ok((points >= report.points).then_some(points))
        });
        let request = ConvertPointsRequest { points: points.await?, ..Default::default() };
        let wallet = self.ask("staff:hana", request).await?.wallet.context("no wallet in the answer")?;
        println!(
            "  she turns them into deposit: it is {} won now, with {} points left",
            won(wallet.deposit.as_ref()),
            wallet.points
        );
        Ok(())
    }

    async fn rent_bike(&self, who: &str, bike: &Bike) -> anyhow::Result<Ride> {
        let request = RentBikeRequest { bike_id: bike.bike_id.clone(), ..Default::default() };
        let ride = self.ask(who, request).await?.ride.context("no ride in the answer")?;
        println!("  {who} rides bike {}: ride {}", bike.name, ride.ride_id);
        Ok(ride)
    }

    async fn return_bike(&self, who: &str, ride: &Ride) -> anyhow::Result<()> {
        let place = Some(forest(0.001));
        let request = ReturnBikeRequest { ride_id: ride.ride_id.clone(), place, ..Default::default() };
        self.ask(who, request).await?;
        Ok(())
    }

    async fn wallet(&self, who: &str) -> anyhow::Result<Wallet> {
        self.ask(who, GetWalletRequest::default()).await?.wallet.context("no wallet in the answer")
    }

    async fn wait_for_bill(&self, who: &str, ride: &Ride, state: BillState) -> anyhow::Result<BikeRide> {
        self.wait_for(who, ListBikeRidesRequest::default(), |answer| {
            let mut pages = answer.bike_rides.into_iter();
            pages.find(|page| page.ride_id == ride.ride_id && page.bill_state() == state)
        })
        .await
    }
}

fn forest(north: f64) -> Place {
    Place { name: "Seoul Forest".to_owned(), latitude: Some(FOREST.0 + north), longitude: Some(FOREST.1) }
}
