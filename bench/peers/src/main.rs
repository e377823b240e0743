//! What others would build in place of the product: the same three durable steps, reserve, pay, shown.
//!
//! Each peer has the rules that the flow needs, and no others: a car is reserved by one customer at a time, a payment
//! is made once, the page shows what was paid. The product does more in the same flow (docs/evidence/benchmarks.md).

mod common;
mod load;
mod restate;

use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves a peer, and prints its address.
    Serve {
        peer: Peer,
        /// The URL of a database of PostgreSQL, for the common way.
        #[arg(long, default_value = "")]
        postgres: String,
        /// The URL of RabbitMQ, for the common way.
        #[arg(long, default_value = "")]
        amqp: String,
        /// How long the outbox of the common way rests when it is empty, in milliseconds.
        #[arg(long, default_value_t = 100)]
        poll: u64,
    },
    /// Runs flows in a closed loop. Prints the flows per second, the latencies p50 and p99 in milliseconds, and the
    /// number of all flows, with those of the warm-up.
    Load {
        peer: Peer,
        /// The address of the common way, or of Restate's ingress.
        #[arg(long)]
        url: String,
        #[arg(long)]
        clients: u64,
        #[arg(long)]
        seconds: u64,
        /// The first hour to reserve: those of earlier runs are taken.
        #[arg(long)]
        first_hour: u64,
    },
    /// Tells a starting Restate where the handlers are, and waits until it knows them.
    Register {
        /// The address of its administration.
        #[arg(long)]
        admin: String,
        /// The address of the handlers.
        #[arg(long)]
        handlers: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Peer {
    /// A transaction for each request, an outbox that is polled, a consumer with an inbox.
    Common,
    /// Durable handlers of Restate.
    Restate,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Serve { peer: Peer::Common, postgres, amqp, poll } => {
            common::serve(&postgres, &amqp, Duration::from_millis(poll)).await
        }
        Command::Serve { peer: Peer::Restate, .. } => restate::serve().await,
        Command::Register { admin, handlers } => restate::register(&admin, &handlers).await,
        Command::Load { peer, url, clients, seconds, first_hour } => {
            let run = load::Run { clients, each: Duration::from_secs(seconds), first_hour };
            match peer {
                Peer::Common => run.measure(common::Client::new(url)).await,
                Peer::Restate => run.measure(restate::Client::new(&url)?).await,
            }
        }
    }
}
