//! A run of the tester's binary, and what it leaves.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use signalbox_testkit::{Forwarder, RedisServer, eventually};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// A run takes some seconds; on a busy machine more.
pub(crate) const RUN_WITHIN: Duration = Duration::from_secs(90);

/// How long answers of Redis are lost: longer than a node waits for one.
const FAULT_LASTS: Duration = Duration::from_secs(2);

/// A run in a folder of its own, by which its processes are known.
pub(crate) struct Load {
    dir: TempDir,
}

pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) output: String,
    pub(crate) report: Option<Value>,
}

impl Load {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().expect("a temporary folder") }
    }

    /// The node's binary, which a build of the workspace puts beside the tester's.
    pub(crate) fn binary() -> PathBuf {
        let binary = Path::new(env!("CARGO_BIN_EXE_signalbox-load")).with_file_name("signalbox");
        assert!(binary.exists(), "{} is missing: build or test the whole workspace", binary.display());
        binary
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn json(&self) -> PathBuf {
        self.dir.path().join("report.json")
    }

    pub(crate) fn spawn(&self, line: &str, binary: &Path) -> Child {
        Command::new(env!("CARGO_BIN_EXE_signalbox-load"))
            .args(line.split(' '))
            .args(["--no-pin", "--json"])
            .arg(self.json())
            .arg("--binary")
            .arg(binary)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the tester starts")
    }

    pub(crate) async fn end(&self, child: Child) -> Outcome {
        let ended = timeout(RUN_WITHIN, child.wait_with_output()).await;
        let ended = ended.expect("the run ends in time").expect("its output can be read");
        let output = [ended.stdout, ended.stderr].concat();
        let json = std::fs::read(self.json()).ok();
        Outcome {
            success: ended.status.success(),
            output: String::from_utf8_lossy(&output).into_owned(),
            report: json.map(|json| serde_json::from_slice(&json).expect("the report is JSON")),
        }
    }

    /// Runs to the end, with success; answers the results.
    pub(crate) async fn results(&self, line: &str) -> Value {
        let outcome = self.end(self.spawn(line, &Self::binary())).await;
        assert!(outcome.success, "{}", outcome.output);
        assert_eq!(self.left_behind(), 0);
        let report = outcome.report.expect("there is a report");
        assert_eq!(report["failures"], serde_json::json!([]));
        report["results"].clone()
    }

    /// Runs to the end, with success, while answers of Redis are lost for a while from when it has a key like `begun`.
    /// Some outcomes have to be unknown, and nothing may be violated.
    pub(crate) async fn bears_lost_answers(&self, line: &str, begun: &str) {
        let redis = RedisServer::start().await;
        let path = Forwarder::start(redis.port()).await;
        let child = self.spawn(&format!("{line} --redis 127.0.0.1:{}", path.port()), &Self::binary());
        eventually("the run has begun", RUN_WITHIN, || {
            std::future::ready(!redis.cli(&["keys", begun]).is_empty())
        })
        .await;
        path.withhold_answers();
        sleep(FAULT_LASTS).await;
        path.heal();
        let outcome = self.end(child).await;
        assert!(outcome.success, "{}", outcome.output);
        let results = &outcome.report.expect("there is a report")["results"];
        assert!(number(results, "unknown") > 0.0, "{results:#}");
        assert_eq!(number(results, "violations"), 0.0);
    }

    /// How many processes of this run there are.
    pub(crate) fn left_behind(&self) -> usize {
        self.folders_of_processes().count()
    }

    /// The ids of this run's processes with this first argument, the oldest first.
    pub(crate) fn processes(&self, argument: &str) -> Vec<u32> {
        let with_argument = self.folders_of_processes().filter(|folder| {
            let line = std::fs::read(folder.join("cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(argument.as_bytes())
        });
        let ids = with_argument.filter_map(|folder| folder.file_name()?.to_str()?.parse().ok());
        let mut ids: Vec<u32> = ids.collect();
        ids.sort_unstable();
        ids
    }

    fn folders_of_processes(&self) -> impl Iterator<Item = PathBuf> {
        let processes =
            std::fs::read_dir("/proc").expect("this is Linux").flatten().map(|entry| entry.path());
        processes
            .filter(|folder| std::fs::read_link(folder.join("cwd")).is_ok_and(|cwd| cwd == self.dir.path()))
    }
}

pub(crate) fn number(results: &Value, name: &str) -> f64 {
    results[name].as_f64().unwrap_or_else(|| panic!("no {name} in {results:#}"))
}
