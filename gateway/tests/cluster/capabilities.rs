//! What is not granted is refused on every path that there is, and counted. The paths come from the description of the
//! API and from the catalogue: one that is new is tried as well.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use signalbox_identity::Verb;

use crate::api::{Answer, Api};
use crate::fixture::{TestCluster, TestNode};
use crate::handshake_tokens::counted;
use crate::http::call;
use crate::tokens::{believing, client, service};
use crate::verbs::{Operation, Request, messages, operations};
use crate::world::World;

const TENANT: &str = "theirs";

/// Open to everybody who reaches the port: they tell nothing of any tenant.
const OPEN: [&str; 10] = [
    "GET /api/docs",
    "GET /api/openapi.json",
    "GET /health",
    "GET /healthz",
    "GET /livez",
    "GET /metrics",
    "GET /readyz",
    "GET /ws",
    "GET /ws/stats",
    "GET /ws/{namespace}",
];

/// What each operation needs, of the things of [`World`]. A new one is refused without a capability all the same; this
/// says that it is the right one.
const NEEDED: [(&str, &str); 30] = [
    ("DELETE /api/connections/{ws_id}", "end:connections"),
    ("DELETE /api/locks/{resource}", "lock:their-lock"),
    ("DELETE /api/passengers", "push:depot:their-route"),
    ("DELETE /api/passengers/{id}", "push:*"),
    ("GET /api/connections", "see:connections"),
    ("GET /api/connections/{ws_id}", "see:connections"),
    ("GET /api/locks", "lock:*"),
    ("GET /api/locks/{resource}", "lock:their-lock"),
    ("GET /api/nodes", "admin:nodes"),
    ("GET /api/orders/{id}/viewers", "order:their-order"),
    ("GET /api/passengers", "query:*"),
    ("GET /api/passengers/{id}", "query:*"),
    ("GET /api/presence/{topic}", "subscribe:pillar:their-pillar"),
    ("GET /api/reservoirs/{kind}/{id}", "query:route:their-route"),
    ("GET /api/reservoirs/{kind}/{id}/query", "query:route:their-route"),
    ("GET /api/revocations", "end:tokens"),
    ("GET /api/topics", "see:topics"),
    ("GET /api/vehicles/{id}", "board:their-vehicle"),
    ("GET /api/vehicles/{id}/manifest", "board:their-vehicle"),
    ("PATCH /api/locks/{resource}", "lock:their-lock"),
    ("PATCH /api/passengers/{id}/alight", "board:*"),
    ("PATCH /api/passengers/{id}/board", "board:their-vehicle"),
    ("POST /api/locks/{resource}", "lock:their-lock"),
    ("POST /api/nodes/{id}/drain", "admin:nodes"),
    ("POST /api/passengers", "push:route:their-route"),
    ("POST /api/publish", "publish:order:new"),
    ("POST /api/revocations", "end:tokens"),
    ("PUT /api/vehicles/{id}", "board:their-vehicle"),
    // The following are messages.
    ("boarding:alight", "board:*"),
    ("vehicle:query_commuters", "query:route:their-route"),
];

/// Commands that concern nobody but who sends them.
const FREE: [&str; 3] = ["system:health_check", "system:stats", "system:unsubscribe"];

/// What another token decides, not the one that the connection came with.
const REFRESH: &str = "system:refresh";

/// Refusals of each verb so far.
async fn refusals(node: &TestNode) -> BTreeMap<&'static str, u64> {
    let mut refusals = BTreeMap::new();
    for verb in Verb::ALL.map(Verb::as_str) {
        let series = format!("signalbox_capability_refusals_total{{verb=\"{verb}\"}}");
        refusals.insert(verb, counted(node, &series).await);
    }
    refusals
}

/// All of them.
async fn refused_so_far(node: &TestNode) -> u64 {
    let (_, metrics) = call(node.address, "GET", "/metrics", "").await;
    let each = metrics.lines().filter(|line| line.starts_with("signalbox_capability_refusals_total{"));
    each.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Sends it with a token that does not do; a refusal, if it came so far, is counted.
async fn refused(node: &TestNode, api: &mut Api, request: &Request, bearer: &str) -> Answer {
    let before = refused_so_far(node).await;
    let answer = request.send(api, bearer).await;
    assert!(matches!(answer.status, 403 | 422), "{request:?}: {}", answer.text);
    let counted = refused_so_far(node).await - before;
    assert_eq!(counted, u64::from(answer.status == 403), "{request:?}: {}", answer.text);
    answer
}

fn verb_of(capability: &str) -> &str {
    capability.split_once(':').unwrap().0
}

/// Everything but what this capability is of.
fn all_but(capability: &str) -> Vec<String> {
    let others = Verb::ALL.map(Verb::as_str).into_iter().filter(|verb| *verb != verb_of(capability));
    others.map(|verb| format!("{verb}:*")).collect()
}

fn bearer(capabilities: &[&str]) -> String {
    format!("Bearer {}", service(TENANT, Some(capabilities)))
}

fn guarded() -> BTreeMap<String, Operation> {
    let all = operations();
    let open: BTreeSet<&str> =
        all.iter().filter(|(_, one)| !one.takes_token()).map(|(name, _)| name.as_str()).collect();
    assert_eq!(open, BTreeSet::from(OPEN), "operations that take no token");
    all.into_iter().filter(|(_, one)| one.takes_token()).collect()
}

fn check(what: &str, capability: &str) {
    let needed = NEEDED.iter().find(|(one, _)| *one == what).map(|(_, needed)| *needed);
    assert!(needed.is_none_or(|needed| needed == capability), "{what} asked for {capability}");
}

/// Tries every operation with a token that grants nothing; what each says is missing.
async fn refused_over_http(node: &TestNode, world: &World) -> BTreeMap<String, String> {
    let mut missing = BTreeMap::new();
    let mut api = Api::of(node.address);
    for (name, operation) in guarded() {
        for request in operation.requests(&world.names) {
            let answer = refused(node, &mut api, &request, &bearer(&[])).await;
            if answer.status == 403 {
                let capability =
                    answer.body["details"]["capability"].as_str().expect("it says what is missing");
                missing.entry(name.clone()).or_insert_with(|| capability.to_owned());
            }
        }
        let capability = missing.get(&name).unwrap_or_else(|| panic!("{name} was never refused"));
        check(&name, capability);
        let others = all_but(capability);
        let others: Vec<_> = others.iter().map(String::as_str).collect();
        for request in operation.requests(&world.names) {
            refused(node, &mut api, &request, &bearer(&others)).await;
        }
    }
    missing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_needs_its_capability_and_nothing_changes_without() {
    let cluster = TestCluster::start_with(1, believing()).await;
    let node = &cluster.nodes[0];
    let mut world = World::of(TENANT, node.address).await;
    let (before, counted_before) = (world.seen().await, refusals(node).await);
    let missing = refused_over_http(node, &world).await;
    world.is_as(&before).await;
    world.vehicle.expect_nothing().await;
    let after = refusals(node).await;
    for verb in missing.values().map(|capability| verb_of(capability)) {
        assert!(after[verb] > counted_before[verb], "refusals of {verb} are counted");
    }
    let mut api = Api::of(node.address);
    for (name, operation) in guarded() {
        let granted = bearer(&[&missing[&name]]);
        // The node itself is not to be drained before all is tried.
        let mut names = world.names.clone();
        names.insert("NodeId", vec!["no-such-node".to_owned()]);
        let mut statuses = Vec::new();
        for request in operation.requests(&names) {
            statuses.push(request.send(&mut api, &granted).await.status);
        }
        assert!(statuses.iter().any(|status| *status != 403 && *status != 422), "{name}: {statuses:?}");
    }
    api.conforms().await;
}

async fn answer(node: &TestNode, capabilities: &[&str], message: &Value) -> Value {
    let mut asker = client(node.address, "/ws", &service(TENANT, Some(capabilities))).await;
    let answer = asker.request(message.clone()).await;
    asker.close().await;
    answer
}

fn is_forbidden(answer: &Value) -> bool {
    answer["type"] == "system:error" && answer["data"]["code"] == "forbidden"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_needs_its_capability_and_nothing_changes_without() {
    let cluster = TestCluster::start_with(1, believing()).await;
    let node = &cluster.nodes[0];
    let mut world = World::of(TENANT, node.address).await;
    let before = world.seen().await;
    let mut missing = BTreeMap::new();
    for (name, message) in messages(&world.names, 0) {
        let answered = answer(node, &[], &message).await;
        if FREE.contains(&name.as_str()) {
            assert!(!is_forbidden(&answered), "{answered}");
            continue;
        }
        if name == REFRESH {
            assert!(is_forbidden(&answered), "a lock's token is none: {answered}");
            continue;
        }
        let capability = answered["data"]["details"]["capability"].as_str();
        let capability =
            capability.unwrap_or_else(|| panic!("{name} was not refused: {answered}")).to_owned();
        check(&name, &capability);
        let counted_before = refusals(node).await[verb_of(&capability)];
        let others = all_but(&capability);
        let others: Vec<_> = others.iter().map(String::as_str).collect();
        assert!(is_forbidden(&answer(node, &others, &message).await), "{name} with {others:?}");
        assert_eq!(refusals(node).await[verb_of(&capability)], counted_before + 1, "{name} is counted");
        missing.insert(name, (message, capability));
    }
    world.is_as(&before).await;
    world.vehicle.expect_nothing().await;
    for (name, (message, capability)) in missing {
        let answered = answer(node, &[&capability], &message).await;
        assert!(!is_forbidden(&answered), "{name} with {capability}: {answered}");
        let event = message.get("target").is_some();
        assert!(!event || capability == format!("publish:{name}"), "{name} asked for {capability}");
    }
}

/// What a connection follows is narrowed for each topic by itself, and its own topics need nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_topics_each_is_needed_and_ones_own_are_free() {
    let node = TestNode::start(&believing()).await;
    let token = service(TENANT, Some(&["subscribe:route:1*"]));
    let mut asker = client(node.address, "/ws", &token).await;
    let subscribe = |topics: Value| json!({"type": "system:subscribe", "data": {"topics": topics}});
    assert_eq!(asker.request(subscribe(json!(["route:1", "route:12"]))).await["type"], "system:ack");
    let refused = asker.request(subscribe(json!(["route:1", "route:2"]))).await;
    assert_eq!(refused["data"]["details"]["capability"], "subscribe:route:2");
    let own = json!(["service:asker", "agent_type:service"]);
    assert_eq!(asker.request(subscribe(own)).await["type"], "system:ack");
    let position = json!({"epoch": "0", "offset": 0});
    let resume = |topic: &str| json!({"type": "system:resume", "data": {"positions": {topic: position}}});
    assert!(is_forbidden(&asker.request(resume("route:2")).await));
    assert_eq!(asker.request(resume("service:asker")).await["type"], "system:resumed");
}
