//! Writing rows again: what keeps their times to live from ending, and brings back what Redis lost.
//!
//! A refresh works on rows that were read some time ago. What was done to a connection since (it was
//! unregistered, it changed its namespaces) is remembered, heeded when its row is written, and looked at
//! again afterwards, so that a row written over a removal is removed once more.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::call::Call;
use super::directory::RedisDirectory;
use super::pool::PIPELINE_CALLS_MAX;
use super::script::SESSION_KEEP;
use super::text;
use crate::keys::Scope;
use crate::presence::groups_of;
use crate::{Error, Row};

impl RedisDirectory {
    /// Writes `rows` again and extends all times to live.
    pub(super) async fn write_again(&self, rows: &[Row]) -> Result<(), Error> {
        let rows: Vec<_> = rows.iter().filter_map(|row| self.changes.apply(row)).collect();
        self.write_all(&rows).await?;
        self.amend(&rows).await
    }

    /// Replaces the namespaces of a row.
    pub(super) async fn move_to(&self, row: &Row, namespaces: &[String]) -> Result<(), Error> {
        self.changes.moved(&row.connection_id, namespaces);
        let moved = Row { namespaces: namespaces.to_vec(), ..row.clone() };
        let stays: BTreeSet<_> = groups_of(&moved).collect();
        let left = groups_of(row).filter(|group| !stays.contains(group));
        let mut calls: Vec<_> = left.map(|group| self.group_call("SREM", row, &group)).collect();
        calls.extend(self.upsert(&moved));
        calls.extend(self.shared_keys(&moved).map(|key| self.store.expire(&key)));
        self.link().write(&calls).await.map(|_| ())
    }

    /// Looks again at what was done while `written` was being written, and does that again.
    async fn amend(&self, written: &[Row]) -> Result<(), Error> {
        for row in written {
            match self.changes.apply(row) {
                None => {
                    self.strike(row).await?;
                }
                Some(now) if now.namespaces != row.namespaces => {
                    self.move_to(row, &now.namespaces).await?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    async fn write_all(&self, rows: &[Row]) -> Result<(), Error> {
        let calls: Vec<_> = rows.iter().flat_map(|row| self.upsert(row)).collect();
        for some in calls.chunks(PIPELINE_CALLS_MAX) {
            self.link().write(some).await?;
        }
        let shared: BTreeSet<_> = rows.iter().flat_map(|row| self.shared_keys(row)).collect();
        let calls: Vec<_> = shared.iter().map(|key| self.store.expire(key)).collect();
        for some in calls.chunks(PIPELINE_CALLS_MAX) {
            self.store.first_link().write(some).await?;
        }
        self.expiries.note(shared.into_iter().collect());
        Ok(())
    }

    fn upsert(&self, row: &Row) -> Vec<Call> {
        let (id, seconds) = (row.connection_id.as_str(), self.store.row_seconds());
        let mut calls = vec![self.reverse_write(row)];
        if row.session_named {
            let keys = self.store.keys.of(Scope::Session(&row.tenant, &row.session_id));
            let subject = self.subjects.get(&row.connection_id).map(|subject| Arc::clone(&subject));
            let keep = Call::script(&SESSION_KEEP, &keys).arg(id).arg(text::for_session(row));
            let keep = keep.arg(seconds).arg(self.store.owner_seconds());
            calls.push(keep.arg(subject.as_deref().unwrap_or_default()));
        }
        calls.extend(self.store.record_write(row));
        calls.extend(groups_of(row).map(|group| self.group_call("SADD", row, &group)));
        calls
    }
}
