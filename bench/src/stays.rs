//! A stay: the flow from the reservation to the voucher on the customer's page.

use std::time::Duration;

use anyhow::Context as _;
use contracts::money::v1::Money;
use contracts::mypage::v1::GetStayRequest;
use contracts::payment::v1::{ChargePaymentRequest, ListPaymentsRequest};
use contracts::period::v1::Dates;
use contracts::resort::v1::{RegisterResortRequest, Resort};
use contracts::stay::v1::ReserveStayRequest;
use contracts::voucher::v1::VoucherState;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::load::{by, call, known, nights, rider};

/// The nights that a resort offers, from tomorrow on, after one for the preparation.
const NIGHTS: u64 = 300;

/// Registers resorts, and waits until `stay` knows them.
pub async fn register_resorts(channel: &Channel, count: u64) -> anyhow::Result<Vec<String>> {
    let mut resorts = Vec::new();
    for number in 0..count {
        let id = register_resort(channel, number, nights(1, NIGHTS + 1)).await?;
        // The first night is for this.
        known(|| once(channel.clone(), id.clone(), 0, Duration::from_millis(5))).await?;
        resorts.push(id);
    }
    Ok(resorts)
}

/// Registers a resort that offers these nights; returns its id.
pub async fn register_resort(channel: &Channel, number: u64, offered: Dates) -> anyhow::Result<String> {
    let resort = Resort {
        name: format!("villa {number}"),
        kind: "villa".to_owned(),
        nightly_rate: Some(Money { currency_code: "KRW".to_owned(), amount_minor: 90_000 }),
        offered: vec![offered],
        ..Default::default()
    };
    let request = RegisterResortRequest { resort: Some(resort), ..Default::default() };
    Ok(call(channel, Request::new(request)).await?.resort.context("no resort")?.resort_id)
}

/// Stays one night, the nights of each resort one after the other.
pub async fn night(channel: Channel, resorts: &[String], number: u64, look_again: Duration) -> Result<(), Status> {
    let count = resorts.len() as u64;
    let resort = resorts[(number % count) as usize].clone();
    once(channel, resort, 1 + number / count % NIGHTS, look_again).await
}

async fn once(channel: Channel, resort_id: String, night: u64, look_again: Duration) -> Result<(), Status> {
    let reserve = ReserveStayRequest { resort_id, dates: Some(nights(1 + night, 1)), ..Default::default() };
    let guest = rider();
    let stay_id = call(&channel, by(&guest, reserve)).await?.stay.unwrap_or_default().stay_id;
    let payment_id = loop {
        let request = ListPaymentsRequest { purchase_id: stay_id.clone(), ..Default::default() };
        if let Some(payment) = call(&channel, by(&guest, request)).await?.payments.into_iter().next() {
            break payment.payment_id;
        }
        tokio::time::sleep(look_again).await;
    };
    let payment_method = "sandbox-approve".to_owned();
    let charge = ChargePaymentRequest { payment_id, payment_method, ..Default::default() };
    call(&channel, by(&guest, charge)).await?;
    loop {
        let request = GetStayRequest { stay_id: stay_id.clone() };
        if let Ok(seen) = call(&channel, by(&guest, request)).await
            && seen.stay.is_some_and(|stay| stay.voucher_state() != VoucherState::Unspecified)
        {
            return Ok(());
        }
        tokio::time::sleep(look_again).await;
    }
}
