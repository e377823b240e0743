//! The gRPC face of vouchers: parse, handle, answer.

use chassis::db::Database;
use chassis::page::Cursor;
use chassis::{Call, Error, Fields, Loader, Page, Writer, all};
use contracts::Role;
use contracts::voucher::v1 as proto;
use contracts::voucher::v1::voucher_service_server::VoucherService;
use tonic::{Request, Response, Status};

use crate::code::Code;
use crate::domain::{Command, Refusal, State, Voucher, VoucherId};
use crate::store;

/// Serves vouchers.
#[derive(Clone)]
pub struct Service {
    /// Changes vouchers.
    pub writer: Writer<Voucher>,
    /// Finds vouchers.
    pub loader: Loader<VoucherId, Voucher>,
    /// Lists vouchers, and finds them by their codes.
    pub database: Database,
}

fn is_own(call: &Call, voucher: &Voucher) -> bool {
    voucher.grant.as_ref().is_some_and(|grant| grant.customer == call.caller.subject())
}

/// The voucher as the caller may see it: the code is for its customer.
fn shown(call: &Call, voucher: &Voucher) -> proto::Voucher {
    let full = proto::Voucher::from(voucher);
    if is_own(call, voucher) { full } else { proto::Voucher { code: String::new(), ..full } }
}

fn sees_all(call: &Call) -> bool {
    call.caller.has(Role::Manager) || call.caller.has(Role::Admin)
}

#[tonic::async_trait]
impl VoucherService for Service {
    async fn redeem_voucher(
        &self,
        request: Request<proto::RedeemVoucherRequest>,
    ) -> Result<Response<proto::RedeemVoucherResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let code = fields.take("code", request.code.parse::<Code>());
        let (key, code) = fields.finish(all!(key, code))?;
        let found = {
            let reader = self.database.reader().await?;
            store::by_code(reader.tx(), code).await?
        };
        let id = found.ok_or_else(|| Error::refused(&Refusal::NoSuchVoucher))?;
        let voucher = self.writer.handle(call.command(id, Command::Redeem, key)).await?;
        Ok(Response::new(proto::RedeemVoucherResponse { voucher: Some(voucher) }))
    }

    async fn get_voucher(
        &self,
        request: Request<proto::GetVoucherRequest>,
    ) -> Result<Response<proto::GetVoucherResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let id = fields.id("voucher_id", &request.voucher_id);
        let id = fields.finish(id)?;
        let sees = |voucher: &Voucher| is_own(&call, voucher) || sees_all(&call) && voucher.grant.is_some();
        let voucher = self.loader.get(id).await?.filter(sees).ok_or_else(|| Error::not_found("voucher", id))?;
        Ok(Response::new(proto::GetVoucherResponse { voucher: Some(shown(&call, &voucher)) }))
    }

    async fn list_vouchers(
        &self,
        request: Request<proto::ListVouchersRequest>,
    ) -> Result<Response<proto::ListVouchersResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let customer = (!sees_all(&call)).then(|| call.caller.subject());
        let filter =
            [customer.unwrap_or_default().as_bytes(), request.stay_id.as_bytes(), &request.state.to_be_bytes()];
        let page = Page::<Cursor>::parse(&mut fields, request.page_size, &request.page_token, &filter);
        let stay = fields.optional_id("stay_id", &request.stay_id);
        let state = match proto::VoucherState::try_from(request.state) {
            Ok(proto::VoucherState::Unspecified) => Some(None),
            Ok(proto::VoucherState::Issued) => Some(Some(State::Issued)),
            Ok(proto::VoucherState::Sent) => Some(Some(State::Sent)),
            Ok(proto::VoucherState::Redeemed) => Some(Some(State::Redeemed)),
            Ok(proto::VoucherState::Deactivated) => Some(Some(State::Deactivated)),
            Err(_) => fields.take("state", Err("must be a value of VoucherState")),
        };
        let (page, stay, state) = fields.finish(all!(page, stay, state))?;
        let reader = self.database.reader().await?;
        let (vouchers, next_page_token) = store::list(reader.tx(), customer, stay, state, &page).await?;
        let vouchers = vouchers.iter().map(|voucher| shown(&call, voucher)).collect();
        Ok(Response::new(proto::ListVouchersResponse { vouchers, next_page_token }))
    }
}
