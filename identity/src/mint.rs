//! Tokens for tests and services.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::{Algorithm, InvalidKey, SECRET_BYTES_MIN};

/// A key that signs tokens. Shows its id and nothing else.
pub struct SigningKey {
    id: Option<String>,
    algorithm: Algorithm,
    signing: EncodingKey,
}

/// Why no token was made.
#[derive(Debug, Error)]
#[error("the key can't sign for {0}")]
pub struct MintError(Algorithm);

impl SigningKey {
    /// A key for `algorithm`: the secret itself for [`Algorithm::Hs256`], else a private key in PEM.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn try_new(id: Option<&str>, algorithm: Algorithm, material: &[u8]) -> Result<Self, InvalidKey> {
        let read = match algorithm {
            Algorithm::Hs256 if material.len() < SECRET_BYTES_MIN => return Err(InvalidKey::ShortSecret),
            Algorithm::Hs256 => Ok(EncodingKey::from_secret(material)),
            Algorithm::Rs256 => EncodingKey::from_rsa_pem(material),
            Algorithm::Es256 => EncodingKey::from_ec_pem(material),
            Algorithm::EdDsa => EncodingKey::from_ed_pem(material),
        };
        let signing = read.map_err(|_| InvalidKey::NotPem(algorithm))?;
        Ok(Self { id: id.map(str::to_owned), algorithm, signing })
    }

    /// A token that says this, whether it makes sense or not.
    ///
    /// # Errors
    /// [`MintError`].
    pub fn mint(&self, claims: &Map<String, Value>) -> Result<String, MintError> {
        let mut header = json!({ "alg": self.algorithm.as_str(), "typ": "JWT" });
        if let Some(id) = &self.id {
            header["kid"] = id.as_str().into();
        }
        let claims = Value::Object(claims.clone());
        self.sign(&header.to_string(), &claims.to_string())
    }

    /// Header and claims as they are given, signed.
    ///
    /// # Errors
    /// [`MintError`].
    pub(crate) fn sign(&self, header: &str, claims: &str) -> Result<String, MintError> {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let algorithm = self.algorithm.of_library();
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.signing, algorithm);
        Ok(format!("{signed}.{}", signature.map_err(|_| MintError(self.algorithm))?))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}
