//! Commands whose node, or whose load balancer, speaks TLS with a certificate that this machine does not know.

use std::net::TcpListener;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use signalbox_gateway::config::Config;
use signalbox_testkit::{Nginx, RedisServer, TlsEnd};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::authority::Authority;
use crate::fixture::{TestNode, config};

/// Longer than any command of these tests.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signalbox"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// `signalbox ARGS`: its exit code, and what it said on both streams.
async fn signalbox(args: &[&str]) -> (i32, String) {
    told(timeout(PATIENCE, command(args).output()).await.expect("it ends").unwrap())
}

fn told(output: Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// A node that serves TLS, and the files of those who believe it, and of those who don't.
struct Site {
    node: TestNode,
    config: Config,
    dir: TempDir,
    authority: Authority,
}

impl Site {
    async fn start(mut config: Config) -> Self {
        let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        config.tls = authority.serving(dir.path(), "tls");
        authority.write(&dir.path().join("ca.pem"));
        Authority::new().write(&dir.path().join("other.pem"));
        Self { node: TestNode::start(&config).await, config, dir, authority }
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.node.address.port())
    }

    /// A command that asks over HTTP, by this authority.
    async fn ask(&self, command: &str, ca: &str) -> (i32, String) {
        let (url, ca) = (self.url("https"), self.file(ca));
        let words = command.split_whitespace().chain(["--url", &url, "--ca-file", &ca]);
        signalbox(&words.collect::<Vec<_>>()).await
    }

    /// Asks over a WebSocket and hangs up when there is an answer.
    async fn connect(&self, ca: &str) -> (i32, String) {
        let (url, ca) = (self.url("wss"), self.file(ca));
        let mut connect = command(&["connect", &url, "--as", "driver:D", "--ca-file", &ca]);
        let mut child = connect.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may have ended already.
        stdin.write_all(b"system:health_check\n").await.ok();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = String::new();
        let reading = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                said += &line;
                if line.contains("system:health_check") {
                    break;
                }
            }
        };
        timeout(PATIENCE, reading).await.expect("it answers or ends");
        drop(stdin);
        let (code, rest) = told(timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap());
        (code, said + &rest)
    }

    /// The node's own configuration, for commands that read it.
    fn settings(&self) -> Vec<String> {
        let redis = self.config.redis.url.as_ref().unwrap().expose().to_owned();
        let tls = |name: &str, file: &Option<String>| format!("tls.{name}={}", file.as_ref().unwrap());
        let [certificate, key] =
            [tls("certificate", &self.config.tls.certificate), tls("key", &self.config.tls.key)];
        let listen = self.node.address.to_string();
        ["--listen", &listen, "--redis", &redis, "--set", &certificate, "--set", &key]
            .map(str::to_owned)
            .into()
    }

    async fn doctor(&self, args: &[&str]) -> Visit {
        let settings = self.settings();
        let words = ["doctor", "--json"].into_iter().chain(settings.iter().map(String::as_str));
        let (code, told) = signalbox(&words.chain(args.iter().copied()).collect::<Vec<_>>()).await;
        let report = told.lines().next().unwrap_or_default();
        Visit { code, report: serde_json::from_str(report).unwrap_or_else(|_| panic!("{told}")) }
    }
}

/// What the doctor said.
struct Visit {
    code: i32,
    report: Value,
}

impl Visit {
    /// Verdict and text of each finding on `subject`.
    fn on(&self, subject: &str) -> Vec<(&str, &str)> {
        let findings = self.report["findings"].as_array().unwrap().iter();
        let found = findings.filter(|finding| finding["subject"] == subject);
        found.map(|found| (found["verdict"].as_str().unwrap(), found["found"].as_str().unwrap())).collect()
    }

    fn verdicts(&self, subject: &str) -> Vec<&str> {
        self.on(subject).into_iter().map(|(verdict, _)| verdict).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_that_talks_to_a_node_does_so_over_tls() {
    let site = Site::start(config(None)).await;
    for (command, expected) in [
        ("publish vehicle:status_change {} --target route:12", "accepted "),
        ("topics", "no topic"),
        ("connections --json", "\"items\":[]"),
        ("locks", "no lock is held"),
        ("revoke --agent vehicle:V9", "revoked: "),
        ("seed --route 12 --count 300", "pushed 300 passengers"),
        ("fleet --vehicles 2 --seconds 2", "boardings     mean"),
        ("fleet --conductors 1 --pool route:12 --seconds 1 --query-seconds 0.2 --waiting 5", "web socket"),
    ] {
        let (code, told) = site.ask(command, "ca.pem").await;
        assert!(code == 0 && told.contains(expected), "{command}: {code}, {told}");
    }
    let (code, told) = site.connect("ca.pem").await;
    assert!(code == 0 && told.contains("system:welcome") && told.contains("connections"), "{code}, {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_vouched_for_is_told_nothing_and_the_command_says_what_to_do() {
    let site = Site::start(config(None)).await;
    let advice =
        "its certificate is of an authority that is not trusted here: name that authority's with --ca-file";
    let url = site.url("https");
    for (code, told) in [
        site.ask("publish vehicle:status_change {}", "other.pem").await,
        site.ask("fleet --seconds 1", "other.pem").await,
        site.connect("other.pem").await,
        signalbox(&["topics", "--url", &url]).await,
    ] {
        assert!(code == 1 && told.contains(advice), "{code}, {told}");
    }
    for (args, expected) in [
        (
            ["topics", "--url", &url, "--ca-file", "/nowhere/ca.pem"],
            "--ca-file /nowhere/ca.pem can't be used",
        ),
        (["topics", "--url", &url, "--ca-file", &site.file("tls.key")], "gives no certificate"),
        (
            ["topics", "--url", &url.replace("localhost", "127.0.0.1"), "--ca-file", &site.file("ca.pem")],
            "ask it by a name that is in its certificate",
        ),
        (["topics", "--url", &url.replace("https", "http"), "--timeout", "5s"], "say https://"),
    ] {
        let (code, told) = signalbox(&args).await;
        assert!(code == 1 && told.contains(expected), "{code}, {told}");
    }
    let mixed = ["fleet", "--url", &url, "--url", "http://127.0.0.1:1", "--ca-file", &site.file("ca.pem")];
    let (code, told) = signalbox(&mixed).await;
    assert!(code == 2 && told.contains("either all of --url are https:// or none is"), "{code}, {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_visits_nodes_and_balancers_that_speak_tls() {
    let redis = RedisServer::start_durable().await;
    let mut config = config(Some(&redis.url()));
    config.heartbeat.interval = Duration::from_secs(1);
    let site = Site::start(config.clone()).await;
    let ca = site.file("ca.pem");

    // Its own certificate is believed at its address, which that does not name.
    let alone = site.doctor(&[]).await;
    assert_eq!((alone.code, alone.verdicts("tls")), (0, vec!["ok"]), "{}", alone.report);
    assert!(alone.on("port")[0].1.contains("is node "), "{}", alone.report);
    assert_eq!(alone.verdicts("node"), ["ok"], "{}", alone.report);

    // Another node's needs somebody who vouches for it.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    config.listen = free.local_addr().unwrap();
    config.node.advertise = Some(format!("localhost:{}", config.listen.port()));
    config.tls = site.authority.serving(site.dir.path(), "other");
    drop(free);
    let _other = TestNode::start(&config).await;
    let doubting = site.doctor(&[]).await;
    let told = doubting.on("node");
    let doubted = told.iter().find(|(verdict, _)| *verdict == "warning");
    assert!(
        doubted.is_some_and(|(_, found)| found.contains("name that authority's with --ca-file")),
        "{told:?}"
    );
    assert_eq!((doubting.code, told.len()), (0, 2), "{}", doubting.report);
    let believing = site.doctor(&["--ca-file", &ca]).await;
    assert_eq!(believing.verdicts("node"), ["ok", "ok"], "{}", believing.report);

    let read = |name: &str| std::fs::read_to_string(site.dir.path().join(name)).unwrap();
    let tls = TlsEnd { certificate: &read("other.crt"), key: &read("other.key") };
    // Behind the proxy a node speaks in clear.
    config.listen.set_port(0);
    config.tls = Default::default();
    let behind = TestNode::start(&config).await;
    let nginx = Nginx::start_tls(&[behind.address.port()], tls).await;
    let balancer = format!("wss://localhost:{}", nginx.port());
    let through = site.doctor(&["--ca-file", &ca, "--url", &balancer]).await;
    assert_eq!(through.verdicts("balancer"), ["ok"], "{}", through.report);
    assert_eq!(through.on("balancer.silence"), [("ok", "1s are borne, then the node pings")]);
    let direct = site.doctor(&["--ca-file", &ca, "--url", &site.url("wss")]).await;
    assert_eq!(direct.verdicts("balancer.silence"), ["ok"], "{}", direct.report);
    let refused = site.doctor(&["--url", &balancer]).await;
    assert_eq!((refused.code, refused.verdicts("balancer")), (1, vec!["wrong"]));
    assert!(refused.on("balancer")[0].1.contains("with --ca-file"), "{}", refused.report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_says_that_a_certificate_cannot_be_served() {
    let redis = RedisServer::start_durable().await;
    let mut site = Site::start(config(Some(&redis.url()))).await;
    site.config.tls.key = site.authority.serving(site.dir.path(), "another").key;
    let visit = site.doctor(&[]).await;
    assert_eq!((visit.code, visit.verdicts("tls")), (1, vec!["wrong"]), "{}", visit.report);
    assert_eq!(visit.verdicts("port"), ["ok"], "the one that serves has the key that fits");
}
