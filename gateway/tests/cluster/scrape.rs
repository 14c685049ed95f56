//! What Prometheus gets of a node that did something: in the form that it wants, and as `docs/metrics.md` says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::api::Api;
use crate::client::PATIENCE;
use crate::fixture::{TestCluster, TestNode, config};
use crate::http::call;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
/// Around the table in it.
const MARKS: [&str; 2] = ["<!-- metrics -->\n", "<!-- end -->"];
/// Labels whose values are not known beforehand: they are configured, or come with what happens.
const OPEN_LABELS: [&str; 3] = ["agent_type", "command", "version"];

/// One metric as a scrape shows it.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    /// The labels, each with the values that were seen.
    pub(crate) labels: BTreeMap<String, BTreeSet<String>>,
}

/// A scrape, by the names of its metrics; a histogram's `_bucket`, `_sum` and `_count` belong to it.
pub(crate) fn families(scrape: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::<String, Family>::new();
    let mut name = String::new();
    for line in scrape.lines() {
        if let Some((of, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            name = of.to_owned();
            families.entry(name.clone()).or_default().help = help.to_owned();
        } else if let Some((_, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name.clone()).or_default().kind = kind.to_owned();
        } else if let Some((_, labels)) = line.split_once('{') {
            let family = families.get_mut(&name).unwrap();
            for (label, value) in labels_of(labels.rsplit_once('}').unwrap().0) {
                family.labels.entry(label).or_default().insert(value);
            }
        }
    }
    families
}

/// `a="x",b="y"`; no value of ours holds a quote or a comma.
pub(crate) fn labels_of(text: &str) -> Vec<(String, String)> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(label, value)| (label.trim().to_owned(), value.trim().trim_matches('"').to_owned())).collect()
}

pub(crate) async fn scrape(node: &TestNode) -> String {
    let (status, text) = call(node.address, "GET", "/metrics", "").await;
    assert_eq!(status, 200);
    text
}

/// What a node of two tells after a bit of everything.
pub(crate) async fn of_a_busy_node() -> String {
    let cluster = TestCluster::start(2).await;
    let [one, two] = [&cluster.nodes[0], &cluster.nodes[1]];
    let mut api = Api::of(one.address);
    api.post(
        "/api/passengers",
        json!({"passenger_id": "P", "pool": "route:1", "position": {"lat": 1, "lon": 1}}),
    )
    .await
    .expect(201);
    api.call("PUT", "/api/vehicles/V", &[], r#"{"capacity": 4}"#).await.expect(200);
    let (mut vehicle, mut driver) = (one.client("vehicle:V").await, two.client("driver:D").await);
    driver.subscribe(&["route:1"]).await;
    for (message_type, target) in [("vehicle:position_update", "route:1"), ("order:new", "route:1")] {
        assert_eq!(vehicle.emit(message_type, target, json!({})).await["type"], "system:ack");
        driver.expect(message_type).await;
    }
    for (message_type, data, answer) in [
        ("lock:acquire", json!({"resource": "bay"}), "lock:granted"),
        ("lock:acquire", json!({"resource": "bay"}), "lock:denied"),
        ("boarding:request", json!({"passenger_id": "P"}), "boarding:confirmed"),
        (
            "vehicle:query_commuters",
            json!({"route_id": "1", "position": {"lat": 1, "lon": 1}}),
            "vehicle:commuters_found",
        ),
    ] {
        assert_eq!(vehicle.request(json!({"type": message_type, "data": data})).await["type"], answer);
    }
    vehicle.send_raw(Message::text("{")).await;
    vehicle.expect("system:error").await;
    driver.close().await;
    scrape(one).await
}

/// Runs promtool with this input; it has to be content.
pub(crate) async fn promtool(arguments: &[&str], input: &str) {
    let mut promtool = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("tools/needs installs prometheus for the tests");
    let mut stdin = promtool.stdin.take().unwrap();
    let judged = async {
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        promtool.wait_with_output().await.unwrap()
    };
    let verdict = timeout(6 * PATIENCE, judged).await.expect("a verdict in time");
    let [told, broken] = [&verdict.stdout, &verdict.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(verdict.status.success(), "promtool {arguments:?}:\n{told}{broken}");
    assert!(broken.is_empty(), "promtool {arguments:?}: {broken}");
}

/// The table of `docs/metrics.md`; values are those of a node that has done nothing yet, on which all are shown.
fn table(busy: &BTreeMap<String, Family>, idle: &BTreeMap<String, Family>) -> String {
    let mut table = String::from("| metric | type | labels | what |\n| --- | --- | --- | --- |\n");
    for (name, family) in busy {
        let labels = family.labels.keys().filter(|label| *label != "le").map(|label| {
            let values = idle.get(name).and_then(|family| family.labels.get(label));
            match values.filter(|_| !OPEN_LABELS.contains(&label.as_str())) {
                Some(values) => {
                    let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
                    format!("`{label}`: {}", values.join(" "))
                }
                None => format!("`{label}`"),
            }
        });
        let labels = labels.collect::<Vec<_>>().join("; ");
        table += &format!("| `{name}` | {} | {labels} | {} |\n", family.kind, family.help);
    }
    table
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_is_as_prometheus_wants_it_and_as_documented() {
    let busy = of_a_busy_node().await;
    promtool(&["check", "metrics"], &busy).await;
    let idle = families(&scrape(&TestNode::start(&config(None)).await).await);
    let table = table(&families(&busy), &idle);
    let document = fs::read_to_string(TABLE).unwrap();
    let (before, rest) = document.split_once(MARKS[0]).unwrap();
    let (written, after) = rest.split_once(MARKS[1]).unwrap();
    if written != table {
        let current = concat!(env!("CARGO_TARGET_TMPDIR"), "/metrics.md");
        fs::write(current, [before, MARKS[0], &table, MARKS[1], after].concat()).unwrap();
        panic!("docs/metrics.md is not what a node tells; {current} is");
    }
}
