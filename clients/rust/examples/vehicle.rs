//! A vehicle: tells where it is, and that it is full, whatever happens to the node.
//!
//! `cargo run -p signalbox-client --example vehicle`, with a node on 127.0.0.1:8080 (`cargo run --release`). Stop the
//! node and start it again: positions of the time between are not sent, the rest is.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use serde_json::json;
use signalbox_client::{Client, ClientConfig, WhenOffline};
use tokio::time::interval;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:8080/ws/vehicle-events".to_owned());
    let config = ClientConfig::new(url)
        .query("agent_type", "vehicle")
        .query("agent_id", "V17")
        // A position of a minute ago helps nobody.
        .when_offline(WhenOffline::Refuse);
    let vehicle = Client::start(config);

    let mut beat = interval(Duration::from_secs(1));
    for second in 0..60_u32 {
        beat.tick().await;
        let position = json!({"lat": 13.1 + f64::from(second) / 1_000.0, "lon": -59.6});
        if let Err(error) = vehicle.emit("vehicle:position_update", position, "route:12").await {
            println!("no position: {error}");
        }
        if second % 10 == 9 {
            // Durable: kept and sent again until a node has stored it.
            vehicle.emit("vehicle:capacity_update", json!({"seats_left": 60 - second}), "route:12").await?;
        }
    }
    println!("{}", vehicle.close().await);
    println!("{:?}", vehicle.stats());
    Ok(())
}
