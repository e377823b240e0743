//! The program under test, and addresses for it.

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

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
