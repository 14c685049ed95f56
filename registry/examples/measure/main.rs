//! Measures the Redis back end: registrations, look-ups and locks per second, bytes per connection, the bus, and
//! what it costs to hand a lock over.
//!
//! ```text
//! cargo run --release -p signalbox-registry --example measure [redis://host:port] [links]
//! cargo run --release -p signalbox-registry --example measure growth [redis://host:port] [rows ..]
//! ```
//! Without a URL it starts a Redis of its own. Whoever publishes the figures pins Redis to a core.
#![expect(clippy::print_stdout, reason = "the figures are what this is for")]
#![expect(clippy::unwrap_used, reason = "a measurement that meets an error is none")]

mod growth;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use signalbox_protocol::{Agent, ConnectionId, NodeId, Resource, SessionId, Tenant, Topic};
use signalbox_registry::bus::Break;
use signalbox_registry::lock::{Acquired, Ask, Grant};
use signalbox_registry::redis::{RedisConfig, connect};
use signalbox_registry::{
    Announcement, BusListener, Cluster, Destination, Logged, NodeCard, Parcel, Row, ThisNode,
};
use signalbox_testkit::{RedisServer, eventually};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const CONNECTIONS: u64 = 50_000;
const CALLERS: u64 = 256;
const CONTENDERS: u64 = 1_000;
const MESSAGES: u64 = 200_000;
const FRAME_BYTES: usize = 200;
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Heard(AtomicU64);

impl BusListener for Heard {
    fn on_parcel(&self, _: &NodeId, _: Parcel) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn on_announcement(&self, _: Announcement) {}

    fn on_logged(&self, _: Logged) {}

    fn on_break(&self, what: Break) {
        println!("the bus broke: {what:?}");
    }
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1).peekable();
    let grows = args.next_if(|word| word == "growth").is_some();
    let (url, _server) = match args.next_if(|word| word.contains("://")) {
        Some(url) => (url, None),
        None => {
            let server = RedisServer::start().await;
            (server.url(), Some(server))
        }
    };
    if grows {
        let sizes = args.map(|rows| rows.parse().unwrap()).collect();
        return growth::run(&url, sizes).await;
    }
    let links = args.next().map_or(1, |links| links.parse().unwrap());
    let config = RedisConfig { links, ..RedisConfig::new(&url) };
    let (a, _) = node("a", &config).await;
    let (b, heard) = node("b", &config).await;
    registrations(&a, &b).await;
    locks(&a, &url).await;
    hand_overs(&a, &b, &url).await;
    one_at_a_time(&a, &b).await;
    flood(&a, &b, &heard).await;
}

async fn node(id: &str, config: &RedisConfig) -> (Arc<Cluster>, Arc<Heard>) {
    let node = ThisNode::new(NodeId::try_new(id).unwrap());
    let (tracker, heard) = (TaskTracker::new(), Arc::new(Heard::default()));
    let cluster = connect(config, Arc::clone(&node), &tracker, CancellationToken::new()).unwrap();
    cluster.bus.attach(Arc::clone(&heard) as _);
    eventually("the node is ready", PATIENCE, || async { cluster.bus.health().healthy }).await;
    node.next_generation();
    let card = NodeCard {
        node_id: node.id().clone(),
        generation: node.generation(),
        address: String::new(),
        version: String::new(),
        started_at_ms: 0,
        stats: String::new(),
    };
    cluster.lease.acquire(&card).await.unwrap();
    let lease = Arc::clone(&cluster.lease);
    tracker.spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            lease.renew(&card).await.unwrap();
        }
    });
    (Arc::new(cluster), heard)
}

fn row(node: &Cluster, number: u64) -> Row {
    let connection_id = ConnectionId::of_node(node.node.id(), number);
    Row {
        tenant: Tenant::try_new("default").unwrap(),
        agent: Agent::of("vehicle", &format!("V{number}")).unwrap(),
        session_id: SessionId::try_new(&format!("{connection_id}~0d9vz2m4kq8w1x7c5b3n6p")).unwrap(),
        session_named: false,
        pillar: None,
        namespaces: Vec::new(),
        node_id: node.node.id().clone(),
        generation: node.node.generation(),
        connected_at_ms: 1_767_225_600_000,
        last_activity_ms: 1_767_225_600_000,
        connection_id,
    }
}

/// Lets `CALLERS` tasks share the work; per second.
async fn rate<F>(what: &str, work: impl Fn(u64) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (begun, mut callers) = (Instant::now(), JoinSet::new());
    for caller in 0..CALLERS {
        let mine: Vec<_> = (caller..CONNECTIONS).step_by(CALLERS as usize).map(&work).collect();
        callers.spawn(async move {
            for step in mine {
                step.await;
            }
        });
    }
    callers.join_all().await;
    println!("{what}: {:.0}/s", CONNECTIONS as f64 / begun.elapsed().as_secs_f64());
}

async fn registrations(a: &Arc<Cluster>, b: &Arc<Cluster>) {
    rate("registrations", |number| {
        let a = Arc::clone(a);
        async move {
            a.directory.register(&row(&a, number), "x").await.unwrap();
        }
    })
    .await;
    rate("look-ups of the nodes of an agent", |number| {
        let b = Arc::clone(b);
        async move {
            let agent = Topic::of("vehicle", &format!("V{number}")).unwrap();
            let nodes = b.directory.nodes_of(&Tenant::try_new("default").unwrap(), &agent).await.unwrap();
            assert_eq!(nodes.len(), 1);
        }
    })
    .await;
    let rows: Vec<_> = (0..CONNECTIONS).map(|number| row(a, number)).collect();
    let begun = Instant::now();
    for some in rows.chunks(256) {
        a.directory.refresh(some).await.unwrap();
    }
    println!("refreshes: {:.0}/s", CONNECTIONS as f64 / begun.elapsed().as_secs_f64());
    let (group, begun) = (Topic::of("agent_type", "vehicle").unwrap(), Instant::now());
    let page = b.presence.members(&rows[0].tenant, &group, None, 100).await.unwrap();
    println!("a page of {} members: {:?}", page.connections, begun.elapsed());
    a.lease.release(a.node.id(), a.node.generation()).await.unwrap();
    let begun = Instant::now();
    let swept = b.lease.sweep().await.unwrap();
    println!("a sweep of {} rows: {:?}", swept.rows, begun.elapsed());
}

fn parcel(number: u64) -> (Destination, Parcel) {
    let parcel = Parcel::Deliver {
        tenant: Tenant::try_new("default").unwrap(),
        topic: Topic::of("vehicle", &format!("V{}", number % 1_000)).unwrap(),
        conflation: 0,
        frame: vec![b'x'; FRAME_BYTES].into(),
    };
    (Destination::Node(NodeId::try_new("b").unwrap()), parcel)
}

/// Asks Redis with `redis-cli`.
fn redis(url: &str, args: &[&str]) -> String {
    let output = std::process::Command::new("redis-cli").args(["-u", url]).args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Microseconds that Redis worked at a script on average since the last `resetstat`, and how many it ran.
fn per_script(url: &str) -> String {
    let stats = redis(url, &["info", "commandstats"]);
    stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:")).unwrap_or("none").to_owned()
}

fn ask(resource: &str, number: u64, wait: Duration) -> Ask {
    Ask {
        tenant: Tenant::try_new("default").unwrap(),
        resource: Resource::try_new(resource).unwrap(),
        owner: Agent::of("vehicle", &format!("V{number}")).unwrap(),
        subject: "vehicle:V1".to_owned(),
        request_id: None,
        ttl: PATIENCE,
        wait,
    }
}

async fn grant(node: &Cluster, ask: &Ask) -> Grant {
    match node.locks.acquire(ask).await.unwrap() {
        Acquired::Granted(grant) => grant,
        Acquired::Denied(denial) => panic!("{denial:?}"),
    }
}

/// Each lock is taken and released once, by whoever gets to it.
async fn locks(a: &Arc<Cluster>, url: &str) {
    let tokens = Arc::new(Mutex::new(HashMap::new()));
    redis(url, &["config", "resetstat"]);
    rate("acquisitions", |number| {
        let (a, tokens) = (Arc::clone(a), Arc::clone(&tokens));
        async move {
            let token = grant(&a, &ask(&format!("bay-{number}"), number, Duration::ZERO)).await.token;
            tokens.lock().unwrap().insert(number, token);
        }
    })
    .await;
    println!("  {}", per_script(url));
    redis(url, &["config", "resetstat"]);
    rate("releases", |number| {
        let (a, token) = (Arc::clone(a), tokens.lock().unwrap().remove(&number).unwrap());
        async move {
            let ask = ask(&format!("bay-{number}"), number, Duration::ZERO);
            a.locks.release(&ask.tenant, &ask.resource, &token).await.unwrap();
        }
    })
    .await;
    println!("  {}", per_script(url));
}

/// A thousand contenders on two nodes, each of which has the lock once.
async fn hand_overs(a: &Arc<Cluster>, b: &Arc<Cluster>, url: &str) {
    let first = ask("bay", 0, Duration::ZERO);
    let token = grant(a, &first).await.token;
    let (released, mut crowd) = (Arc::new(Mutex::new(Instant::now())), JoinSet::new());
    for number in 1..=CONTENDERS {
        let node = Arc::clone(if number % 2 == 0 { a } else { b });
        let released = Arc::clone(&released);
        crowd.spawn(async move {
            let ask = ask("bay", number, PATIENCE);
            let token = grant(&node, &ask).await.token;
            let took = released.lock().unwrap().elapsed();
            *released.lock().unwrap() = Instant::now();
            node.locks.release(&ask.tenant, &ask.resource, &token).await.unwrap();
            took
        });
    }
    let lined_up = || async { a.locks.counters().waiting + b.locks.counters().waiting == CONTENDERS };
    eventually("all stand in line", PATIENCE, lined_up).await;
    redis(url, &["config", "resetstat"]);
    let begun = Instant::now();
    *released.lock().unwrap() = begun;
    a.locks.release(&first.tenant, &first.resource, &token).await.unwrap();
    let mut took = crowd.join_all().await;
    took.sort_unstable();
    let at = |part: f64| took[(took.len() as f64 * part) as usize];
    println!(
        "hand-overs: {:.0}/s, p50 {:?}, p99 {:?}",
        CONTENDERS as f64 / begun.elapsed().as_secs_f64(),
        at(0.5),
        at(0.99)
    );
    println!("  {}", per_script(url));
}

async fn one_at_a_time(a: &Cluster, b: &Cluster) {
    let before = b.bus.counters().parcels_in;
    let mut took: Vec<_> = Vec::new();
    for number in 0..5_000 {
        let (to, parcel) = parcel(number);
        let begun = Instant::now();
        a.bus.post_confirmed(&to, parcel).await.unwrap();
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    eventually("all arrived", PATIENCE, || async { b.bus.counters().parcels_in == before + 5_000 }).await;
    println!("a confirmed post, one at a time: p50 {:?} p99 {:?}", took[2_500], took[4_950]);
}

async fn flood(a: &Arc<Cluster>, b: &Cluster, heard: &Heard) {
    let (before, begun) = (a.bus.counters(), Instant::now());
    let heard_before = heard.0.load(Ordering::Relaxed);
    let mut posted = 0;
    while posted < MESSAGES {
        let (to, parcel) = parcel(posted);
        match a.bus.post(&to, parcel) {
            Ok(()) => posted += 1,
            Err(_) => tokio::task::yield_now().await,
        }
        if posted.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
    }
    eventually("all arrived", PATIENCE, || async {
        heard.0.load(Ordering::Relaxed) >= heard_before + MESSAGES
    })
    .await;
    let (after, took) = (a.bus.counters(), begun.elapsed());
    let per_publish = MESSAGES as f64 / (after.batches_out - before.batches_out) as f64;
    println!("posts: {:.0}/s, {per_publish:.1} per PUBLISH", MESSAGES as f64 / took.as_secs_f64());
    println!("late {}, missed {}", b.bus.counters().batches_late, b.bus.counters().batches_missed);
}
