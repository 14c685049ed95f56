//! Presence over the table: counted anew for each question.

use async_trait::async_trait;
use signalbox_protocol::{Tenant, Topic};

use super::MemoryCluster;
use crate::presence::{Members, Place};
use crate::{Error, Presence};

#[async_trait]
impl Presence for MemoryCluster {
    async fn members(
        &self,
        tenant: &Tenant,
        group: &Topic,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Members, Error> {
        let after = cursor.map(Place::parse).transpose()?;
        let limit = limit.max(1);
        let shared = self.shared();
        let mut members = Members::default();
        let (mut last_agent, mut more) = (None, false);
        for row in shared.of_group(tenant, group) {
            members.connections += 1;
            if last_agent.replace(&row.agent) != Some(&row.agent) {
                members.agents += 1;
            }
            if after.as_ref().is_some_and(|after| Place::of(row) <= *after) {
                continue;
            }
            if members.rows.len() < limit {
                members.rows.push(row.clone());
            } else {
                more = true;
            }
        }
        members.cursor = members.rows.last().filter(|_| more).map(|row| Place::of(row).cursor());
        Ok(members)
    }

    async fn connections(&self, tenant: &Tenant, groups: &[Topic]) -> Result<Vec<u64>, Error> {
        let shared = self.shared();
        Ok(groups.iter().map(|group| shared.of_group(tenant, group).count() as u64).collect())
    }
}
