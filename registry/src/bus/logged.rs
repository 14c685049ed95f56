//! Messages of a log as they travel: published by the step that stored them, or posted by whoever appended to
//! a point topic. Pure: bytes in, values or errors out.
//!
//! ```text
//! version u8 = 4, tenant text8, topic text8, epoch text8, offset text8 (decimal), the message's JSON until the end
//! text8   length u8, then so many bytes
//! ```

use bytes::Bytes;
use signalbox_protocol::control::Position;
use signalbox_protocol::{Tenant, Topic};

use super::announce::{after_version, put_text, take_text};
use super::batch::Malformed;
use crate::log::Logged;

/// The first byte of a logged message; other things on the bus begin with another.
pub const VERSION: u8 = 4;

impl Logged {
    /// The bytes that carry it.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = head(&self.tenant, &self.topic);
        put_text(&mut bytes, &self.position.epoch);
        put_text(&mut bytes, &self.position.offset.to_string());
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
        let epoch = take_text(bytes, &mut at)?.to_owned();
        let offset = take_text(bytes, &mut at)?.parse().map_err(|_| Malformed::Name)?;
        Ok(Self { tenant, topic, position: Position { epoch, offset }, body: bytes.slice(at..) })
    }
}

/// What stands before the position. For scripts that put the rest together themselves.
pub(crate) fn head(tenant: &Tenant, topic: &Topic) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    put_text(&mut bytes, tenant.as_str());
    put_text(&mut bytes, topic.as_str());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged() -> Logged {
        Logged {
            tenant: Tenant::try_new("acme").unwrap(),
            topic: Topic::try_new("order:9").unwrap(),
            position: Position { epoch: "s.1".into(), offset: u64::MAX },
            body: Bytes::from_static(br#"{"type":"order:new"}"#),
        }
    }

    #[test]
    fn a_message_reads_back_as_it_was() {
        assert_eq!(Logged::decode(&Bytes::from(logged().encode())), Ok(logged()));
    }

    #[test]
    fn what_is_no_message_is_refused_wherever_it_ends() {
        let whole = logged().encode();
        for end in 0..whole.len() - logged().body.len() {
            assert!(Logged::decode(&Bytes::copy_from_slice(&whole[..end])).is_err(), "{end} bytes");
        }
        let mut other = whole.clone();
        other[0] = 2;
        assert_eq!(Logged::decode(&Bytes::from(other)), Err(Malformed::Version(2)));
        let mut offset = whole;
        let at = offset.windows(4).position(|four| four == b"1844").unwrap();
        offset[at] = b'x';
        assert_eq!(Logged::decode(&Bytes::from(offset)), Err(Malformed::Name));
    }
}
