//! The requests of owners of wallets, one method each.

use contracts::payment::v1::{ListPaymentsRequest, Payment, PaymentState};
use contracts::wallet::v1::{Entry, GetWalletRequest, ListEntriesRequest, TopUpRequest, Wallet};
use tonic::Status;

use super::client::Client;
use super::verbs::won;
use super::{GOOD_CARD, eventually, new_id};

type Answer<T> = Result<T, Status>;

/// A top-up request with a request id, so that it can be repeated.
pub fn top_up_of(amount: i64, payment_method: &str) -> TopUpRequest {
    TopUpRequest { request_id: new_id(), amount: Some(won(amount)), payment_method: payment_method.to_owned() }
}

/// The deposit in won and the points of a wallet without arrears.
pub fn holds(wallet: &Wallet) -> (i64, i64) {
    assert_eq!(wallet.arrears, None);
    (wallet.deposit.as_ref().unwrap().amount_minor, wallet.points)
}

impl Client {
    /// Tops up with a valid card.
    pub async fn top_up(&self, amount: i64) -> Answer<Wallet> {
        self.top_up_with(amount, GOOD_CARD).await
    }

    /// Tops up with this payment method.
    pub async fn top_up_with(&self, amount: i64, payment_method: &str) -> Answer<Wallet> {
        Ok(self.send(top_up_of(amount, payment_method)).await?.wallet.unwrap())
    }

    /// Gets the caller's wallet.
    pub async fn wallet(&self) -> Wallet {
        self.send(GetWalletRequest::default()).await.unwrap().wallet.unwrap()
    }

    /// Waits until the deposit is this amount in won.
    pub async fn sees_deposit(&self, amount: i64) -> Wallet {
        eventually(&format!("a deposit of {amount}"), async || {
            Some(self.wallet().await).filter(|wallet| wallet.deposit == Some(won(amount)))
        })
        .await
    }

    /// The entries of the caller's wallet, newest first.
    pub async fn entries(&self) -> Vec<Entry> {
        self.send(ListEntriesRequest::default()).await.unwrap().entries
    }

    /// Waits until the caller's only payment is in the state.
    pub async fn sees_only_payment(&self, state: PaymentState) -> Payment {
        eventually(&format!("the payment to be {}", state.as_str_name()), async || {
            let payments = self.send(ListPaymentsRequest::default()).await.unwrap().payments;
            assert!(payments.len() < 2, "{payments:?}");
            payments.into_iter().next().filter(|payment| payment.state() == state)
        })
        .await
    }
}
