//! What a token says of itself, for people who look into one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::Rejected;
use crate::verify::TOKEN_BYTES_MAX;

/// What a token says of itself. Nothing of it was checked; the signature, which is the secret part, is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// How it is signed, by which key.
    pub header: Value,
    /// What it claims.
    pub claims: Value,
}

impl Said {
    /// Reads a token without believing it.
    ///
    /// # Errors
    /// [`Rejected::TooLong`] or [`Rejected::Malformed`].
    pub fn of(token: &str) -> Result<Self, Rejected> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Rejected::TooLong);
        }
        let mut parts = token.split('.');
        let mut json = || {
            let bytes = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
            serde_json::from_slice(&bytes).ok()
        };
        let (header, claims) = (json(), json());
        let (Some(header), Some(claims)) = (header, claims) else { return Err(Rejected::Malformed) };
        Ok(Self { header, claims })
    }
}
