//! Revocations of one process.

use std::collections::HashMap;

use async_trait::async_trait;
use signalbox_protocol::Tenant;

use super::MemoryCluster;
use crate::mutex::lock;
use crate::revocation::{Revocation, Whom};
use crate::{Error, Revocations};

/// What is revoked of each tenant.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    tenants: HashMap<Tenant, OfTenant>,
}

#[derive(Debug, Default)]
struct OfTenant {
    version: u64,
    all: HashMap<Whom, Revocation>,
}

impl OfTenant {
    fn revoke(&mut self, revocation: &Revocation, most: usize) -> bool {
        let known = self.all.get(&revocation.whom);
        if known.is_none() && self.all.len() >= most {
            self.all.retain(|_, known| known.until > revocation.at);
            if self.all.len() >= most {
                return false;
            }
        }
        let known = self.all.entry(revocation.whom.clone()).or_insert_with(|| revocation.clone());
        known.at = known.at.max(revocation.at);
        known.until = known.until.max(revocation.until);
        self.version += 1;
        true
    }
}

#[async_trait]
impl Revocations for MemoryCluster {
    async fn revoke(&self, tenant: &Tenant, revocation: &Revocation, most: usize) -> Result<bool, Error> {
        Ok(lock(&self.revoked).tenants.entry(tenant.clone()).or_default().revoke(revocation, most))
    }

    async fn versions(&self) -> Result<Vec<(Tenant, u64)>, Error> {
        let revoked = lock(&self.revoked);
        Ok(revoked.tenants.iter().map(|(tenant, of_it)| (tenant.clone(), of_it.version)).collect())
    }

    async fn list(&self, tenant: &Tenant) -> Result<Vec<Revocation>, Error> {
        let revoked = lock(&self.revoked);
        Ok(revoked.tenants.get(tenant).map(|of_it| of_it.all.values().cloned().collect()).unwrap_or_default())
    }
}
