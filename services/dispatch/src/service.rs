//! The gRPC face of hails: parse, handle, answer.

use chassis::db::Database;
use chassis::values::Place;
use chassis::runtime::Runtime;
use chassis::{Call, Error, Fields, Loader, Page, Writer, all};
use contracts::Role;
use contracts::dispatch::v1 as proto;
use contracts::dispatch::v1::dispatch_service_server::DispatchService;
use tonic::{Request, Response, Status};

use crate::domain::{Command, Hail, HailId, Trip};
use crate::store;

/// Serves hails.
#[derive(Clone)]
pub struct Service {
    /// Changes hails.
    pub writer: Writer<Hail>,
    /// Finds hails.
    pub loader: Loader<HailId, Hail>,
    /// Lists hails.
    pub database: Database,
    /// Time and chance.
    pub runtime: Runtime,
}

impl Service {
    /// The hail, if it is the caller's own, or may be seen as an admin.
    async fn find(&self, call: &Call, id: HailId, for_admins: bool) -> Result<Hail, Error> {
        let is_admin = for_admins && call.caller.has(Role::Admin);
        let found = self.loader.get(id).await?.filter(|hail| is_admin || hail.trip.customer == call.caller.subject());
        found.ok_or_else(|| Error::not_found("hail", id))
    }
}

#[tonic::async_trait]
impl DispatchService for Service {
    async fn hail_taxi(
        &self,
        request: Request<proto::HailTaxiRequest>,
    ) -> Result<Response<proto::HailTaxiResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let pickup = Place::parse_located(&mut fields, "pickup", request.pickup.as_ref());
        let destination = Place::parse(&mut fields, "destination", request.destination.as_ref());
        let method = fields.text("payment_method", &request.payment_method, 1..=100);
        let (key, pickup, destination, payment_method) = fields.finish(all!(key, pickup, destination, method))?;
        let trip = Trip { customer: call.caller.subject().to_owned(), pickup, destination, payment_method };
        let id = self.runtime.ids.mint(self.runtime.now());
        let hail = self.writer.handle(call.command(id, Command::Request(id, trip), key)).await?;
        Ok(Response::new(proto::HailTaxiResponse { hail: Some(hail) }))
    }

    async fn cancel_hail(
        &self,
        request: Request<proto::CancelHailRequest>,
    ) -> Result<Response<proto::CancelHailResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("hail_id", &request.hail_id);
        let (key, id) = fields.finish(all!(key, id))?;
        self.find(&call, id, false).await?;
        let hail = self.writer.handle(call.command(id, Command::Cancel, key)).await?;
        Ok(Response::new(proto::CancelHailResponse { hail: Some(hail) }))
    }

    async fn get_hail(
        &self,
        request: Request<proto::GetHailRequest>,
    ) -> Result<Response<proto::GetHailResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let id = fields.id("hail_id", &request.hail_id);
        let hail = self.find(&call, fields.finish(id)?, true).await?;
        Ok(Response::new(proto::GetHailResponse { hail: Some((&hail).into()) }))
    }

    async fn list_hails(
        &self,
        request: Request<proto::ListHailsRequest>,
    ) -> Result<Response<proto::ListHailsResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let customer = call.own();
        let filter = [customer.unwrap_or_default().as_bytes()];
        let page = Page::parse(&mut fields, request.page_size, &request.page_token, &filter);
        let page = fields.finish(page)?;
        let reader = self.database.reader().await?;
        let (hails, next_page_token) = store::list(reader.tx(), customer, &page).await?;
        Ok(Response::new(proto::ListHailsResponse { hails, next_page_token }))
    }
}
