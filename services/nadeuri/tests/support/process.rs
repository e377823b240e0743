//! The binary under test, and free addresses for it.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// The product.
pub const NADEURI: &str = env!("CARGO_BIN_EXE_nadeuri");

/// A free address on loopback. Its port is below the ephemeral port range, so that an outgoing connection can't take it
/// while a killed server restarts.
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

/// The folder in which the processes record their statements, if they do.
pub static STATEMENTS: OnceLock<PathBuf> = OnceLock::new();

/// The command with these arguments, without environment variables that could change its behaviour.
pub fn nadeuri(arguments: &[String]) -> Command {
    let mut command = Command::new(NADEURI);
    command.args(arguments).env_clear().stdin(Stdio::null());
    command.envs(STATEMENTS.get().map(|folder| ("NADEURI_STATEMENTS", folder)));
    command
}
