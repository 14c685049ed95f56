//! The Prometheus of `deploy/` itself: it finds a node, scrapes it, and judges every alert.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use signalbox_testkit::eventually;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::fixture::{TestNode, config};
use crate::http::get_whole;

/// Twice its own pace, and a start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Prometheus on this machine; killed when dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// With the files of `deploy/prometheus`, but for the list of nodes.
    async fn watching(node: SocketAddr) -> Self {
        let dir = TempDir::new().unwrap();
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus");
        for file in ["prometheus.yml", "alerts.yml"] {
            fs::copy(deploy.join(file), dir.path().join(file)).unwrap();
        }
        fs::write(dir.path().join("nodes.yml"), format!("- targets: ['{node}']\n")).unwrap();
        let address = free_address();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("tools/needs installs it");
        let prometheus = Self { child, address, _dir: dir };
        eventually("prometheus listens", PATIENCE, || async { TcpStream::connect(address).await.is_ok() })
            .await;
        prometheus
    }

    /// The value of the only series that a query finds.
    async fn value(&self, query: &str) -> Option<String> {
        let answer = get_whole(self.address, &format!("/api/v1/query?query={query}")).await;
        Some(answer["data"]["result"][0]["value"][1].as_str()?.to_owned())
    }

    /// The health of each rule: `unknown` before it is judged, `err` if it can't be.
    async fn rules(&self) -> Vec<String> {
        let answer = get_whole(self.address, "/api/v1/rules").await;
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default());
        rules.map(|rule| rule["health"].as_str().unwrap().to_owned()).collect()
    }
}

/// Below the ports that the kernel hands out, so that no connection of another test takes it meanwhile.
fn free_address() -> SocketAddr {
    let mut candidates =
        std::iter::repeat_with(|| SocketAddr::from(([127, 0, 0, 1], fastrand::u16(10_000..30_000))));
    candidates.find(|address| TcpListener::bind(address).is_ok()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_prometheus_of_deploy_scrapes_a_node_and_judges_every_alert() {
    let node = TestNode::start(&config(None)).await;
    let prometheus = Prometheus::watching(node.address).await;
    eventually("the node is scraped", PATIENCE, || async {
        prometheus.value("up").await.as_deref() == Some("1")
            && prometheus.value("signalbox_sockets_waiting").await.as_deref() == Some("0")
    })
    .await;
    eventually("every alert is judged", PATIENCE, || async {
        let rules = prometheus.rules().await;
        rules.len() >= 15 && rules.iter().all(|health| health == "ok")
    })
    .await;
}
