//! `nadeuri serve`: runs contexts until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chassis::Context;
use chassis::access::{Guard, Limits};
use chassis::auth::{Auth, JwtSettings, Signer, Verifier};
use chassis::bus::{Bus, local::Local, rabbit::Rabbit};
use chassis::context::{Environment, Running};
use chassis::db::Database;
use chassis::identity::Identity;
use chassis::peer::{self, Peers};
use chassis::runtime::Runtime;
use chassis::server;
use chassis::telemetry::{self, Telemetry};
use tokio::net::TcpListener;

use crate::contexts;
use crate::data::DataFolder;
use crate::options::ServeOptions;

/// Contexts that were started, and what they are served with.
pub struct Served {
    /// Where the server listens.
    pub address: SocketAddr,
    listener: TcpListener,
    running: Vec<Running>,
    guard: Guard,
    linger: Duration,
    stop_limit: Duration,
    _data: Option<DataFolder>,
}

impl Served {
    /// Starts the contexts. They work from now on, and can be called after [`Served::until`].
    pub async fn start(options: &ServeOptions) -> anyhow::Result<Served> {
        let chosen = contexts::named(&options.contexts).map_err(anyhow::Error::msg)?;
        check(options, &chosen)?;
        let data = if options.stores.is_local() || options.bus == "local" {
            Some(DataFolder::take(&options.stores.data)?)
        } else {
            None
        };
        let listener = server::listen(options.listen).await?;
        let runtime = Runtime::real();
        let (auth, identity) = auth(options).await?;
        let limits = Limits { rate: options.rate(), in_flight: options.in_flight, ..Limits::default() };
        let guard = Guard::new(auth, runtime.clock.clone(), limits);
        let environment = environment(options, &runtime, &guard, identity)?;
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
            linger: Duration::from_millis(options.linger_ms),
            stop_limit: Duration::from_millis(options.stop_ms),
            _data: data,
        })
    }

    /// The names of the contexts.
    pub fn contexts(&self) -> Vec<&'static str> {
        self.running.iter().map(|context| context.name).collect()
    }

    /// Serves until `stop` is done, then finishes what is under way.
    pub async fn until(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Served { listener, running, guard, linger, stop_limit, .. } = self;
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        let stop = async {
            stop.await;
            // The receiver is there until the server is done.
            let _ = stopping.send(());
        };
        let serving = server::serve(listener, &running, guard, linger, stop);
        let limit = async {
            // Without a signal there is no limit.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(linger + stop_limit).await;
        };
        tokio::select! {
            served = serving => served?,
            () = limit => tracing::warn!("calls were still under way at the limit; they are cut off"),
        }
        futures::future::join_all(running.into_iter().map(|context| context.stop(stop_limit))).await;
        Ok(())
    }
}

/// What can't work together is said before anything is started.
fn check(options: &ServeOptions, chosen: &[&'static Context]) -> anyhow::Result<()> {
    if options.is_auth_off() && !options.listen.ip().is_loopback() {
        bail!(
            "--auth off believes callers whatever they say, so it is only for loopback; listen on 127.0.0.1, or name whose \
             tokens to accept with --auth ISSUER=JWKS"
        );
    }
    let all = chosen.len() == contexts::ALL.len();
    if options.bus == "local" && !all {
        bail!(
            "the local bus carries events within one process, and not all contexts are in this one; serve all, or name a \
             RabbitMQ with --bus amqp://…"
        );
    }
    options.stores.check()?;
    let peers = options.peers()?;
    let is_known = |name: &&str| chosen.iter().any(|context| *name == context.name) || peers.contains_key(*name);
    for context in chosen {
        if let Some(missing) = context.calls.iter().find(|call| !is_known(call)) {
            bail!(
                "{} calls {missing}, which is not in this process; say where it is with --peers 'http://{{context}}:50051'",
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
) -> anyhow::Result<Environment> {
    let edges = peer::Limits { retry: !options.mesh_retries, ..peer::Limits::default() };
    Ok(Environment {
        runtime: runtime.clone(),
        bus: bus(options, runtime)?,
        peers: Peers::new(options.peers()?),
        identity,
        limits: edges,
        guard: guard.clone(),
        settings: options.settings()?,
        key_retention: Duration::from_secs(options.remember_hours.saturating_mul(3_600)),
    })
}

fn bus(options: &ServeOptions, runtime: &Runtime) -> anyhow::Result<Arc<dyn Bus>> {
    let subscriptions = contexts::subscriptions(contexts::ALL)?;
    if options.bus == "local" {
        return Ok(Arc::new(Local::new(subscriptions)));
    }
    if !options.bus.starts_with("amqp://") && !options.bus.starts_with("amqps://") {
        bail!("--bus must be local or amqp://USER:PASSWORD@HOST/VHOST");
    }
    Ok(Arc::new(Rabbit::new(&options.bus, &options.bus_prefix, subscriptions, runtime)))
}

async fn auth(options: &ServeOptions) -> anyhow::Result<(Auth, Identity)> {
    if options.is_auth_off() {
        return Ok((Auth::Off, Identity::Named));
    }
    let path = options.identity.as_ref().context(
        "calls between contexts must be signed; name a key with --identity (nadeuri token makes one for development)",
    )?;
    let signer = Signer::open(path, &options.audience)?;
    let mut trust = options.trust()?;
    trust.push(signer.trust());
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
    let served = Served::start(&options).await?;
    tell(&served, &options, is_default);
    let result = served.until(signal()).await;
    telemetry.shutdown(Duration::from_secs(5)).await;
    result
}

/// SIGINT or SIGTERM.
pub async fn signal() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::error!(%error, "SIGTERM can't be waited for");
            return;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Where it listens, and what to try next.
fn tell(served: &Served, options: &ServeOptions, is_default: bool) {
    let address = served.address;
    println!("nadeuri serves {} on {address}", served.contexts().join(", "));
    if options.stores.is_local() {
        println!("state is kept in {}", options.stores.data.display());
    }
    if options.is_auth_off() {
        println!("AUTH IS OFF: callers are believed what they say (x-user, x-roles); only on loopback");
    }
    if is_default {
        println!(
            "\ntry, in another terminal:\n  \
             grpcurl -plaintext {address} list\n  \
             grpcurl -plaintext -d '{{\"car\":{{\"model\":\"Hyundai Casper\",\"place\":{{\"name\":\"Gimpo Airport\"}},\
             \"daily_rate\":{{\"currency_code\":\"KRW\",\"amount_minor\":54000}}}}}}' {address} \
             nadeuri.fleet.v1.FleetService/RegisterCar\n  \
             grpcurl -plaintext {address} nadeuri.fleet.v1.FleetService/ListCars\n  \
             cargo run --release -- demo          # a day of the company, told as it happens\n  \
             cargo run --release -- help          # other commands"
        );
    }
}
