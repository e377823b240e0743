//! `cargo xtask`: the commands people run, which are also the commands CI runs.
//!
//! They are a Rust program and not shell scripts so that servers are stopped when a test run is interrupted, and so
//! that the one suite finds the same servers on a laptop and on a fresh machine.

mod bench;
mod cluster;
mod debian;
mod deny;
mod docs;
mod files;
mod helm;
mod lint;
mod mesh;
mod monitoring;
mod mutants;
mod process;
mod product;
mod proto;
mod recipes;
mod sdks;
mod servers;
mod test;
mod tools;

use std::process::ExitCode;

use clap::Parser;

/// Development tasks of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Check formatting and clippy.
    Lint,
    /// Check licences, sources and security advisories of dependencies. Builds cargo-deny on first use; needs GitHub.
    Deny,
    /// Check the contracts, then run every test against a temporary PostgreSQL and RabbitMQ.
    Test {
        /// Further arguments of `cargo test`, for example `-p rental a_part_of_a_test_name`.
        #[arg(last = true, value_name = "CARGO_TEST_ARGS")]
        extra: Vec<String>,
    },
    /// Check the style of proto/, and its compatibility with clients of the main branch.
    Proto,
    /// Write the API reference and the AsyncAPI document of the events into docs/.
    Docs {
        /// Write nothing: check that they match the contracts, and validate the AsyncAPI document.
        #[arg(long)]
        check: bool,
    },
    /// Check the Helm chart without a cluster: lint, unit tests, alerts, and the manifests rendered for the values in helm/ci.
    Helm {
        /// Write the rendered manifests to helm/examples, instead of comparing them.
        #[arg(long)]
        bless: bool,
    },
    /// Install, upgrade, roll back and uninstall the chart in a real API server. Builds Kubernetes on first use.
    Cluster,
    /// Generate the SDKs from proto/, test them, and run the example of each against a server.
    Sdks(sdks::Options),
    /// Run the shell commands of README.md and docs/recipes.md.
    Recipes {
        /// The `nadeuri` binary; built if not given.
        #[arg(long)]
        program: Option<std::path::PathBuf>,
    },
    /// Break the product in one place at a time, and check that the simulation fails each time.
    Mutants {
        /// Only mutants whose name contains one of these words.
        words: Vec<String>,
    },
    /// Benchmark the product, and PostgreSQL, tonic and RabbitMQ alone in the same run.
    Bench {
        /// Further arguments of the benchmark, for example `--seconds 10 --only reserve`.
        #[arg(last = true, value_name = "BENCH_ARGS")]
        extra: Vec<String>,
    },
    /// Run the product behind a real Envoy with the rules of mesh/istio (the default), or check these rules.
    Mesh {
        #[command(subcommand)]
        command: Option<mesh::Command>,
        #[command(flatten)]
        options: mesh::Options,
    },
    /// Run PostgreSQL and RabbitMQ in a folder.
    #[command(subcommand)]
    Servers(servers::Command),
}

fn main() -> ExitCode {
    // Not returned from main, because Rust would print its debug form with a backtrace.
    run(Command::parse()).unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    process::handle_signals()?;
    match command {
        Command::Lint => lint::run_all()?,
        Command::Deny => deny::run_all()?,
        Command::Test { extra } => return test::run_all(&extra),
        Command::Proto => println!("xtask: {}", proto::check()?),
        Command::Docs { check } => {
            if check {
                docs::check()?
            } else {
                docs::write()?
            }
        }
        Command::Helm { bless } => helm::check(bless)?,
        Command::Cluster => cluster::run_all()?,
        Command::Sdks(options) => sdks::run_all(&options)?,
        Command::Recipes { program } => recipes::run_all(program.as_deref())?,
        Command::Mutants { words } => return mutants::run(&words),
        Command::Bench { extra } => return bench::run(&extra),
        Command::Mesh { command, options } => mesh::run(command, options)?,
        Command::Servers(command) => servers::run(&command)?,
    }
    Ok(ExitCode::SUCCESS)
}
