//! A Redis Cluster: three masters that share the slots, and a replica of each if the test wants some.

use std::future::ready;
use std::time::Duration;

use crate::redis_server::{Kind, free_port};
use crate::{RedisServer, eventually};

/// How long the servers may take to agree.
const AGREED_WITHIN: Duration = Duration::from_secs(20);
/// What the slots of each master begin and end with.
const SLOTS: [(&str, &str); 3] = [("0", "5461"), ("5462", "10922"), ("10923", "16383")];

/// The servers of one cluster, the first three of which begin as its masters; all are killed when this is dropped.
#[derive(Debug)]
pub struct RedisCluster {
    servers: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts three masters, and waits until they serve all slots.
    ///
    /// # Panics
    /// When they do not start.
    pub async fn start() -> Self {
        Self::start_nodes(3).await
    }

    /// The same, each master with a replica that takes over from it.
    ///
    /// # Panics
    /// As [`RedisCluster::start`].
    pub async fn start_with_replicas() -> Self {
        Self::start_nodes(6).await
    }

    async fn start_nodes(count: usize) -> Self {
        let mut servers = Vec::new();
        for _ in 0..count {
            servers.push(RedisServer::start_as(Kind::ClusterNode { bus_port: free_port() }).await);
        }
        let cluster = Self { servers };
        for (number, (master, (first, last))) in cluster.servers.iter().zip(SLOTS).enumerate() {
            ok(master, &["cluster", "addslotsrange", first, last]);
            ok(master, &["cluster", "set-config-epoch", &(number + 1).to_string()]);
        }
        for other in &cluster.servers[1..] {
            let Some(bus_port) = other.bus_port() else { unreachable!("all are nodes of a cluster") };
            let port = other.port().to_string();
            ok(&cluster.servers[0], &["cluster", "meet", "127.0.0.1", &port, &bus_port.to_string()]);
        }
        cluster.agree(|info| info.contains(&format!("cluster_known_nodes:{count}"))).await;
        let ids: Vec<_> = cluster.servers.iter().map(|server| server.cli(&["cluster", "myid"])).collect();
        for (replica, id) in cluster.servers[3..].iter().zip(&ids) {
            ok(replica, &["cluster", "replicate", id]);
        }
        cluster.agree(|info| info.contains("cluster_state:ok")).await;
        for replica in &cluster.servers[3..] {
            eventually("a replica has everything", AGREED_WITHIN, || {
                ready(replica.cli(&["info", "replication"]).contains("master_link_status:up"))
            })
            .await;
        }
        cluster
    }

    /// Waits until what each of them says of the cluster is so.
    async fn agree(&self, is_so: impl Fn(&str) -> bool) {
        for server in self.servers.iter().filter(|server| server.runs()) {
            eventually("the servers agree", AGREED_WITHIN, || {
                ready(is_so(&server.cli(&["cluster", "info"])))
            })
            .await;
        }
    }

    /// The addresses of those that began as masters, as one URL.
    pub fn url(&self) -> String {
        let hosts = self.servers.iter().take(3).map(|server| format!("127.0.0.1:{}", server.port()));
        format!("redis://{}/", hosts.collect::<Vec<_>>().join(","))
    }

    /// The servers that run and are masters now.
    pub fn masters(&self) -> Vec<&RedisServer> {
        let is_master = |server: &&RedisServer| {
            server.runs() && server.cli(&["info", "replication"]).contains("role:master")
        };
        self.servers.iter().filter(is_master).collect()
    }

    /// The slot of a key.
    ///
    /// # Panics
    /// When the servers do not say.
    pub fn slot(&self, key: &str) -> u16 {
        self.masters()[0].cli(&["cluster", "keyslot", key]).parse().expect("a slot is a number")
    }

    /// The master that serves a slot.
    ///
    /// # Panics
    /// When none does.
    pub fn master_of(&self, slot: u16) -> &RedisServer {
        let slot_of_name = name_in(slot);
        let serves = |server: &&RedisServer| !server.cli(&["get", &slot_of_name]).starts_with("MOVED");
        self.masters().into_iter().find(serves).expect("somebody serves the slot")
    }

    /// Opens the move of a slot to a master that has not got it: what is asked for there may be in either place from
    /// now on. Where it goes from and to.
    ///
    /// # Panics
    /// When a server refuses.
    pub fn open_move(&self, slot: u16) -> (&RedisServer, &RedisServer) {
        let from = self.master_of(slot);
        let others = self.masters().into_iter().find(|server| server.port() != from.port());
        let (to, slot) = (others.expect("there are several masters"), slot.to_string());
        ok(to, &["cluster", "setslot", &slot, "importing", &from.cli(&["cluster", "myid"])]);
        ok(from, &["cluster", "setslot", &slot, "migrating", &to.cli(&["cluster", "myid"])]);
        (from, to)
    }

    /// Moves what is in a slot whose move was opened, and closes the move.
    ///
    /// # Panics
    /// When a server refuses.
    pub fn finish_move(&self, slot: u16, (from, to): (&RedisServer, &RedisServer)) {
        let (slot, port) = (slot.to_string(), to.port().to_string());
        loop {
            let keys = from.cli(&["cluster", "getkeysinslot", &slot, "100"]);
            let keys: Vec<_> = keys.lines().filter(|key| !key.is_empty()).collect();
            if keys.is_empty() {
                break;
            }
            let mut migrate = vec!["migrate", "127.0.0.1", &port, "", "0", "5000", "keys"];
            migrate.extend(keys);
            ok(from, &migrate);
        }
        let id = to.cli(&["cluster", "myid"]);
        let rest =
            self.masters().into_iter().filter(|server| ![from.port(), to.port()].contains(&server.port()));
        for server in [to, from].into_iter().chain(rest) {
            ok(server, &["cluster", "setslot", &slot, "node", &id]);
        }
    }

    /// Kills a master, as a crash would, and waits until all slots are served again.
    ///
    /// # Panics
    /// When they are not.
    pub async fn fail_over(&mut self, port: u16) {
        let server = self.servers.iter_mut().find(|server| server.port() == port);
        server.expect("a server of the cluster").kill();
        eventually("a replica takes over", AGREED_WITHIN, || ready(self.masters().len() == 3)).await;
        self.agree(|info| info.contains("cluster_state:ok")).await;
    }
}

/// A name of this slot.
fn name_in(slot: u16) -> String {
    // As Redis does it, CRC16 (XMODEM).
    let of = |name: &str| {
        name.bytes().fold(0_u16, |crc, byte| {
            (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            })
        }) % 16_384
    };
    (0_u32..).map(|number| number.to_string()).find(|name| of(name) == slot).expect("one in 16,384 names is")
}

fn ok(server: &RedisServer, args: &[&str]) {
    let said = server.cli(args);
    // Somebody else may have removed a key meanwhile.
    assert!(matches!(said.as_str(), "OK" | "NOKEY"), "{args:?}: {said}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slot_moves_with_what_is_in_it() {
        let cluster = RedisCluster::start().await;
        let slot = cluster.slot("{a}1");
        assert_eq!(cluster.master_of(slot).cli(&["set", "{a}1", "x"]), "OK");
        let ends = cluster.open_move(slot);
        assert!(ends.0.cli(&["get", "{a}2"]).starts_with("ASK"));
        cluster.finish_move(slot, ends);
        assert_eq!(cluster.master_of(slot).port(), ends.1.port());
        assert_eq!(ends.1.cli(&["get", "{a}1"]), "x");
    }

    #[tokio::test]
    async fn a_replica_takes_over_from_a_dead_master() {
        let mut cluster = RedisCluster::start_with_replicas().await;
        let slot = cluster.slot("a");
        let master = cluster.master_of(slot);
        assert_eq!(master.cli(&["set", "a", "1"]), "OK");
        let port = master.port();
        cluster.fail_over(port).await;
        assert_ne!(cluster.master_of(slot).port(), port);
        assert_eq!(cluster.master_of(slot).cli(&["get", "a"]), "1");
    }
}
