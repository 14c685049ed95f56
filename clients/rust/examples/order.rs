//! A user orders, a driver accepts: durable events, commands of the gateway, and a question between clients.
//!
//! `cargo run -p signalbox-client --example order`, with a node on 127.0.0.1:8080.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use serde_json::{Value, json};
use signalbox_client::{Client, ClientConfig, RequestError};

const LIMIT: Duration = Duration::from_secs(5);

async fn connect(agent_type: &str, agent_id: &str) -> Result<Client, Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:8080/ws".to_owned());
    let config = ClientConfig::new(url).query("agent_type", agent_type).query("agent_id", agent_id);
    Ok(Client::connect(config).await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (user, driver) = (connect("user", "7").await?, connect("driver", "456").await?);
    let order_id = format!("{}", std::process::id());
    let mut offers = driver.on("order:new");
    let mut questions = user.on("order:where");

    // Stored when this returns; whoever follows the topic gets it, also if its node dies now.
    match user.emit_acked("order:new", json!({"order_id": order_id}), "agent_type:driver").await {
        Ok(ack) => println!("stored: {:?}", ack.positions),
        Err(RequestError::Unknown(why)) => println!("perhaps stored: {why}"),
        Err(error) => return Err(error.into()),
    }

    let offer = offers.recv().await?;
    println!("{} offers {}", offer.source, offer.data);
    let answer = driver.request("order:accept", json!({"order_id": order_id}), None, LIMIT).await?;
    println!("{}: {}", answer.message_type, answer.data);

    // Clients ask each other, too: the answer comes back by its correlation id.
    let asking = driver.request("order:where", json!({"order_id": order_id}), offer.source.as_str(), LIMIT);
    let answering = async {
        let question = questions.recv().await?;
        user.respond(&question, "order:here", json!({"stop": "Bathsheba"})).await?;
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    let (place, answered) = tokio::join!(asking, answering);
    answered?;
    println!("the user waits at {}", place?.data::<Value>()?["stop"]);
    Ok(())
}
