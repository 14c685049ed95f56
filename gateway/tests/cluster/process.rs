//! Nodes as processes of their own, to be killed, paused and asked to stop.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use signalbox_testkit::eventually;

use crate::client::Client;
use crate::http::{call, get};

/// A `signalbox serve`; killed when dropped.
pub(crate) struct NodeProcess {
    child: Child,
    args: Vec<String>,
    pub(crate) address: SocketAddr,
}

impl NodeProcess {
    /// Starts one on a free port and waits until it is ready.
    pub(crate) async fn start(redis_url: &str) -> Self {
        Self::start_with(redis_url, &["stop.balancer_wait=0s"]).await
    }

    /// The same with these settings.
    pub(crate) async fn start_with(redis_url: &str, settings: &[&str]) -> Self {
        Self::start_logging(redis_url, settings, Stdio::null()).await
    }

    /// The same, and what it logs is kept.
    pub(crate) async fn start_logging(redis_url: &str, settings: &[&str], log: impl Into<Stdio>) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let listen = address.to_string();
        let args = ["serve", "--listen", &listen, "--redis", redis_url];
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let args: Vec<String> = args.into_iter().chain(settings).map(str::to_owned).collect();
        let node = Self { child: spawn(&args, log), args, address };
        node.ready().await;
        node
    }

    /// Starts one that was killed again, on its address.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(&self.args, Stdio::null());
        self.ready().await;
    }

    async fn ready(&self) {
        let listening = || async { tokio::net::TcpStream::connect(self.address).await.is_ok() };
        eventually("the process listens", Duration::from_secs(10), listening).await;
        let ready = || async { call(self.address, "GET", "/readyz", "").await.0 == 200 };
        eventually("the process is ready", Duration::from_secs(10), ready).await;
    }

    pub(crate) async fn node_id(&self) -> String {
        get(self.address, "/health").await.1["node_id"].as_str().unwrap().to_owned()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Any other signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        let mut status = None;
        for _ in 0..1_000 {
            status = self.child.try_wait().unwrap();
            if status.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        status.expect("the process ends in time")
    }

    pub(crate) async fn client(&self, agent: &str) -> Client {
        Client::connect_as(self.address, agent, "").await
    }
}

fn spawn(args: &[String], log: impl Into<Stdio>) -> Child {
    let mut node = Command::new(env!("CARGO_BIN_EXE_signalbox"));
    node.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
