//! Removing what ended leases left behind: rows of those generations, and nothing else.
//!
//! One sweeper at a time holds a short lock and extends it before each step. A lease stays listed until all
//! of it is gone, and its reverse index until then too, so a sweep that dies is simply done again.

use std::collections::HashSet;
use std::time::Duration;

use redis::Value;
use signalbox_protocol::{NodeId, Topic};
use uuid::Uuid;

use super::call::{Call, read};
use super::directory::read_leases;
use super::pool::Bulk;
use super::script::{
    LEASES_ENDED, ROW_REMOVE, ROWS_FORGET, SESSION_LEAVE, SWEEPER_KEEP, SWEEPER_RELEASE, Script,
};
use super::store::Store;
use super::text;
use crate::directory::is_service;
use crate::keys::{KeySet, Scope, parse_lease_member};
use crate::lease::Swept;
use crate::presence::groups_of;
use crate::row::Generation;
use crate::{Error, Row};

/// How long a sweeper may be silent before another takes over; one step takes milliseconds.
const LOCK: Duration = Duration::from_secs(10);
/// About how many rows a step removes.
const STEP_ROWS: usize = 256;

/// Sweeps every ended lease, unless somebody else is at it.
pub(super) async fn sweep(store: &Store) -> Result<Swept, Error> {
    let mut bulk = store.bulk().await?;
    let ended = bulk.one(Call::script(&LEASES_ENDED, &store.keys.of(Scope::Nodes))).await?;
    let ended: Vec<String> = read(ended, "list of nodes")?;
    if ended.is_empty() {
        return Ok(Swept::default());
    }
    let token = Uuid::now_v7().simple().to_string();
    let lock = store.keys.of(Scope::Sweeper);
    let take = Call::new("SET").arg(lock.as_slice()).arg(&token).arg("NX").arg("PX");
    if bulk.one(take.arg(LOCK.as_millis() as u64)).await? == Value::Nil {
        return Ok(Swept::default());
    }
    let mut sweeper = Sweeper { store, bulk, token, swept: Swept::default() };
    let done = sweeper.leases(&ended).await;
    sweeper.release().await;
    // What was removed was removed, and departures have to be told, even if the rest has to wait.
    match done {
        Err(error) if sweeper.swept == Swept::default() => Err(error),
        _ => Ok(sweeper.swept),
    }
}

struct Sweeper<'a> {
    store: &'a Store,
    bulk: Bulk,
    token: String,
    swept: Swept,
}

impl Sweeper<'_> {
    async fn leases(&mut self, ended: &[String]) -> Result<(), Error> {
        for member in ended {
            if let Some((node, generation)) = parse_lease_member(member)
                && !self.lease(&node, generation).await?
            {
                return Ok(());
            }
            let drop = Call::new("ZREM").arg(self.store.keys.nodes()).arg(member);
            self.swept.leases += read::<u64>(self.bulk.one(drop).await?, "answer")?;
        }
        Ok(())
    }

    /// Removes all rows of a lease; false when the lock was lost on the way.
    async fn lease(&mut self, node: &NodeId, generation: Generation) -> Result<bool, Error> {
        let reverse = self.store.keys.node_conns(node, generation);
        let mut groups = HashSet::new();
        let mut cursor = "0".to_owned();
        loop {
            if !self.keep().await? {
                return Ok(false);
            }
            let scan = Call::new("HSCAN").arg(&reverse).arg(&cursor).arg("COUNT").arg(STEP_ROWS);
            let (next, pairs): (String, Vec<(String, String)>) =
                read(self.bulk.one(scan).await?, "reverse index")?;
            // A row that can't be read is of another version, whose own nodes know how to sweep it.
            let rows =
                pairs.iter().filter_map(|(number, row)| text::of_node(node, generation, number, row).ok());
            self.rows(&rows.collect::<Vec<_>>(), &mut groups).await?;
            if next == "0" {
                break;
            }
            cursor = next;
        }
        let card = self.card_if_of(node, generation).await?;
        let gone: Vec<_> = groups.into_iter().chain([reverse]).chain(card).collect();
        self.bulk.run(&gone.iter().map(|key| Call::new("UNLINK").arg(key)).collect::<Vec<_>>()).await?;
        Ok(true)
    }

    async fn rows(&mut self, rows: &[Row], groups: &mut HashSet<String>) -> Result<(), Error> {
        let keys = &self.store.keys;
        let mut calls = Vec::with_capacity(2 * rows.len());
        for row in rows {
            let of_row = groups_of(row);
            groups.extend(
                of_row.map(|group: Topic| keys.group(&row.tenant, &group, &row.node_id, row.generation)),
            );
            calls.push(remove_from(&ROW_REMOVE, &keys.of(Scope::Agent(&row.tenant, &row.agent)), row));
        }
        let records = self.bulk.run(&calls).await?;
        calls.clear();
        for row in rows.iter().filter(|row| row.session_named) {
            let keys = keys.of(Scope::Session(&row.tenant, &row.session_id));
            calls.push(remove_from(&SESSION_LEAVE, &keys, row).arg(self.store.owner_seconds()));
        }
        self.bulk.run(&calls).await?;
        for (row, left) in rows.iter().zip(records) {
            if left != Value::Nil {
                self.swept.rows += 1;
                self.depart(row, left).await?;
            }
        }
        Ok(())
    }

    /// Notes that a service is gone if nothing live is left of it. What is left and dead is removed with
    /// it, so that the departure is told once.
    async fn depart(&mut self, row: &Row, left: Value) -> Result<(), Error> {
        if !is_service(&row.agent) {
            return Ok(());
        }
        let leases = read_leases(left.clone())?;
        let live = self.store.live.sift(leases, |(node, generation)| (node, *generation)).await?;
        if !live.is_empty() {
            return Ok(());
        }
        let who = (row.tenant.clone(), row.agent.clone());
        if !self.swept.departed_services.contains(&who) {
            self.swept.departed_services.push(who);
        }
        let left: Vec<(String, String)> = read(left, "agent's record")?;
        if !left.is_empty() {
            let keys = self.store.keys.of(Scope::Agent(&row.tenant, &row.agent));
            self.bulk.one(Call::script(&ROWS_FORGET, &keys).arg(left)).await?;
        }
        Ok(())
    }

    /// The node's card, unless a later generation has written it since.
    async fn card_if_of(&mut self, node: &NodeId, generation: Generation) -> Result<Option<String>, Error> {
        let key = self.store.keys.node(node);
        let of = self.bulk.one(Call::new("HGET").arg(&key).arg("generation")).await?;
        let of: Option<Generation> = read(of, "node's card")?;
        Ok((of == Some(generation)).then_some(key))
    }

    async fn keep(&mut self) -> Result<bool, Error> {
        let call = Call::script(&SWEEPER_KEEP, &self.store.keys.of(Scope::Sweeper));
        let call = call.arg(&self.token).arg(LOCK.as_millis() as u64);
        Ok(read::<u64>(self.bulk.one(call).await?, "answer")? == 1)
    }

    /// If this fails the lock ends by itself.
    async fn release(&mut self) {
        let call = Call::script(&SWEEPER_RELEASE, &self.store.keys.of(Scope::Sweeper));
        let _ = self.bulk.one(call.arg(&self.token)).await;
    }
}

fn remove_from(script: &'static Script, keys: &KeySet, row: &Row) -> Call {
    let prefix = text::generation_prefix(row.generation);
    Call::script(script, keys).arg(row.connection_id.as_str()).arg(prefix)
}
