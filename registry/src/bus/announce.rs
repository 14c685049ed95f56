//! Announcements as they travel: what a script tells the followers of a topic in the same step as the
//! change itself. Pure: bytes in, values or errors out.
//!
//! Other than a batch, an announcement has no sender and no number: Redis publishes it in the order of the
//! changes, and every node takes it from there, the one that asked for the change included.
//!
//! ```text
//! version u8 = 2, tenant text8, topic text8, spared text8 (empty: nobody), the message's JSON until the end
//! text8   length u8, then so many bytes
//! ```

use bytes::Bytes;
use signalbox_protocol::{Tenant, Topic};

use super::batch::Malformed;

/// The first byte of an announcement; batches begin with another.
pub const VERSION: u8 = 2;

/// Something that changed, told to whoever follows a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The customer.
    pub tenant: Tenant,
    /// Whom it is for: a group topic.
    pub topic: Topic,
    /// Connections that follow this topic get the announcement there, and are spared this copy.
    pub spared: Option<Topic>,
    /// The message: one envelope in JSON, without a WebSocket header.
    pub body: Bytes,
}

impl Announcement {
    /// The bytes that carry it.
    pub fn encode(&self) -> Vec<u8> {
        let spared = self.spared.as_ref().map_or("", Topic::as_str);
        let mut bytes = head(&self.tenant, self.topic.as_str(), spared);
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Reads it back; the body shares the memory of `bytes`.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let mut at = after_version(bytes, VERSION)?;
        let tenant = Tenant::try_new(take_text(bytes, &mut at)?).map_err(|_| Malformed::Name)?;
        let topic = Topic::try_new(take_text(bytes, &mut at)?).map_err(|_| Malformed::Name)?;
        let spared = match take_text(bytes, &mut at)? {
            "" => None,
            name => Some(Topic::try_new(name).map_err(|_| Malformed::Name)?),
        };
        Ok(Self { tenant, topic, spared, body: bytes.slice(at..) })
    }
}

/// What stands before the body. For scripts that put the body together themselves.
pub fn head(tenant: &Tenant, topic: &str, spared: &str) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for text in [tenant.as_str(), topic, spared] {
        put_text(&mut bytes, text);
    }
    bytes
}

/// Where what follows the version begins.
pub(super) fn after_version(bytes: &[u8], version: u8) -> Result<usize, Malformed> {
    match bytes.first() {
        Some(&first) if first == version => Ok(1),
        Some(&other) => Err(Malformed::Version(other)),
        None => Err(Malformed::Length),
    }
}

pub(super) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len()).expect("names are shorter than 256 bytes"));
    bytes.extend_from_slice(text.as_bytes());
}

pub(super) fn take_text<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a str, Malformed> {
    let length = usize::from(*bytes.get(*at).ok_or(Malformed::Length)?);
    let text = bytes.get(*at + 1..*at + 1 + length).ok_or(Malformed::Length)?;
    *at += 1 + length;
    std::str::from_utf8(text).map_err(|_| Malformed::Name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(spared: Option<&str>) -> Announcement {
        Announcement {
            tenant: Tenant::try_new("acme").unwrap(),
            topic: Topic::try_new("route:12").unwrap(),
            spared: spared.map(|topic| Topic::try_new(topic).unwrap()),
            body: Bytes::from_static(br#"{"type":"commuter:spawned"}"#),
        }
    }

    #[test]
    fn an_announcement_reads_back_as_it_was() {
        for announcement in [announcement(None), announcement(Some("depot:4"))] {
            let bytes = Bytes::from(announcement.encode());
            assert_eq!(Announcement::decode(&bytes), Ok(announcement));
        }
    }

    #[test]
    fn what_is_no_announcement_is_refused_wherever_it_ends() {
        let whole = announcement(Some("depot:4")).encode();
        let body_at = whole.len() - announcement(None).body.len();
        for end in 0..body_at {
            let cut = Bytes::copy_from_slice(&whole[..end]);
            assert!(Announcement::decode(&cut).is_err(), "{end} bytes");
        }
        let mut batch = whole.clone();
        batch[0] = 1;
        assert_eq!(Announcement::decode(&Bytes::from(batch)), Err(Malformed::Version(1)));
        let mut name = whole;
        name[2] = b'{';
        assert_eq!(Announcement::decode(&Bytes::from(name)), Err(Malformed::Name));
    }
}
