//! What watches a cluster is true: every query of the dashboards and the alerts names metrics and labels that a node
//! shows, every alert is tested both ways, and for each stands what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::fixture::{TestNode, config};
use crate::scrape::{Family, families, labels_of, of_a_busy_node, promtool, scrape};

/// Words of PromQL that stand in our queries beside metrics and labels.
const WORDS: [&str; 21] = [
    "sum",
    "by",
    "on",
    "or",
    "and",
    "rate",
    "increase",
    "count",
    "max",
    "min",
    "vector",
    "absent",
    "histogram_quantile",
    "label_values",
    "unless",
    "without",
    "ignoring",
    "avg",
    "topk",
    "max_over_time",
    "bool",
];
/// What Prometheus adds to each series.
const ADDED: [&str; 3] = ["instance", "job", "le"];
/// What Prometheus makes by itself.
const ITS_OWN: [&str; 2] = ["up", "ALERTS"];

fn deploy(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(deploy(path)).unwrap()
}

fn dashboards() -> Vec<Value> {
    let files = fs::read_dir(deploy("grafana/dashboards")).unwrap();
    files
        .map(|file| serde_json::from_str(&fs::read_to_string(file.unwrap().path()).unwrap()).unwrap())
        .collect()
}

/// Every text called `expr` or, of a variable, `definition`.
fn queries_in(value: &Value, queries: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| queries_in(item, queries)),
        Value::Object(fields) => {
            let told = ["expr", "definition"].iter().filter_map(|name| fields.get(*name)?.as_str());
            queries.extend(told.map(str::to_owned));
            fields.values().for_each(|field| queries_in(field, queries));
        }
        _ => {}
    }
}

/// The names of the alerts, each with its query.
fn alerts() -> Vec<(String, String)> {
    let text = read("prometheus/alerts.yml");
    let blocks = text.split("- alert: ").skip(1);
    blocks
        .map(|block| {
            let (name, rest) = block.split_once('\n').unwrap();
            let query = rest.split_once("expr: ").unwrap().1;
            let end = ["\n        for:", "\n        labels:"].iter().filter_map(|end| query.find(end)).min();
            (name.to_owned(), query[..end.unwrap()].replace(">-", " ").replace('\n', " "))
        })
        .collect()
}

/// The parts of a query: outside braces, and inside each pair of them.
fn parts(query: &str) -> (String, Vec<String>) {
    let (mut outside, mut inside) = (String::new(), Vec::new());
    for part in query.split('{') {
        match part.split_once('}') {
            Some((matchers, rest)) => {
                inside.push(matchers.to_owned());
                outside += rest;
            }
            None => outside += part,
        }
        outside.push(' ');
    }
    (outside, inside)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let text = text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_' || char == '$'));
    text.filter(|word| word.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_'))
}

struct Shown {
    metrics: BTreeMap<String, Family>,
}

impl Shown {
    /// The metric that a name in a query belongs to.
    fn metric(&self, name: &str) -> Option<&Family> {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().filter_map(|end| name.strip_suffix(end));
        let mut names = std::iter::once(name).chain(of_histogram);
        names.find_map(|name| self.metrics.get(name))
    }

    fn check(&self, query: &str) {
        let (outside, inside) = parts(query);
        let named = |word: &str| ITS_OWN.contains(&word) || self.metric(word).is_some();
        let metrics: Vec<_> = words(&outside).filter(|word| named(word)).collect();
        assert!(!metrics.is_empty(), "no metric in {query}");
        let families: Vec<_> = metrics.iter().filter_map(|name| self.metric(name)).collect();
        let labels: BTreeSet<_> =
            families.iter().flat_map(|family| family.labels.keys().map(String::as_str)).collect();
        let is_label = |label: &str| {
            let of_alerts = metrics.contains(&"ALERTS") && ["alertname", "alertstate"].contains(&label);
            labels.contains(label) || ADDED.contains(&label) || of_alerts
        };
        for word in words(&outside).filter(|word| !named(word) && !WORDS.contains(word)) {
            assert!(is_label(word), "{word}, in {query}, is no metric or label that a node shows");
        }
        for (label, value) in inside.iter().flat_map(|matchers| labels_of(&matchers.replace("!=", "="))) {
            assert!(is_label(&label), "no metric of {query} has a label {label}");
            let values = families.iter().find_map(|family| family.labels.get(&label));
            for value in
                value.trim_start_matches(['~', '"']).split('|').filter(|value| !value.contains(['*', '$']))
            {
                assert!(
                    values.is_none_or(|values| values.contains(value)),
                    "{label} is never {value}: {query}"
                );
            }
        }
    }
}

async fn shown() -> Shown {
    let mut metrics = families(&of_a_busy_node().await);
    for (name, family) in families(&scrape(&TestNode::start(&config(None)).await).await) {
        let labels = &mut metrics.entry(name).or_default().labels;
        family.labels.into_iter().for_each(|(label, values)| labels.entry(label).or_default().extend(values));
    }
    Shown { metrics }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_names_what_a_node_shows_and_prometheus_can_read_it() {
    let mut queries: Vec<_> = alerts().into_iter().map(|(_, query)| query).collect();
    assert!(queries.len() >= 8, "{queries:?}");
    dashboards().iter().for_each(|dashboard| queries_in(dashboard, &mut queries));
    assert!(queries.len() > 60, "{} queries", queries.len());
    let shown = shown().await;
    queries.iter().for_each(|query| shown.check(query));

    let mut rules = String::from("groups:\n  - name: queries\n    rules:\n");
    for (number, query) in queries.iter().filter(|query| !query.starts_with("label_values")).enumerate() {
        let query = query.replace("$__rate_interval", "5m").replace("$instance", "node");
        rules += &format!("      - record: query_{number}\n        expr: {}\n", Value::from(query.trim()));
    }
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/queries.yml");
    fs::write(file, rules).unwrap();
    promtool(&["check", "rules", file], "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_alert_fires_and_stays_silent_in_a_test_and_tells_what_to_do() {
    promtool(&["check", "config", deploy("prometheus/prometheus.yml").to_str().unwrap()], "").await;
    promtool(&["test", "rules", deploy("prometheus/alerts.test.yml").to_str().unwrap()], "").await;
    let (rules, tests) = (read("prometheus/alerts.yml"), read("prometheus/alerts.test.yml"));
    let operations = fs::read_to_string(deploy("../docs/operations.md")).unwrap();
    for (alert, _) in alerts() {
        assert!(tests.contains(&format!("- name: {alert} fires\n")), "{alert} is not tested to fire");
        assert!(
            tests.contains(&format!("- name: {alert} stays silent - ")),
            "{alert} is not tested to stay silent"
        );
        assert!(
            rules.contains(&format!("runbook: docs/operations.md#{}\n", alert.to_lowercase())),
            "{alert}"
        );
        assert!(operations.contains(&format!("\n### {alert}\n")), "what to do about {alert}?");
    }
}

#[test]
fn a_query_that_names_what_is_not_there_is_found() {
    let labels = BTreeMap::from([("result".to_owned(), BTreeSet::from(["granted".to_owned()]))]);
    let family = Family { labels, ..Family::default() };
    let shown = Shown { metrics: BTreeMap::from([("locks_total".to_owned(), family)]) };
    for good in ["rate(locks_total[5m])", r#"sum by (result, instance) (locks_total{result!="granted"}) > 1"#]
    {
        shown.check(good);
    }
    let bad = [
        "rate(lock_total[5m])",
        "sum by (reason) (locks_total)",
        r#"locks_total{reason="x"}"#,
        r#"locks_total{result="refused"}"#,
        r#"locks_total{result=~"granted|refused"}"#,
        "locks_total / other",
    ];
    for bad in bad {
        assert!(std::panic::catch_unwind(|| shown.check(bad)).is_err(), "{bad}");
    }
}
