//! Running `signalbox doctor`, and the things that it looks at.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use signalbox_gateway::Gateway;
use signalbox_gateway::config::{Config, RedisMode, RedisUrl};
use signalbox_testkit::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Longer than any examination of these tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the doctor said.
pub(crate) struct Visit {
    pub(crate) code: i32,
    /// All that it printed.
    pub(crate) told: String,
    report: Value,
}

impl Visit {
    /// `signalbox doctor --json ARGS`, without settings from the environment of the test.
    pub(crate) async fn with(args: &[&str]) -> Self {
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_signalbox"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SIGNALBOX_") {
                doctor.env_remove(name);
            }
        }
        doctor.args(["doctor", "--json"]).args(args).stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(PATIENCE, doctor.output()).await.expect("it ends").unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        let told = text(&output.stdout) + &text(&output.stderr);
        Self { code: output.status.code().unwrap(), told, report }
    }

    /// The same for a Redis at `url`, with a port that is free.
    pub(crate) async fn to_redis(url: &str) -> Self {
        Self::with(&["--listen", "127.0.0.1:0", "--redis", url]).await
    }

    /// Verdict and text of the first finding on `subject`.
    pub(crate) fn on(&self, subject: &str) -> (&str, &str) {
        let findings = self.report["findings"].as_array().unwrap_or_else(|| panic!("{}", self.told));
        let finding = findings.iter().find(|finding| finding["subject"] == subject);
        let finding = finding.unwrap_or_else(|| panic!("nothing on {subject}: {}", self.told));
        (finding["verdict"].as_str().unwrap(), finding["found"].as_str().unwrap())
    }

    /// Only the verdict.
    pub(crate) fn verdict_on(&self, subject: &str) -> &str {
        self.on(subject).0
    }
}

/// A node of this process that pings after a second.
pub(crate) struct TestNode {
    pub(crate) address: SocketAddr,
    _stop: DropGuard,
}

impl TestNode {
    pub(crate) async fn start(redis_url: Option<&str>) -> Self {
        let mut config = Config::default();
        config.redis.url = redis_url.map(|url| RedisUrl::try_new(url).unwrap());
        Self::start_as(config).await
    }

    pub(crate) async fn start_in(mode: RedisMode, redis_url: &str) -> Self {
        let mut config = Config::default();
        config.redis.url = Some(RedisUrl::try_new(redis_url).unwrap());
        config.redis.mode = mode;
        Self::start_as(config).await
    }

    async fn start_as(mut config: Config) -> Self {
        config.listen = "127.0.0.1:0".parse().unwrap();
        config.heartbeat.interval = Duration::from_secs(1);
        let gateway = Gateway::build(&config).unwrap();
        let stop = CancellationToken::new();
        let (address, node) = (gateway.address(), gateway.node().clone());
        node.tasks.spawn(gateway.run(stop.clone().cancelled_owned()));
        eventually("the node is ready", PATIENCE, || async { node.is_ready() }).await;
        Self { address, _stop: stop.drop_guard() }
    }
}

/// A server on a free port; it does the same to everybody.
pub(crate) struct Server {
    pub(crate) port: u16,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    /// A load balancer that cuts what is older than this.
    pub(crate) async fn cutting(target: SocketAddr, after: Duration) -> Self {
        Self::start(move |mut socket| async move {
            let mut node = TcpStream::connect(target).await.unwrap();
            drop(timeout(after, copy_bidirectional(&mut socket, &mut node)).await);
        })
        .await
    }

    /// One that answers every request with this status.
    pub(crate) async fn answering(status: u16) -> Self {
        Self::start(move |mut socket| async move {
            let mut head = [0; 4096];
            drop(socket.read(&mut head).await);
            let answer = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            drop(socket.write_all(answer.as_bytes()).await);
        })
        .await
    }

    async fn start<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tasks = TaskTracker::new();
        let accepting = tasks.clone().spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tasks.spawn(serve(socket));
            }
        });
        Self { port, _task: AbortOnDropHandle::new(accepting) }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }
}
