//! The gRPC face of wallets: parse, charge, handle, answer.

use chassis::db::Database;
use chassis::idempotency::Key;
use chassis::values::{Currency, Money};
use chassis::runtime::Runtime;
use chassis::{Call, PeerClient, Error, Fields, Loader, CommandMessage, Page, Writer, all};
use contracts::Role;
use contracts::payment::v1::CollectPaymentRequest;
use contracts::payment::v1::payment_service_client::PaymentServiceClient;
use contracts::wallet::v1 as proto;
use contracts::wallet::v1::wallet_service_server::WalletService;
use tonic::{Request, Response, Status};

use crate::domain::{Command, Holder, Order, TopUpId, Wallet, WalletId, wallet_of};
use crate::{check, policy, store};

/// Serves wallets.
#[derive(Clone)]
pub struct Service {
    /// Changes wallets.
    pub writer: Writer<Wallet>,
    /// Finds wallets.
    pub loader: Loader<WalletId, Wallet>,
    /// Lists entries.
    pub database: Database,
    /// Charges cards.
    pub payment: PeerClient,
    /// Time and chance.
    pub runtime: Runtime,
    /// The currency of the ledger.
    pub currency: Currency,
}

impl Service {
    fn holder(&self, owner: &str) -> Holder {
        Holder { owner: owner.to_owned(), currency: self.currency }
    }

    fn command(&self, call: &Call, order: Order, key: Option<Key>) -> CommandMessage<Wallet> {
        let holder = self.holder(call.caller.subject());
        call.command(wallet_of(&holder.owner), Command { holder, order }, key)
    }

    async fn top_up(
        &self,
        call: &Call,
        amount: Money,
        method: String,
        key: Option<Key>,
    ) -> Result<proto::Wallet, Error> {
        if let Some(first) = self.writer.first_answer(key).await? {
            return Ok(first);
        }
        // A request that is repeated meets the payment of its first attempt.
        let id: TopUpId = self.runtime.id_for(key);
        self.writer.handle(self.command(call, Order::Expect(id, amount), key.map(Key::begun))).await?;
        self.charge(call, id, amount, method).await?;
        self.writer.handle(self.command(call, Order::TopUp(id, amount.minor), key)).await
    }

    /// Charges the card, and waits. Should this process die after that, the event `PaymentApproved` does the rest.
    async fn charge(&self, call: &Call, id: TopUpId, amount: Money, method: String) -> Result<(), Error> {
        let owner = call.caller.subject();
        let request = CollectPaymentRequest {
            // The purchase makes it happen once.
            request_id: String::new(),
            purchase_id: id.to_string(),
            customer_id: owner.to_owned(),
            amount: Some(amount.into()),
            payment_method: method,
            seller_reference: policy::reference(wallet_of(owner)),
            // A card that does not answer is given up: nothing was handed out for it. Until the deposit has risen the
            // customer may want the money back, and is told that it is spent: `payment` refunds on our word only.
            used: false,
        };
        let paid = self.payment.call(Some(call), request, |transport, request| async move {
            PaymentServiceClient::new(transport).collect_payment(request).await
        });
        let away = "payments can't be taken at the moment; top up a little later, with the same request id";
        paid.await.map(drop).map_err(|none| none.into_error("PAYMENT_AWAY", away))
    }

    /// Whose wallet is asked for: the caller's own, or an admin's choice.
    fn owner(&self, call: &Call, owner: String) -> Result<Holder, Error> {
        let own = call.caller.subject();
        if owner.is_empty() || owner == own {
            return Ok(self.holder(own));
        }
        if call.caller.has(Role::Admin) { Ok(self.holder(&owner)) } else { Err(Error::not_found("wallet", owner)) }
    }

    /// The wallet, if anything was heard of its owner.
    async fn find(&self, holder: &Holder) -> Result<Option<Wallet>, Error> {
        self.loader.get(wallet_of(&holder.owner)).await
    }
}

#[tonic::async_trait]
impl WalletService for Service {
    async fn top_up(&self, request: Request<proto::TopUpRequest>) -> Result<Response<proto::TopUpResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let amount = Money::price(&mut fields, "amount", request.amount.as_ref());
        let method = fields.text("payment_method", &request.payment_method, 1..=100);
        let (key, amount, method) = fields.finish(all!(key, amount, method))?;
        let wallet = Some(self.top_up(&call, amount, method, key).await?);
        Ok(Response::new(proto::TopUpResponse { wallet }))
    }

    async fn convert_points(
        &self,
        request: Request<proto::ConvertPointsRequest>,
    ) -> Result<Response<proto::ConvertPointsResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let in_range = (1..=Money::MAX_MINOR).contains(&request.points).then_some(request.points);
        let points = fields.take("points", in_range.ok_or(format!("must be 1 to {}", Money::MAX_MINOR)));
        let (key, points) = fields.finish(all!(key, points))?;
        let id = self.runtime.id_for(key);
        let wallet = Some(self.writer.handle(self.command(&call, Order::Convert(id, points), key)).await?);
        Ok(Response::new(proto::ConvertPointsResponse { wallet }))
    }

    async fn get_wallet(
        &self,
        request: Request<proto::GetWalletRequest>,
    ) -> Result<Response<proto::GetWalletResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let owner = fields.text("owner_id", &request.owner_id, 0..=128);
        let holder = self.owner(&call, fields.finish(owner)?)?;
        let wallet = match self.find(&holder).await? {
            Some(wallet) => (&wallet).into(),
            None => proto::Wallet { update_time: None, ..(&Wallet::empty(holder, self.runtime.now())).into() },
        };
        Ok(Response::new(proto::GetWalletResponse { wallet: Some(wallet) }))
    }

    async fn list_entries(
        &self,
        request: Request<proto::ListEntriesRequest>,
    ) -> Result<Response<proto::ListEntriesResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let owner = fields.text("owner_id", &request.owner_id, 0..=128);
        let filter = [call.caller.subject().as_bytes(), request.owner_id.as_bytes()];
        let page: Option<Page<i64>> = Page::parse(&mut fields, request.page_size, &request.page_token, &filter);
        let (owner, page) = fields.finish(all!(owner, page))?;
        let asked = self.owner(&call, owner)?;
        let holder = self.find(&asked).await?.map_or(asked, |wallet| wallet.holder);
        let reader = self.database.reader().await?;
        let (entries, next_page_token) = store::list(reader.tx(), &holder, &page).await?;
        Ok(Response::new(proto::ListEntriesResponse { entries, next_page_token }))
    }

    async fn check_ledger(
        &self,
        request: Request<proto::CheckLedgerRequest>,
    ) -> Result<Response<proto::CheckLedgerResponse>, Status> {
        Call::take(request)?;
        Ok(Response::new(check::check(&self.database, self.currency).await?))
    }
}
