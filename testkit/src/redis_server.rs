//! A real `redis-server`, started for one test on a free port. It saves nothing unless it is told to.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::eventually;

mod kind;

pub(crate) use kind::{Kind, free_port};

/// How long a server may take to answer its first command.
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// A `redis-server` that belongs to whoever holds this; it is killed when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    dir: TempDir,
    kind: Kind,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// When there is no `redis-server` on the path, or it does not start.
    pub async fn start() -> Self {
        Self::start_as(Kind::Plain).await
    }

    /// Starts a server that finds everything it answered for again after it was killed.
    ///
    /// # Panics
    /// As [`RedisServer::start`].
    pub async fn start_durable() -> Self {
        Self::start_as(Kind::Durable).await
    }

    pub(crate) async fn start_as(kind: Kind) -> Self {
        for _ in 0..5 {
            let mut server = Self::not_started();
            server.kind = kind;
            if server.try_start().await {
                return server;
            }
        }
        panic!("no port stayed free long enough for a redis-server");
    }

    /// A server that is not running yet, with the port that it will have.
    ///
    /// # Panics
    /// When there is no free port or no room for a temporary folder.
    pub fn not_started() -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        Self { port: free_port(), dir, kind: Kind::Plain, child: None }
    }

    /// Starts it, if it does not run, on its port, with nothing in it; a durable one with what was in it.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        if self.child.is_none() {
            assert!(self.try_start().await, "redis-server could not start again on port {}", self.port);
        }
    }

    /// Kills it, if it runs, and starts another on the same port with nothing in it. Not for a durable one.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart_empty(&mut self) {
        self.kill();
        self.start_again().await;
    }

    /// Kills it as a crash would.
    ///
    /// # Panics
    /// When its process can't be killed.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("our own child can be killed");
            child.wait().expect("our own child can be waited for");
        }
    }

    /// Stops its process where it is; connections stay open and nothing is answered.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets a paused process go on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it was started and not killed since.
    pub(crate) fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// The port at which other nodes of its cluster reach it.
    pub(crate) fn bus_port(&self) -> Option<u16> {
        match self.kind {
            Kind::ClusterNode { bus_port } => Some(bus_port),
            Kind::Plain | Kind::Durable | Kind::Sentinel { .. } => None,
        }
    }

    /// Its URL, `redis://127.0.0.1:PORT/`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Runs `redis-cli` with `args` and returns what it prints, without the last line's end.
    ///
    /// # Panics
    /// When there is no `redis-cli`.
    pub fn cli(&self, args: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(args).stdin(Stdio::null());
        let output = cli.output().expect("redis-cli is on the path");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Makes it a replica of the server at `master_port` and waits until it has everything.
    ///
    /// # Panics
    /// When that takes longer than `within`.
    pub async fn follow(&self, master_port: u16, within: Duration) {
        self.cli(&["replicaof", "127.0.0.1", &master_port.to_string()]);
        eventually("the replica has everything", within, || {
            let info = self.cli(&["info", "replication"]);
            std::future::ready(info.lines().any(|line| line.trim() == "master_link_status:up"))
        })
        .await;
    }

    /// Makes a replica a master, with what it has.
    pub fn promote(&self) {
        self.cli(&["replicaof", "no", "one"]);
    }

    fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("the server runs");
        let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(status.expect("kill is on the path").success());
    }

    async fn try_start(&mut self) -> bool {
        let spawned = self.kind.spawn(self.port, self.dir.path());
        let mut child = spawned.expect("redis-server is on the path");
        let id = child.id();
        let mut ended = false;
        eventually("redis-server answers, or ends because its port was taken", STARTS_WITHIN, || {
            ended = child.try_wait().expect("our own child can be asked").is_some();
            // Another server that took the port would answer as well: ask who answers.
            let up =
                self.cli(&["info", "server"]).lines().any(|line| line.trim() == format!("process_id:{id}"));
            std::future::ready(up || ended)
        })
        .await;
        if !ended {
            self.child = Some(child);
        }
        !ended
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_answers_forgets_and_dies() {
        let mut server = RedisServer::start().await;
        assert_eq!(server.cli(&["set", "a", "1"]), "OK");
        server.restart_empty().await;
        assert_eq!(server.cli(&["get", "a"]), "");
        server.kill();
        assert_eq!(server.cli(&["ping"]), "");
    }

    #[tokio::test]
    async fn a_durable_server_finds_its_data_again() {
        let mut server = RedisServer::start_durable().await;
        assert_eq!(server.cli(&["set", "a", "1"]), "OK");
        server.kill();
        server.start_again().await;
        assert_eq!(server.cli(&["get", "a"]), "1");
    }

    #[tokio::test]
    async fn a_replica_that_was_cut_off_takes_over_without_the_last_write() {
        let (mut master, replica) = (RedisServer::start().await, RedisServer::start().await);
        let path = crate::Forwarder::start(master.port()).await;
        assert_eq!(master.cli(&["set", "a", "1"]), "OK");
        replica.follow(path.port(), STARTS_WITHIN).await;
        path.black_hole();
        assert_eq!(master.cli(&["set", "a", "2"]), "OK");
        master.kill();
        replica.promote();
        assert_eq!(replica.cli(&["get", "a"]), "1");
        assert_eq!(replica.cli(&["set", "a", "3"]), "OK", "it takes writes");
    }
}
