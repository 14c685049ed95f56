//! Answers to queries, remembered for a few seconds by all nodes.
//!
//! An entry is of one pool, one radius and one position rounded to four decimals (11 m). It holds everybody
//! who waits within the radius and 20 m more, so that an answer can be cut from it for every position that
//! rounds to that one. Each change of a pool raises its version in the same step; an entry is of a version,
//! and is neither read nor stored under another. One load per entry, version and node is under way at a time:
//! whoever asks for the same meanwhile waits for it. Without Redis the repository is asked.
//!
//! Whoever asks does the work, but for one thing: an entry that is asked for near its end is loaded anew in the
//! background, so that who asks often never waits for a load, unless the pool changes.

mod counters;
mod entry;
mod flights;
mod key;
mod shelf;

use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::Tenant;
use signalbox_registry::Backing;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

pub use self::counters::CacheCounters;
use self::counters::{Counted, Counters};
use self::entry::{Entry, MARGIN_M};
use self::flights::{Flights, Landed, Role};
use self::key::Key;
use self::shelf::Shelf;
pub(crate) use self::shelf::Versions;
use crate::answer::{Answer, Source};
use crate::repository::Area;
use crate::store::StoreError;
use crate::{Error, Repository};

/// How answers are remembered.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// Whose: a store of one tenant makes the answers for that one slow. `None`: everybody's.
    pub tenant: Option<Tenant>,
    /// How long an entry lives.
    pub ttl: Duration,
    /// An entry that is asked for in so much time before its end is loaded anew.
    pub refresh_within: Duration,
    /// Most passengers of an entry. Where more wait, an answer that needs them comes from the repository.
    pub passengers_max: usize,
    /// Most loads under way at a time on this node.
    pub loads_max: usize,
    /// Longest wait for a load, or for its turn.
    pub load_timeout: Duration,
}

impl CacheSettings {
    /// Entries that live so long, and are loaded anew if they are asked for in the second half of it.
    pub fn living(ttl: Duration) -> Self {
        Self { ttl, refresh_within: ttl / 2, ..Self::default() }
    }
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            tenant: None,
            ttl: Duration::from_secs(5),
            refresh_within: Duration::from_millis(2_500),
            passengers_max: 1_000,
            loads_max: 64,
            load_timeout: Duration::from_secs(15),
        }
    }
}

/// The remembered answers, as one node sees them.
#[derive(Debug)]
pub struct QueryCache {
    shelf: Shelf,
    flights: Flights,
    loads: Semaphore,
    counters: Counters,
    settings: CacheSettings,
    tasks: TaskTracker,
}

impl QueryCache {
    /// The cache of the cluster behind `backing`; what it loads in the background runs among `tasks`.
    pub fn new(backing: Backing, settings: CacheSettings, tasks: TaskTracker) -> Self {
        let loads = Semaphore::new(settings.loads_max.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            shelf: Shelf::new(backing),
            flights: Flights::default(),
            loads,
            counters: Counters::default(),
            settings,
            tasks,
        }
    }

    /// Whether this tenant's answers are remembered.
    pub fn serves(&self, tenant: &Tenant) -> bool {
        self.settings.tenant.as_ref().is_none_or(|only| only == tenant)
    }

    /// What it did since the start of the node.
    pub fn counters(&self) -> CacheCounters {
        self.counters.read()
    }

    /// Loads under way on this node.
    pub fn loading(&self) -> usize {
        self.flights.under_way()
    }

    /// Who waits in an area, as [`Reservoir::query`](crate::Reservoir::query) answers it.
    ///
    /// # Errors
    /// As [`Repository::near`]; [`StoreError::LoadFailed`] if a load of somebody else was waited for.
    pub async fn query(
        self: &Arc<Self>,
        repository: &Arc<dyn Repository>,
        tenant: &Tenant,
        area: &Area,
    ) -> Result<Answer, Error> {
        let answer = self.answer(repository, tenant, area).await;
        match &answer {
            Ok(answer) => self.counters.count(match answer.source {
                Source::Hit => Counted::Hit,
                Source::Miss => Counted::Miss,
                Source::Bypass => Counted::Bypass,
            }),
            Err(_) => self.counters.count(Counted::Error),
        }
        answer
    }

    async fn answer(
        self: &Arc<Self>,
        repository: &Arc<dyn Repository>,
        tenant: &Tenant,
        area: &Area,
    ) -> Result<Answer, Error> {
        let wanted = Wanted { repository, tenant, key: Key::of(area), area };
        let (entry, source) = match self.shelf.look(tenant, &wanted.key).await {
            Ok(found) => {
                if found.outdated {
                    self.counters.count(Counted::Invalidated);
                }
                match found.entry {
                    Some(entry) => {
                        if found.remaining < self.settings.refresh_within {
                            self.refresh(&wanted, found.version);
                        }
                        (entry, Source::Hit)
                    }
                    None => self.load(&wanted, Some(found.version)).await?,
                }
            }
            Err(error) => {
                tracing::debug!(%error, "no cache: the repository is asked");
                (self.load(&wanted, None).await?.0, Source::Bypass)
            }
        };
        match entry.answer(area) {
            Some(found) => Ok(Answer { found, source }),
            None => self.bypass(&wanted).await,
        }
    }

    /// Loads an entry, or waits for whoever does.
    async fn load(&self, wanted: &Wanted<'_>, version: Option<u64>) -> Result<(Arc<Entry>, Source), Error> {
        let joining = async {
            loop {
                match self.flights.join((wanted.tenant.clone(), wanted.key.clone(), version)) {
                    Role::Loader(flight) => {
                        let loaded = self.load_alone(wanted, version).await;
                        flight.land(loaded.as_ref().ok());
                        return loaded.map(|entry| (entry, Source::Miss));
                    }
                    Role::Waiter(mut flight) => match flight.landed().await {
                        Landed::Loaded(entry) => return Ok((entry, Source::Hit)),
                        Landed::Failed => return Err(StoreError::LoadFailed.into()),
                        // Whoever loaded was cancelled: somebody else has to.
                        Landed::Abandoned => {}
                    },
                }
            }
        };
        timeout(self.settings.load_timeout, joining).await.map_err(|_| StoreError::LoadFailed)?
    }

    /// Loads an entry anew in the background, unless that is under way, or as many loads as may be are.
    fn refresh(self: &Arc<Self>, wanted: &Wanted<'_>, version: u64) {
        if self.flights.under_way() >= self.settings.loads_max {
            return;
        }
        let name = (wanted.tenant.clone(), wanted.key.clone(), Some(version));
        let Role::Loader(flight) = self.flights.join(name) else { return };
        let (cache, repository, tenant) =
            (Arc::clone(self), Arc::clone(wanted.repository), wanted.tenant.clone());
        let (key, area) = (wanted.key.clone(), wanted.area.clone());
        self.tasks.spawn(async move {
            let wanted = Wanted { repository: &repository, tenant: &tenant, key, area: &area };
            match timeout(cache.settings.load_timeout, cache.load_alone(&wanted, Some(version))).await {
                Ok(Ok(entry)) => {
                    flight.land(Some(&entry));
                    cache.counters.count(Counted::Refreshed);
                }
                failed => {
                    flight.land(None);
                    tracing::debug!(?failed, "an answer was not loaded anew; it is used until its end");
                }
            }
        });
    }

    async fn load_alone(&self, wanted: &Wanted<'_>, version: Option<u64>) -> Result<Arc<Entry>, Error> {
        let _turn = self.loads.acquire().await.map_err(|_| StoreError::LoadFailed)?;
        let most = self.settings.passengers_max;
        let around = Area {
            center: wanted.key.center(),
            radius_m: wanted.area.radius_m + MARGIN_M,
            // One more tells whether these are all.
            limit: most + 1,
            ..wanted.area.clone()
        };
        let candidates = wanted.repository.near(wanted.tenant, &around).await?;
        let entry = Arc::new(Entry::of(candidates, &around, most));
        let Some(version) = version else { return Ok(entry) };
        match self.shelf.store(wanted.tenant, &wanted.key, (version, &entry), self.settings.ttl).await {
            Ok(true) => {}
            Ok(false) => self.counters.count(Counted::Invalidated),
            Err(error) => tracing::debug!(%error, "an answer was not remembered"),
        }
        Ok(entry)
    }

    /// Asks the repository for just this area.
    async fn bypass(&self, wanted: &Wanted<'_>) -> Result<Answer, Error> {
        let asking = async {
            let _turn = self.loads.acquire().await.map_err(|_| StoreError::LoadFailed)?;
            wanted.repository.near(wanted.tenant, wanted.area).await
        };
        let candidates =
            timeout(self.settings.load_timeout, asking).await.map_err(|_| StoreError::LoadFailed)??;
        Ok(Answer { found: crate::answer::cut(candidates, wanted.area), source: Source::Bypass })
    }
}

/// A query, and the entry that would answer it.
struct Wanted<'a> {
    repository: &'a Arc<dyn Repository>,
    tenant: &'a Tenant,
    key: Key,
    area: &'a Area,
}
