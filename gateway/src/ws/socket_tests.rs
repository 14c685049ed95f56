//! A connection's promises, on a pipe and a paused clock.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use signalbox_registry::memory::MemoryCluster;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::node::Settings;
use crate::testing::{Client, default_settings, lone_node, node_in, topic};
use crate::ws::answer;
use crate::ws::catch_up::RESUME_WITHIN;
use crate::ws::outbox::Bounds;
use crate::ws::reader::ReadLimits;
use crate::{keeper, ws::outbox::Keep};

fn code(message: &Value) -> &str {
    assert_eq!(message["type"], "system:error", "{message}");
    message["data"]["code"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_event_travels_from_one_client_to_another_with_its_data_untouched() {
    let node = lone_node().await;
    let mut vehicle = Client::connect(&node, "agent_type=vehicle&agent_id=V1").await;
    let mut passenger = Client::connect(&node, "agent_type=passenger&agent_id=P1").await;
    let data = r#"{"big":12345678901234567890.10,  "text":"\u00e9 "}"#;
    let text = format!(
        r#"{{"type":"vehicle:arrived","target":"passenger:P1","id":"m1","source":"fake:1","data":{data}}}"#
    );
    vehicle.send_raw(Message::text(text)).await;
    let Some(Message::Text(got)) = passenger.next_raw().await else { panic!("a text message comes") };
    assert!(got.contains(data), "{got}");
    let got: Value = serde_json::from_str(&got).unwrap();
    assert_eq!((&got["source"], &got["id"]), (&json!("vehicle:V1"), &json!("m1")));
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_nonsense_gets_its_error_and_the_socket_stays() {
    let node = lone_node().await;
    let mut client = Client::connect(&node, "").await;
    for (nonsense, expected) in [
        (Message::text("{"), "invalid_json"),
        (Message::text("[]"), "invalid_envelope"),
        (Message::text("{}"), "invalid_envelope"),
        (Message::text(r#"{"type":7}"#), "invalid_envelope"),
        (Message::text(r#"{"type":"no colon"}"#), "invalid_type"),
        (Message::text(r#"{"type":"a:b","target":"Bad Kind:1"}"#), "invalid_target"),
        (Message::text(r#"{"type":"a:b"}"#), "invalid_target"),
        (Message::text(r#"{"type":"a:b","target":"namespace:nowhere"}"#), "invalid_target"),
        (Message::text(r#"{"type":"system:subscribe","data":{"topics":"route:1"}}"#), "invalid_data"),
        (Message::text(r#"{"type":"system:subscribe","data":{"topics":["vehicle:V9"]}}"#), "forbidden"),
        (Message::text(r#"{"type":"system:welcome","target":"route:1"}"#), "forbidden"),
        (Message::text(r#"{"type":"commuter:spawned","target":"route:1"}"#), "forbidden"),
        (Message::text(r#"{"type":"system:resume","data":{}}"#), "invalid_data"),
        (Message::text(r#"{"type":"a:b","target":"vehicle:nobody","correlationId":"c"}"#), "not_found"),
        (Message::binary(vec![0]), "invalid_envelope"),
    ] {
        client.send_raw(nonsense.clone()).await;
        assert_eq!(code(&client.next().await), expected, "{nonsense:?}");
    }
    client.send(json!({"type": "system:health_check", "id": "h"})).await;
    assert_eq!(client.next().await["correlationId"], "h");
    assert_eq!(node.metrics.errors.with_label_values(&["forbidden"]).get(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_malformed_messages_close_the_connection() {
    let node = lone_node().await;
    let mut client = Client::connect(&node, "").await;
    for _ in 0..node.settings.malformed_max {
        client.send_raw(Message::text("nonsense")).await;
    }
    assert_eq!(client.close_code().await, 4400);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_starts_after_its_acknowledgement_and_ends_with_its_undoing() {
    let node = lone_node().await;
    let mut dashboard = Client::connect(&node, "agent_type=dashboard").await;
    let mut vehicle = Client::connect(&node, "agent_type=vehicle").await;
    let position = |n: u32| json!({"type": "vehicle:moved", "target": "route:1", "data": {"n": n}, "metadata": {"ack": true}});
    dashboard
        .send(json!({"type": "system:subscribe", "id": "s", "data": {"topics": ["route:1", "route:2"]}}))
        .await;
    let ack = dashboard.next().await;
    assert_eq!((&ack["type"], &ack["correlationId"]), (&json!("system:ack"), &json!("s")));
    assert!(ack["data"]["topics"]["route:1"]["offset"].is_u64());
    vehicle.send(position(1)).await;
    assert_eq!(vehicle.next().await["type"], "system:ack");
    assert_eq!(dashboard.next().await["data"]["n"], 1);
    dashboard.send(json!({"type": "system:unsubscribe", "data": {"topics": ["route:1"]}})).await;
    assert_eq!(dashboard.next().await["type"], "system:ack");
    vehicle.send(position(2)).await;
    assert_eq!(vehicle.next().await["type"], "system:ack");
    assert_eq!(node.cluster.bus.topics().len(), 3, "route:2 and two agent types are followed");
}

#[tokio::test(start_paused = true)]
async fn a_client_can_ask_for_its_own_numbers_and_those_of_its_node() {
    let node = lone_node().await;
    let mut client = Client::connect(&node, "agent_type=driver&pillar=airport").await;
    client.send_raw(Message::text("nonsense")).await;
    client.next().await;
    client.send(json!({"type": "system:stats", "id": "s"})).await;
    let stats = client.next().await;
    let of_connection = &stats["data"]["connection"];
    assert_eq!((&of_connection["messages_in"], &of_connection["errors"]), (&json!(2), &json!(1)));
    assert_eq!((&of_connection["messages_out"], &of_connection["state"]), (&json!(1), &json!("open")));
    assert_eq!(stats["data"]["node"]["connections_by_pillar"], json!({"airport": 1}));
}

#[tokio::test(start_paused = true)]
async fn too_many_subscriptions_are_refused_whole() {
    let node = lone_node().await;
    let mut client = Client::connect(&node, "").await;
    let topics: Vec<String> = (0..=node.settings.subscriptions_max).map(|n| format!("route:{n}")).collect();
    client.send(json!({"type": "system:subscribe", "data": {"topics": topics}})).await;
    assert_eq!(code(&client.next().await), "too_large");
    assert!(!client.connection.follows(&topic("route:0")));
    client.send(json!({"type": "system:subscribe", "data": {"topics": topics[1..]}})).await;
    assert_eq!(client.next().await["type"], "system:ack");
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_sender_arrive_in_order_also_when_some_wait_for_an_answer() {
    let cluster = MemoryCluster::new();
    let near = node_in(&cluster, "n1", default_settings()).await;
    let far = node_in(&cluster, "n2", default_settings()).await;
    let mut sender = Client::connect(&near, "agent_type=vehicle").await;
    let mut receiver = Client::connect(&far, "agent_type=driver&agent_id=D").await;
    for n in 0..200 {
        let ack = n % 3 == 0;
        sender.send(json!({"type": "a:b", "target": "driver:D", "data": n, "metadata": {"ack": ack}})).await;
    }
    for n in 0..200 {
        assert_eq!(receiver.next().await["data"], n);
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_it_will_resume_and_does_not_gets_what_was_held_after_five_seconds() {
    let node = lone_node().await;
    // Its lease would end in that time.
    keeper::spawn(&node);
    let mut sender = Client::connect(&node, "agent_type=user").await;
    let connected = tokio::time::Instant::now();
    let mut driver = Client::connect(&node, "agent_type=driver&agent_id=D&resume=1").await;
    for n in 1..=3 {
        sender.send(json!({"type": "order:new", "target": "driver:D", "data": n})).await;
        assert_eq!(sender.next().await["type"], "system:ack");
    }
    sender.send(json!({"type": "test:passing", "target": "driver:D", "metadata": {"ack": true}})).await;
    assert_eq!(sender.next().await["type"], "system:ack");
    assert_eq!(driver.next().await["type"], "test:passing", "only durable topics are held");
    assert_eq!(connected.elapsed(), Duration::ZERO);
    for n in 1..=3 {
        let message = driver.next().await;
        assert_eq!((&message["data"], &message["offset"]), (&json!(n), &json!(n)));
        assert!(connected.elapsed() >= RESUME_WITHIN, "{:?}", connected.elapsed());
    }
    sender.send(json!({"type": "order:new", "target": "driver:D", "data": 4})).await;
    assert_eq!(driver.next().await["offset"], 4, "and from then on it gets what comes");
    assert!(connected.elapsed() < RESUME_WITHIN + Duration::from_millis(100), "{:?}", connected.elapsed());
    node.halt.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_closed_and_one_that_does_stays() {
    let node = lone_node().await;
    keeper::spawn(&node);
    let mut silent = Client::connect(&node, "agent_type=vehicle").await;
    let lively = Client::connect(&node, "agent_type=driver").await;
    let lively_connection = Arc::clone(&lively.connection);
    let mut lively = lively;
    let answering = node.tasks.spawn(async move { while lively.next_raw().await.is_some() {} });
    // The silent one's end of the pipe is not read, so nothing answers its pings.
    tokio::time::sleep(node.settings.heartbeat_timeout + Duration::from_secs(2)).await;
    assert_eq!(silent.connection.outbox().closing(), Some(CloseCode::HeartbeatMissed));
    assert_eq!(lively_connection.outbox().closing(), None);
    assert_eq!(silent.close_code().await, 4408);
    answering.abort();
    node.halt.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_never_reads_is_cut_off_its_memory_is_bounded_and_every_message_is_accounted_for() {
    let settings = Settings { outbox: Bounds { messages_max: 50, bytes_max: 20_000 }, ..default_settings() };
    let node = node_in(&MemoryCluster::new(), "n1", settings).await;
    let deaf = Client::connect_through(&node, "agent_type=vehicle", 1_000).await;
    for _ in 0..500 {
        let frame = answer::reply("a:b", None, &json!("x".repeat(200)));
        let pushed = deaf.connection.outbox().push(frame, Keep::Ephemeral { conflation: 0 });
        node.metrics.count_push(pushed);
        assert!(deaf.connection.outbox().bytes() <= 20_000);
        tokio::task::yield_now().await;
    }
    // Answers may not be dropped: the fifty-first closes the connection, and the deadline ends it.
    for _ in 0..55 {
        answer::push(&deaf.connection, &node.metrics, answer::reply("a:b", None, &json!(1)));
    }
    assert_eq!(deaf.connection.outbox().closing(), Some(CloseCode::SlowConsumer));
    tokio::time::sleep(node.settings.close_timeout + Duration::from_secs(1)).await;
    assert!(node.hub.is_empty());
    assert_eq!(node.metrics.closes.with_label_values(&["4413"]).get(), 1);
    let counted = [
        node.metrics.dropped_overflow.get(),
        node.metrics.dropped_closing.get(),
        node.metrics.messages_sent.messages(),
    ];
    assert!(counted.iter().all(|messages| *messages > 0), "{counted:?}");
    assert_eq!(counted.iter().sum::<u64>(), 555, "{counted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_that_reads_again_gets_what_had_room_and_then_4413() {
    const ROOM: usize = 50;
    let settings =
        Settings { outbox: Bounds { messages_max: ROOM, bytes_max: 1 << 20 }, ..default_settings() };
    let node = node_in(&MemoryCluster::new(), "n1", settings).await;
    let mut slow = Client::connect_through(&node, "agent_type=vehicle", 100).await;
    let mut pushed = 0;
    while slow.connection.outbox().closing().is_none() {
        answer::push(&slow.connection, &node.metrics, answer::reply("a:b", None, &json!(pushed)));
        pushed += 1;
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(node.settings.close_timeout / 2).await;
    // All but the last, which had no room.
    for number in 0..pushed - 1 {
        assert_eq!(slow.next().await["data"], number);
    }
    assert!(pushed > ROOM);
    assert_eq!(slow.close_code().await, 4413);
}

#[tokio::test(start_paused = true)]
async fn broken_frames_close_with_the_code_of_their_breach() {
    let limits = ReadLimits { message_bytes_max: 1_000, idle_frames_max: 100 };
    let settings = Settings { read: limits, ..default_settings() };
    let node = node_in(&MemoryCluster::new(), "n1", settings).await;
    let empty_continuation = [0x00, 0x80, 1, 2, 3, 4];
    let flood = [&[0x01, 0x80, 1, 2, 3, 4], &empty_continuation.repeat(200)[..]].concat();
    for (what, bytes, expected) in [
        ("unmasked", vec![0x81, 0x01, b'x'], 1002),
        ("not UTF-8", vec![0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe], 1007),
        ("too big", vec![0x81, 0xfe, 0x03, 0xe9, 0, 0, 0, 0], 1009),
        ("flood of empty continuations", flood, 4429),
    ] {
        let mut client = Client::connect(&node, "").await;
        client.send_bytes(&bytes).await;
        assert_eq!(client.close_code().await, expected, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_and_a_close_is_echoed() {
    let node = lone_node().await;
    let mut client = Client::connect(&node, "").await;
    client.send_raw(Message::Ping("hello".into())).await;
    assert_eq!(client.next_raw().await, Some(Message::Pong("hello".into())));
    client.send_bytes(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]).await;
    assert_eq!(client.close_code().await, 1001);
    assert!(client.next_raw().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_ends_leaves_nothing_behind() {
    let node = lone_node().await;
    let mut client = Client::connect(&node, "agent_type=vehicle&agent_id=V&pillar=p&session_id=s").await;
    client.send(json!({"type": "system:subscribe", "data": {"topics": ["route:1"]}})).await;
    client.next().await;
    drop(client);
    node.tasks.close();
    node.tasks.wait().await;
    assert_eq!((node.hub.len(), node.hub.topics_len(), node.cluster.bus.topics().len()), (0, 0, 0));
    let agent = signalbox_protocol::Agent::of("vehicle", "V").unwrap();
    let left = node.cluster.directory.by_agent(&crate::testing::tenant("default"), &agent).await.unwrap();
    assert_eq!(left, []);
}

#[tokio::test(start_paused = true)]
async fn who_goes_on_sending_behind_our_close_is_read_so_far_and_then_cut_off() {
    const CHUNK: usize = 16 * 1_024;
    let node = lone_node().await;
    let mut client = Client::connect_through(&node, "", CHUNK).await;
    client.connection.outbox().close(CloseCode::Normal);
    assert_eq!(client.close_code().await, 1000);
    let began = tokio::time::Instant::now();
    let mut taken = 0;
    while taken < 8 << 20 && client.takes_bytes(&[0; CHUNK]).await {
        taken += CHUNK;
    }
    let most = (1 << 20) + 4 * CHUNK;
    assert!((1 << 20..=most).contains(&taken), "{taken} bytes were taken");
    assert_eq!(began.elapsed(), Duration::ZERO, "it is the bytes that end it, not the deadline");
}

#[tokio::test(start_paused = true)]
async fn who_sends_much_at_once_lets_its_neighbour_go_first() {
    let node = lone_node().await;
    let mut hasty = Client::connect(&node, "").await;
    let mut modest = Client::connect(&node, "").await;
    let connection = Arc::clone(&hasty.connection);
    hasty.send_bytes(&questions(400)).await;
    // In a task, since those are run in the order in which they are woken, and this test is not.
    let answered = node.tasks.spawn(async move {
        for n in 0..10 {
            modest.send(json!({"type": "system:health_check", "id": n.to_string()})).await;
            assert_eq!(modest.next().await["correlationId"], n.to_string());
        }
        connection.traffic.messages_in.load(std::sync::atomic::Ordering::Relaxed)
    });
    let handled = answered.await.unwrap();
    assert!((10..=160).contains(&handled), "{handled} messages were handled beside ten of the neighbour");
    for n in 0..400 {
        assert_eq!(hasty.next().await["correlationId"], n.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn answers_to_what_came_together_are_written_together() {
    let node = lone_node().await;
    let mut client = Client::connect(&node, "").await;
    let writes = || node.metrics.writes.get();
    let before = writes();
    client.send_bytes(&questions(100)).await;
    for n in 0..100 {
        assert_eq!(client.next().await["correlationId"], n.to_string());
    }
    assert!(writes() - before <= 50, "{} writes", writes() - before);
    let before = writes();
    client.send_bytes(&questions(1)).await;
    client.next().await;
    assert_eq!(writes() - before, 1, "one that comes alone is answered at once");
}

#[tokio::test(start_paused = true)]
async fn pings_that_come_together_are_answered_one_by_one() {
    let node = lone_node().await;
    let mut client = Client::connect(&node, "").await;
    let pings: Vec<u8> = (b'0'..=b'9').flat_map(|n| [0x89, 0x81, 0, 0, 0, 0, n]).collect();
    client.send_bytes(&pings).await;
    for n in 0..10 {
        assert_eq!(client.next_raw().await, Some(Message::Pong(n.to_string().into())));
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_close_in_one_write_is_answered_before_it() {
    let node = lone_node().await;
    let mut client = Client::connect(&node, "").await;
    let close = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
    client.send_bytes(&[questions(3), close.to_vec()].concat()).await;
    for n in 0..3 {
        assert_eq!(client.next().await["correlationId"], n.to_string());
    }
    assert_eq!(client.close_code().await, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_frame_whose_end_is_still_to_come_holds_up_no_answer() {
    let node = lone_node().await;
    let mut client = Client::connect(&node, "").await;
    let (whole, began) = (questions(3), tokio::time::Instant::now());
    client.send_bytes(&[&whole[..], &whole[..10]].concat()).await;
    for n in 0..3 {
        assert_eq!(client.next().await["correlationId"], n.to_string());
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_burst_behind_the_handshake_is_handled_in_order() {
    let node = lone_node().await;
    let mut client = Client::connect(&node, "").await;
    client.send_bytes(&questions(300)).await;
    for n in 0..300 {
        assert_eq!(client.next().await["correlationId"], n.to_string());
    }
}

/// Frames of so many questions, as one write.
fn questions(count: usize) -> Vec<u8> {
    let frames = (0..count).map(|n| {
        let text = json!({"type": "system:health_check", "id": n.to_string()}).to_string();
        [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0][..], text.as_bytes()].concat()
    });
    frames.collect::<Vec<_>>().concat()
}
