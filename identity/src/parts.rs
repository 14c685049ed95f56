//! A token taken apart: bytes in, its header and what is signed out. Nothing in here is to be believed yet.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use crate::{Algorithm, Rejected};

/// The three parts of a token, and what its header says.
pub(crate) struct Parts<'a> {
    /// Header and claims as they stand in the token: what is signed.
    pub(crate) signed: &'a str,
    pub(crate) signature: &'a str,
    claims: &'a str,
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(token: &'a str) -> Result<Self, Rejected> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Rejected::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Rejected::Malformed)?;
        if claims.contains('.') {
            return Err(Rejected::Malformed);
        }
        let mut header = object(header)?;
        if header.contains_key("crit") {
            return Err(Rejected::Critical);
        }
        let algorithm = match header.remove("alg") {
            Some(Value::String(name)) => name.parse().map_err(|_| Rejected::Algorithm)?,
            _ => return Err(Rejected::Malformed),
        };
        let key_id = match header.remove("kid") {
            Some(Value::String(id)) => Some(id),
            None => None,
            Some(_) => return Err(Rejected::Malformed),
        };
        Ok(Self { signed, signature, claims, algorithm, key_id })
    }

    /// What it claims, to be read once the signature is checked.
    pub(crate) fn claims(&self) -> Result<BTreeMap<String, Value>, Rejected> {
        object(self.claims)
    }
}

/// A JSON object in base64url, in which no name comes twice (RFC 8725, 2.4 and 3.1; RFC 7519, 4).
fn object(encoded: &str) -> Result<BTreeMap<String, Value>, Rejected> {
    let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Rejected::Malformed)?;
    let Unique(object) = serde_json::from_slice(&json).map_err(|_| Rejected::Malformed)?;
    Ok(object)
}

struct Unique(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Unique;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut object = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if object.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name comes twice"));
                    }
                }
                Ok(Unique(object))
            }
        }

        deserializer.deserialize_map(Names)
    }
}
