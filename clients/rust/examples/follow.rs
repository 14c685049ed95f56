//! A dashboard: follows topics, and knows when it does not know everything.
//!
//! `cargo run -p signalbox-client --example follow -- ws://127.0.0.1:8080/ws ws://127.0.0.1:8081/ws`: the addresses
//! of a cluster without a load balancer. Kill the node that it is connected to.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use signalbox_client::{Client, ClientConfig, Event, RecvError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut urls = std::env::args().skip(1);
    let first = urls.next().unwrap_or_else(|| "ws://127.0.0.1:8080/ws".to_owned());
    let config = urls.fold(ClientConfig::new(first), ClientConfig::endpoint);
    // Before connecting, so that nothing that waits for this agent can come too early.
    let mut messages = config.on_any();
    let dashboard = Client::connect(config.query("agent_type", "dashboard")).await?;
    let mut events = dashboard.events();
    dashboard.subscribe(["route:12", "agent_type:driver"]).await?;

    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Ok(message) => println!("{} {} {}", message.message_type, message.source, message.data),
                Err(RecvError::Missed(number)) => println!("too slow: {number} ephemeral messages were dropped"),
                Err(RecvError::Lost(lost)) => println!("{lost}: fetch the state anew"),
                Err(RecvError::Closed(closed)) => return Err(closed.into()),
            },
            Some(event) = events.next() => match event {
                Event::Connected { welcome } => println!("connected to {}", welcome.node_id),
                Event::Disconnected { closed } => println!("{closed}"),
                Event::NotConnected { error, retry_in } => println!("{error}; again in {retry_in:?}"),
                other => println!("{other:?}"),
            },
        }
    }
}
