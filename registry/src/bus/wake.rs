//! Wakes as they travel: what a script tells the node of the waiter whose turn it is. Pure: bytes in, values
//! or errors out.
//!
//! ```text
//! version u8 = 3, tenant text8, resource text8, the waiter's number in decimal digits until the end
//! text8   length u8, then so many bytes
//! ```

use signalbox_protocol::{Resource, Tenant};

use super::announce::{after_version, take_text};
use super::batch::Malformed;

/// The first byte of a wake; batches and announcements begin with others.
pub(crate) const VERSION: u8 = 3;

/// It is this waiter's turn to take the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wake {
    /// The customer.
    pub(crate) tenant: Tenant,
    /// What the waiter waits for.
    pub(crate) resource: Resource,
    /// The waiter, as its node numbers them.
    pub(crate) waiter: u64,
}

impl Wake {
    /// Reads one.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut at = after_version(bytes, VERSION)?;
        let tenant = Tenant::try_new(take_text(bytes, &mut at)?).map_err(|_| Malformed::Name)?;
        let resource = Resource::try_new(take_text(bytes, &mut at)?).map_err(|_| Malformed::Name)?;
        let digits = std::str::from_utf8(&bytes[at..]).map_err(|_| Malformed::Length)?;
        let waiter = digits.parse().map_err(|_| Malformed::Length)?;
        Ok(Self { tenant, resource, waiter })
    }
}

/// What stands before the waiter's number. The script that gives the turn appends that.
pub(crate) fn head(tenant: &Tenant, resource: &Resource) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(3 + tenant.as_str().len() + resource.as_str().len());
    bytes.push(VERSION);
    for text in [tenant.as_str(), resource.as_str()] {
        bytes.push(u8::try_from(text.len()).expect("names are shorter than 256 bytes"));
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_reads_back_and_nothing_else_does() {
        let (tenant, resource) =
            (Tenant::try_new("acme").unwrap(), Resource::try_new(&"r".repeat(200)).unwrap());
        let mut bytes = head(&tenant, &resource);
        assert_eq!(Wake::decode(&bytes), Err(Malformed::Length), "no number");
        bytes.extend_from_slice(b"18446744073709551615");
        assert_eq!(Wake::decode(&bytes), Ok(Wake { tenant, resource, waiter: u64::MAX }));
        for end in 0..bytes.len() - 20 {
            assert!(Wake::decode(&bytes[..end]).is_err(), "{end} bytes");
        }
        for (at, wrong, expected) in [(0, 1, Malformed::Version(1)), (2, b'{', Malformed::Name)] {
            let mut bytes = bytes.clone();
            bytes[at] = wrong;
            assert_eq!(Wake::decode(&bytes), Err(expected));
        }
        bytes.push(b'0');
        assert_eq!(Wake::decode(&bytes), Err(Malformed::Length), "more than a number can be");
    }
}
