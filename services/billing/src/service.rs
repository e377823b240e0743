//! The gRPC face of bills: they are only read.

use chassis::db::Database;
use chassis::page::Cursor;
use chassis::{Call, Error, Fields, Loader, Page, all};
use contracts::Role;
use contracts::billing::v1 as proto;
use contracts::billing::v1::billing_service_server::BillingService;
use tonic::{Request, Response, Status};

use crate::domain::{Bill, BillId};
use crate::store;

/// Serves bills.
#[derive(Clone)]
pub struct Service {
    /// Finds bills.
    pub loader: Loader<BillId, Bill>,
    /// Lists bills.
    pub database: Database,
}

#[tonic::async_trait]
impl BillingService for Service {
    async fn get_bill(
        &self,
        request: Request<proto::GetBillRequest>,
    ) -> Result<Response<proto::GetBillResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let id = fields.id("bill_id", &request.bill_id);
        let id = fields.finish(id)?;
        let sees = |bill: &Bill| bill.customer == call.caller.subject() || call.caller.has(Role::Admin);
        let bill = self.loader.get(id).await?.filter(sees).ok_or_else(|| Error::not_found("bill", id))?;
        Ok(Response::new(proto::GetBillResponse { bill: Some((&bill).into()) }))
    }

    async fn list_bills(
        &self,
        request: Request<proto::ListBillsRequest>,
    ) -> Result<Response<proto::ListBillsResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let customer = call.own();
        let filter = [customer.unwrap_or_default().as_bytes(), &request.state.to_be_bytes()];
        let page = Page::<Cursor>::parse(&mut fields, request.page_size, &request.page_token, &filter);
        let known = proto::BillState::try_from(request.state);
        let state = fields.take("state", known.map_err(|_| "must be a value of BillState"));
        let (page, state) = fields.finish(all!(page, state))?;
        let reader = self.database.reader().await?;
        let (bills, next_page_token) = store::list(reader.tx(), customer, state, &page).await?;
        Ok(Response::new(proto::ListBillsResponse { bills, next_page_token }))
    }
}
