//! What befalls the nodes, one thing after the other.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use signalbox_protocol::{Agent, Tenant};
use signalbox_registry::lease::LEASE;
use tokio::time::{Instant, sleep};

use crate::climate::Mishap;
use crate::world::{SimNode, World};

/// When a node that was cut off is whole again: its lease, its rows, its clients' positions.
const HEALED_AFTER: Duration = Duration::from_secs(4);
/// The same for one that only heard nothing.
const HEARS_AFTER: Duration = Duration::from_secs(1);
/// How long after its lease a node's rows may be found.
const GRACE: Duration = Duration::from_millis(100);

/// One mishap after the other, until `calm`.
pub(crate) async fn rage(world: Arc<World>, calm: Instant) {
    let mut dice = world.dice("nemesis");
    while !world.climate.mishaps.is_empty() {
        sleep(Duration::from_millis(dice.u64(500..4_000))).await;
        if Instant::now() >= calm {
            return;
        }
        let mishap = world.climate.mishaps[dice.usize(0..world.climate.mishaps.len())];
        let up = world.up();
        let victim = &up[dice.usize(0..up.len())];
        befall(&world, mishap, victim, &mut dice).await;
    }
}

async fn befall(world: &World, mishap: Mishap, victim: &SimNode, dice: &mut Rng) {
    let began = Instant::now();
    match mishap {
        Mishap::Deafness => {
            world.weather.count("deafness");
            world.weather.set_deaf(victim.link.node(), true);
            sleep(Duration::from_millis(dice.u64(50..3_000))).await;
            world.weather.set_deaf(victim.link.node(), false);
            victim.bus.reconnected();
            world.history.unsteady(&victim.name, began, HEARS_AFTER);
        }
        Mishap::Partition => {
            let lasts = Duration::from_millis(dice.u64(100..10_000));
            world.weather.count(if lasts > LEASE { "lost leases" } else { "partitions" });
            let dead = async {
                sleep(LEASE + GRACE).await;
                nobody_is_found_there(world, victim).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = victim.link.cut_for(lasts) => {}
                () = dead => {}
            }
            victim.bus.reconnected();
            world.history.unsteady(&victim.name, began, HEALED_AFTER);
        }
        Mishap::Restart => {
            world.weather.count("restarts");
            world.start_node();
            world.forget(victim);
            world.stop(victim).await;
        }
        Mishap::Death => {
            world.weather.count("deaths");
            world.start_node();
            world.forget(victim);
            victim.link.die();
            victim.died.cancel();
            sleep(LEASE + GRACE).await;
            nobody_is_found_there(world, victim).await;
        }
        Mishap::Oblivion => {
            world.weather.count("losses of all logs");
            world.cluster.lose_logs();
            world.note_life().await;
        }
    }
}

/// The lease of a node is over: nobody who looks is sent there.
async fn nobody_is_found_there(world: &World, dead: &SimNode) {
    for client in &world.history.record().clients {
        let (tenant, agent) = (Tenant::try_new(&client.tenant).unwrap(), agent(&client.agent));
        let watcher = &*world.cluster;
        let nodes = signalbox_registry::Directory::nodes_of(watcher, &tenant, agent.topic()).await.unwrap();
        if nodes.contains(dead.link.node()) {
            world.history.blame(format!("{agent} is found on {}, whose lease is over", dead.name));
        }
    }
}

pub(crate) fn agent(text: &str) -> Agent {
    let (kind, id) = text.split_once(':').unwrap();
    Agent::of(kind, id).unwrap()
}
