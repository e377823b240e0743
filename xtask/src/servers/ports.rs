//! Which port each server of a folder has, kept in the folder's `env` file.
//!
//! The file is what a shell or a container takes for its environment, `NAME=value` by the line, so the address that
//! tests read is all that is written down.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context, Result};

use super::Kind;

/// Ports are chosen from here on: below the range from which Linux gives ports to outgoing connections. One of those
/// could take the port of a server that was killed before the server is started again.
const FIRST: u16 = 10_240;
const COUNT: u16 = 22_000;

/// Processes start looking this far apart, so that two that look at the same time don't find the same ports.
const STRIDE: u32 = 8;

/// The ports of the servers of one folder.
#[derive(Debug, Default, PartialEq)]
pub struct Ports(BTreeMap<Kind, u16>);

impl Ports {
    /// Reads what an earlier `up` left, if there was one.
    pub fn read(folder: &Path) -> Result<Self> {
        match fs::read_to_string(folder.join("env")) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}/env", folder.display())),
        }
    }

    /// Keeps the addresses for later commands.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::write(folder.join("env"), self.text()).with_context(|| format!("cannot write {}/env", folder.display()))
    }

    /// The port of a server that was started here before.
    pub fn get(&self, kind: Kind) -> Option<u16> {
        self.0.get(&kind).copied()
    }

    /// The port of a server, chosen now when it has none.
    pub fn get_or_choose(&mut self, kind: Kind) -> Result<u16> {
        if let Some(port) = self.get(kind) {
            return Ok(port);
        }
        let port = free(kind.ports())?;
        self.0.insert(kind, port);
        Ok(port)
    }

    /// The variables that tell tests where the servers are.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        self.0.iter().map(|(kind, port)| (kind.variable(), kind.url(*port))).collect()
    }

    fn text(&self) -> String {
        self.variables().iter().map(|(variable, url)| format!("{variable}={url}\n")).collect()
    }

    /// Lines that are not ours are passed over: people may add their own.
    fn parse(text: &str) -> Self {
        let port = |line: &str, kind: Kind| {
            let url = line.strip_prefix(kind.variable())?.strip_prefix('=')?;
            let (_, port_and_path) = url.rsplit_once(':')?;
            let (port, _) = port_and_path.split_once('/').unwrap_or((port_and_path, ""));
            port.parse().ok()
        };
        let lines = text.lines().flat_map(|line| Kind::ALL.map(|kind| Some((kind, port(line, kind)?))));
        Self(lines.flatten().collect())
    }
}

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
    fn what_was_written_is_read_again() {
        let ports = Ports(BTreeMap::from([(Kind::Postgres, 10_500), (Kind::Rabbitmq, 10_501)]));
        assert_eq!(
            ports.text(),
            "NADEURI_TEST_POSTGRES=postgres://postgres@127.0.0.1:10500/\n\
             NADEURI_TEST_AMQP=amqp://guest:guest@127.0.0.1:10501/%2f\n"
        );
        assert_eq!(Ports::parse(&ports.text()), ports);
    }

    #[test]
    fn lines_of_other_people_are_passed_over() {
        let text =
            "# mine\nRUST_LOG=debug\n\nNADEURI_TEST_AMQP=amqp://guest:guest@127.0.0.1:10501\nNADEURI_TEST_POSTGRES=";
        assert_eq!(Ports::parse(text), Ports(BTreeMap::from([(Kind::Rabbitmq, 10_501)])));
    }

    #[test]
    fn a_folder_without_a_file_has_no_ports() -> Result<()> {
        let folder = tempfile::tempdir()?;
        assert_eq!(Ports::read(folder.path())?, Ports::default());
        Ok(())
    }

    #[test]
    fn a_port_in_use_is_not_chosen() -> Result<()> {
        let first = free(3)?;
        let _taken = TcpListener::bind(("127.0.0.1", first + 1))?;
        let second = free(3)?;
        assert!(!(second..second + 3).contains(&(first + 1)));
        Ok(())
    }
}
