//! The commands for a running server: `health`, `dead`, `rebuild`, `ledger`, `customer`.

use anyhow::{Context as _, bail};
use chassis::tls::Tls;
use clap::{Args, Subcommand};
use contracts::chronicle::v1::ExportCustomerRequest;
use contracts::chronicle::v1::chronicle_service_client::ChronicleServiceClient;
use contracts::mypage::v1::EraseCustomerRequest;
use contracts::mypage::v1::mypage_service_client::MypageServiceClient;
use contracts::operations::v1::operations_service_client::OperationsServiceClient;
use contracts::operations::v1::{
    DropDeadLettersRequest, ListDeadLettersRequest, RebuildViewRequest, ReplayDeadLettersRequest,
};
use contracts::wallet::v1::CheckLedgerRequest;
use contracts::wallet::v1::wallet_service_client::WalletServiceClient;
use std::time::Duration;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::options::TlsOptions;

/// The deadline of a call.
const DEADLINE: Duration = Duration::from_secs(10);
/// The deadline of a rebuild, a replay or a check of the ledger.
const LONG_DEADLINE: Duration = Duration::from_secs(3_600);

/// The server to call, and the credentials.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// The URL of the server: `http://HOST:PORT`, or `https://HOST:PORT` for TLS.
    #[arg(long, env = "NADEURI_SERVER", default_value = "http://127.0.0.1:50051", global = true)]
    pub server: String,

    /// The caller's token, if the server checks tokens. Prefer the environment variable: other users can see flags.
    #[arg(long, env = "NADEURI_TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub tls: TlsOptions,
}

impl Target {
    /// Connects to the server.
    pub async fn connect(&self) -> anyhow::Result<Channel> {
        let bad = || format!("--server {:?} must be http://HOST:PORT, or https://HOST:PORT for TLS", self.server);
        let endpoint = Endpoint::from_shared(self.server.clone()).with_context(bad)?.connect_timeout(DEADLINE);
        let endpoint = Tls::start(self.tls.files()?).await?.secure(endpoint).with_context(bad)?;
        endpoint.connect().await.with_context(|| {
            let server = &self.server;
            if self.is_over_tls() {
                return format!(
                    "no server that this machine or --ca trusts answers at {server}; name it with --server, and its \
                     authority with --ca"
                );
            }
            format!("no server answers at {server}; start one with `nadeuri serve`, or name it with --server")
        })
    }

    /// Whether the server is called over TLS.
    pub fn is_over_tls(&self) -> bool {
        self.server.starts_with("https://")
    }

    /// A request with a deadline and the token.
    pub fn request<M>(&self, message: M, deadline: Duration) -> anyhow::Result<Request<M>> {
        let mut request = Request::new(message);
        request.set_timeout(deadline);
        if let Some(token) = &self.token {
            let value: MetadataValue<Ascii> = format!("Bearer {token}").parse().context("the token is malformed")?;
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// The operations on dead letters.
#[derive(Clone, Debug, Subcommand)]
pub enum DeadCommand {
    /// Lists the dead letters of a context, with the reason of each.
    List {
        /// The context.
        context: String,
    },
    /// Delivers dead letters to the context again.
    Replay {
        /// The context.
        context: String,
        /// The id of an event. Default: all dead letters.
        #[arg(long)]
        event: Option<String>,
    },
    /// Deletes dead letters permanently.
    Drop {
        /// The context.
        context: String,
        /// The id of an event.
        #[arg(long, required_unless_present = "all")]
        event: Option<String>,
        /// Deletes all dead letters of the context.
        #[arg(long)]
        all: bool,
    },
}

/// Runs an operation on dead letters.
pub async fn dead(target: &Target, command: DeadCommand) -> anyhow::Result<()> {
    let mut client = OperationsServiceClient::new(target.connect().await?);
    match command {
        DeadCommand::List { context } => {
            let request = target.request(ListDeadLettersRequest { context, page_size: 0 }, DEADLINE)?;
            let listed = client.list_dead_letters(request).await.map_err(plain)?.into_inner();
            for letter in &listed.dead_letters {
                println!("{} {} flow {}: {}", letter.event_id, letter.r#type, letter.flow_id, letter.reason);
            }
            println!("{} dead letters", listed.total_size);
        }
        DeadCommand::Replay { context, event } => {
            let event_id = event.unwrap_or_default();
            let request = target.request(ReplayDeadLettersRequest { context, event_id }, LONG_DEADLINE)?;
            let replayed = client.replay_dead_letters(request).await.map_err(plain)?.into_inner();
            println!("{} dead letters replayed", replayed.replayed_count);
        }
        DeadCommand::Drop { context, event, .. } => {
            let event_id = event.unwrap_or_default();
            let request = target.request(DropDeadLettersRequest { context, event_id }, LONG_DEADLINE)?;
            let dropped = client.drop_dead_letters(request).await.map_err(plain)?.into_inner();
            println!("{} dead letters dropped", dropped.dropped_count);
        }
    }
    Ok(())
}

/// Rebuilds a read model.
pub async fn rebuild(target: &Target, view: String) -> anyhow::Result<()> {
    let mut client = OperationsServiceClient::new(target.connect().await?);
    let request = target.request(RebuildViewRequest { context: view.clone() }, LONG_DEADLINE)?;
    let rebuilt = client.rebuild_view(request).await.map_err(plain)?.into_inner();
    println!("{view} was rebuilt from {} events", rebuilt.event_count);
    Ok(())
}

/// The operations on the ledger.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum LedgerCommand {
    /// Adds up all entries and prints the balances. Fails if a balance is wrong.
    Check,
}

/// Checks the ledger.
pub async fn check_ledger(target: &Target) -> anyhow::Result<()> {
    let mut client = WalletServiceClient::new(target.connect().await?);
    let request = target.request(CheckLedgerRequest {}, LONG_DEADLINE)?;
    let checked = client.check_ledger(request).await.map_err(plain)?.into_inner();
    for balance in &checked.balances {
        let account = balance.account().as_str_name().trim_start_matches("ACCOUNT_");
        println!("{account:<8} {:>20}", balance.amount_minor);
    }
    println!("{} wallets, {} entries", checked.wallets, checked.entries);
    for finding in &checked.findings {
        println!("{finding}");
    }
    match checked.findings.len() {
        0 => {
            println!("the ledger is correct: every balance is the sum of its entries");
            Ok(())
        }
        count => bail!("the ledger is wrong: {count} findings"),
    }
}

/// The operations on customers.
#[derive(Clone, Debug, Subcommand)]
pub enum CustomerCommand {
    /// Prints all events that tell about a customer, as JSON, one a line.
    Export {
        /// The subject of the customer, as events show it.
        customer: String,
    },
    /// Erases a customer from all stores, events and dead letters: a pseudonym replaces their subject.
    ///
    /// It begins after the server's --erasure-delay, and can't be undone.
    Erase {
        /// The subject of the customer, as events show it.
        customer: String,
        /// Why. It is kept, so it must not tell who the customer is.
        #[arg(long)]
        reason: String,
    },
}

/// Runs an operation on a customer.
pub async fn customer(target: &Target, command: CustomerCommand) -> anyhow::Result<()> {
    let channel = target.connect().await?;
    match command {
        CustomerCommand::Export { customer: customer_id } => {
            let request = target.request(ExportCustomerRequest { customer_id }, LONG_DEADLINE)?;
            let mut client = ChronicleServiceClient::new(channel);
            let mut events = client.export_customer(request).await.map_err(plain)?.into_inner();
            while let Some(response) = events.message().await.map_err(plain)? {
                let line = contracts::personal::json(&response.event.unwrap_or_default());
                println!("{}", line.context("the server has newer events than this program knows")?);
            }
        }
        CustomerCommand::Erase { customer: customer_id, reason } => {
            let request = EraseCustomerRequest { request_id: String::new(), customer_id, reason };
            let mut client = MypageServiceClient::new(channel);
            let erased = client.erase_customer(target.request(request, DEADLINE)?).await.map_err(plain)?.into_inner();
            let erasure = erased.erasure.unwrap_or_default();
            println!("erasure {}: {} will replace the customer", erasure.erasure_id, erasure.pseudonym);
        }
    }
    Ok(())
}

/// Prints the health checks of a server, and fails if one does not pass. `what` is a context, a dependency of one
/// (`rental.store`), or empty for the whole process.
pub async fn health(target: &Target, what: &str) -> anyhow::Result<()> {
    let mut client = HealthClient::new(target.connect().await?);
    let mut check = async |service: String| -> anyhow::Result<Option<ServingStatus>> {
        let request = target.request(HealthCheckRequest { service }, DEADLINE)?;
        match client.check(request).await {
            Ok(response) => Ok(Some(response.into_inner().status())),
            Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
            Err(status) => Err(plain(status)),
        }
    };
    let mut missing = Vec::new();
    let known = crate::contexts::ALL.iter().map(|context| context.name).filter(|name| what.is_empty() || *name == what);
    for context in known {
        for part in ["store", "bus"] {
            let name = format!("{context}.{part}");
            if let Some(status) = check(name.clone()).await? {
                println!("{name}: {}", status.as_str_name());
                if status != ServingStatus::Serving {
                    missing.push(name);
                }
            }
        }
    }
    match check(what.to_owned()).await? {
        Some(ServingStatus::Serving) => Ok(()),
        Some(_) if missing.is_empty() => bail!("not serving: it is starting or stopping"),
        Some(_) => bail!("not serving: {}", missing.join(", ")),
        None => bail!("{what:?} is not served there"),
    }
}

/// The error to print for a status.
fn plain(status: tonic::Status) -> anyhow::Error {
    anyhow::anyhow!("{} ({:?})", status.message(), status.code())
}
