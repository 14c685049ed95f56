//! Strapi as the store of one tenant's passengers.
//!
//! Strapi can't decide who boards: it has no step that checks and writes at once. So the claims, a
//! [`Repository`] in Redis or in memory, decide and announce, and Strapi is written after them: each decision
//! leaves a line in the outbox in the same step, and a worker brings Strapi in line with the claims, however
//! long that takes. What Strapi refuses for good is undone in the claims, where it can be. Only a push goes
//! to Strapi first: a passenger exists once Strapi has taken it, and can be seen and boarded once the claims
//! have it too. Passengers whom others put into Strapi are taken into the claims when they are boarded.

mod adopt;
mod client;
mod collection;
mod counters;
mod filters;
mod near;
mod overlay;
mod passengers;
mod push;
mod record;
mod settings;
mod store;
mod sync;
mod worker;

use std::sync::Arc;

use signalbox_registry::Backing;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::counters::StrapiCounters;
pub use self::settings::{InvalidSettings, StrapiSettings};
use self::store::Store;
use crate::{CacheSettings, QueryCache, Repository, Reservoir, repository, reservoir};

/// Strapi, opened.
#[derive(Debug, Clone)]
pub struct Strapi {
    store: Arc<Store>,
    backing: Backing,
    tasks: TaskTracker,
}

impl Strapi {
    /// Strapi behind claims that are kept in `backing` as `claims` says. Starts the worker of the outbox as a
    /// task of `tracker` that runs until `stop`.
    ///
    /// # Errors
    /// [`InvalidSettings`]. A Strapi that is not there is no error.
    pub fn open(
        settings: StrapiSettings,
        claims: repository::Settings,
        backing: &Backing,
        (tracker, stop): (&TaskTracker, CancellationToken),
    ) -> Result<Self, InvalidSettings> {
        let claims = repository::deciding_for(backing, claims, settings.tenant.clone());
        let store = Arc::new(Store::try_new(settings, claims, backing, (tracker, stop.clone()))?);
        tracker.spawn(worker::run(Arc::clone(&store), stop));
        Ok(Self { store, backing: backing.clone(), tasks: tracker.clone() })
    }

    /// The passengers in it, with answers to queries remembered for the tenant whose they are.
    pub fn reservoir(&self, settings: reservoir::Settings, mut cache: CacheSettings) -> Reservoir {
        cache.tenant = Some(self.store.settings.tenant.clone());
        let cache = QueryCache::new(self.backing.clone(), cache, self.tasks.clone());
        Reservoir::new(self.repository(), settings).with_cache(Arc::new(cache))
    }

    /// The passengers in it, as a repository.
    pub fn repository(&self) -> Arc<dyn Repository> {
        Arc::clone(&self.store) as _
    }

    /// What was written to it, and what was not.
    pub fn counters(&self) -> StrapiCounters {
        self.store.counters.read()
    }

    /// How many changes wait for it.
    ///
    /// # Errors
    /// As the registry's.
    pub async fn waiting(&self) -> Result<u64, signalbox_registry::Error> {
        self.store.outbox.waiting().await
    }
}
