//! A real `nginx` in front of several servers, with the configuration of `nginx/` in this repository: only
//! addresses, ports and paths are put in.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::eventually;

mod site;
#[cfg(test)]
mod tests;

/// How long it may take until it listens, or has changed its workers.
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// What a worker calls itself while it takes connections.
const WORKER: &str = "nginx: worker process";

/// An `nginx` that belongs to whoever holds this; it ends, with its workers, when this is dropped.
#[derive(Debug)]
pub struct Nginx {
    port: u16,
    dir: TempDir,
    child: Child,
}

/// Where TLS ends.
#[derive(Debug, Clone, Copy)]
pub struct TlsEnd<'a> {
    /// The certificate chain, in PEM.
    pub certificate: &'a str,
    /// Its private key, in PEM.
    pub key: &'a str,
}

impl Nginx {
    /// Spreads over these ports on 127.0.0.1, and waits until it listens.
    ///
    /// # Panics
    /// When there is no `nginx` on the path, or it does not start.
    pub async fn start(targets: &[u16]) -> Self {
        Self::start_with(targets, None).await
    }

    /// The same, for clients that speak TLS.
    ///
    /// # Panics
    /// As [`Nginx::start`].
    pub async fn start_tls(targets: &[u16], tls: TlsEnd<'_>) -> Self {
        Self::start_with(targets, Some(tls)).await
    }

    async fn start_with(targets: &[u16], tls: Option<TlsEnd<'_>>) -> Self {
        let mut log = String::new();
        for _ in 0..5 {
            let mut nginx = Self::spawn(targets, tls);
            if nginx.listens().await {
                return nginx;
            }
            log = nginx.logs();
        }
        panic!("nginx does not start, or no port stayed free long enough for it: {log}");
    }

    /// The port on 127.0.0.1 to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Has it read its configuration again, now with these ports, and waits until its new workers have taken over.
    /// The old ones keep the WebSockets that they have.
    ///
    /// # Panics
    /// When it does not.
    pub async fn reload(&self, targets: &[u16]) {
        site::write_nodes(self.dir.path(), targets);
        let before = self.workers();
        self.signal("-HUP");
        eventually("new workers have taken over", STARTS_WITHIN, || {
            let now = self.workers();
            let is_new = |worker| !before.contains(worker);
            std::future::ready(now.len() == site::WORKERS && now.iter().all(is_new))
        })
        .await;
    }

    /// All that it has written so far, about requests and about itself.
    pub fn logs(&self) -> String {
        ["access.log", "error.log"]
            .map(|log| std::fs::read_to_string(self.dir.path().join(log)).unwrap_or_default())
            .concat()
    }

    /// Its configuration as it reads it, without comments.
    ///
    /// # Panics
    /// When it finds it wrong.
    pub fn configuration(&self) -> String {
        let output =
            nginx(self.dir.path()).arg("-T").stdout(Stdio::piped()).output().expect("nginx is on the path");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
    }

    fn spawn(targets: &[u16], tls: Option<TlsEnd<'_>>) -> Self {
        let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = probe.local_addr().expect("a bound socket has an address").port();
        drop(probe);
        let dir = TempDir::new().expect("a temporary folder");
        site::write(dir.path(), port, tls);
        site::write_nodes(dir.path(), targets);
        let log = File::create(dir.path().join("error.log")).expect("room for a file");
        let child = nginx(dir.path()).stderr(log).spawn().expect("nginx is on the path");
        Self { port, dir, child }
    }

    /// Whether it does; it starts its workers when it does, and ends when somebody took the port.
    async fn listens(&mut self) -> bool {
        let mut ended = false;
        eventually("nginx listens, or ends because its port was taken", STARTS_WITHIN, || {
            ended = self.child.try_wait().expect("our own child can be asked").is_some();
            std::future::ready(ended || self.workers().len() == site::WORKERS)
        })
        .await;
        !ended
    }

    /// The ids of the workers that take connections; not of those that are shutting down.
    fn workers(&self) -> Vec<String> {
        let id = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let is_worker = |id: &&str| {
            let name = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
            name.trim_end_matches(['\0', ' ']) == WORKER
        };
        children.split_whitespace().filter(is_worker).map(str::to_owned).collect()
    }

    fn signal(&self, signal: &str) -> bool {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        sent.is_ok_and(|status| status.success())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Asked to end it ends its workers first, by force if need be; killed it would leave them.
        let ended = matches!(self.child.try_wait(), Ok(Some(_)));
        if !ended && !self.signal("-TERM") {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// With the configuration in this folder, and nothing of the machine's.
fn nginx(dir: &Path) -> Command {
    let mut nginx = Command::new("nginx");
    nginx.arg("-p").arg(dir).arg("-c").arg(dir.join("nginx.conf")).args(["-e", "stderr"]);
    nginx.arg("-g").arg(format!("daemon off; pid {}/nginx.pid;", dir.display()));
    nginx.stdin(Stdio::null()).stdout(Stdio::null());
    nginx
}
