//! A full door, by the paused clock: who still comes in.

use std::sync::Arc;

use axum::http::HeaderValue;
use signalbox_registry::memory::MemoryCluster;

use super::*;
use crate::node::Settings;
use crate::testing::{Issuer, default_settings, node_in};

/// A door for ten, of which two places are reserved, and the others' eight are taken.
async fn full_door(change: impl FnOnce(&mut Settings)) -> (Arc<Node>, Vec<Permit>) {
    let mut settings = default_settings();
    settings.admission.handshakes_max = 10;
    change(&mut settings);
    let node = node_in(&MemoryCluster::new(), "n1", settings).await;
    let taken = (0..8).map(|_| node.admission.admit(Rank::Others).unwrap()).collect();
    (node, taken)
}

fn knock(node: &Node, token: Option<&str>, query: &str) -> Result<Newcomer, HandshakeResult> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        headers.insert("authorization", HeaderValue::try_from(format!("Bearer {token}")).unwrap());
    }
    Newcomer::try_new(node, None, &headers, query).map_err(|(result, _)| result)
}

#[tokio::test(start_paused = true)]
async fn in_a_storm_vehicles_and_drivers_come_in_and_dashboards_wait() {
    let (node, taken) = full_door(|_| ()).await;
    let mut inside = Vec::new();
    for query in ["agent_type=vehicle&agent_id=V", "agent_id=D&agent%5Ftype=driver"] {
        for other in ["agent_type=dashboard&agent_id=1", "agent_type=passenger", ""] {
            assert_eq!(knock(&node, None, other).unwrap_err(), HandshakeResult::RefusedBusy, "{other}");
        }
        inside.push(knock(&node, None, query).unwrap());
    }
    assert_eq!(node.admission.under_way(), 10);
    let vehicle = "agent_type=vehicle&agent_id=W";
    assert_eq!(knock(&node, None, vehicle).unwrap_err(), HandshakeResult::RefusedBusy, "all is taken");
    drop((inside, taken));
    assert!(knock(&node, None, "agent_type=dashboard&agent_id=1").is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_token_decides_who_goes_first_and_one_that_is_not_believed_reserves_nothing() {
    let issuer = Issuer::default();
    let (node, _taken) = full_door(|settings| settings.verifier = issuer.verifier()).await;
    let claims = |agent_type| serde_json::json!({"tenant": "t", "agent_type": agent_type, "agent_id": "A"});
    let (vehicle, passenger) = (issuer.token(claims("vehicle")), issuer.token(claims("passenger")));
    let forged = vehicle.rsplit_once('.').unwrap().0.to_owned() + ".AAAA";
    for (token, query) in [(&passenger, "agent_type=vehicle"), (&forged, "")] {
        assert_eq!(knock(&node, Some(token), query).unwrap_err(), HandshakeResult::RefusedBusy);
    }
    assert_eq!(node.admission.under_way(), 8);
    let inside = knock(&node, Some(&vehicle), "agent_type=dashboard").unwrap();
    assert!(inside.identity.is_ok());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_reserved_where_nobody_is_named() {
    let (node, _taken) = full_door(|settings| {
        settings.go_first.clear();
        settings.admission.reserved_percent = 0;
    })
    .await;
    assert!(knock(&node, None, "agent_type=dashboard&agent_id=1").is_ok());
}
