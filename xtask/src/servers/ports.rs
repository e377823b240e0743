//! Free ports for servers that use the same port after a restart.

use std::net::TcpListener;

use anyhow::{Context, Result};

/// The first port to try: below the ephemeral port range of Linux, from which an outgoing connection could take the
/// port of a killed server before it is restarted.
const FIRST: u16 = 10_240;
const COUNT: u16 = 22_000;

/// The distance between the first ports of two processes, so that they don't find the same ports at the same time.
const STRIDE: u32 = 16;

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
