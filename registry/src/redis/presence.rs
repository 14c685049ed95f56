//! Presence in Redis: the group indexes of the live nodes, gathered for each question.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use signalbox_protocol::{Agent, NodeId, Tenant, Topic};

use super::call::{Call, read};
use super::pool::{Bulk, PIPELINE_CALLS_MAX};
use super::store::Store;
use super::text;
use crate::presence::{INDEXED_KINDS, Members, Place};
use crate::row::Generation;
use crate::{Error, Presence, Row};

/// About how many members Redis tells at a time.
const SCAN_MEMBERS: usize = 1_000;

/// Who is in a group, in Redis.
#[derive(Debug)]
pub(super) struct RedisPresence {
    pub(super) store: Arc<Store>,
}

/// What is gathered of a group while it is scanned: never more than a page of it, and a hash per agent.
struct Gathered {
    after: Option<Place>,
    limit: usize,
    agents: HashSet<Agent>,
    /// The first places after `after`, one more than a page.
    page: BTreeSet<Place>,
}

impl Gathered {
    fn add(&mut self, place: Place) {
        if !self.agents.contains(&place.agent) {
            self.agents.insert(place.agent.clone());
        }
        if self.after.as_ref().is_none_or(|after| place > *after) {
            self.page.insert(place);
            if self.page.len() > self.limit + 1 {
                self.page.pop_last();
            }
        }
    }
}

#[async_trait]
impl Presence for RedisPresence {
    async fn members(
        &self,
        tenant: &Tenant,
        group: &Topic,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Members, Error> {
        let after = cursor.map(Place::parse).transpose()?;
        if !INDEXED_KINDS.contains(&group.kind()) {
            return Ok(Members::default());
        }
        let leases = self.store.live.leases().await?;
        let mut bulk = self.store.bulk().await?;
        let mut gathered =
            Gathered { after, limit: limit.max(1), agents: HashSet::new(), page: BTreeSet::new() };
        let keys = leases
            .iter()
            .map(|(node, generation)| (node, self.store.keys.group(tenant, group, node, *generation)));
        let keys: Vec<_> = keys.collect();
        let sizes = keys.iter().map(|(_, key)| Call::new("SCARD").arg(key)).collect::<Vec<_>>();
        let sizes = bulk.run(&sizes).await?.into_iter().map(|size| read::<u64>(size, "size of a group"));
        let connections = sizes.sum::<Result<u64, _>>()?;
        gather(&mut bulk, keys, group, &mut gathered).await?;
        let more = gathered.page.len() > gathered.limit;
        if more {
            gathered.page.pop_last();
        }
        let cursor = gathered.page.last().filter(|_| more).map(Place::cursor);
        let rows = self.rows(&mut bulk, tenant, &leases, gathered.page).await?;
        Ok(Members { agents: gathered.agents.len() as u64, connections, rows, cursor })
    }

    async fn connections(&self, tenant: &Tenant, groups: &[Topic]) -> Result<Vec<u64>, Error> {
        let leases = self.store.live.leases().await?;
        let keys = groups.iter().flat_map(|group| {
            leases
                .iter()
                .map(move |(node, generation)| self.store.keys.group(tenant, group, node, *generation))
        });
        let calls: Vec<_> = keys.map(|key| Call::new("SCARD").arg(key)).collect();
        let mut sizes = Vec::with_capacity(calls.len());
        for some in calls.chunks(PIPELINE_CALLS_MAX) {
            sizes.extend(self.store.first_link().read(some).await?);
        }
        let sizes = sizes.into_iter().map(|size| read::<u64>(size, "size of a group"));
        let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
        Ok(match leases.len() {
            0 => vec![0; groups.len()],
            nodes => sizes.chunks(nodes).map(|sizes| sizes.iter().sum()).collect(),
        })
    }
}

impl RedisPresence {
    /// The rows of a page. Whoever left since its place was read is left out.
    async fn rows(
        &self,
        bulk: &mut Bulk,
        tenant: &Tenant,
        leases: &[(NodeId, Generation)],
        page: BTreeSet<Place>,
    ) -> Result<Vec<Row>, Error> {
        let mut by_lease: BTreeMap<&(NodeId, Generation), Vec<Place>> = BTreeMap::new();
        for place in page {
            let node = place.connection_id.node_id();
            if let Some(lease) = leases.iter().find(|(other, _)| Some(other) == node.as_ref()) {
                by_lease.entry(lease).or_default().push(place);
            }
        }
        let call = |((node, generation), places): (&&(NodeId, Generation), &Vec<Place>)| {
            let numbers: Vec<_> = places.iter().map(|place| text::number_of(&place.connection_id)).collect();
            Call::new("HMGET").arg(self.store.keys.node_conns(node, *generation)).arg(numbers)
        };
        let calls: Vec<_> = by_lease.iter().map(call).collect();
        let answers = bulk.run(&calls).await?;
        let mut rows = Vec::new();
        for ((node, generation), (places, answer)) in by_lease.keys().zip(by_lease.values().zip(answers)) {
            for (place, row) in places.iter().zip(read::<Vec<Option<String>>>(answer, "rows")?) {
                let Some(row) = row else { continue };
                let row = text::of_node(node, *generation, text::number_of(&place.connection_id), &row)?;
                rows.extend((row.tenant == *tenant).then_some(row));
            }
        }
        rows.sort_by_cached_key(Place::of);
        Ok(rows)
    }
}

/// Scans a group on all nodes at once, step by step.
async fn gather(
    bulk: &mut Bulk,
    keys: Vec<(&NodeId, String)>,
    group: &Topic,
    gathered: &mut Gathered,
) -> Result<(), Error> {
    let mut scans: Vec<_> = keys.into_iter().map(|(node, key)| (node, key, "0".to_owned())).collect();
    while !scans.is_empty() {
        let step = |(_, key, cursor): &(&NodeId, String, String)| {
            Call::new("SSCAN").arg(key).arg(cursor).arg("COUNT").arg(SCAN_MEMBERS)
        };
        let answers = bulk.run(&scans.iter().map(step).collect::<Vec<_>>()).await?;
        for ((node, _, cursor), answer) in scans.iter_mut().zip(answers) {
            let (next, members): (String, Vec<String>) = read(answer, "members of a group")?;
            for member in members {
                gathered.add(text::of_group(node, group, &member)?);
            }
            *cursor = next;
        }
        scans.retain(|(_, _, cursor)| cursor != "0");
    }
    Ok(())
}
