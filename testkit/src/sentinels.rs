//! A master, its replica, and three sentinels that replace the one by the other.

use std::future::ready;
use std::time::Duration;

use crate::redis_server::Kind;
use crate::{RedisServer, eventually};

/// How long the servers may take to find each other.
const KNOWN_WITHIN: Duration = Duration::from_secs(15);

/// Two servers and those who watch them; all are killed when this is dropped.
#[derive(Debug)]
pub struct Sentinels {
    servers: [RedisServer; 2],
    /// A further replica.
    straggler: Option<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl Sentinels {
    /// What the sentinels call the master.
    pub const SERVICE: &str = "signalbox";

    /// Starts all, and waits until the sentinels could replace the master.
    ///
    /// # Panics
    /// When they do not start.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same with a further replica that never turns to another master. Whoever replaces the master waits for
    /// it, and does not call that done before.
    ///
    /// # Panics
    /// When they do not start.
    pub async fn start_with_straggler() -> Self {
        Self::start_with(Some(RedisServer::start().await)).await
    }

    async fn start_with(straggler: Option<RedisServer>) -> Self {
        let (master, replica) = tokio::join!(RedisServer::start(), RedisServer::start());
        replica.follow(master.port(), KNOWN_WITHIN).await;
        if let Some(straggler) = &straggler {
            straggler.follow(master.port(), KNOWN_WITHIN).await;
            assert_eq!(straggler.cli(&["config", "set", "replica-priority", "0"]), "OK");
            assert_eq!(straggler.cli(&["acl", "setuser", "default", "-replicaof", "-slaveof"]), "OK");
        }
        let watch = || RedisServer::start_as(Kind::Sentinel { master_port: master.port() });
        let (a, b, c) = tokio::join!(watch(), watch(), watch());
        let started = Self { servers: [master, replica], straggler, sentinels: vec![a, b, c] };
        started.know_each_other().await;
        started
    }

    async fn know_each_other(&self) {
        let all = format!("slaves={},sentinels=3", 1 + usize::from(self.straggler.is_some()));
        for sentinel in &self.sentinels {
            eventually("a sentinel knows the others and the replicas", KNOWN_WITHIN, || {
                let known = sentinel.cli(&["info", "sentinel"]);
                // As `master0:name=..,status=ok,address=..,slaves=1,sentinels=3`.
                ready(known.contains("status=ok") && known.contains(&all))
            })
            .await;
        }
    }

    /// The addresses of the sentinels, as one URL.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port())).collect();
        format!("redis://{}/", hosts.join(","))
    }

    /// The server that the sentinels name as the master.
    ///
    /// # Panics
    /// When they name none.
    pub fn master(&self) -> &RedisServer {
        &self.servers[self.named()]
    }

    /// Which of the two the first sentinel that runs names.
    fn named(&self) -> usize {
        let sentinel = self.sentinels.iter().find(|one| one.runs()).expect("a sentinel runs");
        let address = sentinel.cli(&["sentinel", "get-master-addr-by-name", Self::SERVICE]);
        let port = address.lines().last().map(str::to_owned);
        let is_named = |server: &RedisServer| Some(server.port().to_string()) == port;
        self.servers.iter().position(is_named).expect("one of the two is named")
    }

    /// Kills the master, as a crash would, and waits until the replica has taken over.
    ///
    /// # Panics
    /// When it does not.
    pub async fn fail_over(&mut self) {
        let at = self.named();
        self.servers[at].kill();
        self.is_replaced(at).await;
    }

    /// Has the sentinels exchange the two though both are well. The one that was the master takes writes for some
    /// seconds more, and then loses them.
    ///
    /// # Panics
    /// When they do not.
    pub async fn exchange(&self) {
        let at = self.named();
        assert_eq!(self.sentinels[0].cli(&["sentinel", "failover", Self::SERVICE]), "OK");
        self.is_replaced(at).await;
    }

    async fn is_replaced(&self, at: usize) {
        let other = &self.servers[1 - at];
        eventually("the other takes over", KNOWN_WITHIN, || ready(self.named() != at && is_master(other)))
            .await;
    }

    /// One of the sentinels.
    pub fn sentinel(&mut self, number: usize) -> &mut RedisServer {
        &mut self.sentinels[number]
    }
}

fn is_master(server: &RedisServer) -> bool {
    server.cli(&["info", "replication"]).lines().any(|line| line.trim() == "role:master")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_replica_takes_over_from_a_dead_master_with_what_it_has() {
        let mut servers = Sentinels::start().await;
        assert_eq!(servers.master().cli(&["set", "a", "1"]), "OK");
        assert_eq!(servers.master().cli(&["wait", "1", "1000"]), "1");
        let port = servers.master().port();
        servers.fail_over().await;
        assert_ne!(servers.master().port(), port);
        assert_eq!(servers.master().cli(&["get", "a"]), "1");
    }

    #[tokio::test]
    async fn two_servers_that_are_well_exchange_their_parts() {
        let servers = Sentinels::start().await;
        let port = servers.master().port();
        servers.exchange().await;
        assert_ne!(servers.master().port(), port);
    }
}
