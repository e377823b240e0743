//! The command line interface of the product.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use chassis::auth::{DevKey, Roles, Signer};
use chassis::bus::rabbit::{self, Users};
use chassis::clock::Clock;
use chassis::db::Database;
use chassis::runtime::Runtime;
use clap::{Parser, Subcommand};
use nadeuri::operate::{self, CustomerCommand, DeadCommand, LedgerCommand, Target};
use nadeuri::options::{ServeOptions, StoreOptions};
use nadeuri::{contexts, demo, serve};

/// A call makes hundreds of small allocations on one thread and frees them on another. With the system's allocator,
/// they take a seventh of the CPU time of a reservation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The back end of Nadeuri: all contexts in one process, or each in its own. Without a command, it runs `serve all`.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// The number of worker threads. Default: the number of CPU cores.
    #[arg(long, env = "NADEURI_WORKERS", global = true)]
    workers: Option<usize>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs contexts until SIGINT or SIGTERM.
    Serve(Box<ServeOptions>),
    /// Runs the database migrations of contexts.
    Migrate {
        /// The contexts to migrate. Default: all.
        #[arg(value_name = "CONTEXT")]
        contexts: Vec<String>,
        #[command(flatten)]
        stores: StoreOptions,
    },
    /// Lists the contexts.
    List,
    /// Creates a token for development, and on first use the key that signs it.
    Token {
        /// The subject (`sub`) of the token: the caller.
        #[arg(long, default_value = "guest")]
        subject: String,
        /// A role of the caller: customer, driver, courier, car_staff, taxi_staff, resort_staff, bike_staff, shop_staff or
        /// admin. Can be repeated.
        #[arg(long = "role", default_value = "customer")]
        roles: Vec<String>,
        /// How long the token is valid, in hours.
        #[arg(long, default_value_t = 12)]
        hours: u64,
        /// The audience (`aud`) of the token.
        #[arg(long, env = "NADEURI_AUDIENCE", default_value = "nadeuri")]
        audience: String,
        /// The folder of the development key.
        #[arg(long, default_value = "./data")]
        data: PathBuf,
        /// The key file that signs the token, in place of the development key: the `--identity` of the server, or the
        /// operators' key if it has `--identities`.
        #[arg(long, env = "NADEURI_IDENTITY")]
        identity: Option<PathBuf>,
    },
    /// Prints what RabbitMQ needs for `serve --bus-users`: exchanges, queues, bindings, and the least permissions of each user.
    ///
    /// Import it before a new version starts, with `rabbitmqctl import_definitions`. The users must exist by then; it has no
    /// passwords.
    BrokerDefinitions {
        /// The user of each context, such as `nadeuri-{context}`.
        #[arg(long, env = "NADEURI_BUS_USERS", value_name = "PATTERN")]
        bus_users: String,
        /// The prefix of the names of exchanges and queues.
        #[arg(long, env = "NADEURI_BUS_PREFIX", default_value = "nadeuri")]
        bus_prefix: String,
        /// The virtual host.
        #[arg(long, default_value = "/")]
        vhost: String,
    },
    /// Checks the health of a server. Fails if it does not serve.
    Health {
        /// The health check: a context (`rental`) or a dependency of one (`rental.store`). Default: the whole process.
        #[arg(default_value = "")]
        what: String,
        #[command(flatten)]
        target: Target,
    },
    /// Rebuilds a read model: deletes it and projects all events of the chronicle again.
    Rebuild {
        /// The context of the read model, such as `mypage`.
        view: String,
        #[command(flatten)]
        target: Target,
    },
    /// Lists, replays or drops dead letters: events that a context could not handle.
    Dead {
        #[command(subcommand)]
        command: DeadCommand,
        #[command(flatten)]
        target: Target,
    },
    /// Checks the ledger of deposits and points.
    Ledger {
        #[command(subcommand)]
        command: LedgerCommand,
        #[command(flatten)]
        target: Target,
    },
    /// Exports or erases what is stored about a customer.
    Customer {
        #[command(subcommand)]
        command: CustomerCommand,
        #[command(flatten)]
        target: Target,
    },
    /// Runs an example day of the company on a server, and prints what happens.
    Demo(demo::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = cli.workers {
        runtime.worker_threads(workers.max(1));
    }
    let result = match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(run(cli.command)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nadeuri: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Option<Command>) -> anyhow::Result<()> {
    match command {
        None => {
            let Cli { command, .. } = Cli::parse_from(["nadeuri", "serve"]);
            let Some(Command::Serve(options)) = command else { return Ok(()) };
            serve::run(*options, true).await
        }
        Some(Command::Serve(options)) => serve::run(*options, false).await,
        Some(Command::Migrate { contexts, stores }) => migrate(&contexts, &stores).await,
        Some(Command::List) => {
            for context in contexts::ALL {
                println!("{:<14}{}", context.name, context.about);
            }
            Ok(())
        }
        Some(Command::Token { subject, roles, hours, audience, data, identity }) => {
            let signer = signer(identity, &audience, &data)?;
            token(&subject, &roles, hours, &signer)
        }
        Some(Command::BrokerDefinitions { bus_users, bus_prefix, vhost }) => {
            let users = Users::new(&bus_users);
            anyhow::ensure!(
                users.are_separate(),
                "--bus-users {bus_users:?} must contain {{context}}: one user for each"
            );
            let subscriptions = contexts::subscriptions(contexts::ALL)?;
            println!("{:#}", rabbit::definitions(&bus_prefix, &vhost, &users, subscriptions));
            Ok(())
        }
        Some(Command::Health { what, target }) => operate::health(&target, &what).await,
        Some(Command::Rebuild { view, target }) => operate::rebuild(&target, view).await,
        Some(Command::Dead { command, target }) => operate::dead(&target, command).await,
        Some(Command::Ledger { command: LedgerCommand::Check, target }) => operate::check_ledger(&target).await,
        Some(Command::Customer { command, target }) => operate::customer(&target, command).await,
        Some(Command::Demo(options)) => demo::run(options).await,
    }
}

async fn migrate(names: &[String], stores: &StoreOptions) -> anyhow::Result<()> {
    let runtime = Runtime::real();
    stores.check()?;
    for context in contexts::named(names).map_err(anyhow::Error::msg)? {
        let database = Database::open(&stores.store(context.name), context.name, &runtime).await?;
        context.migrate(&database).await?;
        println!("{} is up to date", context.name);
    }
    Ok(())
}

/// Returns a signer with the key of a server, or else with the development key. Prints which server accepts the latter.
fn signer(identity: Option<PathBuf>, audience: &str, data: &std::path::Path) -> anyhow::Result<Signer> {
    if let Some(key) = identity {
        return Ok(Signer::open(&key, audience)?);
    }
    let key = DevKey::open_or_create(data)?;
    eprintln!(
        "a server that accepts it: nadeuri serve --auth nadeuri={} --identity {}",
        key.jwks.display(),
        key.key.display()
    );
    Ok(Signer::open(&key.key, audience)?)
}

fn token(subject: &str, roles: &[String], hours: u64, signer: &Signer) -> anyhow::Result<()> {
    let known = Roles::named(roles.iter().map(String::as_str));
    let unknown = roles.iter().find(|role| Roles::named([role.as_str()]).names().next().is_none());
    if let Some(role) = unknown {
        let all: Vec<String> = Roles::all().names().collect();
        anyhow::bail!("there is no role {role:?}; there are {}", all.join(", "));
    }
    let life = Duration::from_secs(hours.saturating_mul(3_600));
    let token = signer.token(subject, known, life, Clock::system().now()).context("cannot create the token")?;
    // Only the token goes to stdout, so that a shell can assign it to a variable.
    println!("{token}");
    Ok(())
}
