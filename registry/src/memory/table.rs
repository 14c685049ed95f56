//! The rows with their indexes, and the leases that decide which of them are believed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

use signalbox_protocol::{Agent, ConnectionId, NodeId, SessionId, Tenant, Topic};
use tokio::time::Instant;

use crate::Row;
use crate::directory::SESSION_KEPT;
use crate::lease::NodeCard;
use crate::presence::groups_of;
use crate::row::{Generation, oldest_first};

/// A lease that was taken and not yet swept.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) card: NodeCard,
    pub(super) ends: Instant,
}

/// To whom a named session belongs, at least until `kept_until` and while a socket of it lives.
#[derive(Debug)]
struct Owner {
    subject: String,
    kept_until: Instant,
}

/// Everything that the nodes share. Indexes hold ids; `rows` holds what they lead to.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) leases: BTreeMap<(NodeId, Generation), Held>,
    rows: HashMap<ConnectionId, Row>,
    agents: HashMap<(Tenant, Agent), BTreeSet<ConnectionId>>,
    sessions: HashMap<(Tenant, SessionId), BTreeSet<ConnectionId>>,
    groups: HashMap<(Tenant, Topic), BTreeSet<(Agent, ConnectionId)>>,
    owners: HashMap<(Tenant, SessionId), Owner>,
}

impl Shared {
    /// Whether the lease of this generation lasts.
    pub(super) fn is_live(&self, node: &NodeId, generation: Generation) -> bool {
        self.leases.get(&(node.clone(), generation)).is_some_and(|held| held.ends > Instant::now())
    }

    /// The row of a connection, if it is of this tenant and believed.
    pub(super) fn live_row(&self, tenant: &Tenant, id: &ConnectionId) -> Option<&Row> {
        let row = self.rows.get(id)?;
        (row.tenant == *tenant && self.is_live(&row.node_id, row.generation)).then_some(row)
    }

    /// The live connections of an agent, oldest first.
    pub(super) fn of_agent(&self, tenant: &Tenant, agent: &Agent) -> Vec<Row> {
        self.of(tenant, self.agents.get(&(tenant.clone(), agent.clone())))
    }

    /// The live connections of a session, oldest first.
    pub(super) fn of_session(&self, tenant: &Tenant, session: &SessionId) -> Vec<Row> {
        self.of(tenant, self.sessions.get(&(tenant.clone(), session.clone())))
    }

    fn of(&self, tenant: &Tenant, ids: Option<&BTreeSet<ConnectionId>>) -> Vec<Row> {
        let ids = ids.into_iter().flatten();
        let mut rows: Vec<_> = ids.filter_map(|id| self.live_row(tenant, id)).cloned().collect();
        oldest_first(&mut rows);
        rows
    }

    /// The live members of a group, by agent and then connection.
    pub(super) fn of_group<'a>(&'a self, tenant: &'a Tenant, group: &Topic) -> impl Iterator<Item = &'a Row> {
        let members = self.groups.get(&(tenant.clone(), group.clone()));
        members.into_iter().flatten().filter_map(|(_, id)| self.live_row(tenant, id))
    }

    /// Takes or keeps a session for `subject`; false when it is another's.
    pub(super) fn claim(&mut self, row: &Row, subject: &str) -> bool {
        let key = (row.tenant.clone(), row.session_id.clone());
        let taken = self.owners.get(&key).is_some_and(|owner| {
            owner.subject != subject
                && (owner.kept_until > Instant::now()
                    || self.of_session(&key.0, &key.1).iter().any(|row| row.session_named))
        });
        if !taken {
            let owner = Owner { subject: subject.to_owned(), kept_until: Instant::now() + SESSION_KEPT };
            self.owners.insert(key, owner);
        }
        !taken
    }

    /// Counts the time that a session stays its owner's from now.
    pub(super) fn keep_session(&mut self, row: &Row) {
        let key = (row.tenant.clone(), row.session_id.clone());
        if let Some(owner) = self.owners.get_mut(&key) {
            owner.kept_until = Instant::now() + SESSION_KEPT;
        }
    }

    /// Writes a row over what stood under its connection before.
    pub(super) fn put(&mut self, row: Row) {
        self.take(&row.connection_id);
        let id = &row.connection_id;
        self.agents.entry((row.tenant.clone(), row.agent.clone())).or_default().insert(id.clone());
        self.sessions.entry((row.tenant.clone(), row.session_id.clone())).or_default().insert(id.clone());
        for group in groups_of(&row) {
            let members = self.groups.entry((row.tenant.clone(), group)).or_default();
            members.insert((row.agent.clone(), id.clone()));
        }
        self.rows.insert(id.clone(), row);
    }

    /// The generation in which a connection's row was written.
    pub(super) fn generation_of(&self, id: &ConnectionId) -> Option<Generation> {
        self.rows.get(id).map(|row| row.generation)
    }

    /// The rows that were written in a generation of a node.
    pub(super) fn of_node(&self, node: &NodeId, generation: Generation) -> Vec<Row> {
        let written = |row: &&Row| row.node_id == *node && row.generation == generation;
        self.rows.values().filter(written).cloned().collect()
    }

    /// Removes a row and what leads to it.
    pub(super) fn take(&mut self, id: &ConnectionId) -> Option<Row> {
        let row = self.rows.remove(id)?;
        remove(&mut self.agents, &(row.tenant.clone(), row.agent.clone()), id);
        remove(&mut self.sessions, &(row.tenant.clone(), row.session_id.clone()), id);
        for group in groups_of(&row) {
            let member = (row.agent.clone(), id.clone());
            remove(&mut self.groups, &(row.tenant.clone(), group), &member);
        }
        Some(row)
    }

    /// Removes what is left of an agent that has no live connection, so that its departure is told once.
    pub(super) fn forget_agent(&mut self, tenant: &Tenant, agent: &Agent) {
        let ids = self.agents.get(&(tenant.clone(), agent.clone())).cloned().unwrap_or_default();
        for id in ids {
            self.take(&id);
        }
    }

    /// Removes the rows that no live lease stands for, and answers them.
    pub(super) fn take_dead(&mut self) -> Vec<Row> {
        let dead = self.rows.values().filter(|row| !self.is_live(&row.node_id, row.generation));
        let dead: Vec<_> = dead.map(|row| row.connection_id.clone()).collect();
        let rows = dead.iter().filter_map(|id| self.take(id)).collect();
        let (now, sessions) = (Instant::now(), &self.sessions);
        self.owners.retain(|session, owner| owner.kept_until > now || sessions.contains_key(session));
        rows
    }

    /// Rows, and entries of indexes.
    pub(super) fn entries(&self) -> usize {
        self.rows.len() + self.agents.len() + self.sessions.len() + self.groups.len()
    }

    pub(super) fn has_leases(&self) -> bool {
        self.leases.values().any(|held| held.ends > Instant::now())
    }

    /// Begins or extends a lease.
    pub(super) fn hold(&mut self, card: &NodeCard, lasts: Duration) {
        let held = Held { card: card.clone(), ends: Instant::now() + lasts };
        self.leases.insert((card.node_id.clone(), card.generation), held);
    }
}

fn remove<K: Hash + Eq, V: Ord>(index: &mut HashMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(values) = index.get_mut(key) {
        values.remove(value);
        if values.is_empty() {
            index.remove(key);
        }
    }
}
