//! What a run leaves: files, and an exit code that says whether bounds were kept.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::load::{Load, number};

const LINE: &str = "unicast --pairs 2 --rate 100 --seconds 2 --warm-up-seconds 0.5 --no-baseline --repeat 2";

#[tokio::test]
async fn repeated_runs_are_told_in_every_form() {
    let load = Load::new();
    let line =
        format!("{LINE} --markdown report.md --plots plots --assert lost<=0 --assert latency_p50_us<90s");
    let outcome = load.end(load.spawn(&line, &Load::binary())).await;
    assert!(outcome.success, "{}", outcome.output);
    for line in ["run 1 of 2\n", "run 2 of 2\n", "  median  "] {
        assert!(outcome.output.contains(line), "{}", outcome.output);
    }
    let report = outcome.report.expect("there is a report");
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(2));
    for run in report["runs"].as_array().expect("they are a list") {
        assert_eq!(number(&run["results"], "delivered"), 250.0);
        assert!(run["series"]["messages_per_second"][0][1].as_f64().is_some(), "{run:#}");
    }
    let (median, spread) =
        (number(&report["results"], "latency_p99_us"), &report["spread"]["latency_p99_us"]);
    assert!((number(spread, "min")..=number(spread, "max")).contains(&median), "{report:#}");
    assert!(number(spread, "merged") > 0.0);
    let markdown = std::fs::read_to_string(load.folder().join("report.md")).expect("there are tables");
    assert!(markdown.contains("| figure | median | min | max | merged |"), "{markdown}");
    for plot in ["latency.svg", "latency.png", "throughput.svg", "throughput.png"] {
        assert!(load.folder().join("plots").join(plot).exists(), "{plot}");
    }
    assert_eq!(load.left_behind(), 0);
    assert!(compare(&load.json(), &load.json(), "latency_p99_us<=1").await);
    assert!(!compare(&load.json(), &load.json(), "latency_p99_us<1").await);
}

#[tokio::test]
async fn a_broken_bound_fails_the_run_and_leaves_its_report() {
    let load = Load::new();
    let line = format!("{LINE} --assert delivered>=1k");
    let outcome = load.end(load.spawn(&line, &Load::binary())).await;
    assert!(!outcome.success, "{}", outcome.output);
    assert!(outcome.output.contains("FAILED: delivered is 250, not >= 1000\n"), "{}", outcome.output);
    assert_eq!(outcome.report.expect("there is one")["failures"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_file_of_scenarios_is_run_to_its_end_and_fails_if_one_does() {
    let load = Load::new();
    let file = "defaults = { no-pin = true, seconds = 0.5, warm-up-seconds = 0.1, bare-seconds = 0, rate = 100 }\n\
        [[scenario]]\nname = 'first'\nrun = 'redis'\nassert = ['lost>0']\n\
        [[scenario]]\nname = 'second'\nrun = 'fanout'\nsubscribers = 3\n\
        [[scenario]]\nname = 'third'\nrun = 'fanout'\nsubscribers = 3\nfull-speed = true\nwindow = 8\n";
    std::fs::write(load.folder().join("file.toml"), file).expect("it can be written");
    let outcome = suite(&load, &[]).await;
    assert!(!outcome.status.success());
    let errors = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert!(errors.ends_with("failed: first\n"), "{errors}");
    for file in ["first.json", "first.md", "first/latency.png", "second/throughput.svg", "third.json"] {
        assert!(load.folder().join("into").join(file).exists(), "{file}: {errors}");
    }
    let third = std::fs::read(load.folder().join("into/third.json")).expect("it is there");
    let third: Value = serde_json::from_slice(&third).expect("it is JSON");
    assert!(number(&third["results"], "delivered") == 3.0 * number(&third["results"], "sent"), "{third:#}");
    assert_eq!(
        (number(&third["settings"], "window"), &third["settings"]["rate_per_second"]),
        (8.0, &Value::Null)
    );
    assert!(suite(&load, &["--only", "second"]).await.status.success());
}

async fn suite(load: &Load, more: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_signalbox-load"))
        .args(["run", "file.toml", "--into", "into", "--set"])
        .arg(format!("binary={}", Load::binary().display()))
        .args(more)
        .current_dir(load.folder())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the tester starts")
}

async fn compare(before: &Path, after: &Path, bound: &str) -> bool {
    let mut compare = Command::new(env!("CARGO_BIN_EXE_signalbox-load"));
    let compare = compare.arg("compare").args([before, after]).args(["--assert", bound]);
    compare.stdout(Stdio::null()).status().await.expect("the tester starts").success()
}
