//! An issuer's key is changed under a node that runs, and nobody who is connected notices.

use std::path::Path;

use serde_json::json;
use signalbox_testkit::eventually;

use crate::client::PATIENCE;
use crate::fixture::{TestNode, config};
use crate::http::call_with;
use crate::tokens::{bearer, client, signed_with};

const OLD: &str = "what the issuer has signed with until today";
const NEW: &str = "what the issuer will sign with from today on";

fn token(secret: &str) -> String {
    signed_with(secret, json!({"tenant": "acme", "agent_type": "vehicle", "agent_id": "V1"}))
}

async fn is_believed(node: &TestNode, secret: &str) -> bool {
    let (name, value) = bearer(&token(secret));
    match call_with(node.address, "GET", "/api/vehicles/V1/manifest", &[(name, &value)], "").await.0 {
        401 => false,
        // Nobody knows that vehicle.
        404 => true,
        other => panic!("{other}"),
    }
}

fn put(file: &Path, secret: &str) {
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, secret).unwrap();
    std::fs::rename(fresh, file).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_rotated_while_the_node_runs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("issuer.key");
    put(&file, OLD);
    let mut config = config(None);
    config.auth.keys = vec![format!("HS256 {}", file.display())];
    let node = TestNode::start(&config).await;
    let mut vehicle = client(node.address, "/ws", &token(OLD)).await;
    assert!(is_believed(&node, OLD).await && !is_believed(&node, NEW).await);
    put(&file, NEW);
    eventually("the new key is believed", PATIENCE, || is_believed(&node, NEW)).await;
    assert!(!is_believed(&node, OLD).await, "the old one is not");
    let answer = vehicle.request(json!({"type": "system:health_check"})).await;
    assert_eq!(answer["type"], "system:health_check", "who is connected stays");
}
