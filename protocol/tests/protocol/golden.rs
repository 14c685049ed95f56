//! Every golden message is what this crate reads and writes, byte for byte but for the spaces between tokens.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use signalbox_protocol::control::{
    BoardingAlight, BoardingAlighted, BoardingConfirmed, BoardingDenied, BoardingRequest, CommutersFound,
    Draining, Found, HealthCheck, LockAcquire, LockDenied, LockGranted, LockProof, LockReleased, OrderAccept,
    OrderAccepted, OrderDenied, OrderView, OrderViewers, PresenceMembers, PresenceRequest, QueryCommuters,
    ResumeRequest, Resumed, SendAck, Stats, TokenExpiring, TokenRefresh, TokenRefreshed, TopicsAck,
    TopicsRequest, Welcome, parse_data,
};
use signalbox_protocol::envelope::{Incoming, Received, Reply, Stamp, write_event, write_reply};
use signalbox_protocol::fleet::Passenger;
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{Fault, timestamp};

/// The instant of every golden message: 2026-01-01T08:00:00.000Z.
const INSTANT_MS: u64 = 1_767_254_400_000;

/// All golden files, name to text.
pub(crate) fn files() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap().trim_end().to_owned())
        })
        .collect()
}

/// The same JSON without spaces between its tokens. Nothing else changes.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |char: &char| {
        match char {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        in_string || !char.is_whitespace()
    };
    json.chars().filter(keep).collect()
}

/// What a client sends: every field that it gives reaches the receivers, and the payload is a `T`.
fn sent<T: Serialize + DeserializeOwned>(text: &str) {
    let incoming = Incoming::parse(text).unwrap();
    let stamp = Stamp { id: "stamped", timestamp_ms: INSTANT_MS, source: "vehicle:V17" };
    let mut out = Vec::new();
    write_event(&mut out, &incoming, &stamp);
    let delivered: Value = serde_json::from_slice(&out).unwrap();
    let golden: Value = serde_json::from_str(text).unwrap();
    for (field, value) in golden.as_object().unwrap() {
        assert_eq!(&delivered[field], value, "{field}");
    }
    let data: T = parse_data(incoming.data).unwrap();
    if let Some(golden) = golden.get("data") {
        assert_eq!(&serde_json::to_value(data).unwrap(), golden);
    }
}

/// What the gateway makes: a payload of `T`, which the gateway would write in just this way.
fn made<T: Serialize + DeserializeOwned>(text: &str) {
    let received: Received = serde_json::from_str(text).unwrap();
    assert_eq!(received.timestamp, timestamp::to_string(INSTANT_MS));
    let data: T = received.data().unwrap();
    let reply = Reply {
        stamp: Stamp { id: &received.id, timestamp_ms: INSTANT_MS, source: &received.source },
        message_type: &received.message_type,
        correlation_id: received.correlation_id.as_deref(),
        data: &data,
    };
    let mut out = Vec::new();
    write_reply(&mut out, &reply);
    assert_eq!(String::from_utf8(out).unwrap(), compact(text));
}

/// What receivers get is what the gateway makes of the golden message `from`.
fn delivered(text: &str, from: &str) {
    let received: Received = serde_json::from_str(text).unwrap();
    let incoming = Incoming::parse(from).unwrap();
    let mut out = Vec::new();
    write_event(
        &mut out,
        &incoming,
        &Stamp { id: &received.id, timestamp_ms: INSTANT_MS, source: &received.source },
    );
    assert_eq!(compact(&String::from_utf8(out).unwrap()), compact(text));
}

/// What a client should not send: it is answered with the golden message `answer`.
fn refused(text: &str, answer: &str) {
    let malformed = Incoming::parse(text).unwrap_err();
    let answer: Received = serde_json::from_str(answer).unwrap();
    assert_eq!(answer.correlation_id, malformed.correlation_id);
    assert_eq!(answer.data::<Fault>().unwrap(), malformed.fault);
}

/// An event that tells a passenger, found in its data by `place`.
fn announced(text: &str, place: fn(&Value) -> &Value) {
    let message: Value = serde_json::from_str(text).unwrap();
    let told = place(&message["data"]);
    let passenger: Passenger = serde_json::from_value(told.clone()).unwrap();
    assert_eq!(&serde_json::to_value(passenger.event(Timestamp(INSTANT_MS))).unwrap(), told);
}

/// The answer to a query: what a client reads of it is what the gateway told.
fn found(text: &str) {
    let received: Received = serde_json::from_str(text).unwrap();
    let data: CommutersFound = received.data().unwrap();
    let tell = |found: &Found| Found {
        passenger: serde_json::to_value(found.passenger.event(Timestamp(INSTANT_MS))).unwrap(),
        distance_m: found.distance_m,
    };
    let told = CommutersFound { commuters: data.commuters.iter().map(tell).collect(), cached: data.cached };
    let message: Value = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_value(told).unwrap(), message["data"]);
}

#[test]
fn every_golden_message_is_read_and_written_as_it_stands() {
    let files = files();
    let mut unchecked = files.clone();
    let mut golden = |name: &str| {
        println!("{name}");
        unchecked.remove(name);
        files[name].as_str()
    };
    sent::<Value>(golden("event.json"));
    delivered(golden("event-delivered.json"), golden("event.json"));
    sent::<Value>(golden("event-complete.json"));
    delivered(golden("event-complete-delivered.json"), golden("event-complete.json"));
    made::<SendAck>(golden("event-ack.json"));
    made::<Welcome>(golden("welcome.json"));
    sent::<TopicsRequest>(golden("subscribe.json"));
    made::<TopicsAck>(golden("subscribe-ack.json"));
    sent::<TopicsRequest>(golden("unsubscribe.json"));
    sent::<ResumeRequest>(golden("resume.json"));
    made::<Resumed>(golden("resumed.json"));
    sent::<Value>(golden("request.json"));
    delivered(golden("request-delivered.json"), golden("request.json"));
    sent::<Value>(golden("answer.json"));
    made::<Fault>(golden("error-not-found.json"));
    made::<Fault>(golden("error-malformed.json"));
    refused(golden("malformed.json"), golden("error-malformed.json"));
    sent::<Value>(golden("health-check.json"));
    made::<HealthCheck>(golden("health-check-reply.json"));
    sent::<Value>(golden("stats.json"));
    made::<Stats>(golden("stats-reply.json"));
    sent::<PresenceRequest>(golden("presence-list.json"));
    made::<PresenceMembers>(golden("presence-members.json"));
    made::<ServiceConnected>(golden("service-connected.json"));
    made::<Draining>(golden("draining.json"));
    made::<TokenExpiring>(golden("token-expiring.json"));
    sent::<TokenRefresh>(golden("refresh.json"));
    made::<TokenRefreshed>(golden("refreshed.json"));
    sent::<LockAcquire>(golden("lock-acquire.json"));
    made::<LockGranted>(golden("lock-granted.json"));
    made::<LockDenied>(golden("lock-denied.json"));
    sent::<LockProof>(golden("lock-release.json"));
    made::<LockReleased>(golden("lock-released.json"));
    sent::<OrderView>(golden("order-view.json"));
    made::<OrderViewers>(golden("order-viewers.json"));
    sent::<OrderAccept>(golden("order-accept.json"));
    made::<OrderAccepted>(golden("order-accepted.json"));
    made::<OrderDenied>(golden("order-denied.json"));
    sent::<QueryCommuters>(golden("query-commuters.json"));
    found(golden("commuters-found.json"));
    sent::<BoardingRequest>(golden("boarding-request.json"));
    made::<BoardingConfirmed>(golden("boarding-confirmed.json"));
    made::<BoardingDenied>(golden("boarding-denied.json"));
    sent::<BoardingAlight>(golden("boarding-alight.json"));
    made::<BoardingAlighted>(golden("boarding-alighted.json"));
    announced(golden("commuter-spawned-batch.json"), |data| &data["commuters"][0]);
    announced(golden("commuter-picked-up.json"), |data| data);
    assert!(unchecked.is_empty(), "golden files that no test reads: {:?}", unchecked.keys());
}

/// `data` of `system:service_connected`; the gateway has its own borrowed form of it.
#[derive(Serialize, serde::Deserialize)]
struct ServiceConnected {
    agent: String,
    service: String,
    node_id: String,
}

#[test]
fn compacting_leaves_strings_alone() {
    assert_eq!(compact("{ \"a b\" :\n [ 1.0 , \"\\\" c\\\\\" , 2 ] }"), r#"{"a b":[1.0,"\" c\\",2]}"#);
}
