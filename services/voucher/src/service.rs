//! The gRPC API of vouchers: parse, handle, answer.

use chassis::db::Database;
use chassis::{Call, Error, Loader, Page, Writer};
use contracts::Redact as _;
use contracts::voucher::v1::*;

use crate::code::Code;
use crate::domain::{Command, Refusal, Voucher, VoucherId};
use crate::store;

/// Serves vouchers.
#[derive(Clone)]
pub struct Service {
    /// Changes vouchers.
    pub writer: Writer<Voucher>,
    /// Loads vouchers.
    pub loader: Loader<VoucherId, Voucher>,
    /// Lists vouchers, and finds them by their codes.
    pub database: Database,
}

fn is_own(call: &Call, voucher: &Voucher) -> bool {
    voucher.grant.as_ref().is_some_and(|grant| grant.customer == call.caller.subject())
}

impl VoucherApi for Service {
    type Call = Call;
    type Error = Error;

    async fn redeem_voucher(&self, call: Call, request: RedeemVoucherRequest) -> Result<RedeemVoucherResponse, Error> {
        let code = call.parse(|fields| fields.take("code", request.code.parse::<Code>()))?;
        let found = {
            let reader = self.database.reader().await?;
            store::by_code(reader.tx(), code).await?
        };
        let id = found.ok_or_else(|| Error::refused(&Refusal::NoSuchVoucher))?;
        let voucher = self.writer.handle(call.command(id, Command::Redeem)).await?;
        Ok(RedeemVoucherResponse { voucher: Some(voucher) }.redacted_for(call.caller.subject()))
    }

    async fn get_voucher(&self, call: Call, request: GetVoucherRequest) -> Result<GetVoucherResponse, Error> {
        let id = call.parse(|fields| fields.id("voucher_id", &request.voucher_id))?;
        let sees = |voucher: &Voucher| is_own(&call, voucher) || call.is_staff && voucher.grant.is_some();
        let voucher = self.loader.get(id).await?.filter(sees).ok_or_else(|| Error::not_found("voucher", id))?;
        Ok(GetVoucherResponse { voucher: Some((&voucher).into()) }.redacted_for(call.caller.subject()))
    }

    async fn list_vouchers(&self, call: Call, request: ListVouchersRequest) -> Result<ListVouchersResponse, Error> {
        let customer = call.own();
        let filter =
            [customer.unwrap_or_default().as_bytes(), request.stay_id.as_bytes(), &request.state.to_be_bytes()];
        let (page, stay, state) = call.parse(|fields| {
            let page = Page::parse(fields, request.page_size, &request.page_token, &filter);
            let stay = fields.optional_id("stay_id", &request.stay_id);
            (page, stay, fields.value("state", request.state))
        })?;
        let reader = self.database.reader().await?;
        let (vouchers, next_page_token) = store::list(reader.tx(), customer, stay, state, &page).await?;
        let vouchers = vouchers.iter().map(Into::into).collect();
        Ok(ListVouchersResponse { vouchers, next_page_token }.redacted_for(call.caller.subject()))
    }
}
