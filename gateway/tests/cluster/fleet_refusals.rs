//! Bad input to the fleet's HTTP API: a documented error, nothing changed, counted; and tenants apart.

use serde_json::{Value, json};

use crate::api::Api;
use crate::fixture::{TestCluster, TestNode, config};

/// COM_1 waits at `route:12`, COM_2 is on board V1, which is full; COM_3 has arrived.
async fn a_small_world(api: &mut Api) -> u64 {
    for id in ["COM_1", "COM_2", "COM_3"] {
        let passenger =
            json!({"passenger_id": id, "pool": "route:12", "position": {"lat": 13.1, "lon": -59.6}});
        api.post("/api/passengers", passenger).await.expect(201);
    }
    api.put("/api/vehicles/V1", json!({"capacity": 2})).await.expect(200);
    api.put("/api/vehicles/V2", json!({"capacity": 1})).await.expect(200);
    let [mut fence, mut last] = [0, 0];
    for (id, vehicle) in [("COM_3", "V2"), ("COM_2", "V1")] {
        let board = format!("/api/passengers/{id}/board");
        let boarded = api.patch(&board, json!({"vehicle_id": vehicle})).await.expect(200);
        (last, fence) = (fence, boarded["fence"].as_u64().unwrap());
    }
    api.patch("/api/passengers/COM_3/alight", json!({"fence": last})).await.expect(200);
    api.put("/api/vehicles/V1", json!({"capacity": 1})).await.expect(200);
    fence
}

/// Everything that could have been changed.
async fn snapshot(api: &mut Api) -> Value {
    let passengers = api.get("/api/passengers").await.expect(200);
    let vehicles =
        [api.get("/api/vehicles/V1").await.expect(200), api.get("/api/vehicles/V2").await.expect(200)];
    let missing = api.get("/api/vehicles/V9").await.status;
    json!([passengers, vehicles, missing])
}

/// Method, path, body, status, code, and what `details` have to hold.
type Row = (&'static str, &'static str, String, u16, &'static str, Value);

fn shapes() -> Vec<Row> {
    let post = |body: Value, details: Value| {
        ("POST", "/api/passengers", body.to_string(), 422, "invalid_data", details)
    };
    let with = |field: &str, value: Value| {
        let mut body = json!({"passenger_id": "NEW", "pool": "route:1", "position": {"lat": 1, "lon": 1}});
        body[field] = value;
        body
    };
    let without = |field: &str| {
        let mut body = with(field, json!(1));
        body.as_object_mut().unwrap().remove(field);
        body
    };
    let named = |field: &str| json!({ "field": field });
    vec![
        post(without("passenger_id"), named("passenger_id")),
        post(without("pool"), named("pool")),
        post(without("position"), named("position")),
        post(with("passenger_id", json!("a b")), named("passenger_id")),
        post(with("passenger_id", json!(7)), named("passenger_id")),
        post(with("pool", json!("tram:1")), named("pool")),
        post(with("route_id", json!("1")), named("pool")),
        post(with("position", json!({"lat": 91, "lon": 0})), named("position")),
        post(with("position", json!({"lat": 0, "lon": -180.5})), named("position")),
        post(with("position", json!({"lat": "NaN", "lon": 0})), named("position.lat")),
        post(with("position", json!({"lat": 1})), named("position.lon")),
        post(with("destination", json!({"lat": -86, "lon": 0})), named("destination")),
        post(with("priority", json!(10)), named("priority")),
        post(with("priority", json!(-1)), named("priority")),
        post(with("direction", json!("sideways")), named("direction")),
        post(with("max_walking_distance_m", json!(-1)), named("max_walking_distance_m")),
        post(with("expires_at", json!("2020-01-01T00:00:00Z")), named("expires_at")),
        post(with("expires_at", json!("soon")), named("expires_at")),
        post(json!("text"), named("body")),
        post(
            json!([with("passenger_id", json!("N1")), with("priority", json!(11))]),
            json!({"field": "priority", "index": 1}),
        ),
        post(json!([with("passenger_id", json!("N1")), 5]), json!({"field": "body", "index": 1})),
    ]
}

fn queries() -> Vec<Row> {
    let get = |path, status, code, details| ("GET", path, String::new(), status, code, details);
    let bad = |path, field: &str| get(path, 422, "invalid_data", json!({ "field": field }));
    vec![
        bad("/api/reservoirs/route/12/query?lon=1", "lat"),
        bad("/api/reservoirs/route/12/query?lat=NaN&lon=1", "lat"),
        bad("/api/reservoirs/route/12/query?lat=1&lon=inf", "lon"),
        bad("/api/reservoirs/route/12/query?lat=90.5&lon=1", "lat"),
        bad("/api/reservoirs/route/12/query?lat=1&lon=181", "lon"),
        bad("/api/reservoirs/route/12/query?lat=north&lon=1", "lat"),
        bad("/api/reservoirs/route/12/query?lat=1&lat=2&lon=1", "lat"),
        bad("/api/reservoirs/route/12/query?lat=1&lon=1&radius_km=-1", "radius_km"),
        bad("/api/reservoirs/route/12/query?lat=1&lon=1&radius_km=0", "radius_km"),
        bad("/api/reservoirs/route/12/query?lat=1&lon=1&radius_km=NaN", "radius_km"),
        bad("/api/reservoirs/route/12/query?lat=1&lon=1&radius_km=100.1", "radius_km"),
        bad("/api/reservoirs/route/12/query?lat=1&lon=1&max_results=0", "max_results"),
        bad("/api/reservoirs/route/12/query?lat=1&lon=1&max_results=1001", "max_results"),
        bad("/api/reservoirs/route/12/query?lat=1&lon=1&max_results=-3", "max_results"),
        get("/api/reservoirs/tram/12/query?lat=1&lon=1", 404, "not_found", Value::Null),
        get("/api/reservoirs/tram/12", 404, "not_found", Value::Null),
        get("/api/reservoirs/route/a%20b", 404, "not_found", Value::Null),
        bad("/api/passengers?route_id=1&depot_id=2", "route_id"),
        bad("/api/passengers?route_id=a%20b", "route_id"),
        bad("/api/passengers?depot_id=", "depot_id"),
        bad("/api/passengers?state=asleep", "state"),
        bad("/api/passengers?limit=ten", "limit"),
        bad("/api/passengers?cursor=%20", "cursor"),
        bad("/api/passengers?tenant=a%2Fb", "tenant"),
        ("DELETE", "/api/passengers", String::new(), 422, "invalid_data", json!({"field": "route_id"})),
        (
            "DELETE",
            "/api/passengers?route_id=1&depot_id=1",
            String::new(),
            422,
            "invalid_data",
            json!({"field": "route_id"}),
        ),
    ]
}

fn states(fence: u64) -> Vec<Row> {
    let patch =
        |path, body: Value, status, code, details| ("PATCH", path, body.to_string(), status, code, details);
    let conflict = |path, body, details| patch(path, body, 409, "conflict", details);
    let v1 = json!({"vehicle_id": "V1"});
    let v2 = json!({"vehicle_id": "V2"});
    let by_v1 = |reason| json!({"reason": reason, "state": "boarded", "boarded_by": "V1"});
    let not_found = |path, body| patch(path, body, 404, "not_found", Value::Null);
    vec![
        conflict(
            "/api/passengers/COM_1/board",
            v1.clone(),
            json!({"reason": "full", "state": "waiting", "boarded_by": null}),
        ),
        conflict("/api/passengers/COM_2/board", v2.clone(), by_v1("boarded")),
        conflict(
            "/api/passengers/COM_3/board",
            v2.clone(),
            json!({"reason": "state", "state": "alighted", "boarded_by": "V2"}),
        ),
        conflict("/api/passengers/COM_2/alight", json!({"fence": fence - 1}), by_v1("stale_fence")),
        conflict("/api/passengers/COM_2/alight", json!({"fence": fence + 1}), by_v1("stale_fence")),
        conflict(
            "/api/passengers/COM_1/alight",
            json!({"fence": fence}),
            json!({"reason": "state", "state": "waiting", "boarded_by": null}),
        ),
        not_found("/api/passengers/NOBODY/board", v2.clone()),
        not_found("/api/passengers/COM_1/board", json!({"vehicle_id": "V9"})),
        not_found("/api/passengers/NOBODY/alight", json!({"fence": 1})),
        not_found("/api/passengers/a%20b/alight", json!({"fence": 1})),
        patch("/api/passengers/NOBODY/board", json!({}), 422, "invalid_data", json!({"field": "vehicle_id"})),
        patch("/api/passengers/a%20b/board", json!({}), 422, "invalid_data", json!({"field": "vehicle_id"})),
        patch(
            "/api/passengers/COM_1/board",
            json!({"vehicle_id": "V2", "request_id": ""}),
            422,
            "invalid_data",
            json!({"field": "request_id"}),
        ),
        patch(
            "/api/passengers/COM_1/board",
            json!({"vehicle_id": "V2", "fence": -1}),
            422,
            "invalid_data",
            json!({"field": "fence"}),
        ),
        patch(
            "/api/passengers/COM_2/alight",
            json!({"fence": 1.5}),
            422,
            "invalid_data",
            json!({"field": "fence"}),
        ),
        patch("/api/passengers/COM_2/alight", json!({}), 422, "invalid_data", json!({"field": "fence"})),
    ]
}

fn vehicles_and_names() -> Vec<Row> {
    let put = |body: Value, field: &str| {
        ("PUT", "/api/vehicles/V9", body.to_string(), 422, "invalid_data", json!({ "field": field }))
    };
    vec![
        ("POST", "/api/passengers", "{".to_owned(), 400, "invalid_json", Value::Null),
        ("POST", "/api/passengers", String::new(), 400, "invalid_json", Value::Null),
        ("POST", "/api/passengers", r#"{"lat": NaN}"#.to_owned(), 400, "invalid_json", Value::Null),
        ("POST", "/api/passengers", "\u{0}".to_owned(), 400, "invalid_json", Value::Null),
        put(json!({}), "capacity"),
        put(json!({"capacity": 0}), "capacity"),
        put(json!({"capacity": 10_001}), "capacity"),
        put(json!({"capacity": -1}), "capacity"),
        put(json!({"capacity": 2, "pool": "vehicle:1"}), "pool"),
        ("PUT", "/api/vehicles/a%20b", json!({"capacity": 2}).to_string(), 404, "not_found", Value::Null),
        ("GET", "/api/vehicles/V9", String::new(), 404, "not_found", Value::Null),
        ("GET", "/api/vehicles/V9/manifest", String::new(), 404, "not_found", Value::Null),
        ("GET", "/api/passengers/NOBODY", String::new(), 404, "not_found", Value::Null),
        ("GET", "/api/passengers/%ff", String::new(), 404, "not_found", Value::Null),
        ("DELETE", "/api/passengers/NOBODY", String::new(), 404, "not_found", Value::Null),
        (
            "DELETE",
            "/api/passengers/COM_3",
            String::new(),
            409,
            "conflict",
            json!({"reason": "state", "state": "alighted"}),
        ),
    ]
}

async fn refuses_it_all(mut api: Api) {
    let fence = a_small_world(&mut api).await;
    let before = snapshot(&mut api).await;
    let counted = refusals_counted(&mut api).await;
    let rows: Vec<Row> = [shapes(), queries(), states(fence), vehicles_and_names()].concat();
    for (method, path, body, status, code, details) in &rows {
        let problem = api.call(method, path, &[], body).await;
        assert_eq!(problem.headers["content-type"], "application/problem+json", "{method} {path}");
        let problem = problem.expect(*status);
        let told = (&problem["code"], problem.get("details").unwrap_or(&Value::Null));
        assert_eq!(told, (&json!(code), details), "{method} {path} {body}: {problem}");
    }
    let exists = json!([
        {"passenger_id": "NEW", "pool": "route:12", "position": {"lat": 1, "lon": 1}},
        {"passenger_id": "COM_2", "pool": "route:12", "position": {"lat": 1, "lon": 1}},
    ]);
    let problem = api.post("/api/passengers", exists.clone()).await.expect(409);
    assert_eq!(problem["details"], json!({"reason": "exists", "passenger_id": "COM_2", "index": 1}));
    api.post("/api/passengers", exists[1].clone()).await.expect(409);
    let twice = json!([exists[0], exists[0]]);
    assert_eq!(api.post("/api/passengers", twice).await.expect(409)["details"]["index"], 1);
    let crowd: Vec<&Value> = std::iter::repeat_n(&exists[0], 10_001).collect();
    api.post("/api/passengers", json!(crowd)).await.expect(413);
    assert_eq!(snapshot(&mut api).await, before, "nothing was changed");
    let refused = refusals_counted(&mut api).await - counted;
    // Beside the rows: these four, and the look for V9 of each snapshot.
    assert_eq!(refused, rows.len() as u64 + 4 + 1, "each was counted");
    api.conforms().await;
}

async fn refusals_counted(api: &mut Api) -> u64 {
    let metrics = api.get("/metrics").await.text;
    let line = metrics.lines().find(|line| line.starts_with("signalbox_http_requests_total{status=\"4xx\"}"));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_told_counted_and_changes_nothing_in_memory() {
    let node = TestNode::start(&config(None)).await;
    refuses_it_all(Api::of(node.address)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_told_counted_and_changes_nothing_over_redis() {
    let cluster = TestCluster::start(1).await;
    refuses_it_all(Api::of(cluster.nodes[0].address)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capacity_below_those_on_board_is_refused() {
    let node = TestNode::start(&config(None)).await;
    let mut api = Api::of(node.address);
    api.put("/api/vehicles/V", json!({"capacity": 2})).await.expect(200);
    for id in ["A", "B"] {
        let passenger = json!({"passenger_id": id, "pool": "route:1", "position": {"lat": 1, "lon": 1}});
        api.post("/api/passengers", passenger).await.expect(201);
        api.patch(&format!("/api/passengers/{id}/board"), json!({"vehicle_id": "V"})).await.expect(200);
    }
    let problem = api.put("/api/vehicles/V", json!({"capacity": 1})).await.expect(409);
    assert_eq!(problem["details"], json!({"reason": "capacity", "on_board": 2}));
    assert_eq!(api.get("/api/vehicles/V").await.expect(200)["capacity"], 2);
    api.conforms().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tenants_passengers_and_vehicles_are_not_there() {
    let cluster = TestCluster::start(1).await;
    let mut api = Api::of(cluster.nodes[0].address);
    let fence = a_small_world(&mut api).await;
    let before = snapshot(&mut api).await;
    for path in ["/api/passengers/COM_1", "/api/vehicles/V1", "/api/vehicles/V1/manifest"] {
        api.get(&format!("{path}?tenant=other")).await.expect(404);
    }
    assert_eq!(api.get("/api/passengers?tenant=other").await.expect(200)["items"], json!([]));
    assert_eq!(api.get("/api/reservoirs/route/12?tenant=other").await.expect(200)["available"], 0);
    api.delete("/api/passengers/COM_1?tenant=other").await.expect(404);
    assert_eq!(api.delete("/api/passengers?route_id=12&tenant=other").await.expect(200)["cancelled"], 0);
    api.patch("/api/passengers/COM_2/alight?tenant=other", json!({"fence": fence})).await.expect(404);
    // Their passenger and our vehicle: neither way.
    let passenger = json!({"passenger_id": "THEIRS", "pool": "route:12", "position": {"lat": 1, "lon": 1}});
    api.post("/api/passengers?tenant=other", passenger).await.expect(201);
    api.patch("/api/passengers/THEIRS/board?tenant=other", json!({"vehicle_id": "V2"})).await.expect(404);
    api.patch("/api/passengers/THEIRS/board", json!({"vehicle_id": "V2"})).await.expect(404);
    assert_eq!(snapshot(&mut api).await, before, "nothing was changed");
    api.conforms().await;
}
