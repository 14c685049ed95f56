//! A tenant in which there is one of everything, and what is to be seen of it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use signalbox_testkit::eventually;

use crate::api::Api;
use crate::client::{Client, PATIENCE};
use crate::tokens::{client, service, token};
use crate::verbs::Names;

/// Longer than any test.
const LOCK: Duration = Duration::from_secs(600);

/// A tenant with a vehicle that is connected, follows topics, looks at an order and has somebody on board; with a
/// passenger who waits, a lock that is held, a revocation, and stored messages.
pub(crate) struct World {
    address: SocketAddr,
    bearer: String,
    pub(crate) vehicle: Client,
    pub(crate) names: Names,
}

impl World {
    pub(crate) async fn of(tenant: &str, address: SocketAddr) -> Self {
        let bearer = format!("Bearer {}", service(tenant, None));
        let claims = json!({"tenant": tenant, "agent_type": "vehicle", "agent_id": "their-vehicle",
            "pillar": "their-pillar"});
        let path = "/ws/vehicle-events?session_id=their-session";
        let mut vehicle = client(address, path, &token(claims)).await;
        vehicle.subscribe(&["route:their-route", "order:their-order"]).await;
        let names = Names::new();
        let mut world = Self { address, bearer, vehicle, names };
        let (fence, lock) = world.fill().await;
        world.speak().await;
        world.names = world.names(fence, lock);
        world
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let bearer = [("authorization", self.bearer.as_str())];
        let answer = Api::of(self.address).call(method, path, &bearer, &body).await;
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text);
        answer.body
    }

    /// Who rides and who waits, and what is held: the fence of the one, the token of the other.
    async fn fill(&mut self) -> (Value, Value) {
        let capacity = json!({"capacity": 4, "pool": "route:their-route"});
        self.ask("PUT", "/api/vehicles/their-vehicle", capacity).await;
        for passenger in ["their-passenger", "their-rider"] {
            let at = json!({"lat": 1, "lon": 1});
            let waits = json!({"passenger_id": passenger, "pool": "route:their-route", "position": at});
            self.ask("POST", "/api/passengers", waits).await;
            self.vehicle.expect("commuter:spawned").await;
        }
        let boards = json!({"vehicle_id": "their-vehicle"});
        let rider = self.ask("PATCH", "/api/passengers/their-rider/board", boards).await;
        self.vehicle.expect("commuter:picked_up").await;
        self.ask("POST", "/api/revocations", json!({"subject": "their-revoked"})).await;
        let lock = json!({"ttl_ms": LOCK.as_millis() as u64});
        let lock = self.ask("POST", "/api/locks/their-lock", lock).await;
        (rider["fence"].clone(), lock["token"].clone())
    }

    /// Stored messages, and an order that is looked at.
    async fn speak(&mut self) {
        let view = json!({"type": "order:view", "data": {"order_id": "their-order"}});
        assert_eq!(self.vehicle.request(view).await["type"], "order:viewers");
        let topics = ["route:their-route", "order:their-order", "vehicle:their-vehicle"];
        let new = json!({"type": "order:new", "target": topics});
        self.ask("POST", "/api/publish", new).await;
        for _ in topics {
            self.vehicle.expect("order:new").await;
        }
    }

    fn names(&self, fence: Value, lock: Value) -> Names {
        let connection = self.vehicle.text("connection_id");
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut names = made_up(self.vehicle.text("node_id"));
        for all in names.values_mut() {
            for name in all {
                *name = name
                    .replace("no-such", "their")
                    .replace(&nobody(self.vehicle.text("node_id")), connection);
            }
        }
        names.insert("NodeId", vec![self.vehicle.text("node_id").to_owned()]);
        names.insert("Fence", vec![text(fence)]);
        names.insert("LockToken", vec![text(lock)]);
        names
    }

    /// What its own people see of it: all that others could have changed.
    pub(crate) async fn seen(&self) -> Value {
        let paths = [
            "/api/passengers",
            "/api/vehicles/their-vehicle/manifest",
            "/api/locks",
            "/api/revocations",
            "/api/orders/their-order/viewers",
            "/api/connections?agent=vehicle:their-vehicle",
            "/api/connections?session=their-session",
        ];
        let mut seen = Vec::new();
        for path in paths {
            seen.push(self.ask("GET", path, Value::Null).await);
        }
        let mut seen = Value::from(seen);
        without(&mut seen, &["ttl_ms", "last_activity"]);
        seen
    }

    /// Waits until it is seen as it was.
    pub(crate) async fn is_as(&self, before: &Value) {
        eventually("the world is as it was", PATIENCE, async || self.seen().await == *before).await;
    }
}

/// A connection that there never was.
fn nobody(node_id: &str) -> String {
    format!("{node_id}-zzzz")
}

/// Names of nothing, of the same number and forms.
pub(crate) fn made_up(node_id: &str) -> Names {
    let topics = [
        "pillar:no-such-pillar",
        "route:no-such-route",
        "order:no-such-order",
        "vehicle:no-such-vehicle",
        "session:no-such-session",
    ];
    let groups = ["namespace:vehicle-events", "agent_type:vehicle"];
    let one = |name: &str| vec![name.to_owned()];
    let connection = [format!("connection:{}", nobody(node_id))];
    Names::from([
        ("ConnectionId", vec![nobody(node_id)]),
        ("NodeId", one("no-such-node")),
        ("OrderId", one("no-such-order")),
        ("PassengerId", vec!["no-such-passenger".to_owned(), "no-such-rider".to_owned()]),
        ("Pool", one("route:no-such-route")),
        ("PoolKind", one("route")),
        ("PoolId", one("no-such-route")),
        ("Resource", one("no-such-lock")),
        ("SessionId", one("no-such-session")),
        ("Agent", one("vehicle:no-such-vehicle")),
        ("VehicleId", one("no-such-vehicle")),
        ("Pillar", one("no-such-pillar")),
        ("Topic", topics.into_iter().chain(groups).map(str::to_owned).chain(connection).collect()),
        ("LockToken", one("00000000000000000000000000000000")),
        ("Fence", one("1767254400000001")),
    ])
}

/// Takes these fields out, wherever they are.
pub(crate) fn without(value: &mut Value, fields: &[&str]) {
    match value {
        Value::Object(object) => {
            object.retain(|name, _| !fields.contains(&name.as_str()));
            object.values_mut().for_each(|value| without(value, fields));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| without(value, fields)),
        _ => {}
    }
}
