//! Wallets in a table.

use chassis::Timestamp;
use chassis::db::prelude::*;
use contracts::money::v1::Money;
use contracts::wallet::v1 as proto;

use crate::pages::FlowId;

diesel::table! {
    use chassis::db::sql_types::*;
    wallets (id) {
        id -> SqlUuid,
        version -> BigInt,
        customer -> Nullable<Text>,
        deposit_minor -> BigInt,
        points -> BigInt,
        arrears_minor -> Nullable<BigInt>,
        currency -> Text,
        sequence -> BigInt,
        updated_at -> Nullable<SqlTime>,
    }
}

chassis::rows! {
    /// A wallet, as it was last heard of.
    pub struct Wallet in wallets (id) {
        id: FlowId,
        version: i64,
        customer: Option<String>,
        deposit_minor: i64,
        points: i64,
        arrears_minor: Option<i64>,
        currency: String,
        sequence: i64,
        updated_at: Option<Timestamp>,
    }
}

crate::pages::page!(Wallet in wallets by updated_at);

impl Wallet {
    /// The page of an owner of whom nothing was heard.
    fn new(id: FlowId) -> Wallet {
        Wallet {
            id,
            version: 0,
            customer: None,
            deposit_minor: 0,
            points: 0,
            arrears_minor: None,
            currency: String::new(),
            sequence: 0,
            updated_at: None,
        }
    }
}

impl From<Wallet> for proto::Wallet {
    fn from(row: Wallet) -> Self {
        let money = |amount_minor| Money { currency_code: row.currency.clone(), amount_minor };
        proto::Wallet {
            owner_id: row.customer.clone().unwrap_or_default(),
            deposit: Some(money(row.deposit_minor)),
            points: row.points,
            arrears: row.arrears_minor.map(money),
            update_time: row.updated_at.map(Timestamp::to_proto),
        }
    }
}
