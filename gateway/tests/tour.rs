//! What newcomers are told to run works: the example with two nodes, one Redis and a stock client.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// A second when all is there; the rest is for installing Python's `websockets` where nobody did yet.
const PATIENCE: Duration = Duration::from_secs(150);

#[tokio::test]
async fn the_two_node_tour_ends_well() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/two-nodes.sh");
    let mut tour = Command::new(script);
    tour.arg(env!("CARGO_BIN_EXE_signalbox")).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, tour.output()).await.expect("it ends in time").expect("it can be started");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.trim_end().ends_with("Every message arrived."), "{told}");
}
