//! A service with tokens that expire, strict about what it queues.
//!
//! `cargo run -p signalbox-client --example tokens -- ws://127.0.0.1:8080/ws TOKEN-FILE`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use serde_json::json;
use signalbox_client::{Client, ClientConfig, RequestError, WhenFull};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().unwrap_or_else(|| "ws://127.0.0.1:8080/ws".to_owned());
    let file = args.next().unwrap_or_else(|| "token.jwt".to_owned());

    let config = ClientConfig::new(url)
        // Read anew whenever a node refuses the one of before.
        .token_provider(move || {
            let read = std::fs::read_to_string(&file);
            async move { Ok(read?.trim().to_owned()) }
        })
        .reconnect_waits(Duration::from_millis(500), Duration::from_secs(10))
        .outgoing_queue(100, 1024 * 1024)
        .when_full(WhenFull::Refuse);
    let service = Client::start(config);

    service.opened().await?;
    println!("connected");

    let spawned = json!({"commuter_id": "COM_1"});
    match service.emit_acked_within(Duration::from_secs(30), "commuter:spawned", spawned, "route:12").await {
        Ok(ack) => println!("stored as {}", ack.id),
        Err(RequestError::NotSent(why)) => println!("certainly not stored: {why}"),
        Err(RequestError::Unknown(why)) => println!("perhaps stored: {why}"),
        Err(error) => println!("not accepted: {error}"),
    }
    service.close().await;
    Ok(())
}
