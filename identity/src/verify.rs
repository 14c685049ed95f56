//! Whether a token is to be believed.

use crate::claims::{self, Claims, Terms};
use crate::parts::Parts;
use crate::{Keyring, Rejected};

/// Most bytes of a token: half of what the headers of a request may have.
pub const TOKEN_BYTES_MAX: usize = 8 * 1_024;

/// What a token has to say, beside being signed.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// One of these has to be its issuer; none: any may be.
    pub issuers: Vec<String>,
    /// One of these has to be its audience. None: it must not be for anybody in particular (RFC 7519, 4.1.3).
    pub audiences: Vec<String>,
    /// Seconds by which clocks may differ.
    pub leeway: u64,
    /// Seconds from when it was issued (or now, if it does not say) to its end, at most; none: as long as it likes.
    pub lifetime_max: Option<u64>,
}

/// Checks tokens.
#[derive(Debug, Clone, Default)]
pub struct Verifier {
    /// The keys that are trusted.
    pub keys: Keyring,
    /// What is expected.
    pub expected: Expected,
}

impl Verifier {
    /// Who a token speaks for, at `now` in seconds since 1970.
    ///
    /// # Errors
    /// [`Rejected`]. [`Rejected::UnknownKey`] may be another once the keys are read again.
    pub fn verify(&self, token: &str, now: u64) -> Result<Claims, Rejected> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Rejected::TooLong);
        }
        let parts = Parts::of(token)?;
        self.check_signature(&parts)?;
        let (claims, terms) = claims::read(&parts.claims()?)?;
        self.check_terms(&claims, &terms, now)?;
        Ok(claims)
    }

    fn check_signature(&self, parts: &Parts<'_>) -> Result<(), Rejected> {
        let id = parts.key_id.as_deref();
        let mut candidates = self.keys.candidates(id, parts.algorithm).peekable();
        if candidates.peek().is_none() {
            let is_named = self.keys.named(id).next().is_some();
            return Err(if is_named { Rejected::WrongAlgorithm } else { Rejected::UnknownKey });
        }
        let algorithm = parts.algorithm.of_library();
        let fits = |key: &crate::Key| {
            let (signature, signed) = (parts.signature, parts.signed.as_bytes());
            jsonwebtoken::crypto::verify(signature, signed, &key.verifying, algorithm).unwrap_or(false)
        };
        if candidates.any(fits) { Ok(()) } else { Err(Rejected::Signature) }
    }

    fn check_terms(&self, claims: &Claims, terms: &Terms, now: u64) -> Result<(), Rejected> {
        let Expected { issuers, audiences, leeway, lifetime_max } = &self.expected;
        if now >= claims.expires_at.saturating_add(*leeway) {
            return Err(Rejected::Expired);
        }
        let lifetime = claims.expires_at.saturating_sub(claims.issued_at.unwrap_or(now));
        if lifetime_max.is_some_and(|longest| lifetime > longest.saturating_add(*leeway)) {
            return Err(Rejected::LivesTooLong);
        }
        let begins = terms.not_before.max(claims.issued_at);
        if begins.is_some_and(|begins| begins > now.saturating_add(*leeway)) {
            return Err(Rejected::NotYetValid);
        }
        if !issuers.is_empty() && !terms.issuer.as_ref().is_some_and(|issuer| issuers.contains(issuer)) {
            return Err(Rejected::Issuer);
        }
        let is_for_us = match &terms.audience {
            Some(named) => named.iter().any(|audience| audiences.contains(audience)),
            None => audiences.is_empty(),
        };
        if is_for_us { Ok(()) } else { Err(Rejected::Audience) }
    }
}
