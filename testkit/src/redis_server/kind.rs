//! What a `redis-server` is started as.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A master that seems gone for so long is replaced.
const DOWN_AFTER_MS: &str = "700";

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Saves nothing.
    Plain,
    /// Writes each change to a file before it answers.
    Durable,
    /// Watches the master at this port, with others; two of them decide.
    Sentinel { master_port: u16 },
    /// One node of a Redis Cluster, which the others reach at this port.
    ClusterNode { bus_port: u16 },
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
    probe.local_addr().expect("a bound socket has an address").port()
}

impl Kind {
    pub(crate) fn spawn(self, port: u16, dir: &Path) -> io::Result<Child> {
        let mut command = Command::new("redis-server");
        if let Self::Sentinel { master_port } = self {
            let file = dir.join("sentinel.conf");
            // A sentinel writes what it learns into its file: one that starts again goes on from there.
            if !file.exists() {
                std::fs::write(&file, sentinel_file(port, master_port, dir))?;
            }
            command.arg(file).arg("--sentinel");
        } else {
            command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"]).arg(dir);
            command.args(["--save", "", "--daemonize", "no", "--loglevel", "warning"]);
            // Handed to the kernel before each answer; by default that may wait for a sync.
            let durable = if self == Self::Durable { "yes" } else { "no" };
            command.args(["--appendonly", durable, "--appendfsync", "no"]);
            // By default a replica waits 5 s for others that may want the same.
            command.args(["--repl-diskless-sync-delay", "0"]);
        }
        if let Self::ClusterNode { bus_port } = self {
            command.args(["--cluster-enabled", "yes", "--cluster-port", &bus_port.to_string()]);
            command.args(["--cluster-node-timeout", DOWN_AFTER_MS, "--cluster-replica-validity-factor", "0"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()
    }
}

fn sentinel_file(port: u16, master_port: u16, dir: &Path) -> String {
    let service = crate::Sentinels::SERVICE;
    format!(
        "bind 127.0.0.1\nport {port}\ndir {}\n\
         sentinel monitor {service} 127.0.0.1 {master_port} 2\n\
         sentinel down-after-milliseconds {service} {DOWN_AFTER_MS}\n\
         sentinel failover-timeout {service} 3000\n",
        dir.display()
    )
}
