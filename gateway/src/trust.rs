//! Whom the node believes: the keys of the moment, the clock, and tokens held against both.
//!
//! Asked at every handshake and request, so it waits for nothing: what it needs lies in memory and is replaced as a
//! whole when it changes. Cloning gives another handle to the same.

use std::sync::Arc;

use arc_swap::ArcSwap;
use signalbox_identity::{Claims, Rejected, Verifier};

use crate::stamps::now_ms;

/// Whom the node believes.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    verifier: ArcSwap<Verifier>,
}

impl Trust {
    /// Believes no token.
    pub fn none() -> Self {
        Self::default()
    }

    /// Believes what this verifier accepts.
    pub fn of_verifier(verifier: Verifier) -> Self {
        Self { shared: Arc::new(Shared { verifier: ArcSwap::from_pointee(verifier) }) }
    }

    /// Who a token speaks for, now. Costs a signature's check and no wait.
    ///
    /// # Errors
    /// [`Rejected`]; it holds nothing of the token.
    pub fn verify(&self, token: &str) -> Result<Claims, Rejected> {
        self.shared.verifier.load().verify(token, now_ms() / 1_000)
    }
}

#[cfg(test)]
mod tests;
