//! What is revoked, in memory: asked at every handshake and request, without a wait.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use signalbox_protocol::Tenant;
use signalbox_registry::Revocation;
use signalbox_registry::revocation::Whom;

/// The revocations that the node knows. It forgets one only when that is over.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    tenants: RwLock<HashMap<Tenant, HashMap<Whom, Mark>>>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    at: u64,
    until: u64,
}

impl Revoked {
    /// Adds what is not known yet, and tells whether there was something.
    pub(super) fn learn(&self, tenant: &Tenant, revocations: Vec<Revocation>, now: u64) -> bool {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let known = tenants.entry(tenant.clone()).or_default();
        let mut learned = false;
        for Revocation { whom, at, until } in revocations {
            let mark = known.entry(whom).or_insert(Mark { at: 0, until });
            learned |= at > mark.at;
            *mark = Mark { at: mark.at.max(at), until: mark.until.max(until) };
        }
        tenants.retain(|_, known| {
            known.retain(|_, mark| mark.until > now);
            !known.is_empty()
        });
        learned
    }

    /// Whether one of these was revoked since. Who does not say since when, is not believed.
    pub(super) fn covers(&self, tenant: &Tenant, all: &[Whom], issued_at: Option<u64>) -> bool {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = tenants.get(tenant) else { return false };
        let marks = all.iter().filter_map(|whom| known.get(whom));
        marks.into_iter().any(|mark| issued_at.is_none_or(|issued_at| issued_at <= mark.at))
    }

    /// Whether there is any of this tenant.
    pub(super) fn has_any(&self, tenant: &Tenant) -> bool {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).contains_key(tenant)
    }
}
