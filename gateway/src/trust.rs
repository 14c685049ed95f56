//! Whom the node believes: the keys of the moment, the clock, and tokens held against both.
//!
//! Asked at every handshake and request, so it waits for nothing: what it needs lies in memory and is replaced as a
//! whole when it changes. Cloning gives another handle to the same.

mod published;
mod publisher;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use signalbox_identity::{Claims, Keyring, Rejected, Verifier};
use tokio::sync::Notify;

pub(crate) use self::published::run as keep_published_keys;
pub use self::publisher::{
    InvalidKeySetUrl, KeySetUrl, Publisher, PublisherSettings, ReadError, UnusableCertificates,
};
use crate::stamps::now_ms;

/// Whom the node believes.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    verifier: ArcSwap<Verifier>,
    /// Whether an issuer's published keys were read, ever.
    published: AtomicBool,
    /// A token named a key that is not known.
    unknown_key: Notify,
}

impl Trust {
    /// Believes no token.
    pub fn none() -> Self {
        Self::default()
    }

    /// Believes what this verifier accepts.
    pub fn of_verifier(verifier: Verifier) -> Self {
        let verifier = ArcSwap::from_pointee(verifier);
        Self { shared: Arc::new(Shared { verifier, ..Shared::default() }) }
    }

    /// Who a token speaks for, now. Costs a signature's check and no wait.
    ///
    /// # Errors
    /// [`Rejected`]; it holds nothing of the token.
    pub fn verify(&self, token: &str) -> Result<Claims, Rejected> {
        let verified = self.shared.verifier.load().verify(token, now_ms() / 1_000);
        if verified == Err(Rejected::UnknownKey) {
            self.shared.unknown_key.notify_one();
        }
        verified
    }

    /// Whether an issuer's published keys were read, ever.
    pub fn has_published_keys(&self) -> bool {
        self.shared.published.load(Ordering::Acquire)
    }

    /// From now on these published keys are believed, beside those of `configured`, and no others.
    pub(crate) fn publish(&self, configured: &Verifier, published: &Keyring) {
        let keys = configured.keys.clone().with(published);
        let expected = configured.expected.clone();
        self.shared.verifier.store(Arc::new(Verifier { keys, expected }));
        self.shared.published.store(true, Ordering::Release);
    }

    /// Waits until a token names a key that is not known; at once if one did since the last time.
    async fn unknown_key(&self) {
        self.shared.unknown_key.notified().await;
    }
}

#[cfg(test)]
mod publisher_tests;
#[cfg(test)]
mod tests;
