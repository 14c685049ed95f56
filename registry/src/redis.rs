//! The back end of a cluster: one Redis that all nodes share.
//!
//! [`connect`] returns at once; connections are made and kept in the background, and Redis being away is a
//! state of the node ([`Cluster::reachable`]), not an error of the start. What runs, each a task of the
//! given tracker until `stop`: one supervisor per hot link (`link`), the driver of each open connection
//! (`wire`), the keeper of the live view (`live`), the owners of the subscriptions at each server (`feed`) and who
//! keeps those (`subscriber`), the watch over Redis' identity (`identity`) or over a Cluster's slots (`topology`), one short-lived flush per busy destination (`lanes`), and one
//! task per line of waiters for a lock (`lock`).

mod address;
mod audit;
mod bus;
mod call;
mod channels;
mod config;
mod directory;
mod endpoint;
mod enrol;
mod examine;
mod expiries;
mod fault;
mod feed;
mod follow;
mod gather;
mod identity;
mod inlet;
mod lanes;
mod lease;
mod link;
mod live;
mod lock;
mod log;
mod login;
mod newcomers;
mod order;
mod pool;
mod presence;
mod reach;
mod refresh;
mod revocation;
mod road;
mod script;
mod scripts;
mod secret;
mod sentinel;
mod shards;
mod slot_map;
mod store;
mod subscriber;
mod sweep;
mod text;
mod topology;
mod unhurried;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::call::Call;
pub use self::config::{Mode, RedisConfig};
pub use self::examine::{Examination, Examined, TRIED, TRIED_IN_A_CLUSTER, examine};
pub use self::script::Script;
pub use self::scripts::Scripts;
use crate::{Backing, Cluster, Error, ThisNode};
use bus::{RedisBus, Tally};
use directory::RedisDirectory;
use endpoint::Endpoint;
use follow::Followed;
use inlet::Inlet;
use lanes::Lanes;
use lease::RedisLease;
use lock::{Core, RedisLocks};
use log::RedisLog;
use order::RedisOrders;
use pool::PoolBounds;
use presence::RedisPresence;
use revocation::RedisRevocations;
use store::Store;
use subscriber::Subscriber;
use topology::Topology;

/// How often the bus forgets destinations that are not in use.
const PRUNE_EVERY: Duration = Duration::from_secs(30);

/// Takes part in the cluster that shares the Redis of `config`, as `node`.
///
/// # Errors
/// [`Error::Url`]. A Redis that is not there is no error: it is looked for until it comes.
pub fn connect(
    config: &RedisConfig,
    node: Arc<ThisNode>,
    tracker: &TaskTracker,
    stop: CancellationToken,
) -> Result<Cluster, Error> {
    let endpoint = Endpoint::try_new(config, node.id(), tracker.clone())?;
    let store = Arc::new(Store::new(config));
    begin(config, &store, &endpoint, (tracker, stop.clone()));
    tracker.spawn(Arc::clone(&store.live).keep(stop.clone()));
    let bus = start_bus(config, &node, &store, (tracker, stop.clone()));
    if !endpoint.is_sharded() {
        let subscriber = Arc::clone(&bus.subscriber);
        tracker.spawn(identity::watch(endpoint, Arc::clone(&store), subscriber, stop.clone()));
    }
    let subscriber = Arc::clone(&bus.subscriber);
    let locks = Core::new(node.id().clone(), Arc::clone(&store), subscriber, tracker.clone(), stop);
    bus.inlet.attach_locks(Arc::clone(&locks));
    Ok(Cluster {
        node,
        directory: Arc::new(RedisDirectory::new(Arc::clone(&store), tracker)),
        presence: Arc::new(RedisPresence { store: Arc::clone(&store) }),
        bus: Arc::new(bus),
        lease: Arc::new(RedisLease { store: Arc::clone(&store) }),
        locks: Arc::new(RedisLocks { core: locks }),
        orders: Arc::new(RedisOrders { store: Arc::clone(&store) }),
        log: Arc::new(RedisLog { store: Arc::clone(&store) }),
        revocations: Arc::new(RedisRevocations { store: Arc::clone(&store) }),
        reachable: store.links.reachable(),
        measured: Arc::clone(&store.measured),
        backing: Backing::Redis(Scripts::new(store)),
    })
}

/// Begins the connections: to the one server, or to those of a Cluster as they become known.
fn begin(
    config: &RedisConfig,
    store: &Arc<Store>,
    endpoint: &Endpoint,
    (tracker, stop): (&TaskTracker, CancellationToken),
) {
    let topology = Topology {
        endpoint: endpoint.clone(),
        links: Arc::clone(&store.links),
        pools: PoolBounds::of(config),
        tracker: tracker.clone(),
        stop,
    };
    if endpoint.is_sharded() {
        tracker.spawn(topology.keep());
    } else {
        store.links.only(topology.begin(endpoint));
    }
}

fn start_bus(
    config: &RedisConfig,
    node: &Arc<ThisNode>,
    store: &Arc<Store>,
    (tracker, stop): (&TaskTracker, CancellationToken),
) -> RedisBus {
    let followed = Followed::new(Arc::new(Tally::new(&store.measured)));
    let inlet = Inlet::new(node.id().clone(), Arc::clone(followed.tally()));
    let lanes =
        Lanes::new(config, Arc::clone(node), Arc::clone(store), Arc::clone(&followed), tracker.clone());
    let subscriber = Subscriber::new(
        node.id().clone(),
        Arc::clone(store),
        Arc::clone(&followed),
        Arc::clone(&inlet),
        config.command_timeout,
    );
    tracker.spawn(Arc::clone(&subscriber).run(tracker.clone(), stop.clone()));
    let pruned = Arc::clone(&lanes);
    tracker.spawn(async move {
        let prune = async {
            loop {
                tokio::time::sleep(PRUNE_EVERY).await;
                pruned.prune();
            }
        };
        stop.run_until_cancelled(prune).await;
    });
    RedisBus { lanes, inlet, followed, subscriber, store: Arc::clone(store) }
}
