//! Revocations in Redis: a hash for each tenant, and one list of the tenants that have some, by which every node
//! learns with one question what changed.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use signalbox_protocol::Tenant;

use super::call::{Call, read};
use super::script::{REVOKE, REVOKED};
use super::store::Store;
use crate::keys::Scope;
use crate::revocation::Revocation;
use crate::{Error, Revocations};

/// The revocations in Redis.
#[derive(Debug)]
pub(super) struct RedisRevocations {
    pub(super) store: Arc<Store>,
}

#[async_trait]
impl Revocations for RedisRevocations {
    async fn revoke(&self, tenant: &Tenant, revocation: &Revocation, most: usize) -> Result<bool, Error> {
        let Revocation { whom, at, until } = revocation;
        let deadline_ms = self.store.deadline_ms().await?;
        let call = Call::script(&REVOKE, &self.store.keys.of(Scope::Revocations(tenant)));
        let call = call.arg(deadline_ms).arg(whom.to_string()).arg(at).arg(until).arg(most);
        match read::<i64>(self.store.links.of(tenant).write_one(call).await?, "revocation")? {
            0 => return Ok(false),
            1 => {}
            _ => return Err(Error::Unavailable(None)),
        }
        // Written, but no node would look: whoever revokes has to know.
        self.tell(tenant, until - at).await.map_err(|error| Error::OutcomeUnknown(Some(error.into())))?;
        Ok(true)
    }

    async fn versions(&self) -> Result<Vec<(Tenant, u64)>, Error> {
        let keys = self.store.keys.of(Scope::RevokedTenants);
        let call = Call::new("ZRANGE").arg(keys.as_slice()).arg(0).arg(-1).arg("WITHSCORES");
        let answer = self.store.bulk().await?.one(call).await?;
        let pairs: Vec<(String, f64)> = read(answer, "list of tenants")?;
        let tenant = |name: &str| Tenant::try_new(name).map_err(|_| Error::Unreadable { what: "tenant" });
        pairs.iter().map(|(name, version)| Ok((tenant(name)?, *version as u64))).collect()
    }

    async fn list(&self, tenant: &Tenant) -> Result<Vec<Revocation>, Error> {
        let keys = self.store.keys.of(Scope::Revocations(tenant));
        let answer = self.store.bulk().await?.one(Call::new("HGETALL").arg(keys.as_slice())).await?;
        let fields: HashMap<String, String> = read(answer, "revocations")?;
        fields.iter().map(|(whom, times)| revocation(whom, times)).collect()
    }
}

impl RedisRevocations {
    /// Marks the tenant's revocations as changed; they are kept for so many seconds.
    async fn tell(&self, tenant: &Tenant, kept_seconds: u64) -> Result<(), Error> {
        let call = Call::script(&REVOKED, &self.store.keys.of(Scope::RevokedTenants));
        self.store.first_link().write_one(call.arg(tenant.as_str()).arg(kept_seconds)).await.map(drop)
    }
}

fn revocation(whom: &str, times: &str) -> Result<Revocation, Error> {
    let read = || {
        let (at, until) = times.split_once(' ')?;
        Some(Revocation { whom: whom.parse().ok()?, at: at.parse().ok()?, until: until.parse().ok()? })
    };
    read().ok_or(Error::Unreadable { what: "revocation" })
}
