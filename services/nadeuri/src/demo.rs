//! `nadeuri demo`: plays a day of the company over gRPC, on a running server or one that it starts, and tells what happens.
//!
//! It does what clients do, nothing else: every line that it prints comes from an answer. Each line of business has a
//! module of its own.

mod bikes;
mod cars;
mod orders;
mod stays;
mod taxis;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chassis::auth::{Roles, Signer};
use chassis::clock::Clock;
use clap::{Args, Parser};
use client::Client;
use contracts::chronicle::v1::GetFlowRequest;
use contracts::notification::v1::ListMessagesRequest;
use contracts::{Role, Unary};
use tonic::transport::Channel;

use crate::operate::Target;
use crate::options::ServeOptions;
use crate::serve::Served;

/// How long an answer, or what follows from it, may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where to play.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The server; if none is running there, the demo starts one of its own on a temporary folder.
    #[arg(long, env = "NADEURI_SERVER", default_value = "http://127.0.0.1:50051")]
    server: String,

    /// The key (`nadeuri token` makes one) of a server that checks tokens.
    #[arg(long)]
    identity: Option<PathBuf>,
}

/// Plays the day.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let signer = options.identity.as_deref().map(|path| Signer::open(path, "nadeuri")).transpose()?.map(Arc::new);
    let target = Target { server: options.server.clone(), token: None };
    if let Ok(channel) = target.connect().await {
        println!("on the server at {}\n", options.server);
        return Day { channel, signer }.play().await;
    }
    let folder = std::env::temp_dir().join(format!("nadeuri-demo-{}", std::process::id()));
    println!("no server answers at {}, so the demo starts its own, in {}\n", options.server, folder.display());
    let served = Served::start(&own_server(&folder)).await?;
    let target = Target { server: format!("http://{}", served.address), token: None };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(served.until(async {
        // It also stops when the demo fails and the sender is dropped.
        let _ = stopped.await;
    }));
    let played = Day { channel: target.connect().await?, signer }.play().await;
    drop(stop);
    server.await??;
    std::fs::remove_dir_all(&folder)?;
    played
}

fn own_server(folder: &std::path::Path) -> ServeOptions {
    #[derive(Parser)]
    struct Parsed {
        #[command(flatten)]
        options: ServeOptions,
    }
    let folder = folder.display().to_string();
    Parsed::parse_from(["demo", "--listen", "127.0.0.1:0", "--data", &folder]).options
}

struct Day {
    channel: Channel,
    signer: Option<Arc<Signer>>,
}

impl Day {
    async fn play(&self) -> anyhow::Result<()> {
        let trip = self.play_cars().await?;
        self.play_taxis().await?;
        self.play_stays().await?;
        self.play_bikes().await?;
        self.play_orders().await?;
        self.tell_messages("mina").await?;
        self.tell_story(&trip).await
    }

    async fn tell_messages(&self, who: &str) -> anyhow::Result<()> {
        println!("\nWhat {who} was told:");
        for message in self.ask(who, ListMessagesRequest::default()).await?.messages.iter().rev() {
            println!("  {}", message.text);
        }
        Ok(())
    }

    async fn tell_story(&self, flow_id: &str) -> anyhow::Result<()> {
        println!("\nThe story of the flow {flow_id}, as the chronicle tells it:");
        let request = GetFlowRequest { flow_id: flow_id.to_owned() };
        for event in self.ask("admin", request).await?.events {
            let kind = event.r#type.trim_start_matches("nadeuri.");
            let cause = if event.causation_id.is_empty() { "a call" } else { "an event" };
            println!("  {kind:<36} by {:<8} after {cause}", event.source);
        }
        Ok(())
    }

    /// Asks as somebody.
    async fn ask<M: Unary>(&self, who: &str, request: M) -> Result<M::Response, client::Error> {
        self.client(who)?.send(request).await
    }

    /// Asks as somebody until `find` finds something in the answer.
    async fn wait_for<M: Unary, T>(
        &self,
        who: &str,
        request: M,
        find: impl Fn(M::Response) -> Option<T>,
    ) -> anyhow::Result<T> {
        let ask = async || Ok(self.ask(who, request.clone()).await.ok().and_then(&find));
        wait(format!("what {who} sees of {request:?}"), ask).await
    }

    /// A client of somebody (`driver:kim` drives, `manager:hana` looks after bikes, `courier:kim` carries, `admin` runs the
    /// company, others are customers): with a token, or with the name alone where nobody is checked.
    fn client(&self, who: &str) -> Result<Client, client::Error> {
        let (name, role) = match who.split_once(':') {
            Some(("driver", name)) => (name, Role::Driver),
            Some(("manager", name)) => (name, Role::Manager),
            Some(("courier", name)) => (name, Role::Courier),
            _ if who == "admin" => (who, Role::Admin),
            _ => (who, Role::Customer),
        };
        let roles: Roles = [role].into_iter().collect();
        let options = client::Options::default().deadline(PATIENCE);
        let options = match self.signer.clone() {
            Some(signer) => {
                let name = name.to_owned();
                let token = move || signer.token(&name, roles, Duration::from_secs(3_600), Clock::system().now());
                options.token_from(move || std::future::ready(token().map_err(|error| error.to_string())))
            }
            None => options.header("x-user", name).header("x-roles", &roles.to_string()),
        };
        Client::over(self.channel.clone(), options)
    }
}

/// Asks until there is an answer.
async fn wait<T>(what: String, ask: impl AsyncFn() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        anyhow::ensure!(tokio::time::Instant::now() < until, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
