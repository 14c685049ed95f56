//! Notices that another Redis has taken the address.
//!
//! Connections that stand may go on reaching the old process for as long as it lives, while every new node
//! reaches the new one: two clusters, both healthy. So once a second a fresh connection asks who answers,
//! and whatever is connected to another process is connected anew.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::endpoint::Endpoint;
use super::store::Store;
use super::subscriber::Subscriber;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// More moves than this within [`MOVES_WITHIN`] are no failover: several processes share the address.
const MOVES_MAX: usize = 5;
const MOVES_WITHIN: Duration = Duration::from_secs(60);

/// Looks until `stop`, or until looking turns out to be of no use.
pub(super) async fn watch(
    endpoint: Endpoint,
    store: Arc<Store>,
    subscriber: Arc<Subscriber>,
    stop: CancellationToken,
) {
    stop.run_until_cancelled_owned(look(endpoint, store, subscriber)).await;
}

async fn look(endpoint: Endpoint, store: Arc<Store>, subscriber: Arc<Subscriber>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut moves = VecDeque::new();
    loop {
        ticks.tick().await;
        // A Redis that is away or does not tell is the links' business.
        let Some(run_id) = endpoint.open(None).await.ok().and_then(|wire| wire.run_id.clone()) else {
            continue;
        };
        if !move_to(&run_id, &store, &subscriber) {
            continue;
        }
        moves.push_back(Instant::now());
        moves.retain(|moved: &Instant| moved.elapsed() < MOVES_WITHIN);
        if moves.len() > MOVES_MAX && !endpoint.is_watched() {
            warn!("several redis processes answer at one address; not following them any more");
            return;
        }
    }
}

/// Makes everything that is connected to another process connect anew; whether anything was.
fn move_to(run_id: &str, store: &Store, subscriber: &Subscriber) -> bool {
    let map = store.links.map();
    let links = map.shards().iter().flat_map(|shard| shard.links());
    let elsewhere: Vec<_> = links.filter(|link| link.run_id().is_some_and(|at| at != run_id)).collect();
    let moved = !elsewhere.is_empty() || subscriber.run_ids().iter().any(|at| at != run_id);
    if moved {
        warn!("another redis has taken the address; connecting anew");
        elsewhere.iter().for_each(|link| link.renew());
        subscriber.renew();
        map.shards().iter().for_each(|shard| shard.pools.renew());
    }
    moved
}
