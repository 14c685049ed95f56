//! The isolated customer that every key, topic and lock belongs to.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// An isolated customer: 1 to 64 characters of `A-Z a-z 0-9 . _ -`. Nothing crosses from one to another.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(Arc<str>);

/// A string that can't be a tenant.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("a tenant is 1 to 64 characters of A-Z a-z 0-9 . _ -")]
pub struct InvalidTenant;

impl Tenant {
    /// Checks `text` and keeps a copy of it.
    ///
    /// # Errors
    /// [`InvalidTenant`] when it is empty, longer than 64, or holds another character.
    pub fn try_new(text: &str) -> Result<Self, InvalidTenant> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidTenant)
        }
    }

    /// The tenant's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Tenant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_tenants() {
        for good in ["default", "A.b_c-9", &"x".repeat(64)] {
            assert_eq!(Tenant::try_new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a:b", "a}b", "é", &"x".repeat(65)] {
            assert_eq!(Tenant::try_new(bad), Err(InvalidTenant), "{bad:?}");
        }
    }
}
