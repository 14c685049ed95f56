//! Where entries lie and versions are counted: in the fleet's slot of Redis, or in this process.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `versions` | hash | pool -> how often it changed; raised by the scripts that change a pool |
//! | `cache:POOL:LAT:LON:RADIUS` | string PX | the version, a line's end, the entry |

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{FromRedisValue, Value};
use signalbox_protocol::Tenant;
use signalbox_protocol::fleet::Pool;
use signalbox_registry::redis::{Call, Script, Scripts};
use signalbox_registry::{Backing, Error};
use tokio::time::Instant;

use super::entry::Entry;
use super::key::Key;

/// Most entries of a process that stands alone.
const ENTRIES_MAX: usize = 4_096;

static STORE: Script = Script::new(include_str!("scripts/store.lua"));

/// See the module.
#[derive(Debug)]
pub(super) enum Shelf {
    Memory(Arc<Versions>, Arc<Entries>),
    Redis(Scripts),
}

/// What was found under a key.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The pool's version now.
    pub(super) version: u64,
    /// The entry, if it is of that version.
    pub(super) entry: Option<Arc<Entry>>,
    /// There was one, of another version.
    pub(super) outdated: bool,
    /// For how long it is there.
    pub(super) remaining: Duration,
}

impl Found {
    fn of(version: u64, lying: Option<(u64, Arc<Entry>)>, remaining: Duration) -> Self {
        match lying {
            Some((of, entry)) if of == version => {
                Self { version, entry: Some(entry), outdated: false, remaining }
            }
            lying => Self { version, entry: None, outdated: lying.is_some(), remaining },
        }
    }
}

impl Shelf {
    pub(super) fn new(backing: Backing) -> Self {
        match backing {
            Backing::Memory(commons) => Self::Memory(commons.value(), commons.value()),
            Backing::Redis(scripts) => Self::Redis(scripts),
        }
    }

    /// Looks for an entry. The version is read first, so that what is loaded afterwards is not older than it.
    pub(super) async fn look(&self, tenant: &Tenant, key: &Key) -> Result<Found, Error> {
        match self {
            Self::Memory(versions, entries) => {
                let version = versions.of(tenant, &key.pool);
                let (lying, remaining) = entries.get(tenant, key).unzip();
                Ok(Found::of(version, lying, remaining.unwrap_or_default()))
            }
            Self::Redis(scripts) => {
                let version = scripts.fleet_key(tenant, "versions");
                let entry = scripts.fleet_key(tenant, &format!("cache:{}", key.name()));
                let calls = [
                    Call::new("HGET").arg(version).arg(key.pool.as_str()),
                    Call::new("GET").arg(&entry),
                    Call::new("PTTL").arg(&entry),
                ];
                let mut answers = scripts.read(tenant, &calls).await?.into_iter();
                let version = read::<Option<u64>>(answers.next())?.unwrap_or(0);
                let lying = read::<Option<String>>(answers.next())?.map(|text| decode(&text)).transpose()?;
                // Below zero: there is none any more.
                let remaining_ms = u64::try_from(read::<i64>(answers.next())?).unwrap_or(0);
                Ok(Found::of(version, lying, Duration::from_millis(remaining_ms)))
            }
        }
    }

    /// Stores an entry, unless the pool's version is another by now; whether it did.
    pub(super) async fn store(
        &self,
        tenant: &Tenant,
        key: &Key,
        (version, entry): (u64, &Arc<Entry>),
        ttl: Duration,
    ) -> Result<bool, Error> {
        match self {
            Self::Memory(versions, entries) => {
                let current = versions.of(tenant, &key.pool) == version;
                if current {
                    entries.put(tenant, key, (version, Arc::clone(entry)), ttl);
                }
                Ok(current)
            }
            Self::Redis(scripts) => {
                let call = scripts
                    .on_fleet(&STORE, tenant)
                    .arg(key.pool.as_str())
                    .arg(version)
                    .arg(key.name())
                    .arg(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1))
                    .arg(encode(version, entry));
                Ok(read::<u8>(Some(scripts.write(tenant, call).await?))? == 1)
            }
        }
    }
}

fn read<T: FromRedisValue>(value: Option<Value>) -> Result<T, Error> {
    let unreadable = || Error::Unreadable { what: "remembered answer" };
    redis::from_redis_value(value.ok_or_else(unreadable)?).map_err(|_| unreadable())
}

fn encode(version: u64, entry: &Entry) -> String {
    let mut text = format!("{version}\n");
    entry.write(&mut text);
    text
}

fn decode(text: &str) -> Result<(u64, Arc<Entry>), Error> {
    let read = || {
        let (version, entry) = text.split_once('\n')?;
        Some((version.parse().ok()?, Arc::new(Entry::read(entry)?)))
    };
    read().ok_or(Error::Unreadable { what: "remembered answer" })
}

/// How often each pool of this process changed. The memory repository raises them, before it announces.
#[derive(Debug, Default)]
pub(crate) struct Versions(Mutex<HashMap<(Tenant, Pool), u64>>);

impl Versions {
    /// A pool has changed.
    pub(crate) fn raise(&self, tenant: &Tenant, pool: &Pool) {
        *lock(&self.0).entry((tenant.clone(), pool.clone())).or_default() += 1;
    }

    fn of(&self, tenant: &Tenant, pool: &Pool) -> u64 {
        lock(&self.0).get(&(tenant.clone(), pool.clone())).copied().unwrap_or(0)
    }
}

/// The entries of this process.
#[derive(Debug, Default)]
pub(super) struct Entries(Mutex<HashMap<(Tenant, Key), Lying>>);

#[derive(Debug)]
struct Lying {
    version: u64,
    entry: Arc<Entry>,
    ends: Instant,
}

impl Entries {
    /// An entry with its version, and for how long it is there.
    fn get(&self, tenant: &Tenant, key: &Key) -> Option<((u64, Arc<Entry>), Duration)> {
        let entries = lock(&self.0);
        let lying = entries.get(&(tenant.clone(), key.clone()))?;
        let remaining = lying.ends.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        Some(((lying.version, Arc::clone(&lying.entry)), remaining))
    }

    /// Stores an entry, unless there are too many that still live.
    fn put(&self, tenant: &Tenant, key: &Key, (version, entry): (u64, Arc<Entry>), ttl: Duration) {
        let (mut entries, now) = (lock(&self.0), Instant::now());
        if entries.len() >= ENTRIES_MAX {
            entries.retain(|_, lying| lying.ends > now);
        }
        if entries.len() < ENTRIES_MAX {
            entries.insert((tenant.clone(), key.clone()), Lying { version, entry, ends: now + ttl });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
