//! A drain from the first step to the last, by a paused clock: over the memory back end, with a second node that
//! looks on.

use std::time::Duration;

use serde_json::json;
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::control::{DrainReason, Draining};
use signalbox_registry::memory::MemoryCluster;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::admission::Rank;
use crate::keeper;
use crate::node::{Node, Settings};
use crate::router::{self, Routed};
use crate::testing::{Client, default_settings, join, node_in, queued, tenant, topic};
use crate::ws::answer::reply;

const MS: Duration = Duration::from_millis(1);

/// A node that will drain, and one that stays.
struct Pair {
    leaving: Arc<Node>,
    staying: Arc<Node>,
}

impl Pair {
    async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let cluster = MemoryCluster::new();
        let mut settings = Settings { embedded: false, ..default_settings() };
        settings.stop.closes_per_second = 10;
        change(&mut settings);
        let leaving = node_in(&cluster, "leaving", settings).await;
        let staying = node_in(&cluster, "staying", default_settings()).await;
        for node in [&leaving, &staying] {
            // Their leases are renewed meanwhile.
            drop(keeper::spawn(node));
        }
        Self { leaving, staying }
    }

    async fn vehicles(&self, count: usize) -> Vec<Client> {
        let mut vehicles = Vec::new();
        for number in 0..count {
            let query = format!("agent_type=vehicle&agent_id=V{number}");
            vehicles.push(Client::connect(&self.leaving, &query).await);
        }
        vehicles
    }

    fn drain(&self) -> JoinHandle<Duration> {
        let node = Arc::clone(&self.leaving);
        self.staying.tasks.spawn(async move {
            let began = Instant::now();
            drain(&node, &CancellationToken::new()).await;
            began.elapsed()
        })
    }

    async fn reach(&self, phase: StopPhase) {
        let mut watched = self.leaving.phase.subscribe();
        timeout(Duration::from_secs(60), watched.wait_for(|now| *now >= phase)).await.unwrap().unwrap();
    }

    /// Sends from the staying node, and waits for the answer.
    async fn send(&self, to: &str, number: u64) -> bool {
        let message = router::Message {
            tenant: tenant("default"),
            to: [(topic(to), 0)].into_iter().collect(),
            frame: reply("test:number", None, &json!(number)),
            except: None,
            confirm: true,
        };
        let Routed::Pending(sent) = self.staying.router.send(message) else { panic!("confirmed") };
        sent.await.is_ok()
    }

    async fn found(&self, agent: &str) -> usize {
        let agent = signalbox_protocol::Agent::from_topic(topic(agent));
        self.staying.cluster.directory.by_agent(&tenant("default"), &agent).await.unwrap().len()
    }

    /// How many rows are left that others would have to remove.
    async fn left_behind(&self) -> u64 {
        self.staying.cluster.lease.sweep().await.unwrap().rows
            + self.staying.metrics.directory.swept_rows.get()
    }

    async fn live(&self) -> Vec<String> {
        let cards = self.staying.cluster.lease.live().await.unwrap();
        cards.iter().map(|card| card.node_id.to_string()).collect()
    }
}

/// Reads on until the end: what it was told, when, and when it was closed.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) told: Option<(Instant, Draining)>,
    numbers: Vec<u64>,
    pub(super) closed: Instant,
    pub(super) code: u16,
}

pub(super) async fn see(mut client: Client) -> Seen {
    let (mut told, mut numbers) = (None, Vec::new());
    loop {
        match client.next_raw().await.expect("a close frame comes first") {
            Message::Text(text) => {
                let envelope: serde_json::Value = serde_json::from_str(&text).unwrap();
                if envelope["type"] == "system:draining" {
                    assert!(told.is_none(), "told once");
                    told = Some((Instant::now(), serde_json::from_value(envelope["data"].clone()).unwrap()));
                } else {
                    numbers.push(envelope["data"].as_u64().unwrap());
                }
            }
            Message::Close(frame) => {
                let code = frame.expect("with a code").code.into();
                return Seen { told, numbers, closed: Instant::now(), code };
            }
            Message::Ping(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_step_is_seen_in_its_turn() {
    let pair = Pair::start(|settings| settings.stop.balancer_wait = 1_000 * MS).await;
    let node = &pair.leaving;
    let mut vehicles = pair.vehicles(3).await;
    assert!(node.is_ready());
    let drained = pair.drain();
    pair.reach(StopPhase::NotReady).await;
    assert!(!node.is_ready());
    sleep(999 * MS).await;
    assert_eq!(*node.phase.borrow(), StopPhase::NotReady, "the load balancer has its time");
    assert!(queued(&vehicles[0].connection).is_empty(), "nobody was told yet");
    pair.reach(StopPhase::Closing).await;
    assert_eq!(vehicles[0].next().await["type"], "system:draining");
    assert_eq!(pair.live().await, ["leaving", "staying"], "its lease is held");
    pair.reach(StopPhase::Flushing).await;
    assert!(vehicles.iter().all(|vehicle| vehicle.connection.outbox().closing().is_some()));
    for vehicle in &mut vehicles {
        assert_eq!(vehicle.close_code().await, 1012);
    }
    drop(vehicles);
    pair.reach(StopPhase::Unregistering).await;
    assert!(node.hub.is_empty());
    pair.reach(StopPhase::Stopped).await;
    drained.await.unwrap();
    assert_eq!(pair.live().await, ["staying"]);
}

#[tokio::test(start_paused = true)]
async fn each_client_is_told_its_own_moment_and_closed_then_and_no_second_sees_more_than_the_rate() {
    let pair = Pair::start(|_| ()).await;
    let vehicles = pair.vehicles(40).await;
    pair.leaving.stop.ask(DrainReason::Requested);
    let drained = pair.drain();
    let seen = futures_util::future::join_all(vehicles.into_iter().map(see)).await;
    let mut delays = Vec::new();
    for one in &seen {
        let (told_at, draining) = one.told.as_ref().unwrap();
        let moment = *told_at + Duration::from_millis(draining.reconnect_in_ms);
        assert!(one.closed >= moment, "{one:?}");
        assert!(one.closed - moment <= 30 * MS, "by this clock nothing is late: {one:?}");
        assert_eq!((one.code, draining.reason), (1012, DrainReason::Requested));
        delays.push(draining.reconnect_in_ms);
    }
    delays.sort_unstable();
    let even: Vec<u64> = (0..40).map(|place| place * 110).collect();
    assert_eq!(delays, even);
    let mut closed: Vec<Instant> = seen.iter().map(|one| one.closed).collect();
    closed.sort();
    assert!(closed.iter().zip(&closed[10..]).all(|(one, tenth_after)| *tenth_after - *one >= 1_000 * MS));
    drained.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn messages_flow_until_the_close_and_afterwards_nobody_is_found() {
    let pair = Pair::start(|_| ()).await;
    let vehicles = pair.vehicles(20).await;
    let drained = pair.drain();
    let traffic = async {
        let mut reached = vec![0_u64; 20];
        for number in 0.. {
            sleep(50 * MS).await;
            let mut any = false;
            for (place, reached) in reached.iter_mut().enumerate() {
                if pair.send(&format!("vehicle:V{place}"), number).await {
                    *reached = number + 1;
                    any = true;
                }
            }
            if !any {
                break;
            }
        }
        reached
    };
    let watching = futures_util::future::join_all(vehicles.into_iter().map(see));
    let (seen, reached) = tokio::join!(watching, traffic);
    for (one, reached) in seen.iter().zip(reached) {
        assert_eq!(one.numbers, (0..reached).collect::<Vec<_>>(), "each that was confirmed has arrived");
    }
    assert!(seen.iter().any(|one| one.numbers.len() > 30), "the last in line heard nearly all");
    drained.await.unwrap();
    for place in 0..20 {
        assert_eq!(pair.found(&format!("vehicle:V{place}")).await, 0);
    }
    assert_eq!(pair.left_behind().await, 0);
}

#[tokio::test(start_paused = true)]
async fn who_slips_in_is_told_at_once_and_is_the_last_to_be_closed() {
    let pair = Pair::start(|_| ()).await;
    let vehicles = pair.vehicles(5).await;
    let late = pair.leaving.admission.admit(Rank::First).unwrap();
    let drained = pair.drain();
    let seen = futures_util::future::join_all(vehicles.into_iter().map(see)).await;
    sleep(3_000 * MS).await;
    assert_eq!(*pair.leaving.phase.borrow(), StopPhase::Closing, "a handshake is under way");
    let newcomer = Client::connect(&pair.leaving, "").await;
    tell_newcomer(&pair.leaving, &newcomer.connection);
    drop(late);
    let newcomer = see(newcomer).await;
    assert_eq!(newcomer.told.unwrap().1.reconnect_in_ms, 0, "its turn is long past");
    assert_eq!(newcomer.code, 1012);
    assert!(seen.iter().all(|one| one.closed < newcomer.closed));
    drained.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_leaves_by_himself_keeps_nobody_waiting() {
    let pair = Pair::start(|_| ()).await;
    let vehicles = pair.vehicles(100).await;
    let drained = pair.drain();
    pair.reach(StopPhase::Closing).await;
    drop(vehicles);
    let balancer_wait = pair.leaving.settings.stop.balancer_wait;
    assert!(drained.await.unwrap() < balancer_wait + 200 * MS);
    assert_eq!(pair.found("vehicle:V99").await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_an_outbox_goes_out_before_the_close_frame() {
    let pair = Pair::start(|_| ()).await;
    let vehicle = Client::connect_through(&pair.leaving, "agent_type=vehicle&agent_id=V", 64).await;
    for number in 0..500 {
        assert!(pair.send("vehicle:V", number).await);
    }
    let drained = pair.drain();
    pair.reach(StopPhase::Flushing).await;
    let seen = see(vehicle).await;
    assert_eq!(seen.numbers, (0..500).collect::<Vec<_>>());
    assert_eq!((seen.code, seen.told.is_some()), (1012, true));
    drained.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_holds_the_stop_up_for_the_time_of_a_close_only() {
    let pair = Pair::start(|_| ()).await;
    let _mute = Client::connect_through(&pair.leaving, "agent_type=vehicle&agent_id=V", 64).await;
    for number in 0..500 {
        assert!(pair.send("vehicle:V", number).await);
    }
    let took = pair.drain().await.unwrap();
    assert!(
        took <= pair.leaving.settings.stop.balancer_wait + pair.leaving.settings.close_timeout + 100 * MS
    );
    assert_eq!(pair.found("vehicle:V").await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_stop_is_not_exceeded_and_who_is_left_is_closed_all_the_same() {
    let pair = Pair::start(|settings| settings.stop.closes_per_second = 1).await;
    let vehicles = pair.vehicles(60).await;
    let drained = pair.drain();
    let seen = futures_util::future::join_all(vehicles.into_iter().map(see)).await;
    assert!(drained.await.unwrap() <= pair.leaving.settings.stop.timeout);
    assert!(seen.iter().all(|one| one.code == 1012));
    let mut delays: Vec<u64> = seen.iter().map(|one| one.told.as_ref().unwrap().1.reconnect_in_ms).collect();
    delays.sort_unstable();
    let even: Vec<u64> = (0..60).map(|place| place * 1_100).collect();
    assert_eq!(delays, even, "also those who are cut off come back at the set rate");
    assert_eq!(pair.found("vehicle:V59").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_cut_short_waits_for_nothing() {
    let pair = Pair::start(|settings| settings.stop.closes_per_second = 1).await;
    let vehicles = pair.vehicles(60).await;
    let drained = pair.drain();
    pair.reach(StopPhase::Closing).await;
    sleep(2_500 * MS).await;
    let hurried = Instant::now();
    pair.leaving.stop.cut_short();
    let seen = futures_util::future::join_all(vehicles.into_iter().map(see)).await;
    assert!(seen.iter().all(|one| one.code == 1012));
    drained.await.unwrap();
    assert!(hurried.elapsed() < 100 * MS);
    assert_eq!(pair.live().await, ["staying"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_without_clients_is_gone_after_the_load_balancers_wait() {
    let pair = Pair::start(|settings| settings.stop.balancer_wait = 700 * MS).await;
    let own = join(&pair.staying, "").await;
    let took = pair.drain().await.unwrap();
    assert!((700 * MS..800 * MS).contains(&took), "{took:?}");
    assert_eq!(own.outbox().closing(), None::<CloseCode>);
}
