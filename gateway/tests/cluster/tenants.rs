//! Tenants never meet, whatever verb they try; another subject's session stays closed.

use serde_json::json;

use crate::client::Client;
use crate::fixture::TestCluster;
use crate::http::get;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tenants_with_the_same_names_see_nothing_of_each_other() {
    let cluster = TestCluster::start(2).await;
    let (near, far) = (cluster.nodes[0].address, cluster.nodes[1].address);
    let path = |tenant: &str| {
        format!("/ws/vehicle-events?tenant={tenant}&agent_type=vehicle&agent_id=V&pillar=p&session_id=S")
    };
    let mut theirs = Client::connect(far, &path("theirs")).await;
    theirs.subscribe(&["route:1"]).await;
    let mut mine = Client::connect_as(near, "service:s", "&tenant=mine").await;
    let connection = format!("connection:{}", theirs.text("connection_id"));
    let made_up = Client::connect_as(far, "vehicle:W", "&tenant=theirs").await;
    let made_up = format!("session:{}", made_up.text("session_id"));
    for point in ["vehicle:V", "session:S", &connection, &made_up] {
        let answer = mine.emit("test:hello", point, json!({})).await;
        assert_eq!(answer["data"]["code"], "not_found", "{point}");
    }
    for group in ["route:1", "namespace:vehicle-events", "pillar:p", "agent_type:vehicle"] {
        let answer = mine.emit("test:hello", group, json!({})).await;
        assert_eq!(answer["type"], "system:ack", "{group}");
    }
    for topic in ["vehicle:V", "session:S", "pillar:p", "agent_type:vehicle", "namespace:vehicle-events"] {
        let members = mine.request(json!({"type": "presence:list", "data": {"topic": topic}})).await;
        assert_eq!(members["data"]["count"], 0, "{topic}");
    }
    for query in ["", "&agent=vehicle:V", "&session=S", "&agent_type=vehicle", "&pillar=p"] {
        let (_, list) = get(near, &format!("/api/connections?tenant=mine{query}")).await;
        let others = list["items"].as_array().unwrap().iter().filter(|item| item["agent"] != "service:s");
        assert_eq!(others.count(), 0, "{query}");
    }
    let (status, _) =
        get(near, &format!("/api/connections/{}?tenant=mine", theirs.text("connection_id"))).await;
    assert_eq!(status, 404);
    let (_, topics) = get(far, "/api/topics?tenant=mine").await;
    assert!(!topics.to_string().contains("route:1"), "{topics}");
    theirs.expect_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_subjects_session_is_closed_with_4403_without_a_welcome() {
    let cluster = TestCluster::start(2).await;
    let _owner = Client::connect_as(cluster.nodes[0].address, "user:a", "&session_id=S&subject=alice").await;
    let path = "/ws?agent_type=user&agent_id=b&session_id=S&subject=bob";
    assert_eq!(Client::refusal(cluster.nodes[1].address, path).await, 4403);
    let path = "/ws?agent_type=user&agent_id=b&session_id=S&subject=alice";
    Client::connect(cluster.nodes[1].address, path).await;
}
