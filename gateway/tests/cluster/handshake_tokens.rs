//! Who a client is by its token: where it may stand, what it decides, and how a bad one ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use serde_json::{Value, json};
use signalbox_identity::{Algorithm, SigningKey};
use tokio::time::timeout;

use crate::api::Api;
use crate::client::{Client, PATIENCE};
use crate::fixture::{TestNode, config};
use crate::http::call;
use crate::tokens::{bearer, believing, client, now, open, refusal, service, signed_with, token};

fn vehicle() -> Value {
    json!({"tenant": "acme", "sub": "fleet-7", "agent_type": "vehicle", "agent_id": "V1", "pillar": "north"})
}

fn but(field: &str, value: Value) -> String {
    let mut claims = vehicle();
    claims[field] = value;
    token(claims)
}

/// The value of one series of a metric.
pub(crate) async fn counted(node: &TestNode, series: &str) -> u64 {
    let (_, metrics) = call(node.address, "GET", "/metrics", "").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} in {metrics}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_the_header_or_as_a_subprotocol_says_who_it_is() {
    let node = TestNode::start(&believing()).await;
    let token = token(vehicle());
    let offered = ("sec-websocket-protocol", format!("signalbox.v1.json, bearer.{token}"));
    let path = "/ws/vehicle-events?tenant=other&agent_type=tram&session_id=S";
    for (header, chosen) in [(bearer(&token), None), (offered, Some("signalbox.v1.json"))] {
        let (ws, echoed) = open(node.address, path, &[header]).await;
        assert_eq!(echoed.as_deref(), chosen, "the token is never echoed");
        let client = Client::welcomed(ws).await;
        let told = ["tenant", "agent", "subject", "session_id"].map(|field| client.text(field).to_owned());
        assert_eq!(told, ["acme", "vehicle:V1", "fleet-7", "S"]);
        assert_eq!(client.welcome["namespaces"], json!(["vehicle-events"]));
        client.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_the_address_is_taken_only_where_the_operator_says_so() {
    let token = token(vehicle());
    let path = format!("/ws?access_token={token}");
    let node = TestNode::start(&believing()).await;
    let (code, reason) = refusal(node.address, &path, &[]).await;
    assert_eq!((code, counted(&node, "signalbox_token_refusals_total{reason=\"in_url\"}").await), (4401, 1));
    assert!(reason.contains("in the URL") && !reason.contains(&token), "{reason}");
    let api = format!("/api/connections?access_token={token}");
    assert_eq!(call(node.address, "GET", &api, "").await.0, 401);
    let mut config = believing();
    config.auth.token_in_url = true;
    let node = TestNode::start(&config).await;
    assert_eq!(Client::connect(node.address, &path).await.text("agent"), "vehicle:V1");
    assert_eq!(refusal(node.address, &path, &[bearer(&token)]).await.0, 4401, "two tokens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_believed_is_told_why_and_counted() {
    let node = TestNode::start(&believing()).await;
    let good = token(vehicle());
    let offered = |token: &str| ("sec-websocket-protocol", format!("signalbox.v1.json, bearer.{token}"));
    let forged = signed_with("another secret of at least 32 bytes", vehicle());
    for (headers, code, reason) in [
        (vec![], 4401, "missing"),
        (vec![("authorization", "Basic dXNlcjpwYXNz".to_owned())], 4401, "missing"),
        (vec![bearer(&good), offered(&good)], 4401, "several"),
        (vec![bearer(&good), bearer(&good)], 4401, "several"),
        (vec![offered(&format!("{good}, bearer.{good}"))], 4401, "several"),
        (vec![bearer("")], 4401, "malformed"),
        (vec![offered("")], 4401, "malformed"),
        (vec![bearer(&format!("{good}x"))], 4401, "signature"),
        (vec![bearer(&forged)], 4401, "signature"),
        (vec![bearer(&but("exp", json!(now() - 3_600)))], 4401, "expired"),
        (vec![bearer(&but("nbf", json!(now() + 3_600)))], 4401, "not_yet_valid"),
        (vec![bearer(&but("tenant", json!("a b")))], 4401, "claim"),
        (vec![bearer(&but("aud", json!("somebody else")))], 4401, "audience"),
        (vec![bearer(&but("agent_type", json!("tram")))], 4403, "agent_type"),
        (vec![bearer(&service("acme", None).replace('.', ".."))], 4401, "malformed"),
    ] {
        let series = format!("signalbox_token_refusals_total{{reason=\"{reason}\"}}");
        let before = counted(&node, &series).await;
        let (got, told) = refusal(node.address, "/ws", &headers).await;
        assert_eq!((got, counted(&node, &series).await), (code, before + 1), "{reason}: {told}");
        assert!(!told.is_empty() && !told.contains(&good[..12]), "{told}");
    }
    for reserved in ["api", "signalbox"] {
        let claims = json!({"tenant": "acme", "agent_type": "service", "agent_id": reserved});
        assert_eq!(refusal(node.address, "/ws", &[bearer(&token(claims))]).await.0, 4403, "{reserved}");
    }
    let results = ["unauthenticated", "forbidden", "accepted"]
        .map(|result| format!("signalbox_handshakes_total{{result=\"{result}\"}}"));
    let mut ended = Vec::new();
    for series in &results {
        ended.push(counted(&node, series).await);
    }
    assert_eq!(ended, [14, 3, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_token_is_not_nobody_where_nobody_is_welcome_too() {
    let mut config = config(None);
    config.allow_anonymous = true;
    let node = TestNode::start(&config).await;
    Client::connect(node.address, "/ws").await.close().await;
    assert_eq!(refusal(node.address, "/ws", &[bearer("a.b.c")]).await.0, 4401);
    let mut api = Api::of(node.address);
    api.get("/api/connections").await.expect(200);
    let (name, value) = bearer("a.b.c");
    let answer = api.call("GET", "/api/connections", &[(name, &value)], "").await;
    assert_eq!(answer.headers["www-authenticate"], "Bearer error=\"invalid_token\"");
    answer.expect(401);
    api.conforms().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_s_namespaces_are_the_only_ones_that_it_joins_and_sends_to() {
    let node = TestNode::start(&believing()).await;
    let listed = but("namespaces", json!(["vehicle-events"]));
    let mut inside = client(node.address, "/ws/vehicle-events", &listed).await;
    let hello = |target| json!({"type": "test:hello", "target": target, "metadata": {"ack": true}});
    assert_eq!(inside.request(hello("namespace:vehicle-events")).await["type"], "system:ack");
    let subscribe = |topic| json!({"type": "system:subscribe", "data": {"topics": [topic]}});
    let list = |topic| json!({"type": "presence:list", "data": {"topic": topic}});
    let [other, mine] = ["namespace:system-events", "namespace:vehicle-events"];
    assert_eq!(inside.request(list(mine)).await["type"], "presence:members");
    for refused in [hello(other), subscribe(other), list(other)] {
        let answer = inside.request(refused).await;
        assert_eq!(answer["data"]["code"], "forbidden", "{answer}");
        assert_eq!(answer["data"]["details"]["namespace"], "system-events");
    }
    let (code, _) = refusal(node.address, "/ws/system-events", &[bearer(&listed)]).await;
    assert_eq!(
        (code, counted(&node, "signalbox_capability_refusals_total{verb=\"namespace\"}").await),
        (4403, 4)
    );
    let mut api = Api::of(node.address);
    let (name, value) = bearer(&listed);
    let shown = [(name, value.as_str())];
    for (topic, status) in [(mine, 200), (other, 403)] {
        let told = api.call("GET", &format!("/api/presence/{topic}"), &shown, "").await.expect(status);
        let sent = api.call("POST", "/api/publish", &shown, &hello(topic).to_string()).await.expect(status);
        for problem in [told, sent].iter().filter(|_| status == 403) {
            assert_eq!(problem["details"]["namespace"], "system-events", "{problem}");
        }
    }
    assert_eq!(counted(&node, "signalbox_capability_refusals_total{verb=\"namespace\"}").await, 6);
    api.conforms().await;
    // A list of capabilities without one of namespaces: those decide, by the path as well.
    let narrow = but("capabilities", json!(["subscribe:namespace:v*"]));
    client(node.address, "/ws/vehicle-events", &narrow).await.close().await;
    assert_eq!(refusal(node.address, "/ws/system-events", &[bearer(&narrow)]).await.0, 4403);
    client(node.address, "/ws", &narrow).await.close().await;
}

/// A private key and the public one, made for tests.
fn pair(algorithm: Algorithm) -> (&'static [u8], &'static [u8]) {
    const SECRET: &[u8] = b"a secret in a file, of at least thirty-two bytes";
    match algorithm {
        Algorithm::Hs256 => (SECRET, SECRET),
        Algorithm::Rs256 => (
            include_bytes!("../../../identity/src/tests/rsa.pem"),
            include_bytes!("../../../identity/src/tests/rsa.pub.pem"),
        ),
        Algorithm::Es256 => (
            include_bytes!("../../../identity/src/tests/ec.pem"),
            include_bytes!("../../../identity/src/tests/ec.pub.pem"),
        ),
        Algorithm::EdDsa => (
            include_bytes!("../../../identity/src/tests/ed.pem"),
            include_bytes!("../../../identity/src/tests/ed.pub.pem"),
        ),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_file_of_each_algorithm_is_believed_and_no_key_for_another() {
    let folder = tempfile::tempdir().unwrap();
    for algorithm in Algorithm::ALL {
        let path = folder.path().join(algorithm.as_str());
        std::fs::write(&path, pair(algorithm).1).unwrap();
        let mut config = config(None);
        config.auth.keys = vec![format!("{} {}", algorithm.as_str(), path.display())];
        let node = TestNode::start(&config).await;
        for signer in Algorithm::ALL {
            let mut claims = vehicle();
            claims["exp"] = json!(now() + 600);
            let signing = SigningKey::try_new(None, signer, pair(signer).0).unwrap();
            let token = signing.mint(claims.as_object().unwrap()).unwrap();
            let (name, value) = bearer(&token);
            let answer =
                Api::of(node.address).call("GET", "/api/presence/vehicle:V1", &[(name, &value)], "").await;
            let is_its_own = signer == algorithm;
            assert_eq!(answer.status, if is_its_own { 200 } else { 401 }, "{signer:?}: {}", answer.text);
            if is_its_own {
                let client = client(node.address, "/ws", &token).await;
                assert_eq!(client.text("agent"), "vehicle:V1");
                client.close().await;
            } else {
                assert_eq!(refusal(node.address, "/ws", &[bearer(&token)]).await.0, 4401, "{signer:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_acts_for_the_token_s_tenant_as_its_agent() {
    let node = TestNode::start(&believing()).await;
    let mut api = Api::of(node.address);
    let answer = api.get("/api/connections").await;
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    answer.expect(401);
    let mut listener = client(node.address, "/ws", &token(vehicle())).await;
    let (name, value) = bearer(&service("acme", None));
    let headers = [(name, value.as_str())];
    let hello = json!({"type": "test:hello", "target": "vehicle:V1"}).to_string();
    api.call("POST", "/api/publish", &headers, &hello).await.expect(200);
    assert_eq!(listener.next().await["source"], "service:asker");
    api.call("POST", "/api/publish?tenant=acme", &headers, &hello).await.expect(200);
    listener.next().await;
    for other in ["other", "no-such-tenant"] {
        let path = format!("/api/connections?tenant={other}");
        let problem = api.call("GET", &path, &headers, "").await.expect(403);
        assert_eq!((&problem["code"], &problem["details"]["field"]), (&json!("forbidden"), &json!("tenant")));
    }
    let lock = api.call("POST", "/api/locks/bay-4", &headers, "").await.expect(201);
    assert_eq!(lock["resource"], "bay-4");
    let held = api.call("GET", "/api/locks/bay-4", &headers, "").await.expect(200);
    assert_eq!(held["owner"], "service:asker");
    for path in ["/livez", "/readyz", "/healthz", "/health", "/metrics", "/ws/stats", "/api/openapi.json"] {
        api.get(path).await.expect(200);
    }
    let stats = api.get("/ws/stats").await.expect(200);
    assert_eq!(stats["node"]["connections_by_pillar"], json!({}), "pillars are a tenant's own words");
    api.conforms().await;
}

/// Who takes the HTTP way may do no more than over a WebSocket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_a_vehicle_boards_for_itself_and_locks_as_itself() {
    let node = TestNode::start(&believing()).await;
    let mut api = Api::of(node.address);
    let (name, of_service) = bearer(&service("acme", None));
    let service = [(name, of_service.as_str())];
    for vehicle in ["V1", "V2"] {
        let body = json!({"capacity": 4}).to_string();
        api.call("PUT", &format!("/api/vehicles/{vehicle}"), &service, &body).await.expect(200);
    }
    for passenger in ["P1", "P2"] {
        let at = json!({"passenger_id": passenger, "pool": "route:1", "position": {"lat": 1, "lon": 1}});
        api.call("POST", "/api/passengers", &service, &at.to_string()).await.expect(201);
    }
    // Even a token that says otherwise does not make a vehicle another one.
    let (_, of_vehicle) = bearer(&but("capabilities", json!(["board:*", "lock:*", "query:*"])));
    let vehicle = [(name, of_vehicle.as_str())];
    let board = |vehicle: &str| json!({"vehicle_id": vehicle}).to_string();
    api.call("PATCH", "/api/passengers/P1/board", &vehicle, &board("V2")).await.expect(403);
    api.call("PATCH", "/api/passengers/P1/board", &vehicle, &board("V1")).await.expect(200);
    let of_other = api.call("PATCH", "/api/passengers/P2/board", &service, &board("V2")).await.expect(200);
    let fence = json!({"fence": of_other["fence"]}).to_string();
    api.call("PATCH", "/api/passengers/P2/alight", &vehicle, &fence).await.expect(409);
    let owner = json!({"owner": "vehicle:V2"}).to_string();
    api.call("POST", "/api/locks/bay", &vehicle, &owner).await.expect(403);
    api.call("POST", "/api/locks/bay", &service, &owner).await.expect(201);
    // A service whose token is for one vehicle: another's passenger is not there.
    let (_, narrow) = bearer(&crate::tokens::service("acme", Some(&["board:V1"])));
    let narrow = [(name, narrow.as_str())];
    let unknown = api.call("PATCH", "/api/passengers/P9/alight", &narrow, &fence).await.expect(404);
    let hidden = api.call("PATCH", "/api/passengers/P2/alight", &narrow, &fence).await.expect(404);
    assert_eq!(hidden, unknown);
    let fence = api.call("GET", "/api/passengers/P1", &vehicle, "").await.expect(200)["fence"].clone();
    let fence = json!({ "fence": fence }).to_string();
    api.call("PATCH", "/api/passengers/P1/alight", &narrow, &fence).await.expect(200);
    api.conforms().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passengers_of_pools_that_a_token_does_not_name_are_not_there() {
    let node = TestNode::start(&believing()).await;
    let mut api = Api::of(node.address);
    let (name, full) = bearer(&service("acme", None));
    let full = [(name, full.as_str())];
    for (id, pool) in [("P1", "route:1"), ("P2", "route:2")] {
        let at = json!({"passenger_id": id, "pool": pool, "position": {"lat": 1, "lon": 1}}).to_string();
        api.call("POST", "/api/passengers", &full, &at).await.expect(201);
    }
    let (_, narrow) = bearer(&service("acme", Some(&["query:route:1", "push:route:1"])));
    let narrow = [(name, narrow.as_str())];
    api.call("GET", "/api/passengers/P1", &narrow, "").await.expect(200);
    for method in ["GET", "DELETE"] {
        let unknown = api.call(method, "/api/passengers/P9", &narrow, "").await.expect(404);
        assert_eq!(api.call(method, "/api/passengers/P2", &narrow, "").await.expect(404), unknown);
    }
    api.call("GET", "/api/passengers?route_id=1", &narrow, "").await.expect(200);
    api.call("GET", "/api/passengers?route_id=2", &narrow, "").await.expect(403);
    api.call("GET", "/api/passengers", &narrow, "").await.expect(403);
    let at = |id, pool| json!({"passenger_id": id, "pool": pool, "position": {"lat": 1, "lon": 1}});
    let both = json!([at("P3", "route:1"), at("P4", "route:2")]).to_string();
    api.call("POST", "/api/passengers", &narrow, &both).await.expect(403);
    api.call("GET", "/api/passengers/P3", &full, "").await.expect(404);
    api.call("DELETE", "/api/passengers/P1", &narrow, "").await.expect(204);
    assert_eq!(api.call("GET", "/api/passengers/P2", &full, "").await.expect(200)["state"], "waiting");
    api.conforms().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_library_shows_its_token_and_gets_another_when_a_node_refuses_it() {
    use signalbox_client::{Client, ClientConfig};
    let node = TestNode::start(&believing()).await;
    let url = format!("ws://{}/ws?session_id=S", node.address);
    let refused = Client::connect(ClientConfig::new(&url).token(but("exp", json!(1)))).await;
    let told = refused.expect_err("it has no other token").to_string();
    assert!(told.contains("4401"), "{told}");
    let client = Client::connect(ClientConfig::new(&url).token(token(vehicle()))).await.unwrap();
    assert_eq!(client.welcome().unwrap().agent.as_str(), "vehicle:V1");
    client.close().await;
    let asked = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&asked);
    let provided = ClientConfig::new(&url).token_provider(move || {
        let claims =
            if counting.fetch_add(1, Relaxed) == 0 { but("exp", json!(1)) } else { token(vehicle()) };
        async move { Ok(claims) }
    });
    let client = Client::start(provided);
    timeout(PATIENCE, client.opened()).await.unwrap().unwrap();
    assert_eq!((client.welcome().unwrap().subject.as_str(), asked.load(Relaxed)), ("fleet-7", 2));
    client.close().await;
}
