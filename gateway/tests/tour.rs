//! What newcomers are told to run works: the example with two nodes, one Redis and a stock client, and the cluster of
//! `deploy/local`, with that client through its nginx.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::json;
use signalbox_client::{Client, ClientConfig, Subscription};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A second when all is there; the rest is for installing Python's `websockets` where nobody did yet.
const PATIENCE: Duration = Duration::from_secs(150);

/// A log keeps 1,000 messages: at this pace those of twenty seconds, and no reader is away for so long.
const WRITTEN_EVERY: Duration = Duration::from_millis(20);

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const BINARY: &str = env!("CARGO_BIN_EXE_signalbox");

#[tokio::test]
async fn the_two_node_tour_ends_well() {
    let mut tour = Command::new(format!("{ROOT}/examples/two-nodes.sh"));
    told(tour.arg(BINARY)).await;
}

/// Runs it to its end, within the patience.
async fn output(command: &mut Command) -> Output {
    let variables = std::env::vars_os().map(|(name, _)| name);
    for name in variables.filter(|name| name.to_string_lossy().starts_with("SIGNALBOX_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    timeout(PATIENCE, command.output()).await.expect("it ends in time").expect("it can be started")
}

/// What a conversation tells; it ends well.
async fn told(conversation: &mut Command) -> String {
    let output = output(conversation).await;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.trim_end().ends_with("Every message arrived."), "{told}");
    told
}

/// Below those that the kernel hands out, so that no connection of another test takes it meanwhile.
fn free_port() -> u16 {
    let mut candidates = std::iter::repeat_with(|| fastrand::u16(10_000..30_000));
    candidates.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// A `deploy/local` in a folder of its own, by which its processes are known. It is taken down when dropped.
struct Local {
    dir: TempDir,
    /// nginx, Redis, three nodes
    ports: [u16; 5],
}

impl Local {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), ports: [(); 5].map(|()| free_port()) }
    }

    fn command(&self, name: &str) -> std::process::Command {
        let mut local = std::process::Command::new(format!("{ROOT}/deploy/local"));
        let ports = self.ports.map(|port| port.to_string()).join(",");
        local
            .args([name, "--binary", BINARY, "--ports", &ports, "--state"])
            .arg(self.dir.path().join("state"));
        local.current_dir(self.dir.path());
        local
    }

    async fn run(&self, name: &str) -> Output {
        output(&mut self.command(name).into()).await
    }

    async fn succeeds(&self, name: &str) {
        let output = self.run(name).await;
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What it says against it.
    async fn refusal(&self, name: &str) -> String {
        let output = self.run(name).await;
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    async fn client(&self, agent: &str) -> Client {
        let config = ClientConfig::new(format!("ws://{}/ws", self.address()));
        Client::connect(config.query("agent_type", "service").query("agent_id", agent)).await.unwrap()
    }

    /// The processes that were started in its folder.
    fn processes(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let folder = |process: &PathBuf| std::fs::read_link(process.join("cwd")).ok();
        let is_ours = |process: &PathBuf| folder(process).is_some_and(|cwd| cwd.starts_with(self.dir.path()));
        all.map(|entry| entry.path()).filter(is_ours).collect()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // Nothing, where the test has done it.
        let _ = self.command("down").stdin(Stdio::null()).stdout(Stdio::null()).status();
    }
}

#[tokio::test]
async fn a_cluster_comes_up_serves_a_stock_client_and_leaves_nothing() {
    let local = Local::new();
    local.succeeds("up").await;
    assert!(local.refusal("up").await.contains("it runs already"));
    let mut conversation = Command::new(format!("{ROOT}/target/venv/bin/python"));
    let address = local.address();
    conversation.arg(format!("{ROOT}/examples/two-nodes.py")).args([&address, &address]);
    told(conversation.env("no_proxy", "127.0.0.1")).await;
    assert!(
        local.processes().len() >= 6,
        "Redis, three nodes, nginx and its workers: {:?}",
        local.processes()
    );
    local.succeeds("down").await;
    assert_eq!(local.processes(), Vec::<PathBuf>::new());
    local.succeeds("down").await;
}

/// Reads the numbers of a topic until this one; each has to be there, once and in order.
async fn reads_all(numbers: &mut Subscription, last: u64) {
    for number in 1..=last {
        let heard = timeout(PATIENCE, numbers.recv()).await.expect("it comes").expect("nothing is missing");
        assert_eq!(heard.data::<u64>().unwrap(), number);
    }
}

#[tokio::test]
async fn a_rolling_restart_of_all_nodes_loses_nothing() {
    let local = Local::new();
    local.succeeds("up").await;
    let mut readers = Vec::new();
    for number in 0..6 {
        let reader = local.client(&format!("reader-{number}")).await;
        let numbers = reader.on("order:new");
        reader.subscribe(["route:12"]).await.unwrap();
        readers.push((reader, numbers));
    }
    let writer = local.client("writer").await;
    let (tasks, restarted) = (TaskTracker::new(), CancellationToken::new());
    let done = restarted.clone();
    let writing = tasks.spawn(async move {
        let (mut sent, mut pace) = (0_u64, interval(WRITTEN_EVERY));
        while !done.is_cancelled() {
            pace.tick().await;
            sent += 1;
            writer.emit_acked("order:new", json!(sent), "route:12").await.expect("it is stored");
        }
        (sent, writer.stats())
    });
    local.succeeds("restart").await;
    restarted.cancel();
    let (sent, stats) = writing.await.unwrap();
    assert!(sent > 10 && stats.undelivered == 0, "{sent}: {stats:?}");
    for (reader, numbers) in &mut readers {
        reads_all(numbers, sent).await;
        let stats = reader.stats();
        assert!(
            stats.reconnects >= 1 && stats.losses == 0,
            "each was on a node that was restarted: {stats:?}"
        );
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_nothing_is_started() {
    let local = Local::new();
    let taken = TcpListener::bind(("127.0.0.1", local.ports[3])).unwrap();
    let told = local.refusal("up").await;
    assert!(told.contains(&format!("port {} is taken", local.ports[3])), "{told}");
    assert_eq!(local.processes(), Vec::<PathBuf>::new());
    drop(taken);
}
