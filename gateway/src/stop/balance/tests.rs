//! Shares and looks by numbers; then clients who move between whole nodes, by a paused clock.

use std::sync::Mutex;
use std::sync::atomic::Ordering::Release;

use fastrand::Rng;
use signalbox_protocol::NodeId;
use signalbox_registry::memory::MemoryCluster;
use tokio::time::{advance, sleep};

use super::super::tests::{Seen, see};
use super::super::turnover::tests::in_good_order;
use super::*;
use crate::keeper;
use crate::node::Settings;
use crate::testing::{Client, default_settings, join, node_in, queued};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const AFTER: Duration = Duration::from_secs(15);

fn share(over_mean_percent: u32) -> Share {
    Share { over_mean_percent, lasting: AFTER }
}

#[test]
fn a_share_is_the_mean_and_so_much_more() {
    for (percent, connections, nodes, expected) in
        [(10, 40, 2, 22), (20, 60, 3, 24), (10, 10, 4, 3), (100, 10, 1, 20), (5, 0, 3, 0), (10, 1, 3, 1)]
    {
        assert_eq!(share(percent).of(connections, nodes), expected, "{percent} {connections} {nodes}");
    }
}

/// Looks once a second until some go: how many, and after how long.
async fn until_some_go(balance: &mut Balance, excess: impl Fn(u64) -> u64) -> (u64, Duration) {
    let began = Instant::now();
    for second in 0.. {
        if let Some(many) = balance.weigh(excess(second), Instant::now()) {
            return (many, began.elapsed());
        }
        advance(SECOND).await;
    }
    unreachable!("some go in the end")
}

#[tokio::test(start_paused = true)]
async fn an_excess_has_to_last_and_no_more_than_the_least_of_it_goes() {
    let mut waited = Vec::new();
    for _ in 0..50 {
        let mut balance = Balance::new(share(10));
        let (many, after) = until_some_go(&mut balance, |second| if second == 9 { 7 } else { 100 }).await;
        assert_eq!(many, 7);
        assert!((AFTER..=AFTER * 3 / 2 + SECOND).contains(&after), "{after:?}");
        waited.push(after);
    }
    assert!(waited.iter().max() > waited.iter().min(), "nodes do not act together");
    let mut balance = Balance::new(share(10));
    let (_, after) = until_some_go(&mut balance, |second| if second == 9 { 0 } else { 100 }).await;
    assert!(after >= 10 * SECOND + AFTER, "it was over in between: {after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_excess_goes_in_steps_and_each_comes_as_soon_as_the_first() {
    let mut balance = Balance::new(share(10));
    for left in (5_000..=30_000_u64).rev().step_by(TOLD_A_LOOK) {
        let (many, after) = until_some_go(&mut balance, |_| left).await;
        assert!(many == TOLD_A_LOOK as u64 && after <= AFTER * 3 / 2 + SECOND, "{many} {after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_they_come_back_it_waits_twice_as_long_each_time_and_no_longer_than_an_hour() {
    let mut balance = Balance::new(share(10));
    let mut waits = Vec::new();
    for _ in 0..14 {
        waits.push(until_some_go(&mut balance, |_| 100).await.1);
    }
    for (round, wait) in waits.iter().enumerate() {
        let least = (AFTER * 2_u32.pow(round.saturating_sub(1) as u32)).min(PATIENCE_MAX);
        assert!((least..=least * 3 / 2 + SECOND).contains(wait), "{round}: {wait:?}");
    }
    let (_, after) = until_some_go(&mut balance, |second| if second < 40_000 { 0 } else { 100 }).await;
    assert!(after < 40_000 * SECOND + 2 * PATIENCE_MAX);
    assert!(until_some_go(&mut balance, |_| 100).await.1 >= AFTER);
}

fn card(node_id: &str, stats: &str) -> NodeCard {
    let (address, version) = (String::new(), String::new());
    let node_id = NodeId::try_new(node_id).unwrap();
    NodeCard { node_id, generation: 1, address, version, started_at_ms: 0, stats: stats.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn only_nodes_that_serve_and_can_be_read_have_a_share() {
    let node = node_in(&MemoryCluster::new(), "n1", default_settings()).await;
    let mut connections = Vec::new();
    for _ in 0..20 {
        connections.push(join(&node, "").await);
    }
    let excess = |others: &[NodeCard]| {
        let own = card("n1", r#"{"connections":500,"phase":"serving"}"#);
        node.peers.store(Arc::new([&[own], others].concat()));
        super::excess(&node, share(10))
    };
    let few = || card("n2", r#"{"connections":4,"phase":"serving","by_pillar":{}}"#);
    assert_eq!(excess(&[]), 0, "alone");
    assert_eq!(excess(&[few()]), 20 - 14, "what it wrote on its own card is older");
    assert_eq!(excess(&[card("n2", r#"{"connections":4}"#)]), 6, "of a version that tells no phase");
    assert_eq!(excess(&[card("n2", r#"{"connections":4,"phase":"not_ready"}"#)]), 0, "it stops");
    assert_eq!(excess(&[card("n2", "not ours")]), 0);
    assert_eq!(excess(&[few(), card("n3", "not ours")]), 6);
    assert_eq!(excess(&[card("n2", r#"{"connections":30}"#)]), 0);
    connections[..4].iter().for_each(|connection| tell(&node, connection, DrainReason::Balance));
    assert_eq!(excess(&[few()]), 2, "those who leave already are not counted twice");
    node.lease_held.store(false, Release);
    assert_eq!(excess(&[few()]), 0, "nobody could come in anywhere");
    node.lease_held.store(true, Release);
    node.enter(StopPhase::NotReady);
    node.enter(StopPhase::Refusing);
    assert_eq!(excess(&[few()]), 0, "the drain sees to all");
}

#[tokio::test(start_paused = true)]
async fn off_it_does_not_even_look() {
    let node = node_in(&MemoryCluster::new(), "n1", default_settings()).await;
    let connection = join(&node, "").await;
    node.peers.store(Arc::new(vec![card("n2", r#"{"connections":0}"#), card("n3", r#"{"connections":0}"#)]));
    let mut balance = Balance::new(node.settings.share);
    for _ in 0..100 {
        balance.look(&node);
        advance(SECOND).await;
    }
    assert!(queued(&connection).is_empty() && node.departures.next_turn().is_none());
}

/// Nodes, and vehicles who connect again whenever they are closed.
struct Fleet {
    nodes: Vec<Arc<Node>>,
    seen: Arc<Mutex<Vec<(usize, Seen)>>>,
}

/// Which node a balancer sends somebody to.
type Choose = fn(&[Arc<Node>], &mut Rng) -> usize;

fn emptiest(nodes: &[Arc<Node>], _: &mut Rng) -> usize {
    (0..nodes.len()).min_by_key(|place| nodes[*place].hub.len()).unwrap()
}

fn any(nodes: &[Arc<Node>], rng: &mut Rng) -> usize {
    rng.usize(..nodes.len())
}

fn the_first(_: &[Arc<Node>], _: &mut Rng) -> usize {
    0
}

impl Fleet {
    /// All vehicles are on the first of so many nodes.
    async fn start(nodes: usize, vehicles: usize, percent: u32, choose: Choose) -> Self {
        let cluster = MemoryCluster::new();
        let mut settings = Settings { share: share(percent), embedded: false, ..default_settings() };
        settings.stop.closes_per_second = 10;
        let mut started = Vec::new();
        for number in 0..nodes {
            let node = node_in(&cluster, &format!("n{number}"), settings.clone()).await;
            drop(keeper::spawn(&node));
            started.push(node);
        }
        let fleet = Self { nodes: started, seen: Arc::default() };
        for number in 0..vehicles {
            let first = Client::connect(&fleet.nodes[0], &Self::query(number)).await;
            fleet.drive(number, first, choose);
        }
        fleet
    }

    fn query(number: usize) -> String {
        format!("agent_type=vehicle&agent_id=V{number}")
    }

    fn drive(&self, number: usize, mut client: Client, choose: Choose) {
        let (nodes, all) = (self.nodes.clone(), Arc::clone(&self.seen));
        let mut rng = Rng::with_seed(number as u64);
        self.nodes[0].tasks.spawn(async move {
            loop {
                let seen = see(client).await;
                all.lock().unwrap().push((number, seen));
                // It takes a while to come back.
                sleep(Duration::from_millis(rng.u64(10..500))).await;
                client = Client::connect(&nodes[choose(&nodes, &mut rng)], &Self::query(number)).await;
            }
        });
    }

    fn counts(&self) -> Vec<usize> {
        self.nodes.iter().map(|node| node.hub.len()).collect()
    }

    fn moves(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_added_gets_its_share_at_the_pace_and_then_nobody_moves() {
    let fleet = Fleet::start(2, 40, 10, emptiest).await;
    sleep(20 * MINUTE).await;
    assert_eq!(fleet.counts(), [22, 18]);
    let (mut who, seen): (Vec<_>, Vec<_>) =
        std::mem::take(&mut *fleet.seen.lock().unwrap()).into_iter().unzip();
    in_good_order(&seen, 10);
    who.sort_unstable();
    assert_eq!(who, (0..18).collect::<Vec<_>>(), "those who had been there for longest, each once");
    assert_eq!(fleet.nodes[0].metrics.departures.with_label_values(&["balance"]).get(), 18);
}

#[tokio::test(start_paused = true)]
async fn nodes_do_not_throw_clients_to_and_fro() {
    let fleet = Fleet::start(3, 90, 20, any).await;
    sleep(10 * MINUTE).await;
    let settled = fleet.moves();
    let most = share(20).of(90, 3) as usize;
    assert!(fleet.counts().iter().all(|count| *count <= most), "{:?}", fleet.counts());
    // Of those who leave the first node a third comes back to it.
    assert!((54..=54 * 2).contains(&settled), "{settled}");
    sleep(20 * MINUTE).await;
    assert_eq!(fleet.moves(), settled, "nobody moves any more");
}

#[tokio::test(start_paused = true)]
async fn where_the_balancer_sends_them_back_they_are_left_in_peace() {
    let fleet = Fleet::start(2, 20, 10, the_first).await;
    sleep(60 * MINUTE).await;
    assert_eq!(fleet.counts(), [20, 0]);
    // 15 s, 15 s, 30 s, and so on, make eight times in an hour.
    assert!((9..=9 * 9).contains(&fleet.moves()), "{}", fleet.moves());
}
