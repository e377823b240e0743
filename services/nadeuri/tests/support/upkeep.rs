//! The requests of managers of bikes, one method each.

use contracts::bike::v1::{Bike, RegisterBikeRequest};
use contracts::upkeep::v1::{GetManagerRequest, ListReportsRequest, Manager, Report, ReportBikeRequest};
use contracts::wallet::v1::{ConvertPointsRequest, Wallet};
use tonic::Status;

use super::client::Client;
use super::taxis::{place, somewhere};
use super::{eventually, new_id};

type Answer<T> = Result<T, Status>;

/// A report with a request id, so that it can be repeated.
pub fn report_on(bike: &Bike, battery_percent: i32, usable: bool) -> ReportBikeRequest {
    let (battery_percent, usable) = (Some(battery_percent), Some(usable));
    ReportBikeRequest { request_id: new_id(), bike_id: bike.bike_id.clone(), battery_percent, usable }
}

impl Client {
    /// Registers a bike that can be ridden.
    pub async fn bike_to_look_after(&self) -> Bike {
        let request = RegisterBikeRequest {
            name: "N-7".to_owned(),
            place: Some(place("City Hall", somewhere())),
            battery_percent: Some(80),
            ..Default::default()
        };
        self.send(request).await.unwrap().bike.unwrap()
    }

    /// Gets a bike.
    pub async fn bike_as_it_is(&self, bike: &Bike) -> Bike {
        self.bike(bike).await
    }

    /// Reports on a bike.
    pub async fn report(&self, bike: &Bike, battery_percent: i32, usable: bool) -> Answer<Report> {
        Ok(self.send(report_on(bike, battery_percent, usable)).await?.report.unwrap())
    }

    /// The caller's reports, newest first.
    pub async fn reports(&self) -> Vec<Report> {
        self.send(ListReportsRequest::default()).await.unwrap().reports
    }

    /// The caller's data as a manager.
    pub async fn as_manager(&self) -> Manager {
        self.send(GetManagerRequest::default()).await.unwrap().manager.unwrap()
    }

    /// Waits until `upkeep` and `wallet` both have this balance of points.
    pub async fn sees_points(&self, points: i64) -> Wallet {
        let what = format!("{points} points");
        eventually(&what, async || Some(self.as_manager().await).filter(|manager| manager.points == points)).await;
        eventually(&what, async || Some(self.wallet().await).filter(|wallet| wallet.points == points)).await
    }

    /// Converts points into deposit.
    pub async fn convert(&self, points: i64) -> Answer<Wallet> {
        let request = ConvertPointsRequest { request_id: new_id(), points };
        Ok(self.send(request).await?.wallet.unwrap())
    }
}
