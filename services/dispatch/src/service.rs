//! The gRPC API of hails: parse, handle, answer.

use chassis::db::Database;
use chassis::runtime::Runtime;
use chassis::values::Place;
use chassis::{Call, Error, Loader, Page, Writer};
use contracts::Redact as _;
use contracts::dispatch::v1::*;

use crate::domain::{Command, Hail, HailId, Trip};
use crate::store;

/// Serves hails.
#[derive(Clone)]
pub struct Service {
    /// Changes hails.
    pub writer: Writer<Hail>,
    /// Loads hails.
    pub loader: Loader<HailId, Hail>,
    /// Lists hails.
    pub database: Database,
    /// The clock and ids.
    pub runtime: Runtime,
    /// How many open hails one customer may have.
    pub open_hails: usize,
}

impl Service {
    /// The hail, if it is the caller's own, or the caller is of the staff.
    async fn find(&self, call: &Call, id: HailId) -> Result<Hail, Error> {
        let found = self.loader.get(id).await?.filter(|hail| call.is_staff || call.caller.is(&hail.trip.customer));
        found.ok_or_else(|| Error::not_found("hail", id))
    }
}

impl DispatchApi for Service {
    type Call = Call;
    type Error = Error;

    async fn hail_taxi(&self, call: Call, request: HailTaxiRequest) -> Result<HailTaxiResponse, Error> {
        let (pickup, destination, payment_method) = call.parse(|fields| {
            let pickup = Place::parse_located(fields, "pickup", request.pickup.as_ref());
            let destination = Place::parse(fields, "destination", request.destination.as_ref());
            (pickup, destination, fields.reference("payment_method", &request.payment_method))
        })?;
        let start_code = format!("{:04}", self.runtime.ids.below(10_000));
        let trip = Trip { customer: call.caller.subject().to_owned(), pickup, destination, payment_method, start_code };
        let id = self.runtime.ids.mint(self.runtime.now());
        let hail = self.writer.handle(call.command(id, Command::Request(id, trip, self.open_hails))).await?;
        Ok(HailTaxiResponse { hail: Some(hail) })
    }

    async fn cancel_hail(&self, call: Call, request: CancelHailRequest) -> Result<CancelHailResponse, Error> {
        let id = call.parse(|fields| fields.id("hail_id", &request.hail_id))?;
        self.find(&call, id).await?;
        let hail = self.writer.handle(call.command(id, Command::Cancel)).await?;
        Ok(CancelHailResponse { hail: Some(hail) })
    }

    async fn get_hail(&self, call: Call, request: GetHailRequest) -> Result<GetHailResponse, Error> {
        let id = call.parse(|fields| fields.id("hail_id", &request.hail_id))?;
        let hail = self.find(&call, id).await?;
        Ok(GetHailResponse { hail: Some((&hail).into()) }.redacted_for(call.caller.subject()))
    }

    async fn list_hails(&self, call: Call, request: ListHailsRequest) -> Result<ListHailsResponse, Error> {
        let customer = call.own();
        let filter = [customer.unwrap_or_default().as_bytes()];
        let page = call.parse(|fields| Page::parse(fields, request.page_size, &request.page_token, &filter))?;
        let reader = self.database.reader().await?;
        let (hails, next_page_token) = store::list(reader.tx(), customer, &page).await?;
        Ok(ListHailsResponse { hails, next_page_token }.redacted_for(call.caller.subject()))
    }
}
