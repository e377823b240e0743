//! The nodes of a server.

use crate::servers::Servers;

impl Servers {
    /// Kills a node with all its processes.
    pub async fn kill_node(&self, node: u16) {
        self.run(&["kill", self.kind, "--node", &node.to_string()]).await;
    }

    /// Starts a node again, and returns when it accepts connections.
    pub async fn start_node(&self, node: u16) {
        self.run(&["start", self.kind, "--node", &node.to_string()]).await;
    }

    /// Makes the standby of PostgreSQL the primary, and returns when it accepts writes.
    pub async fn promote(&self) {
        self.run(&["promote"]).await;
    }

    /// The node of RabbitMQ that leads the most queues, and their number.
    pub async fn leader(&self) -> (u16, usize) {
        let output = self.run(&["leaders"]).await;
        let said = String::from_utf8(output.stdout).unwrap();
        let leaders = said.lines().filter_map(|line| line.split_once(' '));
        let leaders = leaders.map(|(node, queues)| (node.parse().unwrap(), queues.parse().unwrap()));
        leaders.max_by_key(|(_, queues)| *queues).unwrap_or_else(|| panic!("no node leads a queue: {said:?}"))
    }
}
