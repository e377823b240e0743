//! One `nadeuri serve`, a process of its own.
//!
//! It must not outlive the tests, however they end: dropping a [`Server`] kills it, and a guard, a shell that waits for
//! the tests' end of a pipe to close, kills it if they are killed themselves.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{PATIENCE, eventually, eventually_within};

/// The product.
pub const NADEURI: &str = env!("CARGO_BIN_EXE_nadeuri");

/// An address on this machine where nobody listens. Below the range from which outgoing connections take their ports,
/// so that a server that was killed finds its port free.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const COUNT: u32 = 20_000;
    loop {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_300 + (std::process::id() * 64 + step) % COUNT;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// The command with these arguments, and nothing of the environment that could change what it does.
pub fn nadeuri(arguments: &[String]) -> Command {
    let mut command = Command::new(NADEURI);
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// A running `nadeuri serve`.
pub struct Server {
    child: Child,
    guard: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts it; it listens at `address` and logs into `log`. It serves after [`Server::ready`].
    pub fn spawn(arguments: &[String], address: SocketAddr, log: &Path) -> Server {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let mut command = nadeuri(&["serve".to_owned(), "--listen".to_owned(), address.to_string()]);
        command.args(arguments).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap();
        let mut guard = Command::new("/bin/sh");
        guard.args(["-c", "read -r _; kill -9 \"$1\"", "guard", &child.id().to_string()]);
        let guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Server { child, guard, address, log: log.to_owned() }
    }

    /// Waits until it says that all of it serves: on a new broker hundreds of queues are made first.
    pub async fn ready(&mut self) {
        let channel = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        let mut health = HealthClient::new(channel.connect_timeout(PATIENCE).connect_lazy());
        let what = format!("the server of {} serves", self.log.display());
        eventually_within(PATIENCE * 4, &what, async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.log_text());
            }
            let answer = health.check(HealthCheckRequest::default()).await.ok()?;
            (answer.into_inner().status() == ServingStatus::Serving).then_some(())
        })
        .await;
    }

    /// What it logged.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to end as an operator does, and waits until it has.
    pub async fn stop(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        eventually("the server ends", async || self.child.try_wait().unwrap()).await
    }

    /// Ends it as a crash does.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The guard goes first: it must not kill another process that gets this number later.
        for child in [&mut self.guard, &mut self.child] {
            // It fails if it has ended already, which is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
