//! `signalbox seed` and `signalbox fleet` against two nodes on a real Redis, all of them processes.

use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use signalbox_testkit::{RedisServer, Strapi, eventually};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::client::Client;
use crate::fixture::{TestNode, config};
use crate::http::{call, get};
use crate::process::NodeProcess;

const PATIENCE: Duration = Duration::from_secs(60);

fn signalbox(nodes: &[&NodeProcess], args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signalbox"));
    command.args(args.split_whitespace());
    for node in nodes {
        command.args(["--url", &format!("http://{}", node.address)]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(node: &NodeProcess, args: &str) -> (i32, String) {
    let output = timeout(PATIENCE, signalbox(&[node], args).output()).await.expect("it ends").unwrap();
    let Output { status, stdout, stderr } = output;
    (status.code().unwrap(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// How many passengers of route 12 are in a state, by following the cursor.
async fn count(node: &NodeProcess, state: &str) -> usize {
    let mut count = 0;
    let mut cursor = String::new();
    loop {
        let path = format!("/api/passengers?route_id=12&state={state}&limit=100{cursor}");
        let (status, page) = get(node.address, &path).await;
        assert_eq!(status, 200, "{page}");
        count += page["items"].as_array().unwrap().len();
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return count,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeding_fills_a_reservoir_once_and_replaces_it_when_told() {
    let redis = RedisServer::start().await;
    let node = NodeProcess::start(&redis.url()).await;
    let seed = "seed --route 12 --depot 4 --type morning --count 300 --seed 7";

    let (code, told) = run(&node, seed).await;
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("pushed 300 passengers s7-"), "{told}");
    let waiting = count(&node, "waiting").await;
    assert!((100..200).contains(&waiting), "about half of them, the others at the depot: {waiting}");

    let (code, told) = run(&node, seed).await;
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("--replace"), "{told}");

    let (code, told) = run(&node, &format!("{seed} --replace --json")).await;
    assert_eq!(code, 0, "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["pushed"], &told["cancelled"], &told["label"]),
        (&json!(300), &json!(300), &json!("s7.1"))
    );
    assert_eq!((count(&node, "waiting").await, count(&node, "cancelled").await), (waiting, waiting));
}

/// A fleet whose live summary can be read.
struct Fleet {
    child: Child,
    summary: Lines<BufReader<ChildStderr>>,
}

impl Fleet {
    fn start(nodes: &[&NodeProcess], args: &str) -> Self {
        let mut child = signalbox(nodes, args).spawn().unwrap();
        let summary = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, summary }
    }

    async fn line(&mut self) -> String {
        timeout(PATIENCE, self.summary.next_line()).await.expect("in time").unwrap().expect("another line")
    }

    /// Waits until the live summary tells that somebody is on board.
    async fn carries_somebody(&mut self) {
        loop {
            let line = self.line().await;
            if line.contains(" on board ") && !line.contains(" on board 0 ") {
                return;
            }
        }
    }

    /// Its exit code, its summary, and what it said about it.
    async fn end(mut self) -> (i32, Value, String) {
        let mut rest = String::new();
        while let Ok(Some(line)) = timeout(PATIENCE, self.summary.next_line()).await.expect("in time") {
            rest = line;
        }
        let mut told = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut told).await.unwrap();
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap();
        (status.code().unwrap(), serde_json::from_str(&told).unwrap_or(Value::Null), rest)
    }
}

const VEHICLES: &str = "/api/connections?agent_type=vehicle";

const FLEET: &str = "fleet --vehicles 4 --routes 12 --capacity 5 --waiting 60 --spawn-rate 120 --speed 60 \
    --query-seconds 0.5 --json --seed 3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_goes_on_when_a_node_is_killed_and_nothing_is_violated() {
    let redis = RedisServer::start().await;
    let mut doomed = NodeProcess::start(&redis.url()).await;
    let survivor = NodeProcess::start(&redis.url()).await;
    let mut fleet = Fleet::start(&[&doomed, &survivor], &format!("{FLEET} --seconds 6"));
    fleet.carries_somebody().await;
    doomed.kill();
    let (code, summary, told) = fleet.end().await;
    assert_eq!(code, 0, "{told}\n{summary:#}");
    assert_eq!((&summary["violations"], &summary["unresolved"]), (&json!(0), &json!(0)), "{summary:#}");
    assert!(
        summary["boarded"].as_u64().unwrap() > 0 && summary["alighted"].as_u64().unwrap() > 0,
        "{summary:#}"
    );
    assert!(summary["connections_lost"].as_u64().unwrap() > 0, "{summary:#}");
    let on_board = || async { count(&survivor, "boarded").await };
    assert_eq!(on_board().await, 0, "everybody was let off at the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_outlives_a_redis_that_stands_still() {
    let redis = RedisServer::start().await;
    let node = NodeProcess::start(&redis.url()).await;
    let mut fleet = Fleet::start(&[&node], &format!("{FLEET} --seconds 6"));
    fleet.carries_somebody().await;
    redis.pause();
    // Two seconds in which some answers are lost.
    for _ in 0..2 {
        fleet.line().await;
    }
    redis.resume();
    let (code, summary, told) = fleet.end().await;
    assert_eq!(code, 0, "{told}\n{summary:#}");
    assert_eq!((&summary["violations"], &summary["unresolved"]), (&json!(0), &json!(0)), "{summary:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_finds_what_was_done_behind_its_back() {
    let redis = RedisServer::start().await;
    let node = NodeProcess::start(&redis.url()).await;
    let mut fleet = Fleet::start(&[&node], &format!("{FLEET} --seconds 4"));
    fleet.carries_somebody().await;
    // Somebody else boards a passenger of another pool on one of its vehicles.
    let (_, vehicles) = get(node.address, VEHICLES).await;
    let vehicle = vehicles["items"][0]["agent"].as_str().unwrap().trim_start_matches("vehicle:").to_owned();
    let stranger = json!({"passenger_id": "stranger", "pool": "route:99", "position": {"lat": 0, "lon": 0}});
    let (status, told) = call(node.address, "POST", "/api/passengers", &stranger.to_string()).await;
    assert_eq!(status, 201, "{told}");
    let board = json!({"vehicle_id": vehicle, "request_id": "1"}).to_string();
    // There may be no seat at the moment.
    let boards =
        || async { call(node.address, "PATCH", "/api/passengers/stranger/board", &board).await.0 == 200 };
    eventually("a seat is free", Duration::from_secs(3), boards).await;
    let (code, summary, told) = fleet.end().await;
    assert_eq!((code, &summary["violations"]), (1, &json!(1)), "{told}\n{summary:#}");
    let violation = summary["violations_told"][0].as_str().unwrap();
    assert!(violation.contains("on it alone [stranger]"), "{violation}");
    assert!(told.contains("1 violation"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_is_asked_to_stop_for_passengers_and_to_go_on_behind_them() {
    let redis = RedisServer::start().await;
    let node = NodeProcess::start(&redis.url()).await;
    let fleet = Fleet::start(&[&node], &format!("{FLEET} --seconds 4"));
    let connected = || async { get(node.address, VEHICLES).await.1["items"][0]["agent"].is_string() };
    eventually("the vehicle is there", PATIENCE, connected).await;
    let (_, vehicles) = get(node.address, VEHICLES).await;
    let vehicle = vehicles["items"][0]["agent"].as_str().unwrap();
    // The driver's own device, in the name of the vehicle.
    let mut driver = Client::connect_as(node.address, vehicle, "").await;
    for asked in ["vehicle:stop_requested", "vehicle:continue"] {
        let mut message = driver.next().await;
        while message["type"] != asked {
            message = driver.next().await;
        }
        assert_eq!(message["data"]["vehicle_id"], vehicle.trim_start_matches("vehicle:"), "{message}");
    }
    let (code, summary, told) = fleet.end().await;
    assert_eq!(code, 0, "{told}\n{summary:#}");
    assert!(summary["conflicts"].is_u64() && summary["stops_unheard"] == 0, "{summary:#}");
    assert!(summary["stops"].as_u64().unwrap() > 0, "{summary:#}");
    assert!(summary["waited"]["count"].as_u64().unwrap() > 0, "{summary:#}");
    assert!(summary["waited"]["mean_ms"].as_f64().unwrap() > 0.0, "{summary:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_conductors_share_what_one_of_them_had_loaded() {
    let strapi = Strapi::start().await;
    strapi.faults().set_delay(Duration::from_millis(50));
    let redis = RedisServer::start().await;
    let mut config = config(Some(&redis.url()));
    config.strapi.url = Some(strapi.url());
    let node = TestNode::start(&config).await;
    let args = format!(
        "fleet --conductors 5 --waiting 10 --seconds 2 --query-seconds 0.25 --json --url http://{}",
        node.address
    );
    let output = timeout(PATIENCE, signalbox(&[], &args).output()).await.expect("it ends").unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for way in ["http", "web_socket"] {
        let (way, asked) = (&report[way], report[way]["cached"]["count"].as_u64().unwrap());
        assert!(asked > 0 && way["hit_rate"].as_f64().unwrap() > 0.5, "{report:#}");
        assert_eq!((&way["failed"], &way["bypassed"]["count"]), (&json!(0), &json!(0)), "{report:#}");
    }
    assert!(report["http"]["missed"]["mean_ms"].as_f64().unwrap() >= 50.0, "a miss asks Strapi: {report:#}");
}
