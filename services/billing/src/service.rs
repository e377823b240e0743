//! The gRPC API of bills: they are only read.

use chassis::db::Database;
use chassis::{Call, Error, Loader, Page};
use contracts::billing::v1::*;

use crate::domain::{Bill, BillId};
use crate::store;

/// Serves bills.
#[derive(Clone)]
pub struct Service {
    /// Loads bills.
    pub loader: Loader<BillId, Bill>,
    /// Lists bills.
    pub database: Database,
}

impl BillingApi for Service {
    type Call = Call;
    type Error = Error;

    async fn get_bill(&self, call: Call, request: GetBillRequest) -> Result<GetBillResponse, Error> {
        let id = call.parse(|fields| fields.id("bill_id", &request.bill_id))?;
        let sees = |bill: &Bill| call.is_staff || call.caller.is(&bill.customer);
        let bill = self.loader.get(id).await?.filter(sees).ok_or_else(|| Error::not_found("bill", id))?;
        Ok(GetBillResponse { bill: Some((&bill).into()) })
    }

    async fn list_bills(&self, call: Call, request: ListBillsRequest) -> Result<ListBillsResponse, Error> {
        let customer = call.own();
        let filter = [customer.unwrap_or_default().as_bytes(), &request.state.to_be_bytes()];
        let (page, state) = call.parse(|fields| {
            let page = Page::parse(fields, request.page_size, &request.page_token, &filter);
            (page, fields.value("state", request.state))
        })?;
        let reader = self.database.reader().await?;
        let (bills, next_page_token) = store::list(reader.tx(), customer, state, &page).await?;
        Ok(ListBillsResponse { bills, next_page_token })
    }
}
