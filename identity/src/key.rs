//! A key that vouches for tokens.

use std::fmt;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use thiserror::Error;

use crate::Algorithm;

/// Fewest bytes of a secret: as many as the hash has (RFC 7518, 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// A key, for one algorithm. Shows its id and nothing else.
#[derive(Clone)]
pub struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    pub(crate) verifying: DecodingKey,
}

/// A key that can't be one.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum InvalidKey {
    /// A secret that can be guessed.
    #[error("the secret has fewer than {SECRET_BYTES_MIN} bytes")]
    ShortSecret,
    /// Not what the algorithm needs.
    #[error("no public key for {0}: PEM is needed, as `-----BEGIN PUBLIC KEY-----`")]
    NotPem(Algorithm),
    /// A key of a set that can't be read.
    #[error("a key of the set can't be read")]
    NotJwk,
}

impl Key {
    /// A key for `algorithm`: the secret itself for [`Algorithm::Hs256`], else a public key in PEM.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn try_new(id: Option<&str>, algorithm: Algorithm, material: &[u8]) -> Result<Self, InvalidKey> {
        let read = match algorithm {
            Algorithm::Hs256 if material.len() < SECRET_BYTES_MIN => return Err(InvalidKey::ShortSecret),
            Algorithm::Hs256 => Ok(DecodingKey::from_secret(material)),
            Algorithm::Rs256 => DecodingKey::from_rsa_pem(material),
            Algorithm::Es256 => DecodingKey::from_ec_pem(material),
            Algorithm::EdDsa => DecodingKey::from_ed_pem(material),
        };
        let verifying = read.map_err(|_| InvalidKey::NotPem(algorithm))?;
        Ok(Self { id: id.map(str::to_owned), algorithm, verifying })
    }

    /// A key of a published set (RFC 7517). `None`: not for signatures, or for an algorithm that is not taken. A
    /// secret is never taken from a set: what is published is none.
    ///
    /// # Errors
    /// [`InvalidKey::NotJwk`].
    pub(crate) fn of_jwk(jwk: &Jwk) -> Result<Option<Self>, InvalidKey> {
        let common = &jwk.common;
        let Some(algorithm) = algorithm_of(jwk) else { return Ok(None) };
        if common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
            return Ok(None);
        }
        let verifying = DecodingKey::from_jwk(jwk).map_err(|_| InvalidKey::NotJwk)?;
        Ok(Some(Self { id: common.key_id.clone(), algorithm, verifying }))
    }

    /// Which tokens name it; `None`: those that name none.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What it is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The one algorithm that a published key is for; what the set says must fit the kind of the key.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::Rs256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::Es256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDsa, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    jwk.common.key_algorithm.is_none_or(|said| said == named).then_some(algorithm)
}
