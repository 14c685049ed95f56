//! The keys that a node trusts.

use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use thiserror::Error;

use crate::key::Key;
use crate::{Algorithm, InvalidKey};

/// Most keys of a published set that are looked at.
const SET_KEYS_MAX: usize = 64;

/// The keys that a node trusts.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: Vec<Key>,
}

/// A published set that is none.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum InvalidKeySet {
    /// Not the JSON of a set.
    #[error("not a set of keys: {{\"keys\": [..]}} is needed (RFC 7517)")]
    NotASet,
    /// Too many to be a set of signing keys.
    #[error("more than {SET_KEYS_MAX} keys")]
    TooMany,
    /// None of them can be used: every token would be refused.
    #[error("no key of the set is for RS256, ES256 or EdDSA signatures")]
    Empty,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

impl Keyring {
    /// These keys.
    pub fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    /// The signing keys of a published set in JSON. Keys of other kinds are left out, as RFC 7517 (5) has it.
    ///
    /// # Errors
    /// [`InvalidKeySet`].
    pub fn of_set(json: &[u8]) -> Result<Self, InvalidKeySet> {
        let set: Set = serde_json::from_slice(json).map_err(|_| InvalidKeySet::NotASet)?;
        if set.keys.len() > SET_KEYS_MAX {
            return Err(InvalidKeySet::TooMany);
        }
        let read = |json| serde_json::from_value::<Jwk>(json).map_err(|_| InvalidKey::NotJwk);
        let keys =
            set.keys.into_iter().filter_map(|json| read(json).and_then(|jwk| Key::of_jwk(&jwk)).ok()?);
        let keys: Vec<_> = keys.collect();
        if keys.is_empty() { Err(InvalidKeySet::Empty) } else { Ok(Self { keys }) }
    }

    /// Both.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.keys.extend(other.keys.iter().cloned());
        self
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that a token may be signed with: of the id that it names, or all that have none if it names none;
    /// and for the algorithm that it claims.
    pub(crate) fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Key> {
        self.named(id).filter(move |key| key.algorithm() == algorithm)
    }

    /// The keys of an id, or those without one.
    pub(crate) fn named(&self, id: Option<&str>) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.id() == id)
    }
}
