//! Every name that Signalbox gives to a key or channel of Redis.
//!
//! Keys that one script touches share a hash tag (what stands in braces), so that they share a slot of Redis
//! Cluster. A script takes its keys as one [`KeySet`], and a `KeySet` exists only for a [`Scope`]; a test
//! computes the slots of every scope. In a Cluster one more key goes along that never exists: what a script works on may
//! be divided between two servers while its slot moves, and Redis then refuses the script at once. Nothing from outside can end a tag early: names hold no braces.
//! `T` tenant, `N` node, `G` generation:
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `sb:nodes` | zset | `N.G` -> end of that lease, ms of Redis' clock |
//! | `sb:nodes:sweeper` | string | the token of whoever sweeps |
//! | `sb:node:{N}` | hash | the node's card |
//! | `sb:node:{N}:conns:G` | hash | the number of a connection -> its row: the reverse index |
//! | `sb:{T:AGENT:ID}:conns` | hash | connection id -> its row: the record |
//! | `sb:{T:session:S}:conns`, `:owner` | hash, string | a named session's rows; its subject |
//! | `sb:{T:GROUP}:conns:N.G` | set | a group's members on one node |
//! | `sb:{T:RESOURCE}:lock` | string | who holds it until when; the fence of its latest grant, which stays for 24 h |
//! | `sb:{T:RESOURCE}:lock:waiters` | zset | who waits for it -> since when, us |
//! | `sb:{T:RESOURCE}:lock:turn`, `:lock:nodes` | string, hash | whose turn it is; until when a node's waiters are believed |
//! | `sb:{T:order:ID}:accepted`, `:viewers` | hash, zset | who accepted an order; who looks at it -> until when, ms |
//! | `sb:{T:TOPIC}:meta`, `:log`, `:ids`, `:ids:old` | string, list, hash | a durable topic: epoch and offset; its messages; which ids are known |
//! | `sb:{T:revocations}` | hash | `agent:AGENT`, `subject:S` or `session:S` -> since when and until when, s: whose tokens are not taken |
//! | `sb:revocations` | zset | tenant that has some -> a number that changes with them |
//! | `sb:life` | string | names what this Redis holds; no time to live |
//! | `sb:{T:fleet}:...` | | the fleet: passengers, pools, vehicles; named by the scripts of the reservoirs |
//! | `sb:{trial}` | string | nothing: on it is tried what a node may do; lives for seconds. A channel as well |
//! | `sb:fleets` | zset | tenant -> when its fleet wants to be looked at, ms of Redis' clock |
//!
//! Channels: `sb:node:{N}` to one node, `sb:{T:TOPIC}` to whoever follows a group topic. Topics in which a
//! fleet announces what happens ([`is_of_fleet`]) have theirs in the fleet's slot, `sb:{T:fleet}:TOPIC`, and their
//! logs as well (`sb:{T:fleet}:TOPIC:log`), so that the script that changes a pool announces it.

use signalbox_protocol::{Agent, NodeId, OrderId, Resource, SessionId, Tenant, Topic};

use crate::row::Generation;

/// What one script works on; everything of it lies in one slot.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// The leases.
    Nodes,
    /// The lock of the sweeper.
    Sweeper,
    /// An agent's record.
    Agent(&'a Tenant, &'a Agent),
    /// A named session: its rows and its owner.
    Session(&'a Tenant, &'a SessionId),
    /// A lock and its line.
    Lock(&'a Tenant, &'a Resource),
    /// An order, its lock, and its topic as for [`Scope::Topic`].
    Order(&'a Tenant, &'a OrderId),
    /// A tenant's fleet: one key, with which the names of all others begin.
    Fleet(&'a Tenant),
    /// The list of fleets.
    Fleets,
    /// A topic: one key, with which the names of its log and of an agent's or a session's record begin.
    Topic(&'a Tenant, &'a Topic),
    /// A tenant's revocations.
    Revocations(&'a Tenant),
    /// The tenants that have some.
    RevokedTenants,
    /// The life of what Redis holds.
    Life,
}

/// The keys of one scope, in the order in which scripts expect them. Made by [`Keys::of`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySet {
    keys: Vec<String>,
    /// In a Cluster: what never exists.
    guard: Option<String>,
}

impl KeySet {
    pub(crate) fn as_slice(&self) -> &[String] {
        &self.keys
    }

    /// The key behind the others that never exists, in a Cluster.
    pub(crate) fn guard(&self) -> Option<&str> {
        self.guard.as_deref()
    }
}

/// Names under one prefix.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
    is_sharded: bool,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), is_sharded: false }
    }

    /// The same names, in a Cluster.
    pub(crate) fn sharded(self) -> Self {
        Self { is_sharded: true, ..self }
    }

    pub(crate) fn is_sharded(&self) -> bool {
        self.is_sharded
    }

    /// The keys that a script on `scope` touches.
    pub(crate) fn of(&self, scope: Scope<'_>) -> KeySet {
        let keys = self.list(scope);
        // A key without a tag is one.
        let guard = |key: &String| match key.contains('{') {
            true => name!("{key}:never"),
            false => name!("{}:never:{{{key}}}", self.prefix),
        };
        let guard = keys.first().filter(|_| self.is_sharded).map(guard);
        KeySet { keys, guard }
    }

    fn list(&self, scope: Scope<'_>) -> Vec<String> {
        match scope {
            Scope::Nodes => vec![self.nodes()],
            Scope::Sweeper => vec![name!("{}:nodes:sweeper", self.prefix)],
            Scope::Agent(tenant, agent) => vec![self.agent(tenant, agent)],
            Scope::Session(tenant, session) => {
                let session = name!("{}:{{{tenant}:session:{session}}}", self.prefix);
                vec![name!("{session}:conns"), name!("{session}:owner")]
            }
            Scope::Lock(tenant, resource) => {
                vec![name!("{}:{{{tenant}:{resource}}}:lock", self.prefix)]
            }
            Scope::Order(tenant, order_id) => {
                let order = name!("{}:{{{tenant}:order:{order_id}}}", self.prefix);
                let mut keys: Vec<_> =
                    ["accepted", "viewers", "lock"].map(|name| name!("{order}:{name}")).into();
                keys.push(order);
                keys
            }
            Scope::Fleet(tenant) => vec![self.fleet(tenant)],
            Scope::Fleets => vec![name!("{}:fleets", self.prefix)],
            Scope::Topic(tenant, topic) => vec![self.channel(tenant, topic)],
            Scope::Revocations(tenant) => vec![name!("{}revocations}}", self.channel_prefix(tenant))],
            Scope::RevokedTenants => vec![name!("{}:revocations", self.prefix)],
            Scope::Life => vec![name!("{}:life", self.prefix)],
        }
    }

    /// The leases of all nodes.
    pub(crate) fn nodes(&self) -> String {
        name!("{}:nodes", self.prefix)
    }

    /// The key and channel on which it is tried what a user of Redis may do.
    pub(crate) fn trial(&self) -> String {
        name!("{}:{{trial}}", self.prefix)
    }

    /// A node's card; the channel to a node has the same name.
    pub(crate) fn node(&self, node: &NodeId) -> String {
        name!("{}:node:{{{node}}}", self.prefix)
    }

    /// A channel by which a node hears itself, by one server of several: the number decides which.
    pub(crate) fn probe(&self, node: &NodeId, number: usize) -> String {
        name!("{}:probe:{{{node}:{number}}}", self.prefix)
    }

    /// What the names of the channels to nodes begin with; a node's id and a closing brace follow.
    pub(crate) fn node_channel_prefix(&self) -> String {
        name!("{}:node:{{", self.prefix)
    }

    /// What the keys of a tenant's locks look like, as a pattern of Redis, and what stands around a resource.
    pub(crate) fn locks(&self, tenant: &Tenant) -> (String, [String; 2]) {
        let around = [name!("{}:{{{tenant}:", self.prefix), "}:lock".to_owned()];
        (around.join("*"), around)
    }

    /// A node's connections: the reverse index.
    pub(crate) fn node_conns(&self, node: &NodeId, generation: Generation) -> String {
        name!("{}:node:{{{node}}}:conns:{generation}", self.prefix)
    }

    /// An agent's record.
    pub(crate) fn agent(&self, tenant: &Tenant, agent: &Agent) -> String {
        [&self.prefix, ":{", tenant.as_str(), ":", agent.as_str(), "}:conns"].concat()
    }

    /// A named session's rows.
    pub(crate) fn session(&self, tenant: &Tenant, session: &SessionId) -> String {
        name!("{}:{{{tenant}:session:{session}}}:conns", self.prefix)
    }

    /// A group's members on one node.
    pub(crate) fn group(
        &self,
        tenant: &Tenant,
        group: &Topic,
        node: &NodeId,
        generation: Generation,
    ) -> String {
        name!("{}:{{{tenant}:{group}}}:conns:{node}.{generation}", self.prefix)
    }

    /// What the keys of a tenant's fleet begin with; a colon follows.
    pub(crate) fn fleet(&self, tenant: &Tenant) -> String {
        name!("{}:{{{tenant}:fleet}}", self.prefix)
    }

    /// The channel of a group topic. The names of a topic's keys begin with the same; a colon follows.
    pub(crate) fn channel(&self, tenant: &Tenant, topic: &Topic) -> String {
        match is_of_fleet(topic) {
            true => name!("{}:{topic}", self.fleet(tenant)),
            false => name!("{}{topic}}}", self.channel_prefix(tenant)),
        }
    }

    /// Epoch and offset of a topic.
    pub(crate) fn meta(&self, tenant: &Tenant, topic: &Topic) -> String {
        name!("{}:meta", self.channel(tenant, topic))
    }

    /// The group topic that a channel of the tenant is of.
    pub(crate) fn topic_of_channel(&self, tenant: &Tenant, channel: &str) -> Option<Topic> {
        let (tag, rest) = channel.strip_prefix(&self.channel_prefix(tenant))?.split_once('}')?;
        let name = match tag {
            "fleet" => rest.strip_prefix(':')?,
            topic if rest.is_empty() => topic,
            _ => return None,
        };
        Topic::try_new(name).ok()
    }

    /// What all channels of a tenant begin with; the topic and a closing brace follow.
    pub(crate) fn channel_prefix(&self, tenant: &Tenant) -> String {
        name!("{}:{{{tenant}:", self.prefix)
    }
}

/// Whether a fleet announces its changes in this topic.
fn is_of_fleet(topic: &Topic) -> bool {
    match topic.kind() {
        "route" | "depot" => true,
        "namespace" => matches!(topic.id(), "route-reservoir" | "depot-reservoir"),
        _ => false,
    }
}

/// How a lease is named in `sb:nodes`.
pub(crate) fn lease_member(node: &NodeId, generation: Generation) -> String {
    name!("{node}.{generation}")
}

/// Reads a lease's name back.
pub(crate) fn parse_lease_member(member: &str) -> Option<(NodeId, Generation)> {
    let (node, generation) = member.rsplit_once('.')?;
    Some((NodeId::try_new(node).ok()?, generation.parse().ok()?))
}

#[cfg(test)]
mod tests;
