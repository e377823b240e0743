//! Ports for servers that keep theirs.

use std::net::TcpListener;

use anyhow::{Context, Result};

/// Ports are chosen from here on: below the range from which Linux gives ports to outgoing connections. One of those
/// could take the port of a server that was killed before the server is started again.
const FIRST: u16 = 10_240;
const COUNT: u16 = 22_000;

/// Processes start looking this far apart, so that two that look at the same time don't find the same ports.
const STRIDE: u32 = 8;

/// The first of `in_a_row` ports that nobody listens on.
pub fn free(in_a_row: u16) -> Result<u16> {
    let offset = (std::process::id() * STRIDE) % u32::from(COUNT);
    let candidates = (0..COUNT).map(|step| FIRST + ((offset + u32::from(step)) % u32::from(COUNT)) as u16);
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut found = candidates.filter(|first| (*first..first + in_a_row).all(is_free));
    found.next().context("no port is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_not_chosen() -> Result<()> {
        let first = free(3)?;
        let _taken = TcpListener::bind(("127.0.0.1", first + 1))?;
        let second = free(3)?;
        assert!(!(second..second + 3).contains(&(first + 1)));
        Ok(())
    }
}
