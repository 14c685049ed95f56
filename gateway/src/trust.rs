//! Whom the node believes: the keys of the moment, the clock, and tokens held against both.
//!
//! Asked at every handshake and request, so it waits for nothing: what it needs lies in memory and is replaced as a
//! whole when it changes. Cloning gives another handle to the same.

mod key_files;
mod lives;
mod pace;
mod published;
mod publisher;
mod revocations;
mod revoked;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use signalbox_identity::{Claims, Keyring, Rejected, Verifier};
use signalbox_protocol::{SessionId, Tenant};
use signalbox_registry::Revocation;
use signalbox_registry::revocation::Whom;
use tokio::sync::Notify;

pub use self::key_files::KeyFiles;
pub(crate) use self::key_files::run as keep_key_files;
pub use self::lives::begin;
pub(crate) use self::lives::run as keep_lives;
pub(crate) use self::published::run as keep_published_keys;
pub use self::publisher::{InvalidKeySetUrl, KeySetUrl, Publisher, PublisherSettings, ReadError};
pub use self::revocations::RevocationSettings;
pub(crate) use self::revocations::{TooMany, revoke, run as keep_revocations};
use self::revoked::Revoked;
use crate::stamps::now_ms;

/// Whom the node believes.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Made of all sources.
    verifier: ArcSwap<Verifier>,
    sources: Mutex<Sources>,
    /// Whether an issuer's published keys were read, ever.
    published: AtomicBool,
    /// A token named a key that is not known.
    unknown_key: Notify,
    revoked: Revoked,
    /// Whether it was read what is revoked, ever.
    looked: AtomicBool,
    /// A clock that tests pause: what time it was, and when.
    #[cfg(test)]
    paused: std::sync::OnceLock<(u64, tokio::time::Instant)>,
}

/// Where keys come from.
#[derive(Debug, Default)]
struct Sources {
    configured: Verifier,
    published: Keyring,
}

impl Trust {
    /// Believes no token.
    pub fn none() -> Self {
        Self::default()
    }

    /// Believes what this verifier accepts.
    pub fn of_verifier(verifier: Verifier) -> Self {
        let trust = Self::none();
        trust.configure(verifier);
        trust
    }

    /// Who a token speaks for, now. Costs a signature's check and no wait.
    ///
    /// # Errors
    /// [`Rejected`]; it holds nothing of the token.
    pub fn verify(&self, token: &str) -> Result<Claims, Rejected> {
        let verified = self.shared.verifier.load().verify(token, self.now());
        if verified == Err(Rejected::UnknownKey) {
            self.shared.unknown_key.notify_one();
        }
        let mut claims = verified?;
        // By an issuer whose clock is ahead; it was issued before it was shown, and so is revoked with what was.
        claims.issued_at = claims.issued_at.map(|at| at.min(self.now()));
        let bearers = [Whom::Agent(claims.agent.clone()), Whom::Subject(claims.subject.clone())];
        if self.is_revoked(&claims.tenant, &bearers, claims.issued_at) {
            return Err(Rejected::Revoked);
        }
        Ok(claims)
    }

    /// Checks that a token which is believed may be shown in this session.
    ///
    /// # Errors
    /// [`Rejected::Revoked`].
    pub fn check_session(&self, claims: &Claims, session: &SessionId) -> Result<(), Rejected> {
        let session = [Whom::Session(session.clone())];
        let revoked = self.is_revoked(&claims.tenant, &session, claims.issued_at);
        if revoked { Err(Rejected::Revoked) } else { Ok(()) }
    }

    /// Whether tokens of one of these that were issued then are revoked.
    pub(crate) fn is_revoked(&self, tenant: &Tenant, all: &[Whom], issued_at: Option<u64>) -> bool {
        self.shared.revoked.covers(tenant, all, issued_at)
    }

    /// Whether there are revocations of the tenant.
    fn has_revocations(&self, tenant: &Tenant) -> bool {
        self.shared.revoked.has_any(tenant)
    }

    /// Whether it was read what is revoked, ever.
    pub fn has_looked(&self) -> bool {
        self.shared.looked.load(Ordering::Acquire)
    }

    /// It was read what is revoked.
    fn look_done(&self) {
        self.shared.looked.store(true, Ordering::Release);
    }

    /// Remembers revocations; tells whether there was a new one.
    fn learn(&self, tenant: &Tenant, revocations: Vec<Revocation>) -> bool {
        self.shared.revoked.learn(tenant, revocations, self.now())
    }

    /// What time it is, in seconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        #[cfg(test)]
        if let Some((then, since)) = self.shared.paused.get() {
            return then + since.elapsed().as_secs();
        }
        now_ms() / 1_000
    }

    /// From now on time goes by as tests let it.
    #[cfg(test)]
    pub(crate) fn follow_paused_clock(&self) {
        let now = (now_ms() / 1_000, tokio::time::Instant::now());
        self.shared.paused.set(now).expect("once for each node");
    }

    /// Whether an issuer's published keys were read, ever.
    pub fn has_published_keys(&self) -> bool {
        self.shared.published.load(Ordering::Acquire)
    }

    /// From now on these configured keys are believed, beside those that are published, and no others.
    pub(crate) fn configure(&self, configured: Verifier) {
        self.renew(|sources| sources.configured = configured);
    }

    /// From now on these published keys are believed, beside those that are configured, and no others.
    pub(crate) fn publish(&self, published: Keyring) {
        self.renew(|sources| sources.published = published);
        self.shared.published.store(true, Ordering::Release);
    }

    /// The lock is held until it is stored: of two changes at a time none is lost.
    fn renew(&self, change: impl FnOnce(&mut Sources)) {
        let mut sources = self.shared.sources.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut sources);
        let keys = sources.configured.keys.clone().with(&sources.published);
        let expected = sources.configured.expected.clone();
        self.shared.verifier.store(Arc::new(Verifier { keys, expected }));
    }

    /// Waits until a token names a key that is not known; at once if one did since the last time.
    async fn unknown_key(&self) {
        self.shared.unknown_key.notified().await;
    }
}

#[cfg(test)]
mod lives_tests;
#[cfg(test)]
mod publisher_tests;
#[cfg(test)]
mod revocations_tests;
#[cfg(test)]
mod tests;
