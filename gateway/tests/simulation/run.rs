//! One run: nodes and clients, half a minute of trouble, and then what must hold when it is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use signalbox_protocol::Tenant;
use signalbox_registry::Directory;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::climate::Climate;
use crate::follower::Follower;
use crate::history::{Line, Record, Who};
use crate::nemesis::{self, agent};
use crate::oracle::{Rules, judge};
use crate::publisher::Publisher;
use crate::wire::Connection;
use crate::world::World;

/// How long there is trouble.
const TROUBLE: Duration = Duration::from_secs(30);
/// How long clients may need to come to rest afterwards.
const REST_MAX: Duration = Duration::from_secs(120);
/// Then everything that got lost is found: positions are checked twice.
const REPAIRED_AFTER: Duration = Duration::from_secs(25);
/// What is left of a connection is gone after this long.
const GONE_AFTER: Duration = Duration::from_secs(3);

const FOLLOWERS: [(&str, &str); 5] = [
    ("acme", "driver:D0"),
    ("acme", "driver:D0"),
    ("acme", "driver:D1"),
    ("acme", "driver:D2"),
    ("globex", "driver:D0"),
];
const PUBLISHERS: [(&str, &str); 3] = [("acme", "user:U0"), ("acme", "user:U1"), ("globex", "user:U0")];

/// What came of a run.
pub(crate) struct Story {
    pub(crate) record: Record,
    pub(crate) rules: Rules,
    /// What went wrong on purpose, and how often.
    pub(crate) tally: BTreeMap<&'static str, u64>,
}

impl Story {
    /// The promises that were broken.
    pub(crate) fn broken(&self) -> Vec<String> {
        judge(&self.record, &self.rules)
    }
}

/// Runs a seed, on a runtime and a clock of its own.
pub(crate) fn run(climate: Climate, seed: u64) -> Story {
    // What nodes do by chance.
    fastrand::seed(seed);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(play(climate, seed))
}

async fn play(climate: Climate, seed: u64) -> Story {
    let world = World::start(climate, seed).await;
    for node in world.up() {
        world.ready(&node).await;
    }
    let (calm, end) = (Instant::now() + TROUBLE, CancellationToken::new());
    let rage = world.tasks.spawn(nemesis::rage(Arc::clone(&world), calm));
    let followers = FOLLOWERS.map(|(tenant, agent)| {
        let follower = Follower::new(&world, tenant, agent);
        world.tasks.spawn(follower.live(calm, end.clone()))
    });
    let publishers = PUBLISHERS.map(|(tenant, agent)| {
        let publisher = Publisher::new(&world, tenant, agent);
        world.tasks.spawn(publisher.live(calm))
    });
    rage.await.unwrap();
    tokio::time::sleep_until(calm).await;
    world.weather.clears_up();
    if timeout(REST_MAX, join_all(publishers)).await.is_err() {
        world.history.blame("publishers came to no end".to_owned());
    }
    sleep(REPAIRED_AFTER).await;
    end.cancel();
    match timeout(REST_MAX, join_all(followers)).await {
        Ok(stayed) => settle(&world, stayed.into_iter().map(Result::unwrap).collect()).await,
        Err(_late) => world.history.blame("followers came to no end".to_owned()),
    }
    let half_known = climate.faults.commands_lost > 0;
    let rules = Rules { forgets: climate.forgets(), half_known, lost: world.weather.all_lost() };
    let (record, mut tally) = (world.history.record(), world.weather.tally());
    let declared = |line: &Line| matches!(line, Line::Resumed { recovered: false, .. });
    let declared = record.lines.iter().filter(|(_, _, line)| declared(line)).count();
    tally.insert("declared missing", declared as u64);
    Story { record, rules, tally }
}

/// Everybody is at rest: all are found where they are, and nothing is left when they are gone.
async fn settle(world: &World, stayed: Vec<(Who, Connection)>) {
    everybody_is_found(world, &stayed).await;
    drop(stayed);
    sleep(GONE_AFTER).await;
    let blame = |what: String| world.history.blame(what);
    for node in world.up() {
        let (topics, connections) = (node.node.cluster.bus.topics(), node.node.hub.len());
        if connections + node.node.hub.topics_len() + topics.len() > 0 {
            blame(format!("{} keeps {connections} connections, and follows {topics:?}", node.name));
        }
    }
    if world.cluster.leftovers() > 0 {
        blame(format!("{} entries are left in the registry", world.cluster.leftovers()));
    }
    for node in world.all() {
        world.stop(&node).await;
    }
    if !world.cluster.is_deserted() {
        blame("a lease is left, or somebody follows a topic".to_owned());
    }
}

async fn everybody_is_found(world: &World, stayed: &[(Who, Connection)]) {
    let clients = world.history.record().clients;
    for (who, _) in stayed {
        let client = &clients[*who];
        let tenant = Tenant::try_new(&client.tenant).unwrap();
        let rows = world.cluster.by_agent(&tenant, &agent(&client.agent)).await.unwrap();
        let mut found: Vec<_> = rows.iter().map(|row| row.connection_id.to_string()).collect();
        let same = stayed.iter().filter(|(other, _)| clients[*other] == *client);
        let mut there: Vec<_> =
            same.filter_map(|(_, connection)| connection.welcome["connection_id"].as_str()).collect();
        found.sort_unstable();
        there.sort_unstable();
        if found != there {
            world.history.blame(format!("of {client:?} are connected {there:?}, and found are {found:?}"));
        }
    }
}
