//! Any node reaches anybody: every pair of nodes, every kind of topic, in order.

use serde_json::{Value, json};

use crate::client::Client;
use crate::fixture::TestCluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pair_of_nodes_routes_to_agents_sessions_and_connections() {
    let cluster = TestCluster::start(3).await;
    let mut clients = Vec::new();
    for (place, node) in cluster.nodes.iter().enumerate() {
        clients.push(Client::connect_as(node.address, &format!("vehicle:V{place}"), "").await);
    }
    for from in 0..3 {
        for to in 0..3 {
            let topics = [
                format!("vehicle:V{to}"),
                format!("session:{}", clients[to].text("session_id")),
                format!("connection:{}", clients[to].text("connection_id")),
            ];
            for topic in topics {
                if from == to {
                    continue;
                }
                let ack = clients[from].emit("test:hello", &topic, json!({"to": topic})).await;
                assert_eq!(ack["type"], "system:ack", "{ack}");
                assert_eq!(clients[to].expect("test:hello").await["to"], topic);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_reaches_a_namespace_an_agent_type_a_pillar_and_a_route_on_all_nodes() {
    let cluster = TestCluster::start(3).await;
    let mut members = Vec::new();
    for (place, node) in cluster.nodes.iter().enumerate() {
        let path = format!("/ws/vehicle-events?agent_type=driver&agent_id=D{place}&pillar=airport");
        let mut client = Client::connect(node.address, &path).await;
        client.subscribe(&["route:12"]).await;
        members.push(client);
    }
    let mut outsider = cluster.nodes[0].client("passenger:P").await;
    let mut service = cluster.nodes[1].client("service:dispatch").await;
    for topic in ["namespace:vehicle-events", "agent_type:driver", "pillar:airport", "route:12"] {
        let ack = service.emit("test:news", topic, json!({"to": topic})).await;
        assert_eq!(ack["type"], "system:ack", "{ack}");
        for member in &mut members {
            assert_eq!(member.expect("test:news").await["to"], topic);
        }
    }
    outsider.expect_nothing().await;
    let ack = members[0].emit("test:from_inside", "route:12", json!({})).await;
    assert_eq!(ack["type"], "system:ack", "a sender gets no echo");
    members[1].expect("test:from_inside").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_a_target_goes_to_the_namespace_of_the_connection_or_of_its_type() {
    let cluster = TestCluster::start(2).await;
    let mut member =
        Client::connect(cluster.nodes[0].address, "/ws/vehicle-events?agent_type=dashboard").await;
    let mut inside = Client::connect(cluster.nodes[1].address, "/ws/vehicle-events?agent_type=vehicle").await;
    let mut outside = cluster.nodes[1].client("vehicle:V2").await;
    inside.send(json!({"type": "fleet:hello", "data": 1})).await;
    assert_eq!(member.expect("fleet:hello").await, 1);
    outside.send(json!({"type": "vehicle:position_update", "data": {"lat": 1.0}})).await;
    assert_eq!(member.expect("vehicle:position_update").await["lat"], 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_sockets_on_three_nodes_gets_everything_on_each_and_is_listed_whole() {
    let cluster = TestCluster::start(3).await;
    let mut sockets = Vec::new();
    for (node, (agent, more)) in cluster.nodes.iter().zip([
        ("user:U", "&pillar=content"),
        ("guide:G", "&pillar=content"),
        ("user:U", "&pillar=dispatch"),
    ]) {
        let more = format!("{more}&session_id=S1&subject=alice");
        sockets.push(Client::connect_as(node.address, agent, &more).await);
    }
    let mut service = cluster.nodes[0].client("service:s").await;
    assert_eq!(service.emit("test:hello", "session:S1", json!({})).await["type"], "system:ack");
    for socket in &mut sockets {
        socket.expect("test:hello").await;
    }
    let members = service.request(json!({"type": "presence:list", "data": {"topic": "session:S1"}})).await;
    assert_eq!(members["data"]["count"], 2, "two agents: {members}");
    assert_eq!(members["data"]["members"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seventeenth_socket_of_a_session_closes_the_oldest() {
    let cluster = TestCluster::start(2).await;
    let mut sockets = Vec::new();
    for number in 0..17 {
        let node = &cluster.nodes[number % 2];
        sockets.push(Client::connect_as(node.address, "user:U", "&session_id=S").await);
    }
    assert_eq!(sockets[0].close_code().await, Some(4409));
    sockets[1].expect_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_travels_to_another_node_and_its_answer_comes_back() {
    let cluster = TestCluster::start(2).await;
    let mut vehicle = cluster.nodes[0].client("vehicle:V1").await;
    let mut passenger = cluster.nodes[1].client("passenger:P1").await;
    passenger
        .send(
            json!({"type": "test:where_are_you", "target": "vehicle:V1", "correlationId": "q1", "data": {}}),
        )
        .await;
    let question = vehicle.next().await;
    assert_eq!(question["correlationId"], "q1");
    vehicle
        .send(json!({"type": "test:i_am_here", "target": question["source"], "correlationId": "q1", "data": {"lat": 5}}))
        .await;
    let answer = passenger.next().await;
    assert_eq!((&answer["type"], &answer["correlationId"]), (&json!("test:i_am_here"), &json!("q1")));
    assert_eq!(answer["source"], "vehicle:V1");
    let nobody = passenger.request(json!({"type": "test:where_are_you", "target": "vehicle:V9"})).await;
    assert_eq!(nobody["data"]["code"], "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_is_kept_per_sender_and_topic_across_nodes() {
    const EACH: u64 = 500;
    let cluster = TestCluster::start(2).await;
    let mut receiver = cluster.nodes[1].client("dashboard:D").await;
    receiver.subscribe(&["route:1"]).await;
    let mut senders = Vec::new();
    for place in 0..4_usize {
        senders.push(cluster.nodes[place % 2].client(&format!("vehicle:V{place}")).await);
    }
    for number in 0..EACH {
        for (place, sender) in senders.iter_mut().enumerate() {
            let target = if place < 2 { "route:1" } else { "dashboard:D" };
            sender.send(json!({"type": "test:count", "target": target, "data": number})).await;
        }
    }
    let mut next: std::collections::HashMap<String, u64> = std::collections::HashMap::new();
    for _ in 0..EACH * 4 {
        let message: Value = receiver.next().await;
        let expected = next.entry(message["source"].as_str().unwrap().to_owned()).or_default();
        assert_eq!(message["data"], *expected, "{message}");
        *expected += 1;
    }
}
