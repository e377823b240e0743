//! `nadeuri demo`: runs an example day of the company over gRPC, on a running server or one that it starts, and prints
//! what happens.
//!
//! It is a plain client: every line that it prints comes from a response. Each line of business has its own module.

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
use crate::options::{ServeOptions, TlsOptions};
use crate::serve::Served;

/// The deadline of a call, and the limit of a wait for eventual consistency.
const PATIENCE: Duration = Duration::from_secs(20);

/// The options of `nadeuri demo`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The URL of the server, `https://HOST:PORT` for TLS. If no server runs there, the demo starts its own in a temporary
    /// folder.
    #[arg(long, env = "NADEURI_SERVER", default_value = "http://127.0.0.1:50051")]
    server: String,

    /// The key file of a server that checks tokens: its `--identity`, or the operators' key if it has `--identities`. The demo
    /// signs its tokens with it.
    #[arg(long)]
    identity: Option<PathBuf>,

    #[command(flatten)]
    tls: TlsOptions,
}

/// Runs the example day.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let signer = options.identity.as_deref().map(|path| Signer::open(path, "nadeuri")).transpose()?.map(Arc::new);
    let target = Target { server: options.server.clone(), token: None, tls: options.tls };
    target.tls.files()?;
    match target.connect().await {
        Ok(channel) => {
            println!("using the server at {}\n", options.server);
            return Day { channel, signer }.play().await;
        }
        // A server of its own would not be what was asked for.
        Err(error) if target.is_over_tls() => return Err(error),
        Err(_) => {}
    }
    let folder = std::env::temp_dir().join(format!("nadeuri-demo-{}", std::process::id()));
    println!("no server answers at {}; starting one in {}\n", options.server, folder.display());
    let served = Served::start(&own_server(&folder)).await?;
    let target = Target { server: format!("http://{}", served.address), token: None, tls: TlsOptions::default() };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(served.until(async {
        // The server also stops if the demo fails and drops the sender.
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
    let Parsed { options } = Parsed::parse_from(["demo", "--listen", "127.0.0.1:0", "--data", &folder]);
    // The environment may be that of a server with TLS.
    ServeOptions { tls: TlsOptions::default(), tls_client_ca: None, ..options }
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
        println!("\nThe messages to {who}:");
        for message in self.ask(who, ListMessagesRequest::default()).await?.messages.iter().rev() {
            println!("  {}", message.text);
        }
        Ok(())
    }

    async fn tell_story(&self, flow_id: &str) -> anyhow::Result<()> {
        println!("\nThe events of flow {flow_id}, from the chronicle:");
        let request = GetFlowRequest { flow_id: flow_id.to_owned() };
        for event in self.ask("admin", request).await?.events {
            let kind = event.r#type.trim_start_matches("nadeuri.");
            let cause = if event.causation_id.is_empty() { "a call" } else { "an event" };
            println!("  {kind:<36} by {:<8} caused by {cause}", event.source);
        }
        Ok(())
    }

    /// Sends a request as `who`.
    async fn ask<M: Unary>(&self, who: &str, request: M) -> Result<M::Response, client::Error> {
        self.client(who)?.send(request).await
    }

    /// Repeats a request as `who` until `find` returns a value.
    async fn wait_for<M: Unary, T>(
        &self,
        who: &str,
        request: M,
        find: impl Fn(M::Response) -> Option<T>,
    ) -> anyhow::Result<T> {
        let ask = async || Ok(self.ask(who, request.clone()).await.ok().and_then(&find));
        wait(format!("the response to {request:?} of {who}"), ask).await
    }

    /// A client for a caller: `driver:kim`, `staff:hana` and `courier:kim` have these roles, `admin` is the admin,
    /// all others are customers. It sends a token, or only the headers if auth is off.
    fn client(&self, who: &str) -> Result<Client, client::Error> {
        let (name, role) = match who.split_once(':') {
            Some(("driver", name)) => (name, Role::Driver),
            Some(("staff", name)) => (name, Role::BikeStaff),
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

/// Polls until there is a value.
async fn wait<T>(what: String, ask: impl AsyncFn() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        anyhow::ensure!(tokio::time::Instant::now() < until, "timed out waiting for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
