//! The gRPC face of the view: customers read what is theirs.

use chassis::db::Database;
use chassis::page::Spot;
use chassis::{Call, Error, Fields, Finder, Page};
use contracts::Role;
use contracts::mypage::v1 as proto;
use contracts::mypage::v1::mypage_service_server::MypageService;
use tonic::{Request, Response, Status};

use crate::store::{self, Row};
use crate::view::ReservationId;

/// Serves the view.
#[derive(Clone)]
pub(crate) struct Service {
    /// Finds car rentals.
    pub finder: Finder<ReservationId, Row>,
    /// Lists car rentals.
    pub database: Database,
}

#[tonic::async_trait]
impl MypageService for Service {
    async fn get_car_rental(
        &self,
        request: Request<proto::GetCarRentalRequest>,
    ) -> Result<Response<proto::GetCarRentalResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let id: Option<ReservationId> = fields.id("reservation_id", &request.reservation_id);
        let id = fields.finish(id)?;
        let is_visible = |row: &Row| match &row.customer {
            Some(customer) => customer == call.caller.subject() || call.caller.has(Role::Admin),
            None => false,
        };
        let row = self.finder.get(id).await?.filter(is_visible);
        let row = row.ok_or_else(|| Error::not_found("car rental", id))?;
        Ok(Response::new(proto::GetCarRentalResponse { car_rental: Some(row.into()) }))
    }

    async fn list_car_rentals(
        &self,
        request: Request<proto::ListCarRentalsRequest>,
    ) -> Result<Response<proto::ListCarRentalsResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let customer = (!call.caller.has(Role::Admin)).then(|| call.caller.subject());
        let filter = [customer.unwrap_or_default().as_bytes()];
        let page = Page::<Spot>::parse(&mut fields, request.page_size, &request.page_token, &filter);
        let page = fields.finish(page)?;
        let reader = self.database.reader().await?;
        let (car_rentals, next_page_token) = store::list(reader.tx(), customer, &page).await?;
        Ok(Response::new(proto::ListCarRentalsResponse { car_rentals, next_page_token }))
    }
}
