//! What Redis alone does: `redis-benchmark`, which comes with it, on the tester's core.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Command;
use tokio::time::timeout;

/// Enough for some seconds on a machine of today.
const REQUESTS: &str = "300000";

/// A machine that takes longer is no machine to measure on.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// How many `SET key value NX EX 5` per second Redis at `address` does, with random keys and 50 connections
/// that send one at a time.
///
/// # Errors
/// When there is no `redis-benchmark`, or it fails.
pub(crate) async fn set_nx_per_second(address: &str) -> anyhow::Result<f64> {
    let (host, port) = address.rsplit_once(':').context("the address of Redis has no port")?;
    let mut command = Command::new("redis-benchmark");
    command.args(["-h", host, "-p", port, "-c", "50", "-n", REQUESTS, "-r", "1000000", "--csv"]);
    command.args(["SET", "signalbox-load:__rand_int__", "value", "NX", "EX", "5"]).kill_on_drop(true);
    let ended = timeout(ENDS_WITHIN, command.output()).await.context("redis-benchmark takes too long")?;
    let output = ended.context("redis-benchmark can't be started")?;
    if !output.status.success() {
        bail!("redis-benchmark failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    requests_per_second(&text).with_context(|| format!("redis-benchmark said {text:?}"))
}

/// The second column of the last line, e.g. `"SET ..","114000.50","0.3",..`.
fn requests_per_second(csv: &str) -> Option<f64> {
    let line = csv.lines().rfind(|line| line.starts_with('"') && !line.starts_with("\"test\""))?;
    let figure = line.split("\",\"").nth(1)?.trim_matches('"').parse().ok()?;
    (figure > 0.0).then_some(figure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_is_found_in_what_redis_benchmark_prints() {
        let header = r#""test","rps","avg_latency_ms","min_latency_ms""#;
        let line = r#""SET signalbox-load:__rand_int__ value NX EX 5","114025.16","0.230","0.080""#;
        assert_eq!(requests_per_second(&format!("{header}\n{line}\n")), Some(114_025.16));
        for none in ["", header, "\"SET a\"\n", "\"SET a\",\"0.0\"\n", "\"SET a\",\"x\"\n"] {
            assert_eq!(requests_per_second(none), None, "{none}");
        }
    }
}
