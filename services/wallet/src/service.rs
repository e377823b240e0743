//! The gRPC API of wallets: parse, charge, handle, answer.

use chassis::db::Database;
use chassis::runtime::Runtime;
use chassis::values::{Currency, Money};
use chassis::{Call, CommandMessage, Error, Loader, Page, PeerClient, Writer};
use contracts::Role;
use contracts::payment::v1::CollectPaymentRequest;
use contracts::payment::v1::payment_service_client::PaymentServiceClient;
use contracts::wallet::v1::{self as proto, *};

use crate::domain::{Command, Holder, Operation, TopUpId, Wallet, WalletId, wallet_of};
use crate::{check, policy, store};

/// Serves wallets.
#[derive(Clone)]
pub struct Service {
    /// Changes wallets.
    pub writer: Writer<Wallet>,
    /// Loads wallets.
    pub loader: Loader<WalletId, Wallet>,
    /// Lists entries.
    pub database: Database,
    /// Charges cards.
    pub payment: PeerClient,
    /// The clock and ids.
    pub runtime: Runtime,
    /// The currency of the ledger.
    pub currency: Currency,
}

impl Service {
    fn holder(&self, owner: &str) -> Holder {
        Holder { owner: owner.to_owned(), currency: self.currency }
    }

    fn command(&self, call: &Call, operation: Operation) -> CommandMessage<Wallet> {
        let holder = self.holder(call.caller.subject());
        call.command(wallet_of(&holder.owner), Command { holder, operation })
    }

    /// Charges the card and waits for the answer. If this process crashes after that, the event `PaymentApproved`
    /// completes it.
    async fn charge(&self, call: &Call, id: TopUpId, amount: Money, method: String) -> Result<(), Error> {
        let owner = call.caller.subject();
        let request = CollectPaymentRequest {
            // The purchase id is the idempotency key.
            request_id: String::new(),
            purchase_id: id.to_string(),
            customer_id: owner.to_owned(),
            amount: Some(amount.into()),
            payment_method: method,
            seller_reference: policy::reference(wallet_of(owner)),
            // If the processor does not answer, the charge is given up: nothing was credited for it. Until the deposit
            // is topped up the customer can request a refund, which the top-up then refuses: `payment` refunds only on
            // this context's events.
            used: false,
        };
        let paid = self.payment.call(Some(call), request, |transport, request| async move {
            PaymentServiceClient::new(transport).collect_payment(request).await
        });
        let away = "payments can't be taken at the moment; top up a little later, with the same request id";
        paid.await.map(drop).map_err(|none| none.into_error("PAYMENT_AWAY", away))
    }

    /// The holder of the requested wallet: the caller, or the owner that an admin names.
    fn owner(&self, call: &Call, owner: String) -> Result<Holder, Error> {
        let own = call.caller.subject();
        if owner.is_empty() || owner == own {
            return Ok(self.holder(own));
        }
        if call.caller.has(Role::Admin) { Ok(self.holder(&owner)) } else { Err(Error::not_found("wallet", owner)) }
    }

    /// The wallet, if it was opened.
    async fn find(&self, holder: &Holder) -> Result<Option<Wallet>, Error> {
        self.loader.get(wallet_of(&holder.owner)).await
    }
}

impl WalletApi for Service {
    type Call = Call;
    type Error = Error;

    async fn top_up(&self, call: Call, request: TopUpRequest) -> Result<TopUpResponse, Error> {
        let (amount, method) = call.parse(|fields| {
            let amount = Money::price(fields, "amount", request.amount.as_ref());
            (amount, fields.reference("payment_method", &request.payment_method))
        })?;
        let top_up = async {
            // A repeated request finds the payment of its first attempt.
            let id: TopUpId = self.runtime.id_for(call.key);
            self.writer.handle(self.command(&call, Operation::Expect(id, amount)).begun()).await?;
            self.charge(&call, id, amount, method).await?;
            self.writer.handle(self.command(&call, Operation::TopUp(id, amount.minor))).await
        };
        let wallet = self.writer.once(call.key, top_up).await?;
        Ok(TopUpResponse { wallet: Some(wallet) })
    }

    async fn convert_points(&self, call: Call, request: ConvertPointsRequest) -> Result<ConvertPointsResponse, Error> {
        let in_range = (1..=Money::MAX_MINOR).contains(&request.points).then_some(request.points);
        let points = in_range.ok_or(format!("must be 1 to {}", Money::MAX_MINOR));
        let points = call.parse(|fields| fields.take("points", points))?;
        let id = self.runtime.id_for(call.key);
        let wallet = self.writer.handle(self.command(&call, Operation::Convert(id, points))).await?;
        Ok(ConvertPointsResponse { wallet: Some(wallet) })
    }

    async fn get_wallet(&self, call: Call, request: GetWalletRequest) -> Result<GetWalletResponse, Error> {
        let owner = call.parse(|fields| fields.text("owner_id", &request.owner_id, 0..=128))?;
        let holder = self.owner(&call, owner)?;
        let wallet = match self.find(&holder).await? {
            Some(wallet) => (&wallet).into(),
            None => proto::Wallet { update_time: None, ..(&Wallet::empty(holder, self.runtime.now())).into() },
        };
        Ok(GetWalletResponse { wallet: Some(wallet) })
    }

    async fn list_entries(&self, call: Call, request: ListEntriesRequest) -> Result<ListEntriesResponse, Error> {
        let filter = [call.caller.subject().as_bytes(), request.owner_id.as_bytes()];
        let (owner, page) = call.parse(|fields| {
            let owner = fields.text("owner_id", &request.owner_id, 0..=128);
            (owner, Page::parse(fields, request.page_size, &request.page_token, &filter))
        })?;
        let asked = self.owner(&call, owner)?;
        let holder = self.find(&asked).await?.map_or(asked, |wallet| wallet.holder);
        let reader = self.database.reader().await?;
        let (entries, next_page_token) = store::list(reader.tx(), &holder, &page).await?;
        Ok(ListEntriesResponse { entries, next_page_token })
    }

    async fn check_ledger(&self, _: Call, _: CheckLedgerRequest) -> Result<CheckLedgerResponse, Error> {
        check::check(&self.database, self.currency).await
    }
}
