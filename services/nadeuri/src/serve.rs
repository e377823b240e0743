//! `nadeuri serve`: runs contexts until SIGINT or SIGTERM.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chassis::access::{Guard, Limits};
use chassis::auth::{Auth, Holder, JwtSettings, Signer, Trust, Verifier};
use chassis::bus::rabbit::{self, Rabbit, Users};
use chassis::bus::{Bus, local::Local};
use chassis::context::{Environment, Running};
use chassis::db::Database;
use chassis::identity::Identity;
use chassis::peer::{self, Peers};
use chassis::runtime::Runtime;
use chassis::sealing::SealingKeys;
use chassis::server;
use chassis::telemetry::{self, Telemetry};
use chassis::tls::Tls;
use chassis::{Context, StartError};
use tokio::net::TcpListener;
use tokio::signal::unix::{self, SignalKind};

use crate::contexts;
use crate::data::DataFolder;
use crate::options::ServeOptions;

/// The started contexts, and the server for them.
pub struct Served {
    /// The address that the server listens on.
    pub address: SocketAddr,
    listener: TcpListener,
    running: Vec<Running>,
    guard: Guard,
    settings: server::Settings,
    stop_limit: Duration,
    _data: Option<DataFolder>,
}

impl Served {
    /// Starts the contexts. They handle events from now on, and accept calls during [`Served::until`].
    pub async fn start(options: &ServeOptions) -> anyhow::Result<Served> {
        let chosen = contexts::named(&options.contexts).map_err(anyhow::Error::msg)?;
        check(options, &chosen)?;
        let data = if options.stores.is_local() || options.bus == "local" {
            Some(DataFolder::take(&options.stores.data)?)
        } else {
            None
        };
        let tls = Tls::start(options.tls_files()?).await?;
        let listener = server::listen(options.listen).await?;
        let runtime = Runtime::real();
        let (auth, identity) = auth(options, &chosen).await?;
        let limits = Limits { rate: options.rate(), in_flight: options.in_flight, ..Limits::default() };
        let guard = Guard::new(auth, runtime.clock.clone(), limits, options.calls()?);
        let sealing = sealing(options, &chosen)?;
        let environment = environment(options, &runtime, &guard, identity, sealing, &tls)?;
        let mut running = Vec::new();
        for context in chosen {
            let database = Database::open(&options.stores.store(context.name), context.name, &runtime).await?;
            if !options.no_migrate {
                context.migrate(&database).await?;
            }
            running.push(context.start(database, &environment)?);
        }
        Ok(Served {
            address: listener.local_addr()?,
            listener,
            running,
            guard,
            settings: server::Settings {
                tls,
                has_reflection: !options.no_reflection,
                linger: Duration::from_millis(options.linger_ms),
            },
            stop_limit: Duration::from_millis(options.stop_ms),
            _data: data,
        })
    }

    /// The names of the contexts.
    pub fn contexts(&self) -> Vec<&'static str> {
        self.running.iter().map(|context| context.name).collect()
    }

    /// Serves until `stop` completes, then waits for the calls in flight.
    pub async fn until(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Served { listener, running, guard, settings, stop_limit, .. } = self;
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        let stop = async {
            stop.await;
            // The receiver lives until the server has stopped.
            let _ = stopping.send(());
        };
        let linger = settings.linger;
        let serving = server::serve(listener, &running, guard, settings, stop);
        let limit = async {
            // Without a stop signal there is no time limit.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(linger + stop_limit).await;
        };
        tokio::select! {
            served = serving => served?,
            () = limit => tracing::warn!("calls in flight at the shutdown limit were cancelled"),
        }
        futures::future::join_all(running.into_iter().map(|context| context.stop(stop_limit))).await;
        Ok(())
    }
}

/// Rejects options that do not work together, before anything is started.
fn check(options: &ServeOptions, chosen: &[&'static Context]) -> anyhow::Result<()> {
    if options.is_auth_off() && !options.listen.ip().is_loopback() {
        bail!(
            "--auth off does not authenticate callers, so it is allowed only on loopback; listen on 127.0.0.1, or set a \
             trusted issuer with --auth ISSUER=JWKS"
        );
    }
    if options.is_auth_off() && options.identities.is_some() {
        bail!("--identities is for a server that checks tokens: set --auth own, or an issuer with --auth ISSUER=JWKS");
    }
    let all = chosen.len() == contexts::ALL.len();
    if options.bus == "local" && !all {
        bail!(
            "the local bus carries events within one process only, and not all contexts run in this process; serve all of \
             them, or use RabbitMQ with --bus amqp://…"
        );
    }
    check_bus_user(options, chosen)?;
    options.stores.check()?;
    let peers = options.peers()?;
    let is_known = |name: &&str| chosen.iter().any(|context| *name == context.name) || peers.contains_key(*name);
    for context in chosen {
        if let Some(missing) = context.calls.iter().find(|call| !is_known(call)) {
            bail!(
                "{} calls {missing}, which is not in this process; set its URL with --peers 'http://{{context}}:50051'",
                context.name
            );
        }
    }
    Ok(())
}

fn environment(
    options: &ServeOptions,
    runtime: &Runtime,
    guard: &Guard,
    identity: Identity,
    sealing: SealingKeys,
    tls: &Tls,
) -> anyhow::Result<Environment> {
    let edges = peer::Limits { retry: !options.mesh_retries, ..peer::Limits::default() };
    Ok(Environment {
        runtime: runtime.clone(),
        bus: bus(options, runtime, tls)?,
        peers: Peers::new(options.peers()?, tls.clone()),
        identity,
        limits: edges,
        guard: guard.clone(),
        sealing,
        settings: options.settings()?,
        key_retention: Duration::from_secs(options.remember_hours.saturating_mul(3_600)),
        dead_letter_retention: options.dead_letter_retention()?,
        erasure_delay: Duration::from_secs(options.erasure_delay),
    })
}

/// The keys that seal. Without a file of them, there is one in the data folder, if all that it seals is there and nobody else
/// is to unseal it.
fn sealing(options: &ServeOptions, chosen: &[&'static Context]) -> anyhow::Result<SealingKeys> {
    match &options.sealing_keys {
        Some(path) => Ok(SealingKeys::read(path)?),
        None if options.stores.is_local() && chosen.len() == contexts::ALL.len() => {
            Ok(SealingKeys::read_or_create(&options.stores.data.join("sealing-keys"))?)
        }
        None => {
            // Before anything is started.
            for context in chosen {
                if context.has_sealed()? {
                    return Err(StartError::NoSealingKeys { context: context.name }.into());
                }
            }
            Ok(SealingKeys::default())
        }
    }
}

fn bus(options: &ServeOptions, runtime: &Runtime, tls: &Tls) -> anyhow::Result<Arc<dyn Bus>> {
    let subscriptions = contexts::subscriptions(contexts::ALL)?;
    if options.bus == "local" {
        return Ok(Arc::new(Local::new(subscriptions)));
    }
    if !options.bus.starts_with("amqp://") && !options.bus.starts_with("amqps://") {
        bail!("--bus must be local or amqp://USER:PASSWORD@HOST/VHOST, or amqps://… for TLS");
    }
    let settings = rabbit::Settings {
        url: options.bus.clone(),
        tls: tls.clone(),
        prefix: options.bus_prefix.clone(),
        users: options.bus_users.as_deref().map(Users::new),
    };
    Ok(Arc::new(Rabbit::new(settings, subscriptions, runtime)))
}

/// Rejects a user of RabbitMQ by whom other processes would not expect the events of these contexts.
fn check_bus_user(options: &ServeOptions, chosen: &[&'static Context]) -> anyhow::Result<()> {
    let Some(pattern) = &options.bus_users else { return Ok(()) };
    let user = match &*options.bus {
        "local" => bail!("--bus-users is about users of RabbitMQ: set --bus amqp://…, or leave it out"),
        url => rabbit::Settings::user(url).map_err(|error| anyhow::anyhow!("--bus is no URL of RabbitMQ: {error}"))?,
    };
    let expected = |context: &&&Context| Users::new(pattern).of(context.name);
    match chosen.iter().find(|context| expected(context) != user) {
        Some(context) => bail!(
            "--bus-users {pattern:?}: the events of {} come by the user {:?}, and --bus connects as {user:?}; give each \
             context a process and a URL with its own user, or name the one user of all",
            context.name,
            expected(&context)
        ),
        None => Ok(()),
    }
}

async fn auth(options: &ServeOptions, chosen: &[&'static Context]) -> anyhow::Result<(Auth, Identity)> {
    if options.is_auth_off() {
        return Ok((Auth::Off, Identity::Named));
    }
    let path = options.identity.as_ref().context(
"calls between contexts must be signed; set a key file with --identity (nadeuri token creates one for development)",
    )?;
    let signer = Signer::open(path, &options.audience)?;
    let mut trust = options.trust()?;
    match &options.identities {
        None => trust.push(signer.trust(Holder::Anybody)),
        Some(path) => {
            let own = Holder::Contexts(chosen.iter().map(|context| context.name.to_owned()).collect());
            trust.extend([signer.trust(own), Trust::certificates(path)]);
        }
    }
    let settings = JwtSettings { trust, audience: options.audience.clone(), roles_claim: options.roles_claim.clone() };
    Ok((Auth::Jwt(Verifier::start(settings).await?), Identity::Signed(Arc::new(signer))))
}

/// Serves until SIGINT or SIGTERM.
pub async fn run(options: ServeOptions, is_default: bool) -> anyhow::Result<()> {
    let service = if options.contexts.len() == 1 { options.contexts[0].clone() } else { "nadeuri".to_owned() };
    let instance = std::env::var("HOSTNAME").unwrap_or_else(|_| std::process::id().to_string());
    let telemetry = Telemetry::start(&telemetry::Settings {
        service,
        instance,
        endpoint: options.telemetry.otlp.clone(),
        format: options.telemetry.log_format,
        filter: options.telemetry.log.clone(),
    })?;
    // Before anything starts: a signal that comes as soon as the server is ready must not just kill it.
    let mut stop = Box::pin(signal()?);
    let result = tokio::select! {
        served = Served::start(&options) => match served {
            Ok(served) => {
                tell(&served, &options, is_default);
                served.until(stop).await
            }
            Err(error) => Err(error),
        },
        () = &mut stop => Ok(()),
    };
    telemetry.shutdown(Duration::from_secs(5)).await;
    result
}

/// Listens for SIGINT and SIGTERM from now on; the future ends with the first of them.
fn signal() -> anyhow::Result<impl Future<Output = ()>> {
    let listen = |kind| unix::signal(kind).context("cannot listen for signals");
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Prints the address, and example commands if the server was started without options.
fn tell(served: &Served, options: &ServeOptions, is_default: bool) {
    let address = served.address;
    println!("nadeuri serves {} on {address}", served.contexts().join(", "));
    if served.settings.tls.is_served() {
        println!("callers connect over TLS, to https://{address}");
    }
    if options.stores.is_local() {
        println!("state is kept in {}", options.stores.data.display());
    }
    if options.is_auth_off() {
        println!("AUTH IS OFF: the headers x-user and x-roles set the caller; allowed only on loopback");
    }
    if is_default {
        println!(
            "\ntry, in another terminal:\n  \
             grpcurl -plaintext {address} list\n  \
             grpcurl -plaintext -d '{{\"car\":{{\"model\":\"Hyundai Casper\",\"place\":{{\"name\":\"Gimpo Airport\"}},\
             \"daily_rate\":{{\"currency_code\":\"KRW\",\"amount_minor\":54000}}}}}}' {address} \
             nadeuri.fleet.v1.FleetService/RegisterCar\n  \
             grpcurl -plaintext {address} nadeuri.fleet.v1.FleetService/ListCars\n  \
             cargo run --release -- demo          # an example day of the company\n  \
             cargo run --release -- help          # other commands"
        );
    }
}
