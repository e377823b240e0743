//! A node of a server: where its files are, and on which ports it listens.
//!
//! The folder of a server holds the port of its first node, and a subfolder for each node. Several nodes are one
//! system, as they would be on several machines: a RabbitMQ cluster, or a PostgreSQL with a synchronous standby. Each
//! further node listens on the ports that follow those of the one before.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Kind, ports};

/// The number of nodes of a server, at most.
const NODES_MAX: u16 = 3;

/// A server of a folder, with the ports of all its nodes.
#[derive(Clone)]
pub struct Nodes {
    /// The server's own folder, which its nodes share.
    pub folder: PathBuf,
    /// The first port of the first node.
    pub port: u16,
    /// The number of ports of a node.
    ports: u16,
    count: u16,
}

/// A node of a server.
pub struct Node {
    /// All nodes of the server.
    pub all: Nodes,
    /// 1 for the first.
    pub number: u16,
}

impl Nodes {
    /// The server of this kind that was created in `folder` before.
    pub fn find(folder: &Path, kind: Kind) -> Option<Nodes> {
        let folder = folder.join(kind.server().folder);
        let text = fs::read_to_string(folder.join("ports")).ok()?;
        let (port, count) = text.trim().split_once(' ')?;
        Some(Nodes { folder, port: port.parse().ok()?, ports: kind.server().ports, count: count.parse().ok()? })
    }

    /// The server of this kind in `folder`, which is created with `count` nodes on free ports if it does not exist.
    pub fn find_or_create(folder: &Path, kind: Kind, count: u16) -> Result<Nodes> {
        ensure!((1..=NODES_MAX).contains(&count), "a server has 1 to {NODES_MAX} nodes");
        if Nodes::find(folder, kind).is_none() {
            let folder = folder.join(kind.server().folder);
            fs::create_dir_all(&folder)?;
            let port = ports::free(kind.server().ports * count)?;
            fs::write(folder.join("ports"), format!("{port} {count}"))?;
        }
        let found = Nodes::find(folder, kind).context("cannot read its ports")?;
        ensure!(found.count == count, "{} has {} nodes here, and keeps them", kind.server().name, found.count);
        Ok(found)
    }

    /// A node; the first is 1.
    pub fn node(&self, number: u16) -> Result<Node> {
        ensure!((1..=self.count).contains(&number), "there is no node {number} here");
        Ok(Node { all: self.clone(), number })
    }

    /// All of them, in their order.
    pub fn all(&self) -> impl Iterator<Item = Node> {
        (1..=self.count).map(|number| Node { all: self.clone(), number })
    }

    /// `HOST:PORT` of all, separated by commas, as in the URL of a server; `offset` is that of the port in each node.
    pub fn addresses(&self, offset: u16) -> String {
        self.all().map(|node| format!("127.0.0.1:{}", node.port() + offset)).collect::<Vec<_>>().join(",")
    }
}

impl Node {
    /// Its own folder.
    pub fn folder(&self) -> PathBuf {
        self.all.folder.join(self.number.to_string())
    }

    /// Its first port.
    pub fn port(&self) -> u16 {
        self.all.port + (self.number - 1) * self.all.ports
    }

    /// The first node, which the others join.
    pub fn first(&self) -> Node {
        Node { all: self.all.clone(), number: 1 }
    }
}
