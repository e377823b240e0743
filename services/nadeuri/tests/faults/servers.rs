//! A PostgreSQL or RabbitMQ for one test, of one node or several, started by `xtask servers`.

use std::path::PathBuf;
use std::process::{Command, Output};

/// A server that may be killed.
pub struct Servers {
    xtask: PathBuf,
    folder: PathBuf,
    kind: &'static str,
    /// Its URL, with all nodes. It stays the same after each start.
    pub url: String,
}

impl Servers {
    /// Starts a server of this kind in a folder of this name.
    pub async fn up(name: &str, kind: &'static str) -> Servers {
        Servers::of_nodes(name, kind, 1).await
    }

    /// Starts a server of so many nodes.
    pub async fn of_nodes(name: &str, kind: &'static str, nodes: u16) -> Servers {
        let variable = |name: &str| {
            let value = std::env::var_os(name).map(PathBuf::from);
            value.unwrap_or_else(|| panic!("needs {name}: run `cargo xtask test`"))
        };
        let folder = variable("NADEURI_TEST_SERVERS").join("faults").join(format!("{name}-{}", std::process::id()));
        let mut servers = Servers { xtask: variable("NADEURI_XTASK"), folder, kind, url: String::new() };
        std::fs::create_dir_all(&servers.folder).unwrap();
        let output = servers.run(&["up", &format!("--{kind}"), "--nodes", &nodes.to_string()]).await;
        let said = String::from_utf8(output.stdout).unwrap();
        // The variables of the kind; the URL is the one that all others begin with.
        let url = said.lines().filter_map(|line| line.split_once('=')).min_by_key(|(name, _)| name.len());
        servers.url = url.unwrap_or_else(|| panic!("no address in {said:?}")).1.to_owned();
        servers
    }

    /// Kills it with all its processes.
    pub async fn kill(&self) {
        self.run(&["kill", self.kind]).await;
    }

    /// Starts it again, and returns when it accepts connections.
    pub async fn start(&self) {
        self.run(&["start", self.kind]).await;
    }

    /// Imports definitions into RabbitMQ.
    pub async fn define(&self, definitions: &serde_json::Value) {
        let file = self.folder.join("imported.json");
        std::fs::write(&file, definitions.to_string()).unwrap();
        self.run(&["define", file.to_str().unwrap()]).await;
    }

    pub async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.xtask);
        command.arg("servers").arg(arguments[0]).arg("--folder").arg(&self.folder).args(&arguments[1..]);
        command
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // It may be down or never have started. `cargo xtask test` stops what is left.
        let _ = self.command(&["kill", self.kind]).output();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
