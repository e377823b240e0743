//! The flow on Restate: a virtual object for each car, a service for payments, a virtual object for each page.

use std::time::Duration;

use restate_sdk::ingress::ReqwestClient;
use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::load::Flow;

/// An hour of a car, and the reservation that has it.
#[derive(Serialize, Deserialize)]
pub struct Hour {
    hour: u64,
    reservation: String,
}

pub struct Car;

#[object]
impl Car {
    /// Reserves an hour. Calls for one car come one after the other.
    #[handler]
    async fn reserve(&self, ctx: ObjectContext<'_>, wanted: Json<Hour>) -> Result<(), HandlerError> {
        let Hour { hour, reservation } = wanted.into_inner();
        if ctx.get::<String>(&hour.to_string()).await?.is_some() {
            return Err(TerminalError::new_with_code(409, "reserved by another").into());
        }
        ctx.set(&hour.to_string(), reservation.clone());
        ctx.set(&reservation, "reserved".to_owned());
        ctx.object_client::<PageClient>(reservation).show("reserved".to_owned()).send();
        Ok(())
    }

    /// Pays for a reservation.
    #[handler]
    async fn rent(&self, ctx: ObjectContext<'_>, reservation: String) -> Result<(), HandlerError> {
        if ctx.get::<String>(&reservation).await?.as_deref() != Some("reserved") {
            return Err(TerminalError::new_with_code(409, "not reserved").into());
        }
        ctx.service_client::<PaymentClient>().charge(reservation.clone()).call().await?;
        ctx.set(&reservation, "rented".to_owned());
        ctx.object_client::<PageClient>(reservation).show("rented".to_owned()).send();
        Ok(())
    }
}

pub struct Payment;

#[service]
impl Payment {
    /// Asks the processor, and keeps its answer.
    #[handler]
    async fn charge(&self, ctx: Context<'_>, _reservation: String) -> Result<(), HandlerError> {
        // A processor that answers at once.
        let asked = ctx.run(|| async { Ok("approved".to_owned()) });
        let answer: String = asked.name("processor").await?;
        if answer == "approved" { Ok(()) } else { Err(TerminalError::new("declined").into()) }
    }
}

pub struct Page;

#[object]
impl Page {
    #[handler]
    async fn show(&self, ctx: ObjectContext<'_>, state: String) -> Result<(), HandlerError> {
        ctx.set("rental", state);
        Ok(())
    }

    #[handler]
    async fn get(&self, ctx: SharedObjectContext<'_>) -> Result<String, HandlerError> {
        Ok(ctx.get::<String>("rental").await?.unwrap_or_default())
    }
}

/// Serves the handlers on a free port, and prints the address.
pub async fn serve() -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let endpoint = Endpoint::builder().bind(Car).bind(Payment).bind(Page).build();
    HttpServer::new(endpoint).serve(listener).await;
    Ok(())
}

/// Registers the handlers, again and again until Restate has started.
pub async fn register(admin: &str, handlers: &str) -> anyhow::Result<()> {
    let http = reqwest::Client::new();
    let mut attempts = tokio::time::interval(Duration::from_millis(100));
    loop {
        attempts.tick().await;
        let request = http.post(format!("{admin}/deployments")).json(&serde_json::json!({ "uri": handlers }));
        match request.send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => eprintln!("{}: {}", answer.status(), answer.text().await.unwrap_or_default()),
            Err(_) => {}
        }
    }
}

/// A client of Restate's ingress.
pub struct Client(ReqwestClient);

impl Client {
    pub fn new(url: &str) -> anyhow::Result<Client> {
        Ok(Client(ReqwestClient::connect(url.parse()?)?))
    }
}

impl Flow for Client {
    async fn reserve(&self, car: u64, hour: u64) -> anyhow::Result<String> {
        let reservation = uuid::Uuid::now_v7().to_string();
        let car = CarIngressClient::from_client(self.0.clone(), car.to_string());
        let wanted = Hour { hour, reservation: reservation.clone() };
        car.reserve(Json::from(wanted)).call().await?.into_body()?;
        Ok(reservation)
    }

    async fn pay(&self, car: u64, reservation: &str) -> anyhow::Result<()> {
        let car = CarIngressClient::from_client(self.0.clone(), car.to_string());
        Ok(car.rent(reservation.to_owned()).call().await?.into_body()?)
    }

    async fn is_shown(&self, reservation: &str) -> anyhow::Result<bool> {
        let page = PageIngressClient::from_client(self.0.clone(), reservation.to_owned());
        Ok(page.get().call().await?.into_body()? == "rented")
    }
}
