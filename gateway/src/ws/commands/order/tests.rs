//! What an acceptance tells, and to whom it is told when not everybody can be.

use serde_json::json;
use signalbox_protocol::NodeId;
use signalbox_registry::ThisNode;
use signalbox_registry::memory::MemoryCluster;

use super::*;
use crate::testing::failing::{Failing, Failure};
use crate::testing::{Client, default_settings, node_over};

#[test]
fn the_event_is_whole_once_the_fence_is_in_it() {
    let (order_id, by) = (OrderId::try_new("99").unwrap(), Agent::of("driver", "456").unwrap());
    let [head, rest] = event(&order_id, &by);
    let text = [&head[..], b"1767254400000456", &rest[..]].concat();
    let event: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((&event["type"], &event["source"]), (&"order:accepted".into(), &"driver:456".into()));
    assert_eq!((&event["target"], &event["correlationId"]), (&"order:99".into(), &serde_json::Value::Null));
    let data: OrderAccepted = serde_json::from_value(event["data"].clone()).unwrap();
    assert_eq!(data, OrderAccepted { order_id, by, fence: 1_767_254_400_000_456 });
}

#[tokio::test(start_paused = true)]
async fn who_accepts_is_answered_once_everybody_was_told_of_it() {
    let shared = MemoryCluster::new();
    let join = |name| shared.join(ThisNode::new(NodeId::try_new(name).unwrap()));
    let of_drivers = [("agent_type:driver", Failure::Away)];
    let ailing = node_over(Failing::some_of(join("n1"), &of_drivers), default_settings()).await;
    let well = node_over(join("n2"), default_settings()).await;
    let mut other = Client::connect(&well, "agent_type=driver&agent_id=2").await;
    let accept = json!({"type": "order:accept", "data": {"order_id": "99", "request_id": "r"}});

    let mut winner = Client::connect(&ailing, "agent_type=driver&agent_id=1").await;
    winner.send(accept.clone()).await;
    let answer = winner.next().await;
    assert_eq!(
        (&answer["type"], &answer["data"]["code"]),
        (&json!("system:error"), &json!("outcome_unknown"))
    );
    assert_eq!(answer["data"]["retryable"], true);
    assert_eq!(ailing.metrics.fleet.orders_untold.get(), 1);
    drop(winner);

    let mut winner = Client::connect(&well, "agent_type=driver&agent_id=1").await;
    winner.send(accept.clone()).await;
    // Told to the winner as to every driver, in whatever order.
    let mut told = [winner.next().await, winner.next().await];
    told.sort_by_key(|message| message["correlationId"].is_null());
    let [answer, event] = told;
    assert_eq!((&answer["type"], &event["type"]), (&json!("order:accepted"), &json!("order:accepted")));
    let heard = other.next().await;
    assert_eq!((&heard["topic"], &heard["data"]), (&json!("agent_type:driver"), &answer["data"]));
    assert_eq!(heard["data"]["by"], "driver:1");
    // Once it was told, it is not told again.
    winner.send(accept).await;
    assert_eq!(winner.next().await["data"], answer["data"]);
    other.send(json!({"type": "system:health_check", "id": "h"})).await;
    assert_eq!(other.next().await["correlationId"], "h");
}
