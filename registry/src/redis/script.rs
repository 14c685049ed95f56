//! The scripts that Redis runs, each one step that nothing can come between. Texts lie in `scripts/`.

use std::sync::OnceLock;

/// How a script tells others, and asks whether there are any; and how in a Cluster, by channels that have a slot.
const BY_CHANNEL: &str = "local PUBLISH, NUMSUB = 'PUBLISH', 'NUMSUB'";
const BY_SHARD: &str = "local PUBLISH, NUMSUB = 'SPUBLISH', 'SHARDNUMSUB'";

/// A script; its keys come from one place (`keys.rs`) and share a slot. Others are named in the script by
/// appending to such a key.
#[derive(Debug)]
pub struct Script {
    parts: [&'static str; 3],
    alone: OnceLock<Written>,
    sharded: OnceLock<Written>,
}

/// What Redis runs, and how it is called.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) hash: String,
}

impl Written {
    fn of(text: String) -> Self {
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }
}

impl Script {
    /// A script of this text.
    pub const fn new(text: &'static str) -> Self {
        Self::of_parts([text, "", ""])
    }

    const fn of_parts(parts: [&'static str; 3]) -> Self {
        Self { parts, alone: OnceLock::new(), sharded: OnceLock::new() }
    }

    /// A script that appends to logs, behind what is said first. See `scripts/log.lua` for what it finds there.
    pub const fn appending(first: &'static str, text: &'static str) -> Self {
        Self::of_parts([first, include_str!("scripts/log.lua"), text])
    }

    /// What a Redis runs that is no Cluster.
    pub fn text(&self) -> &str {
        &self.written(false).text
    }

    pub(super) fn written(&self, is_sharded: bool) -> &Written {
        match is_sharded {
            false => self.alone.get_or_init(|| Written::of(self.parts.concat())),
            true => {
                self.sharded.get_or_init(|| Written::of(self.parts.concat().replace(BY_CHANNEL, BY_SHARD)))
            }
        }
    }
}

/// Begins a lease: on [`Scope::Nodes`](crate::keys::Scope::Nodes).
pub(super) static LEASE_ACQUIRE: Script = Script::new(include_str!("scripts/lease_acquire.lua"));
/// Extends a lease that is still alive: on the nodes.
pub(super) static LEASE_RENEW: Script = Script::new(include_str!("scripts/lease_renew.lua"));
/// Ends a lease: on the nodes.
pub(super) static LEASE_RELEASE: Script = Script::new(include_str!("scripts/lease_release.lua"));
/// Which leases are over: on the nodes.
pub(super) static LEASES_ENDED: Script = Script::new(include_str!("scripts/leases_ended.lua"));
/// Adds a row to an agent's record and answers the others: on an agent.
pub(super) static ROW_ADD: Script = Script::new(include_str!("scripts/row_add.lua"));
/// Removes a row if it is of a generation, and answers the others: on an agent.
pub(super) static ROW_REMOVE: Script = Script::new(include_str!("scripts/row_remove.lua"));
/// Removes rows that are still as they were read: on an agent or a session.
pub(super) static ROWS_FORGET: Script = Script::new(include_str!("scripts/rows_forget.lua"));
/// Checks a session's owner, adds a row and answers all: on a session.
pub(super) static SESSION_JOIN: Script = Script::new(include_str!("scripts/session_join.lua"));
/// Removes a row of a session if it is of a generation: on a session.
pub(super) static SESSION_LEAVE: Script = Script::new(include_str!("scripts/session_leave.lua"));
/// Writes a row of a session again and keeps its owner: on a session.
pub(super) static SESSION_KEEP: Script = Script::new(include_str!("scripts/session_keep.lua"));
/// Extends the sweeper's lock: on the sweeper.
pub(super) static SWEEPER_KEEP: Script = Script::new(include_str!("scripts/sweeper_keep.lua"));
/// Releases the sweeper's lock: on the sweeper.
pub(super) static SWEEPER_RELEASE: Script = Script::new(include_str!("scripts/sweeper_release.lua"));

/// The text of a script of a lock: what they share, and then its own. Or before it what most calls need.
macro_rules! of_a_lock {
    ($file:literal) => {
        Script::new(concat!(include_str!("scripts/lock_line.lua"), include_str!($file)))
    };
    ($first:literal, $rest:literal) => {
        Script::new(concat!(include_str!($first), include_str!("scripts/lock_line.lua"), include_str!($rest)))
    };
}

/// Takes a lock or lines up for it: on a lock.
pub(super) static LOCK_ACQUIRE: Script =
    of_a_lock!("scripts/lock_acquire.lua", "scripts/lock_acquire_in_line.lua");
/// Lets a lock last longer: on a lock.
pub(super) static LOCK_RENEW: Script = of_a_lock!("scripts/lock_renew.lua");
/// Ends a lock and gives the turn to the first in line: on a lock.
pub(super) static LOCK_RELEASE: Script =
    of_a_lock!("scripts/lock_release.lua", "scripts/lock_release_in_line.lua");
/// Takes a waiter out of the line: on a lock.
pub(super) static LOCK_LEAVE: Script = of_a_lock!("scripts/lock_leave.lua");
/// Keeps a node's waiters in line, and the line moving: on a lock.
pub(super) static LOCK_TEND: Script = of_a_lock!("scripts/lock_tend.lua");
/// Who holds a lock: on a lock.
pub(super) static LOCK_INSPECT: Script = Script::new(include_str!("scripts/lock_inspect.lua"));

/// Accepts an order once and tells its followers: on an order.
pub(super) static ORDER_ACCEPT: Script = Script::appending("", include_str!("scripts/order_accept.lua"));
/// Notes that an acceptance was told to all: on an order.
pub(super) static ORDER_ANNOUNCED: Script = Script::new(include_str!("scripts/order_announced.lua"));
/// Notes and answers who looks at an order: on an order.
pub(super) static ORDER_VIEW: Script = Script::new(include_str!("scripts/order_view.lua"));

/// Begins a life of what Redis holds, unless there is one: on the life.
pub(super) static LOG_LIFE: Script = Script::new(include_str!("scripts/log_life.lua"));
/// Stores a message and tells of it: on a topic.
pub(super) static LOG_APPEND: Script = Script::appending("", include_str!("scripts/log_append.lua"));
/// Reads what follows an offset: on a topic.
pub(super) static LOG_READ: Script = Script::new(include_str!("scripts/log_read.lua"));
/// Begins another epoch: on a topic.
pub(super) static LOG_EPOCH: Script = Script::appending("", include_str!("scripts/log_epoch.lua"));
/// The history of the server that has a topic: on a topic.
pub(super) static LOG_HISTORY: Script = Script::appending("", include_str!("scripts/log_history.lua"));
/// Lets a log be remembered for as long again: on a topic.
pub(super) static LOG_KEEP: Script = Script::appending("", include_str!("scripts/log_keep.lua"));

/// Writes a revocation down: on a tenant's revocations.
pub(super) static REVOKE: Script = Script::new(include_str!("scripts/revoke.lua"));
/// Marks a tenant's revocations as changed: on the tenants that have some.
pub(super) static REVOKED: Script = Script::new(include_str!("scripts/revoked.lua"));

/// All of them; each new connection makes sure that Redis knows them.
pub(super) static ALL: [&Script; 29] = [
    &LEASE_ACQUIRE,
    &LEASE_RENEW,
    &LEASE_RELEASE,
    &LEASES_ENDED,
    &ROW_ADD,
    &ROW_REMOVE,
    &ROWS_FORGET,
    &SESSION_JOIN,
    &SESSION_LEAVE,
    &SESSION_KEEP,
    &SWEEPER_KEEP,
    &SWEEPER_RELEASE,
    &LOCK_ACQUIRE,
    &LOCK_RENEW,
    &LOCK_RELEASE,
    &LOCK_LEAVE,
    &LOCK_TEND,
    &LOCK_INSPECT,
    &ORDER_ACCEPT,
    &ORDER_ANNOUNCED,
    &ORDER_VIEW,
    &LOG_LIFE,
    &LOG_APPEND,
    &LOG_READ,
    &LOG_EPOCH,
    &LOG_HISTORY,
    &LOG_KEEP,
    &REVOKE,
    &REVOKED,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_cluster_scripts_tell_by_channels_that_have_a_slot() {
        let tells = LOG_APPEND.written(true).text.contains("'SPUBLISH', 'SHARDNUMSUB'");
        assert!(tells && LOG_APPEND.text().contains(BY_CHANNEL));
        assert_ne!(LOG_APPEND.written(true).hash, LOG_APPEND.written(false).hash);
        assert_eq!(ROW_ADD.written(true).hash, ROW_ADD.written(false).hash);
    }

    #[test]
    fn every_key_of_a_script_comes_by_keys() {
        // Names that `log.lua` makes by appending to the one that it is given.
        let of_a_log = ["base .. ':", "ids", "list"];
        for script in ALL {
            for call in script.text().split("redis.call(").skip(1) {
                let mut args = call.split(',').map(str::trim);
                let command = args.next().unwrap_or_default();
                // A channel is no key: a wake goes to whichever node stands first in line.
                if command.starts_with("'TIME'")
                    || matches!(command, "PUBLISH" | "'PUBLISH'" | "'PUBSUB'" | "'INFO'")
                {
                    continue;
                }
                let key = args.next().unwrap_or_default();
                let known = key.starts_with("KEYS[") || of_a_log.iter().any(|name| key.starts_with(name));
                assert!(known, "{command} on {key} in {}", script.text());
            }
        }
    }
}
