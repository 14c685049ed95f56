//! Keeps the map of a Redis Cluster: which server has which slot.
//!
//! Once a second, and at once when somebody was sent elsewhere, all servers are asked that a node is connected to; what the
//! one says counts that knows of the latest change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::Value;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use super::address::Address;
use super::call::{Call, read};
use super::endpoint::Endpoint;
use super::link::{Trouble, checked};
use super::pool::PoolBounds;
use super::shards::{Links, Shard};
use super::slot_map::{Map, SlotRange};
use crate::Error;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// At least this long between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// First and last slots of each master.
pub(super) type Owned = Vec<(Address, Vec<SlotRange>)>;

/// What begins and ends connections to servers.
pub(super) struct Topology {
    pub(super) endpoint: Endpoint,
    pub(super) links: Arc<Links>,
    pub(super) pools: PoolBounds,
    pub(super) tracker: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Topology {
    /// Begins connections to the server of an endpoint.
    pub(super) fn begin(&self, endpoint: &Endpoint) -> Arc<Shard> {
        let shard = self.links.new_shard(endpoint.clone(), self.pools, self.stop.child_token());
        for link in shard.links() {
            let supervise = Arc::clone(link).supervise(endpoint.clone(), shard.stop.clone());
            self.tracker.spawn(supervise);
        }
        shard
    }

    /// Looks until the end.
    pub(super) async fn keep(self) {
        let stop = self.stop.clone();
        let keep = async {
            let mut trouble = Trouble::new(&"cluster");
            loop {
                match self.look().await {
                    Ok(owned) => {
                        trouble.over();
                        self.follow(owned);
                    }
                    Err(error) => trouble.log("no cluster answers", &error),
                }
                // Being late is no matter, and being asked is a reason to be early.
                let _ = timeout(LOOK_EVERY, self.links.stale.notified()).await;
                sleep(PAUSE).await;
            }
        };
        stop.run_until_cancelled(keep).await;
    }

    async fn look(&self) -> Result<Owned, Error> {
        match self.ask_known().await.into_iter().max_by_key(|(epoch, _)| *epoch) {
            Some((_, owned)) => Ok(owned),
            None => ask_seeds(&self.endpoint).await,
        }
    }

    async fn ask_known(&self) -> Vec<(u64, Owned)> {
        let map = self.links.map();
        let ask = |shard: &Arc<Shard>| {
            let shard = Arc::clone(shard);
            async move {
                let calls = [Call::new("CLUSTER").arg("INFO"), Call::new("CLUSTER").arg("SLOTS")];
                let answers = shard.links()[0].raw(&calls).await.ok()?;
                told(answers, &shard.endpoint.latest()?.host).ok()
            }
        };
        join_all(map.shards().iter().map(ask)).await.into_iter().flatten().collect()
    }

    /// Makes it so.
    fn follow(&self, owned: Owned) {
        let before = self.links.map();
        let mut known: HashMap<Address, Arc<Shard>> = HashMap::new();
        for shard in before.shards() {
            known.extend(shard.endpoint.latest().map(|at| (at, Arc::clone(shard))));
        }
        let shards = owned.into_iter().map(|(address, slots)| {
            let shard = known.remove(&address).unwrap_or_else(|| {
                info!(%address, "redis: another master");
                self.begin(&self.endpoint.at(address))
            });
            (shard, slots)
        });
        let map = Map::of_slots(shards.collect());
        if !map.is_like(&before) {
            self.links.put(map);
        }
        known.into_values().for_each(|gone| gone.stop.cancel());
    }
}

/// What the first server of those of an endpoint says that answers; else why the last one does not.
pub(super) async fn ask_seeds(endpoint: &Endpoint) -> Result<Owned, Error> {
    let mut failed = Error::Unavailable(None);
    for seed in endpoint.seeds() {
        match ask(&seed).await {
            Ok((_, owned)) => return Ok(owned),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn ask(seed: &Endpoint) -> Result<(u64, Owned), Error> {
    let mut wire = seed.open(None).await.map_err(|error| Error::Unavailable(Some(error.into())))?;
    let mut question = redis::Pipeline::new();
    question.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
    let answers = timeout(LOOK_EVERY, wire.connection.send_packed_commands(&question, 0, 2)).await;
    let answers = answers.map_err(|late| Error::Unavailable(Some(late.into())))?;
    let answers = answers.map_err(|error| Error::Unavailable(Some(error.into())))?;
    told(answers, &seed.latest().map_or_else(String::new, |at| at.host))
}

/// Reads what a server says: the latest change that it knows of, and whose the slots are.
fn told(answers: Vec<Value>, host: &str) -> Result<(u64, Owned), Error> {
    let answers: Vec<Value> = answers.into_iter().map(checked).collect::<Result<_, _>>()?;
    let mut answers = answers.into_iter();
    let info: String = read(answers.next().unwrap_or_default(), "state of a cluster")?;
    let epoch =
        info.lines().find_map(|line| line.trim().strip_prefix("cluster_current_epoch:")?.parse().ok());
    let ranges: Vec<Vec<Value>> = read(answers.next().unwrap_or_default(), "slots of a cluster")?;
    let mut owned: Owned = Vec::new();
    for range in ranges {
        let (address, slots) = master(range, host).ok_or(Error::Unreadable { what: "slots of a cluster" })?;
        match owned.iter_mut().find(|(other, _)| *other == address) {
            Some((_, known)) => known.push(slots),
            None => owned.push((address, vec![slots])),
        }
    }
    Ok((epoch.unwrap_or(0), owned))
}

/// `first, last, [host, port, ..], replicas..`; a server that does not know its own host tells none.
fn master(range: Vec<Value>, asked: &str) -> Option<(Address, (u16, u16))> {
    let [first, last, master] = <[Value; 3]>::try_from(range.into_iter().take(3).collect::<Vec<_>>()).ok()?;
    let slots = (redis::from_redis_value(first).ok()?, redis::from_redis_value(last).ok()?);
    let Value::Array(master) = master else { return None };
    let mut master = master.into_iter();
    let host: Option<String> = redis::from_redis_value(master.next()?).ok()?;
    let host = host.filter(|host| !host.is_empty() && host != "?").unwrap_or_else(|| asked.to_owned());
    Some((Address { host, port: redis::from_redis_value(master.next()?).ok()? }, slots))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn range(first: i64, last: i64, host: &str, port: i64) -> Value {
        let master = Value::Array(vec![text(host), Value::Int(port), text("id")]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master])
    }

    #[test]
    fn a_server_tells_whose_the_slots_are() {
        let ranges = Value::Array(vec![range(0, 9, "a", 1), range(10, 10, "", 2), range(11, 16_383, "a", 1)]);
        let (epoch, owned) = told(vec![text("x:1\r\ncluster_current_epoch:7\r\n"), ranges], "h").unwrap();
        let at = |host: &str, port| Address { host: host.into(), port };
        assert_eq!(epoch, 7);
        assert_eq!(owned, [(at("a", 1), vec![(0, 9), (11, 16_383)]), (at("h", 2), vec![(10, 10)])]);
        assert!(told(vec![text(""), Value::Array(vec![Value::Array(vec![])])], "h").is_err());
    }
}
