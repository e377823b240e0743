//! The mesh without a cluster: Istio's control plane checks and compiles the files of mesh/istio, and a real Envoy
//! applies them in front of one process per context.

mod envoy;
mod experiment;
mod load;
mod local;
mod tools;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::process::{cargo_test, ensure_uninterrupted, run as run_command};
use local::{Backing, Mesh, contexts, rules};

/// The operations on the mesh.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Run each context in a process of its own behind Envoy, until Ctrl-C.
    Up,
    /// Generate the files of mesh/istio that follow from the contracts.
    Write,
    /// Validate and analyze the files of mesh/istio with Istio.
    Check,
    /// Break and overload replicas behind Envoy, with the rules and without, and check what customers get.
    Experiment {
        /// Only parts whose name contains one of these words.
        names: Vec<String>,
    },
}

/// The options of the mesh.
#[derive(clap::Args)]
pub struct Options {
    /// The address of the gateway.
    #[arg(long, default_value = "127.0.0.1:50051", global = true)]
    listen: SocketAddr,
    /// The `nadeuri` binary; built for release if not given.
    #[arg(long, value_name = "PROGRAM", global = true)]
    nadeuri: Option<PathBuf>,
    /// A PostgreSQL, as in `postgres://user@host/nadeuri?schema={context}`; temporary if not given.
    #[arg(long, global = true)]
    store: Option<String>,
    /// A RabbitMQ, as in `amqp://user:password@host/%2f`; temporary if not given.
    #[arg(long, global = true)]
    bus: Option<String>,
}

/// Runs a command; `up` if there is none.
pub fn run(command: Option<Command>, options: Options) -> Result<()> {
    match command.unwrap_or(Command::Up) {
        Command::Up => up(options),
        Command::Write => {
            run_command(cargo_test("mesh", "the_rules_are_what_the_contracts_say").env("NADEURI_MESH_WRITE", "1"))
        }
        Command::Check => check(),
        Command::Experiment { names } => {
            let product = tools::product(options.nadeuri.as_deref())?;
            experiment::run(&names, product, Backing::new(options.store, options.bus)?)
        }
    }
}

/// Checks that the files match the contracts, and that Istio accepts them, alone and with the Services of the chart.
fn check() -> Result<()> {
    run_command(&mut cargo_test("mesh", ""))?;
    let control = tools::control()?;
    run_command(crate::process::command(control).arg("check").args(rules()?).arg("helm/examples/mesh.yaml"))
}

fn up(options: Options) -> Result<()> {
    let product = tools::product(options.nadeuri.as_deref())?;
    let grpcurl = crate::tools::go(crate::tools::GRPCURL)?;
    let all: Vec<(String, usize)> = contexts(&product)?.into_iter().map(|name| (name, 1)).collect();
    eprintln!("xtask: starting {} contexts, each in a process of its own", all.len());
    let mut mesh = Mesh::start(product, Backing::new(options.store, options.bus)?, Some(options.listen), &all)?;
    mesh.apply(&[])?;
    let (gateway, key, product) = (options.listen, mesh.key(), mesh.product.display().to_string());
    println!(
        "The gateway listens at {gateway}; it takes the tokens of {key}. In another terminal:

call() {{ {grpcurl} -plaintext -H \"authorization: Bearer $({product} token --identity {key} --subject mina --role customer --role admin)\" \"$@\"; }}
call -d '{{\"car\":{{\"model\":\"Hyundai Casper\",\"place\":{{\"name\":\"Gimpo Airport\"}},\"daily_rate\":{{\"currency_code\":\"KRW\",\"amount_minor\":54000}}}}}}' {gateway} nadeuri.fleet.v1.FleetService/RegisterCar
call -d '{{\"place_name\":\"Gimpo Airport\"}}' {gateway} nadeuri.fleet.v1.FleetService/ListCars
call -d '{{\"amount\":{{\"currency_code\":\"KRW\",\"amount_minor\":10000}},\"payment_method\":\"sandbox-approve\"}}' {gateway} nadeuri.wallet.v1.WalletService/TopUp
{grpcurl} -plaintext {gateway} nadeuri.fleet.v1.FleetService/ListCars    # no token: PERMISSION_DENIED
{grpcurl} -plaintext {gateway} grpc.health.v1.Health/Check

Ctrl-C ends all of it.",
        grpcurl = grpcurl.display(),
        key = key.display(),
    );
    while ensure_uninterrupted().is_ok() {
        mesh.ensure_running()?;
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
